//! The examples do what they say.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::example;
use linklock::Lock;
use tempfile::tempdir;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(dir: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn lines_from_many_programs_are_all_there() {
    let dir = tempdir().unwrap();
    let ledger = dir.path().join("ledger");
    let mut embed = example("embed");
    embed.arg(&ledger).arg("a line");
    let children: Vec<Child> = (0..10).map(|_| embed.spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(&ledger).unwrap(), "a line\n".repeat(10));
    assert_eq!(names(dir.path().into()), ["ledger"]);
}

#[test]
fn a_cron_job_that_overlaps_ends_at_once_and_is_silent() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("report.lock");
    let mut cron_job = example("cron_job"); // built first: that may take longer than a lease
    cron_job.arg(&path);
    let guard = Lock::new(&path).unwrap().lock().unwrap();
    let mut run = || -> Output { cron_job.output().unwrap() };
    let overlapping = run();
    assert!(overlapping.status.success());
    assert_eq!((text(&overlapping.stdout), text(&overlapping.stderr)), Default::default());
    drop(guard);
    let alone = run();
    assert!(alone.status.success(), "{}", text(&alone.stderr));
    assert_eq!(text(&alone.stdout).lines().count(), 5);
    assert!(!path.exists());
}

#[test]
fn each_job_of_a_queue_is_done_once() {
    let queue = tempdir().unwrap();
    let jobs = queue.path().join("jobs");
    fs::create_dir(&jobs).unwrap();
    let mut expected: Vec<String> = (0..40).map(|job| format!("job{job:02}")).collect();
    for job in &expected {
        fs::write(jobs.join(job), "").unwrap();
    }
    let mut worker = example("work_queue");
    worker.arg(queue.path()).stdout(Stdio::piped());
    let workers: Vec<Child> = (0..4).map(|_| worker.spawn().unwrap()).collect();
    let mut done = Vec::new();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        let lines = text(&output.stdout);
        let job = |line: &str| line.split("/jobs/").nth(1).unwrap()[..5].to_owned();
        done.extend(lines.lines().map(job));
    }
    done.sort();
    expected.sort();
    assert_eq!(done, expected);
    assert_eq!(names(queue.path().join("done")), expected);
    assert!(names(queue.path().join("locks")).is_empty());
}

const MESSAGE: &str = "From a@example.org Thu Jan  1 00:00:00 1970\n\nHello\n>From me\nFrom you\n";
const AS_MBOX: &str =
    "From a@example.org Thu Jan  1 00:00:00 1970\n\nHello\n>>From me\n>From you\n\n";

/// Delivers the message in a directory's file `message` to its mailbox `mbox`.
fn deliver(dir: &Path, before: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{before} exec \"$0\" mbox <message")]);
    shell.arg(example("deliver").get_program()).current_dir(dir).output().unwrap()
}

#[test]
fn a_message_is_appended_whole_and_apart_from_what_was_there() {
    for (before, between) in
        [("", ""), ("From b\n\nHi\n\n", ""), ("From b\n\nHi\n", "\n"), ("From b\n\nH", "\n\n")]
    {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("message"), MESSAGE).unwrap();
        fs::write(dir.path().join("mbox"), before).unwrap();
        let output = deliver(dir.path(), "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let mbox = fs::read_to_string(dir.path().join("mbox")).unwrap();
        assert_eq!(mbox, format!("{before}{between}{AS_MBOX}"));
        assert_eq!(names(dir.path().into()), ["mbox", "message"]);
    }
}

#[test]
fn a_mailbox_is_made_for_its_first_message_and_is_nobody_elses_to_read() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("message"), MESSAGE).unwrap();
    assert!(deliver(dir.path(), "umask 0;").status.success());
    let mbox = dir.path().join("mbox");
    assert_eq!(fs::read_to_string(&mbox).unwrap(), AS_MBOX);
    assert_eq!(fs::metadata(mbox).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_message_that_cant_be_written_whole_is_cut_off_again() {
    let dir = tempdir().unwrap();
    let before = "From b\n\nHi\n\n";
    fs::write(dir.path().join("mbox"), before).unwrap();
    fs::write(dir.path().join("message"), MESSAGE.to_owned() + &"x\n".repeat(100_000)).unwrap();
    // No file may be longer than some kilobytes, and no signal says so.
    let output = deliver(dir.path(), "trap '' XFSZ; ulimit -f 8;");
    assert_eq!(output.status.code(), Some(75), "try again later");
    assert!(text(&output.stderr).contains("too large"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(dir.path().join("mbox")).unwrap(), before);
    assert_eq!(names(dir.path().into()), ["mbox", "message"]);
}
