//! The examples do what they promise.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use crate::kit::example;
use linklock::Lock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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

/// All write to one log. A job that ends writes before it releases its slot, and the next one on that
/// slot writes after it has acquired it.
#[test]
fn jobs_in_slots_have_a_gpu_each() {
    let dir = tempdir().unwrap();
    let log = fs::File::options().create(true).append(true).open(dir.path().join("log")).unwrap();
    let program = example("slots").get_program().to_owned(); // built once
    let start = |job: u32| {
        let mut slots = Command::new(&program);
        slots.arg(dir.path().join("gpu.lock")).args(["2", &job.to_string()]);
        slots.stdout(log.try_clone().unwrap()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..6).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log.lines().count(), 12, "{log}");
    let mut busy = [false; 2];
    for line in log.lines() {
        let gpu = &mut busy[line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()];
        assert_ne!(*gpu, line.contains("begins"), "{log}");
        *gpu = !*gpu;
    }
    assert_eq!(names(dir.path().into()), ["log"]);
}

/// The two files of the cache are always of one version.
#[test]
fn a_cache_is_read_by_many_and_rebuilt_by_one_at_a_time() {
    let dir = tempdir().unwrap();
    let program = example("cache").get_program().to_owned(); // built once
    let start = |command: &str| {
        let mut cache = Command::new(&program);
        cache.arg(dir.path()).arg(command).stdout(Stdio::null()).spawn().unwrap()
    };
    assert!(start("rebuild").wait().unwrap().success());
    let commands = ["read", "read", "rebuild", "read", "read"];
    let children: Vec<Child> = commands.iter().cycle().take(15).map(|it| start(it)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(names(dir.path().into()), ["index", "objects"]);
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

/// A holder is stopped for longer than its lease, and another process takes over: what the first
/// writes when it resumes is refused, though it has never checked its lock.
#[test]
fn a_late_write_is_refused_by_its_token() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("report.lock");
    let mut serve = example("fencing");
    let mut resource = Part::start(serve.arg("serve"));
    let address = resource.line();
    let writer = |text: &str| {
        let arguments = [OsStr::new("write"), address.as_ref(), path.as_ref(), text.as_ref()];
        let mut writer = Part::start(example("fencing").args(arguments));
        let token = writer.line();
        let token = token.strip_prefix("holds the lock with token ").unwrap().split(':').next();
        (writer, token.unwrap().parse::<u64>().unwrap())
    };
    let (mut late, early_token) = writer("late");
    late.signal(Signal::SIGSTOP);
    let (mut successor, successors_token) = writer("successor");
    assert!(successors_token > early_token);
    successor.press_enter();
    assert_eq!(successor.line(), "accepted: successor");
    assert!(successor.child.wait().unwrap().success());

    late.signal(Signal::SIGCONT);
    late.press_enter();
    assert_eq!(late.line(), format!("refused: {successors_token} was here"));
    assert!(!late.child.wait().unwrap().success(), "it learns of the loss in the end");
    assert_eq!(resource.line(), "accepted: successor");
    assert_eq!(names(dir.path().into()), ["report.lock.fence"]);
}

/// A program of an example that runs beside others. Killed if it still does at the end.
struct Part {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Part {
    fn start(command: &mut Command) -> Part {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Part { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn press_enter(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
fn a_mailbox_is_made_for_its_first_message_and_readable_only_by_its_owner() {
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
    // Files are limited to some kilobytes, and the limit raises no signal.
    let output = deliver(dir.path(), "trap '' XFSZ; ulimit -f 8;");
    assert_eq!(output.status.code(), Some(75), "try again later");
    assert!(text(&output.stderr).contains("too large"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(dir.path().join("mbox")).unwrap(), before);
    assert_eq!(names(dir.path().into()), ["mbox", "message"]);
}
