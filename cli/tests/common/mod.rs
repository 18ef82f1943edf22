//! What the tests share: the built command, run in a directory of the test's own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

#[path = "../kit/mod.rs"]
pub(crate) mod kit;
pub(crate) mod schema;
pub mod terminal;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Once};
use std::time::SystemTime;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) use kit::skip;
pub(crate) use kit::wait::{LIMIT, wait_until as until};

/// Prints `ready`, and ends when its stdin is closed.
pub const CAT: &str = "echo ready; exec cat";

pub fn linklock() -> Command {
    default_signals();
    Command::new(env!("CARGO_BIN_EXE_linklock"))
}

/// Makes every signal default in the processes that this one starts, however it was started itself:
/// `cargo test &` in a script ignores INT and QUIT, and nohup(1) HUP.
///
/// An exec resets signals that are caught but not those that are ignored, so the ignored ones are
/// caught, and still have no effect here. Each thread has its own blocked signals.
pub fn default_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).unwrap());
        let ignored =
            Signal::iterator().filter(|signal| ignored & (1 << (*signal as u32 - 1)) != 0);
        // Rust itself ignores PIPE, and resets it in all children.
        for signal in ignored.filter(|signal| *signal != Signal::SIGPIPE) {
            signal_hook::flag::register(signal as i32, Arc::new(AtomicBool::new(false))).unwrap();
        }
    });
    SigSet::all().thread_unblock().unwrap();
}

/// A lock in a directory without other files.
pub struct Place {
    dir: TempDir,
    pub lock: PathBuf,
}

impl Place {
    pub fn new() -> Place {
        default_signals();
        let dir = TempDir::new().unwrap();
        let lock = dir.path().join("the.lock");
        Place { dir, lock }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `linklock SUBCOMMAND OPTIONS LOCK`
    pub fn by_path(&self, arguments: &[&str]) -> Command {
        let mut command = linklock();
        command.args(arguments).arg(&self.lock);
        command
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

    /// A run that holds the lock until its stdin is closed.
    pub fn hold(&self, options: &[&str]) -> Running {
        let mut holder = Running::start(&mut self.run_sh(options, CAT));
        assert_eq!(holder.line(), "ready");
        holder
    }

    /// When the lease ends.
    pub fn lease_end(&self) -> SystemTime {
        fs::metadata(&self.lock).unwrap().modified().unwrap()
    }

    /// All files in the directory.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// `linklock wait` finds the lock held, and waits until `release` has run.
    #[track_caller]
    pub fn assert_waited_for(&self, release: impl FnOnce()) {
        let (code, message) = outcome(&mut self.by_path(&["wait", "-n"]));
        assert_eq!((code, message.contains("is held by process ")), (75, true), "{message}");
        let mut waiter = Running::start(&mut self.by_path(&["wait", "--verbose"]));
        assert!(waiter.error_line().contains("waiting"), "it waits");
        release();
        assert_eq!(waiter.ended().0, 0);
    }

    #[track_caller]
    pub fn assert_nothing_left(&self) {
        assert_eq!(self.files(), Vec::<PathBuf>::new());
    }
}

/// The output of a process, line by line.
struct Lines(Receiver<Vec<u8>>);

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Lines {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let _ = sender.send(std::mem::take(&mut line)); // unless the test is over
            }
        });
        Lines(lines)
    }

    /// The next line; an empty one at the end.
    #[track_caller]
    fn next(&self) -> Vec<u8> {
        match self.0.recv_timeout(LIMIT) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => Vec::new(),
            Err(RecvTimeoutError::Timeout) => panic!("no line in time"),
        }
    }

    /// All lines until the end.
    #[track_caller]
    fn rest(&self) -> Vec<u8> {
        std::iter::repeat_with(|| self.next())
            .take_while(|line| !line.is_empty())
            .flatten()
            .collect()
    }
}

/// A process that runs beside the test, and is killed at the end if it still runs.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
}

impl Running {
    /// Starts it with pipes to its stdin, stdout and stderr.
    pub fn start(command: &mut Command) -> Running {
        Running::start_with(command.stdin(Stdio::piped()))
    }

    pub fn start_with(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Running { child, stdin, stdout, stderr }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// The next line of its stdout.
    #[track_caller]
    pub fn line(&mut self) -> String {
        String::from_utf8(self.stdout.next()).unwrap().trim_end().to_owned()
    }

    /// The next line of its stderr.
    #[track_caller]
    pub fn error_line(&mut self) -> String {
        String::from_utf8(self.stderr.next()).unwrap().trim_end().to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Closes its stdin, waits for its end, and returns its exit code and its remaining output.
    #[track_caller]
    pub fn end(mut self) -> (i32, Output) {
        drop(self.stdin.take());
        self.ended()
    }

    /// Waits for its end, and returns the same.
    #[track_caller]
    pub fn ended(mut self) -> (i32, Output) {
        until("the end of a process", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        let output = Output { status, stdout: self.stdout.rest(), stderr: self.stderr.rest() };
        (output.status.code().unwrap_or(-1), output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process exists and has not ended.
pub fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Whether a process is stopped, by a signal or under strace.
pub fn is_stopped(pid: i32) -> bool {
    matches!(state(pid), Some('T' | 't'))
}

/// See proc(5).
fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// A user other than root.
pub struct OrdinaryUser {
    /// A copy of the built command, whose own directory other users may not be able to enter.
    dir: TempDir,
}

impl OrdinaryUser {
    /// A user who may use the place; `None` unless this is root, since only root can act as another
    /// user.
    pub fn of(place: &Place) -> Option<OrdinaryUser> {
        if !nix::unistd::geteuid().is_root() {
            skip("acting as another user", "only root can");
            return None;
        }
        let dir = TempDir::new().unwrap();
        // By another process: if a thread forked while this one writes the copy, the copy could not
        // be executed (ETXTBSY).
        let copy = Command::new("cp").arg(linklock().get_program()).arg(dir.path()).status();
        assert!(copy.unwrap().success());
        for dir in [dir.path(), place.dir()] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
        }
        Some(OrdinaryUser { dir })
    }

    pub fn linklock(&self) -> Command {
        const ORDINARY: u32 = 65_534;
        let mut command = Command::new(self.dir.path().join("linklock"));
        command.uid(ORDINARY).gid(ORDINARY);
        command
    }
}

/// The stderr of a command that has ended.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A command's exit code and stderr.
#[track_caller]
pub fn outcome(command: &mut Command) -> (i32, String) {
    let (code, output) = Running::start_with(command.stdin(Stdio::null())).ended();
    (code, stderr(&output))
}
