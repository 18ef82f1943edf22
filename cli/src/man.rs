//! `linklock man`: the man pages, generated from the definition of the command line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::exit::{self, Failure};
use crate::output;

/// Write linklock's man pages
///
/// Writes linklock.1 and a page for each subcommand to a directory, or linklock(1) to stdout if no
/// directory is given:
///
///   linklock man ~/.local/share/man/man1 && man linklock-run
///   linklock man | man -l -
#[derive(clap::Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The directory, which is created if it does not exist
    dir: Option<PathBuf>,
}

const ENVIRONMENT: [(&str, &str); 13] = [
    (
        "LINKLOCK_PATH",
        "The lock file, or the URL of a server's lock, for the command that linklock-run(1) runs: one per \
         line if there are several.",
    ),
    ("LINKLOCK_MAILBOX", "The mailbox, for the command that linklock-mailbox-run(1) runs."),
    (
        "LINKLOCK_CLAIM",
        "The lock's claim, the holder's file beside it: one per line if there are several. The claim of a \
         server's lock consists of its id and its secret; refresh, check and release read it from here.",
    ),
    (
        "LINKLOCK_TOKEN",
        "With --fence, and for a server's lock, the lock's fencing token: one per line if there are several.",
    ),
    ("LINKLOCK_SLOT", "With --slots, the number of the slot, from 0 on."),
    ("LINKLOCK_NAME", "With --relukko, the lock's name on the server, for the command that runs."),
    ("LINKLOCK_RELUKKO_ID", "With --relukko, the lock's id, for the command that runs."),
    ("RELUKKO_API_KEY", "The server's API key, for its locks and for serve."),
    ("LINKLOCK_TIMEOUT", "How long to wait for a lock, without --timeout or --no-wait."),
    ("LINKLOCK_HOST_NAME", "Name of this host in locks, as --host-name sets it."),
    (
        "LINKLOCK_LOG",
        "Log level on stderr: error, warn, info, debug or trace. From warn on, it reports whose \
         stale lock was taken over, and why; from debug on, which process waits for which holder.",
    ),
    ("NO_COLOR", "If set, no colours are used."),
    ("TERM", "If it is `dumb`, no progress is shown while waiting."),
];

pub(crate) fn man(args: &Args, linklock: Command) -> Result<u8, Failure> {
    let mut root = linklock.disable_help_subcommand(true);
    root.build();
    match &args.dir {
        None => output::show(&page(&root).map_err(Failure::to("make the page"))?)?,
        Some(dir) => write_all(&root, dir).map_err(|error| {
            Failure::new(exit::CANNOT_CREATE, format!("{}: {error}", dir.display()))
        })?,
    }
    Ok(0)
}

fn write_all(root: &Command, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    write_family(root, dir)
}

/// Writes a page for the command, and for each of its subcommands.
fn write_family(command: &Command, dir: &Path) -> io::Result<()> {
    fs::write(dir.join(format!("{}.1", name(command))), page(command)?)?;
    command.get_subcommands().try_for_each(|below| write_family(below, dir))
}

/// The page's name: `linklock-run` for `linklock run`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &Command) -> io::Result<String> {
    let is_root = command.get_version().is_some();
    let more = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples) = more.split_once("Examples:\n").unwrap_or((&more, ""));
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let usage = command.clone().render_usage().to_string();
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]).text([roman(usage.trim_start_matches("Usage: "))]);
    synopsis.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }

    let mut more = Roff::new();
    if !notes.is_empty() && !is_root {
        section_of_lines(&mut more, "NOTES", notes.trim_end());
    }
    if is_root || command.get_name() == "run" {
        more.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in exit::codes() {
            entry(&mut more, &code, &meaning);
        }
    }
    if is_root {
        more.control("SH", ["ENVIRONMENT"]);
        for (variable, meaning) in ENVIRONMENT {
            entry(&mut more, variable, meaning);
        }
    }
    let examples = examples.split("\n\n").next().unwrap_or_default();
    if !examples.is_empty() {
        section_of_lines(&mut more, "EXAMPLES", examples);
    }
    more.control("SH", ["SEE ALSO"]);
    let others = ["flock(1)", "timeout(1)", "link(2)", "nfs(5)"];
    let see =
        if is_root { others.join(", ") } else { format!("linklock(1), {}", others.join(", ")) };
    more.text([roman(see)]);
    more.to_writer(&mut page)?;
    if is_root {
        man.render_version_section(&mut page)?;
    }
    String::from_utf8(page).map_err(io::Error::other)
}

fn section_of_lines(page: &mut Roff, title: &str, lines: &str) {
    page.control("SH", [title]).control("nf", []);
    for line in lines.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
}

fn entry(page: &mut Roff, term: &str, meaning: &str) {
    page.control("TP", []).text([bold(term)]).text([roman(meaning)]);
}
