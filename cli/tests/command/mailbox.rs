//! `linklock mailbox`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{CAT, Place, Running, linklock, outcome};
use nix::sys::signal::Signal;
use tempfile::TempDir;

/// A mailbox in a directory of its own.
struct Spool {
    dir: TempDir,
    mbox: PathBuf,
}

impl Spool {
    fn new() -> Spool {
        let dir = TempDir::new().unwrap();
        let mbox = dir.path().join("joe");
        fs::write(&mbox, "").unwrap();
        Spool { dir, mbox }
    }

    fn dotlock(&self) -> PathBuf {
        self.dir.path().join("joe.lock")
    }

    fn run_sh(&self, options: &[&str], script: &str) -> Command {
        let mut run = linklock();
        run.args(["mailbox", "run"]).args(options).arg(&self.mbox).args(["--", "sh", "-c", script]);
        run
    }

    fn status(&self, options: &[&str]) -> String {
        let mut status = linklock();
        let output =
            status.args(["mailbox", "status"]).args(options).arg(&self.mbox).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        let names = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["joe"]);
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_command_runs_while_the_mailbox_is_locked() {
    let spool = Spool::new();
    let script = r#"cat "$LINKLOCK_PATH" >>"$LINKLOCK_MAILBOX"; exit 7"#;
    assert_eq!(outcome(&mut spool.run_sh(&[], script)), (7, String::new()));
    assert_eq!(fs::read_to_string(&spool.mbox).unwrap(), "0\n", "its own dotlock");
    spool.assert_nothing_left();
}

#[test]
fn it_is_locked_for_others_and_status_says_so() {
    let spool = Spool::new();
    assert_eq!(spool.status(&[]), format!("{}: free\n", spool.mbox.display()));
    assert_eq!(json(&spool.status(&["--json"]))["is_locked"], false);

    let mut holder = Running::start(&mut spool.run_sh(&[], CAT));
    assert_eq!(holder.line(), "ready");
    let said = spool.status(&[]);
    assert!(said.contains("locked by fcntl(2)"), "{said}");
    assert!(said.contains("a dotlock of dotlockfile or one of its kind"), "{said}");
    let all = json(&spool.status(&["--json"]));
    assert_eq!(all["is_locked"], true);
    assert_eq!(all["locks"][0]["by"], "fcntl");
    assert_eq!(all["locks"][1]["by"], "dotlock");
    assert_eq!(all["locks"][1]["format"], "dotlockfile");

    let (code, said) = outcome(&mut spool.run_sh(&["--no-wait"], "echo in"));
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("locked by fcntl(2)"), "{said}");
    let (code, said) = outcome(&mut spool.run_sh(&["--no-fcntl", "-t", "100ms", "-E", "3"], ":"));
    assert_eq!(code, 3, "{said}");
    assert_eq!(holder.end().0, 0);
    spool.assert_nothing_left();
}

#[test]
fn dotlocks_of_others_are_shown() {
    let spool = Spool::new();
    fs::write(spool.dotlock(), "4711:elsewhere").unwrap();
    let all = json(&spool.status(&["--json"]));
    let lock = &all["locks"][0];
    assert_eq!(lock["format"], "dovecot");
    assert_eq!((lock["pid"].as_u64(), lock["host"].as_str()), (Some(4711), Some("elsewhere")));
    assert_eq!(lock["alive"], serde_json::Value::Null);
    assert!(lock["changed_at"].as_str().unwrap().ends_with('Z'), "{lock}");
}

#[test]
fn a_mailbox_that_is_lost_stops_the_command() {
    let spool = Spool::new();
    let mut holder = Running::start(&mut spool.run_sh(&[], CAT));
    assert_eq!(holder.line(), "ready");
    fs::remove_file(spool.dotlock()).unwrap(); // noticed within ten seconds
    assert_eq!(holder.ended().0, 79);
    spool.assert_nothing_left();
}

#[test]
fn signals_reach_the_command() {
    let spool = Spool::new();
    let mut holder = Running::start(&mut spool.run_sh(&[], CAT));
    assert_eq!(holder.line(), "ready");
    holder.signal(Signal::SIGTERM);
    assert_eq!(holder.ended().0, 128 + 15);
    spool.assert_nothing_left();
}

#[test]
fn each_error_has_its_own_exit_status() {
    let dir = TempDir::new().unwrap();
    let run =
        |mbox: &Path| outcome(linklock().args(["mailbox", "run"]).arg(mbox).args(["--", ":"]));
    let (code, said) = run(dir.path());
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("guard it with a lock beside it"), "{said}");
    let (code, said) = run(&dir.path().join("no-such-directory/joe"));
    assert_eq!(code, 73, "{said}");
}

#[test]
fn a_mailbox_that_is_locked_around_a_run_is_refused() {
    let place = Place::new();
    let mbox = place.dir().join("mbox");
    std::fs::write(&mbox, "").unwrap();
    let run = |command: &[&std::ffi::OsStr]| {
        let mut run = linklock();
        run.args(["mailbox", "run"]).arg(&mbox).arg("--").args(command);
        run
    };
    let inner = run(&["true".as_ref()]);
    let command: Vec<_> = std::iter::once(inner.get_program()).chain(inner.get_args()).collect();
    let (code, message) = outcome(&mut run(&command));
    assert_eq!(code, 75);
    assert!(message.contains("already locked by the linklock that started"), "{message}");
}
