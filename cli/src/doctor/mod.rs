//! `linklock doctor`: whether a directory can be trusted with locks.

mod checks;
mod finding;
mod mount;
mod scratch;
mod second_mount;
mod two_hosts;

use std::path::PathBuf;

use linklock::Error;
use serde::Serialize;

use self::finding::{Finding, Grade};
use self::scratch::Scratch;
use crate::exit::{self, Failure};
use crate::output::{self, json, printable};

/// Examine whether a directory can be trusted with locks
///
/// Tries the operations that locks need: exclusive creation, hard links and their count, time
/// stamps, rename, and a lock itself. Shows the file system's type and options, the offset of the
/// file server's clock from this machine's, and how long it takes to acquire and release a lock. It
/// works in a new directory inside DIR, and with one file beside it; both are removed at the end.
///
/// With --second, the same directory through another mount, it also checks that each mount shows at
/// once what is done through the other, and that of two processes that race for a lock only one
/// gets it. With --meet, started on two machines within a minute, it checks the same between the
/// machines.
///
/// The exit status is 0 if locks can be trusted there, perhaps with notes, and 69 if they can't.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The directory
    pub(crate) dir: PathBuf,

    /// The same directory by another path, through another mount
    #[arg(long, value_name = "DIR")]
    second: Option<PathBuf>,

    /// Meet the same command on another machine in this directory, within a minute
    #[arg(long)]
    meet: bool,

    /// Check that DIR is on the file system mounted on MOUNTPOINT, as `run --require-mount` does
    #[arg(long, value_name = "MOUNTPOINT")]
    require_mount: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    dir: String,
    verdict: Grade,
    findings: Vec<Finding>,
}

const EXAMPLES: &str = "\
Examples:
  linklock doctor /shared
  linklock doctor --meet /shared    # on two machines at once";

pub(crate) fn doctor(args: &Args) -> Result<u8, Failure> {
    let mut findings = vec![mount::check(&args.dir)];
    findings.extend(mount::missing(&args.dir));
    findings.extend(args.require_mount.as_deref().map(|point| mount::required(point, &args.dir)));
    findings.extend(checks::sticky(&args.dir));
    let path = args.dir.join(scratch::unique_name() + ".lock");
    let locked = checks::lock(&path);
    let lacks_something = matches!(locked, Err(Error::UnsupportedFileSystem { .. }));
    let found = locked.map_err(|error| error.to_string()).and_then(|()| checks::after_lock(&path));
    let lock_works = found.is_ok();
    findings.push(checks::finding("lock", found));
    if !lacks_something {
        findings.extend(examine(args, lock_works));
    }
    let verdict = findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Bad);
    let report = Report { dir: args.dir.to_string_lossy().into_owned(), verdict, findings };
    output::show(&if args.json { json(&report)? } else { report.to_text() })?;
    Ok(if verdict == Grade::Bad { exit::UNFIT } else { 0 })
}

/// Everything that explains the verdict. It is left out where a lock was refused for what the file system
/// lacks: the error has named that, and what is made there may stay.
fn examine(args: &Args, lock_works: bool) -> Vec<Finding> {
    let scratch = match Scratch::in_dir(&args.dir) {
        Ok(scratch) => scratch,
        Err(error) => {
            let text = format!("cannot create a directory here: {error}");
            return vec![Finding { check: "access", grade: Grade::Bad, text }];
        }
    };
    let mut findings = checks::all(&scratch, lock_works);
    if let Some(other) = &args.second {
        findings.extend(second_mount::all(&scratch, other));
    }
    if args.meet {
        findings.extend(two_hosts::all(&args.dir));
    }
    findings
}

impl Report {
    fn to_text(&self) -> String {
        let line = |finding: &Finding| {
            let mark = match finding.grade {
                Grade::Good => "ok  ",
                Grade::Note => "note",
                Grade::Bad => "BAD ",
            };
            format!("{mark}  {:18} {}\n", finding.check, printable(&finding.text))
        };
        let verdict = match self.verdict {
            Grade::Good => "can be trusted with locks",
            Grade::Note => "can be trusted with locks; keep the notes in mind",
            Grade::Bad => "can NOT be trusted with locks",
        };
        let lines: String = self.findings.iter().map(line).collect();
        format!("{lines}{} {verdict}\n", printable(&self.dir))
    }
}
