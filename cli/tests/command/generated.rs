//! Man pages and completions are complete and usable.

use std::fs;
use std::process::Command;

use crate::common::{Place, linklock, outcome, skip};

/// A program's output, or `None` if it is not installed.
fn stdout(command: &mut Command) -> Option<String> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            skip("generated files", &format!("{:?}: {error}", command.get_program()));
            return None;
        }
    };
    assert!(output.status.success(), "{command:?}: {output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

const SUBCOMMANDS: &[&str] = &[
    "run",
    "acquire",
    "refresh",
    "check",
    "release",
    "wait",
    "status",
    "list",
    "break",
    "sweep",
    "mailbox",
    "doctor",
    "serve",
    "completions",
    "man",
];

#[test]
fn there_is_a_page_for_each_subcommand() {
    let place = Place::new();
    let pages = place.dir().join("man1");
    assert_eq!(outcome(linklock().arg("man").arg(&pages)), (0, String::new()));
    let mut found: Vec<_> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut expected: Vec<_> =
        SUBCOMMANDS.iter().map(|name| format!("linklock-{name}.1")).collect();
    for more in ["linklock", "linklock-mailbox-run", "linklock-mailbox-status"] {
        expected.push(format!("{more}.1"));
    }
    expected.sort();
    assert_eq!(found, expected);

    let stdout = linklock().arg("man").output().unwrap().stdout;
    assert_eq!(stdout, fs::read(pages.join("linklock.1")).unwrap());
    let main = fs::read_to_string(pages.join("linklock.1")).unwrap();
    let variables =
        ["PATH", "CLAIM", "TOKEN", "MAILBOX", "NAME", "RELUKKO_ID", "TIMEOUT", "HOST_NAME", "LOG"];
    for variable in variables.map(|name| format!("LINKLOCK_{name}")) {
        assert!(main.contains(&format!("\\fB{variable}\\fR")), "{variable}: {main}");
    }
    assert!(main.contains("RELUKKO_API_KEY"), "{main}");
    for page in ["linklock.1", "linklock-run.1"] {
        let page = fs::read_to_string(pages.join(page)).unwrap();
        assert!(page.contains("\n.SH EXAMPLES\n"), "{page}");
        for code in ["64", "69", "71", "73", "75", "79", "124", "126", "127", "128+N"] {
            assert!(page.contains(&format!("\n\\fB{code}\\fR\n")), "{code} is not in:\n{page}");
        }
    }
}

#[test]
fn the_pages_can_be_formatted() {
    let place = Place::new();
    let pages = place.dir().join("man1");
    outcome(linklock().arg("man").arg(&pages));
    for entry in fs::read_dir(&pages).unwrap() {
        let mut mandoc = Command::new("mandoc");
        mandoc.args(["-T", "ascii", "-W", "error"]).arg(entry.unwrap().path());
        let Some(text) = stdout(&mut mandoc) else { return };
        assert!(text.contains("N\x08NA\x08AM\x08ME\x08E"), "{text}"); // in bold, by overstriking
    }
}

#[test]
fn a_directory_that_can_not_be_made_is_reported() {
    let (code, message) = outcome(linklock().args(["man", "/dev/null/man1"]));
    assert_eq!(code, 73);
    assert!(message.contains("/dev/null/man1"), "{message}");
}

#[test]
fn bash_completes() {
    let place = Place::new();
    let script = place.dir().join("completions");
    fs::write(&script, stdout(linklock().args(["completions", "bash"])).unwrap()).unwrap();
    let complete = |words: &str, count: usize| {
        let bash = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={count}; _linklock linklock \
             \"${{COMP_WORDS[{count}]}}\" \"${{COMP_WORDS[{count}-1]}}\"; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        stdout(Command::new("bash").args(["-c", &bash])).unwrap()
    };
    assert_eq!(complete("linklock re", 1).trim(), "refresh release");
    assert_eq!(complete("linklock run --max", 2).trim(), "--max-runtime");
    assert!(!complete("linklock ''", 1).contains("__"), "internal commands are not shown");
}

#[test]
fn fish_completes() {
    let place = Place::new();
    let script = place.dir().join("completions");
    fs::write(&script, stdout(linklock().args(["completions", "fish"])).unwrap()).unwrap();
    let commands = format!("source {}; complete -C 'linklock re'", script.display());
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", &commands]).env("HOME", place.dir());
    let Some(found) = stdout(&mut fish) else { return };
    let found: Vec<_> = found.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(found, ["refresh", "release"]);
}

#[test]
fn zsh_completes() {
    let place = Place::new();
    let script = stdout(linklock().args(["completions", "zsh"])).unwrap();
    fs::write(place.dir().join("_linklock"), script).unwrap();
    let commands = format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -u -d {}/dump; \
         print -r -- $_comps[linklock]; autoload +X _linklock && whence -w _linklock",
        place.dir().display(),
        place.dir().display(),
    );
    let Some(found) = stdout(Command::new("zsh").args(["-f", "-c", &commands])) else { return };
    assert_eq!(found, "_linklock\n_linklock: function\n");
}
