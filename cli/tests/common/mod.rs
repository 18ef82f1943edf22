//! What the tests share: the built command, run in a directory of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod terminal;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Says `ready`, and ends when nobody can write to its stdin any more.
pub const CAT: &str = "echo ready; exec cat";

/// Long enough for a machine that is busy with other things.
pub const LIMIT: Duration = Duration::from_secs(60);

pub fn linklock() -> Command {
    Command::new(env!("CARGO_BIN_EXE_linklock"))
}

/// Waits for something that must happen.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A lock in a directory that has nothing else in it.
pub struct Place {
    dir: TempDir,
    pub lock: PathBuf,
}

impl Place {
    pub fn new() -> Place {
        let dir = TempDir::new().unwrap();
        let lock = dir.path().join("the.lock");
        Place { dir, lock }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `linklock run OPTIONS LOCK -- COMMAND`
    pub fn run<S: AsRef<OsStr>>(&self, options: &[&str], command: &[S]) -> Command {
        let mut run = linklock();
        run.arg("run").args(options).arg(&self.lock).arg("--").args(command);
        run
    }

    /// The same, of a shell script.
    pub fn run_sh(&self, options: &[&str], script: &str) -> Command {
        self.run(options, &["sh", "-c", script])
    }

    /// A run that holds the lock until it is told to end.
    pub fn hold(&self, options: &[&str]) -> Running {
        let mut holder = Running::start(&mut self.run_sh(options, CAT));
        assert_eq!(holder.line(), "ready");
        holder
    }

    /// When the lease ends.
    pub fn lease_end(&self) -> SystemTime {
        fs::metadata(&self.lock).unwrap().modified().unwrap()
    }

    /// All that is in the directory.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[track_caller]
    pub fn assert_nothing_left(&self) {
        assert_eq!(self.files(), Vec::<PathBuf>::new());
    }
}

/// A process that runs beside the test. Killed if it still does at the end.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    /// With pipes to its stdin, unless it has another one, and from its stdout and stderr.
    pub fn start(command: &mut Command) -> Running {
        Running::start_with(command.stdin(Stdio::piped()))
    }

    pub fn start_with(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Running { child, stdin, stdout }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// The next line of its stdout.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Closes its stdin, waits for its end, and says its exit code and what else it wrote.
    pub fn end(mut self) -> (i32, Output) {
        drop(self.stdin.take());
        self.ended()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> (i32, Output) {
        until("the end of a process", || self.child.try_wait().unwrap().is_some());
        let mut output =
            Output { status: self.child.wait().unwrap(), stdout: vec![], stderr: vec![] };
        self.stdout.take().unwrap().read_to_end(&mut output.stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_end(&mut output.stderr).unwrap();
        (output.status.code().unwrap_or(-1), output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process is there and has not ended.
pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// What a command that ended in time wrote to its stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Its exit code and what it wrote to its stderr.
pub fn outcome(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap(), stderr(&output))
}
