//! Another process, to be started, asked and killed: the test binary itself, in its test `worker`.
//!
//! It ends when its standard input is closed, so that none outlives the test that started it.

use std::env;
use std::io::{BufRead, BufReader, Lines, Read, stdin};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use linklock::{Error, Lock};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::again::{arguments, this_program};

const JOB: &str = "LINKLOCK_TEST_JOB";
const LOCK: &str = "LINKLOCK_TEST_LOCK";
const HOST: &str = "LINKLOCK_TEST_HOST";

/// The beginning of a worker's lines, to distinguish them from the test harness's.
const REPORT: &str = "worker: ";

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Locks for an hour, unless it is released before, and reports `held`.
    Hold,
    /// The same as a reader.
    Read,
    /// Reports `waiting`, and waits for the lock.
    Wait,
    /// Reports `waiting`, and waits to be woken: it polls once an hour.
    Listen,
}

/// A command that does a job.
pub(crate) fn command(job: Job, lock: &Path) -> Command {
    prefixed(&[], job, lock)
}

/// A command that does a job under another command, such as unshare(1).
pub(crate) fn prefixed(prefix: &[&str], job: Job, lock: &Path) -> Command {
    let mut command = match prefix {
        [] => this_program("worker"),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(env::current_exe().unwrap()).args(arguments("worker"));
            command
        }
    };
    command.env(JOB, format!("{job:?}")).env(LOCK, lock);
    command
}

/// Gives a command's worker another host name.
pub(crate) fn on_host<'a>(command: &'a mut Command, host: &str) -> &'a mut Command {
    command.env(HOST, host)
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// Not the child's, which is closed before the wait: a worker that was killed must not take
    /// that for the signal to release.
    stdin: Option<ChildStdin>,
    reports: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    pub(crate) fn start(command: &mut Command) -> Worker {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = piped.spawn().unwrap();
        let reports = BufReader::new(child.stdout.take().unwrap()).lines();
        Worker { stdin: child.stdin.take(), child, reports }
    }

    /// A worker that holds the lock.
    pub(crate) fn holding(lock: &Path) -> Worker {
        let mut worker = Worker::start(&mut command(Job::Hold, lock));
        assert_eq!(worker.report().as_deref(), Some("held"));
        worker
    }

    /// A worker that reads under the lock.
    pub(crate) fn reading(lock: &Path) -> Worker {
        let mut worker = Worker::start(&mut command(Job::Read, lock));
        assert_eq!(worker.report().as_deref(), Some("held"));
        worker
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn as_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.pid()).unwrap())
    }

    /// Its next report; nothing once it is dead.
    pub(crate) fn report(&mut self) -> Option<String> {
        let mut lines = self.reports.by_ref().map_while(Result::ok);
        lines.find_map(|line| Some(line.split_once(REPORT)?.1.to_owned()))
    }

    /// SIGKILL. It is a zombie afterwards.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        while self.report().is_some() {} // until no child of its own can report either
        // A process that dies closes its files some time before it is dead.
        waitid(Id::Pid(self.as_pid()), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    }

    /// SIGSTOP: it does nothing any more, but it exists.
    pub(crate) fn freeze(&self) {
        let pid = self.as_pid();
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
        // One thread gets the signal; the others stop once that has passed it on.
        super::wait_until("all its threads have stopped", || {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            let mut stats = threads.map(|thread| thread.unwrap().path().join("stat"));
            stats.all(|stat| std::fs::read_to_string(stat).unwrap().contains(") T "))
        });
    }

    /// SIGKILL, and no zombie either.
    pub(crate) fn kill_and_reap(&mut self) {
        self.kill();
        self.child.wait().unwrap();
    }

    /// Tells it to release the lock, and waits for its end.
    pub(crate) fn finish(mut self) {
        drop(self.stdin.take());
        while self.report().is_some() {}
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The worker's side, which a test named `worker` calls in each program that has workers.
pub(crate) fn work() {
    let Ok(job) = env::var(JOB) else { return }; // started by hand, with `--include-ignored`
    let path = PathBuf::from(env::var_os(LOCK).unwrap());
    let mut options = Lock::options(path).lifetime(Duration::from_secs(3600));
    if let Some(host) = env::var_os(HOST) {
        options = options.host_name(host);
    }
    if job == format!("{:?}", Job::Listen) {
        let hour = Duration::from_secs(3600);
        options = options.polling(hour, hour);
    }
    if job == format!("{:?}", Job::Read) {
        let guard = options.rw_lock().unwrap().read().unwrap();
        return hold(|| guard.unlock());
    }
    let lock = options.build().unwrap();
    if job != format!("{:?}", Job::Hold) {
        say("waiting");
    }
    let guard = lock.lock().unwrap();
    hold(|| guard.unlock());
}

/// Holds the lock until the standard input ends.
fn hold(release: impl FnOnce() -> Result<(), Error>) {
    say("held");
    let _ = stdin().read_to_end(&mut Vec::new());
    release().unwrap();
}

/// On a line of its own, since the test harness may have printed the beginning of one.
fn say(what: &str) {
    println!("\n{REPORT}{what}");
}
