//! Every errno at every system call that the built command makes in a lock's directory: strace(1)
//! makes them fail. (`src/testing/faulty` does so below the library, in many more scenarios.)

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::kit::{names, skip};
use nix::libc;
use tempfile::TempDir;

const ERRNOS: [(&str, i32); 15] = [
    ("EINTR", libc::EINTR),
    ("EIO", libc::EIO),
    ("ESTALE", libc::ESTALE),
    ("ENOENT", libc::ENOENT),
    ("EACCES", libc::EACCES),
    ("EPERM", libc::EPERM),
    ("EROFS", libc::EROFS),
    ("ENOSPC", libc::ENOSPC),
    ("EDQUOT", libc::EDQUOT),
    ("EMFILE", libc::EMFILE),
    ("ENAMETOOLONG", libc::ENAMETOOLONG),
    ("ELOOP", libc::ELOOP),
    ("EXDEV", libc::EXDEV),
    ("EMLINK", libc::EMLINK),
    ("ETIMEDOUT", libc::ETIMEDOUT),
];

/// The system calls that are made to fail. (Nothing can be done about a close(2) that fails.)
const CALLS: &str = "openat,statx,newfstatat,write,utimensat,getdents64,statfs,link,linkat,rename,\
                     renameat,renameat2,unlink,unlinkat,read";

/// The script that the command runs: it reports whether the lock is really held.
const WITNESS: &str = "test \"$LINKLOCK_PATH\" -ef \"$LINKLOCK_CLAIM\" && echo held || echo LIE";

/// A lock in a directory of its own, and the command.
struct Place {
    dir: TempDir,
    linklock: PathBuf,
}

/// A system call that fails: the n-th of this name in the main thread.
struct Target {
    call: String,
    number: usize,
}

impl Place {
    fn new(linklock: &Path) -> Place {
        Place { dir: tempfile::tempdir().unwrap(), linklock: linklock.to_owned() }
    }

    fn lock(&self) -> PathBuf {
        self.dir.path().join("lock")
    }

    /// Leaves a lock behind whose holder was killed.
    fn kill_a_holder(&self) {
        let mut command = Command::new(&self.linklock);
        command.arg("run").arg(self.lock()).args(["--", "sh", "-c", "kill -9 $PPID"]);
        let _ = command.stderr(Stdio::null()).status().unwrap();
    }

    fn command(&self, mode: Mode) -> Vec<OsString> {
        let lock = self.lock().into_os_string();
        let command = [self.linklock.clone().into_os_string(), mode.subcommand().into()];
        match mode {
            Mode::Status => [command.as_slice(), &[lock]].concat(),
            Mode::Run | Mode::TakeOver => {
                let rest = ["--", "sh", "-c", WITNESS].map(OsString::from);
                [command.as_slice(), &["--no-wait".into(), lock], &rest].concat()
            }
        }
    }

    /// Runs the command undisturbed.
    fn run(&self, mode: Mode) -> Output {
        let command = self.command(mode);
        Command::new(&command[0]).args(&command[1..]).output().unwrap()
    }

    /// Runs the command under strace, and returns what that has recorded in the lock's directory.
    fn trace(&self, mode: Mode, inject: Option<String>) -> (Output, Vec<String>) {
        let logs = tempfile::tempdir().unwrap();
        let log = logs.path().join("log");
        let mut strace = Command::new("strace");
        strace.arg("-y").arg("-o").arg(&log).arg("-e").arg(format!("trace={CALLS}"));
        if let Some(inject) = inject {
            strace.arg("-e").arg(inject);
        }
        let output = strace.args(self.command(mode)).output().unwrap();
        let log = fs::read(log).unwrap();
        (output, String::from_utf8_lossy(&log).lines().map(str::to_owned).collect())
    }

    /// The system calls that concern the lock's directory.
    fn targets(&self, mode: Mode) -> Vec<Target> {
        let (output, log) = self.trace(mode, None);
        assert!(output.status.success(), "undisturbed: {output:?}");
        let mut counts = HashMap::new();
        let mut targets = Vec::new();
        for line in log {
            let Some((call, _)) = line.split_once('(') else { continue };
            let number = counts.entry(call.to_owned()).or_insert(0);
            *number += 1;
            if self.concerns(&line) {
                targets.push(Target { call: call.to_owned(), number: *number });
            }
        }
        targets
    }

    fn concerns(&self, line: &str) -> bool {
        line.contains(self.dir.path().to_str().unwrap())
    }
}

/// The uses of a lock during which a system call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Run,
    /// A holder has died.
    TakeOver,
    /// The status of a held lock, whose holder is dead.
    Status,
}

impl Mode {
    fn subcommand(self) -> &'static str {
        if self == Mode::Status { "status" } else { "run" }
    }

    fn place(self, linklock: &Path) -> Place {
        let place = Place::new(linklock);
        if self != Mode::Run {
            place.kill_a_holder();
        }
        place
    }
}

#[test]
fn no_failed_call_is_taken_for_a_success() {
    let Some(linklock) = linklock() else { return };
    let modes = [Mode::Run, Mode::TakeOver, Mode::Status];
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads = modes.map(|mode| {
            let linklock = &linklock;
            scope.spawn(move || drive(mode, linklock))
        });
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Makes each call fail in each way, and reports what went wrong.
fn drive(mode: Mode, linklock: &Path) -> Vec<String> {
    let targets = mode.place(linklock).targets(mode);
    assert!(!targets.is_empty(), "{mode:?}: strace has recorded nothing");
    let mut wrong = Vec::new();
    let mut hits = 0;
    for Target { call, number } in &targets {
        for (name, errno) in ERRNOS {
            let place = mode.place(linklock);
            let inject = format!("inject={call}:error={name}:when={number}");
            let (output, log) = place.trace(mode, Some(inject));
            let injected = log.iter().find(|line| line.ends_with("(INJECTED)"));
            hits += usize::from(injected.is_some_and(|line| place.concerns(line)));
            let problems = judge(mode, &place, call, errno, &output);
            let line = injected.map_or("nothing", |line| line);
            wrong
                .extend(problems.map(|problem| format!("{mode:?}: {problem}: {line}: {output:?}")));
        }
    }
    // The order of a process's system calls is nearly the same each time.
    assert!(hits * 10 > targets.len() * ERRNOS.len() * 9, "{mode:?}: {hits} hits only");
    wrong
}

/// The problem with how the command ended, or with what it has left behind.
fn judge(mode: Mode, place: &Place, call: &str, errno: i32, output: &Output) -> Option<String> {
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    let code = output.status.code();
    // These mean that a file does not exist, or that it is a symbolic link, and are taken as such.
    let is_an_answer = [libc::ENOENT, libc::ESTALE, libc::ELOOP].contains(&errno);
    // A file system that is not known to be local counts as remote, where dead holders keep their
    // lease.
    let is_remote = call == "statfs" && code == Some(75);
    let explained = told.contains(&format!("(os error {errno})")) || is_an_answer || is_remote;
    match (mode, code) {
        (Mode::Status, Some(0)) => {
            let is_true = said.contains("dead") || said.contains("unreadable") || is_an_answer
                // Whether the process is alive could not be determined.
                || said.contains("held");
            return (!is_true).then(|| "a false status".to_owned());
        }
        (_, Some(0)) if mode != Mode::Status && said == "held\n" => {}
        (_, Some(71 | 73 | 75 | 79)) if (said.is_empty() || said == "held\n") && explained => {}
        _ => return Some("a wrong end".to_owned()),
    }
    let left = names(place.dir.path());
    // A lock that can't be released ends with its lease, or its holder, as the error says.
    let is_unreleased = |name: &OsString| *name == *"lock" && !told.is_empty();
    let may_be_left = call.starts_with("unlink") || left.iter().all(is_unreleased);
    if mode == Mode::Run && !may_be_left {
        return Some(format!("left behind: {left:?}"));
    }
    if left.is_empty() {
        return None;
    }
    // The next process gets the lock at once, since the holder's death is proven, and leaves
    // nothing: or the one after it, if a seat had to stay as long as the lock.
    for _ in 0..2 {
        let next = place.run(Mode::Run);
        if text(&next.stdout) != "held\n" {
            return Some(format!("the next can't have it: {next:?}"));
        }
    }
    let mut left = names(place.dir.path());
    // A file that was put aside and could not be removed, or seemed not to exist, is swept once it
    // has expired, and not before.
    if call.starts_with("unlink") || errno == libc::ENOENT {
        left.retain(|name| !name.to_string_lossy().contains("|aside|"));
    }
    (!left.is_empty()).then(|| format!("never goes: {left:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The built command, if this machine can trace processes.
fn linklock() -> Option<PathBuf> {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let why = match traced {
        Ok(traced) if traced.status.success() => None,
        Ok(traced) => Some(format!("strace can't trace: {}", text(&traced.stderr).trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("no strace".to_owned()),
        Err(error) => Some(format!("strace does not start: {error}")),
    };
    if let Some(why) = why {
        skip("errno", &why);
        return None;
    }
    Some(env!("CARGO_BIN_EXE_linklock").into())
}
