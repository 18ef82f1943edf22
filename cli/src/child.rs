//! The child: the command that the lock is held for.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child as Process, ExitStatus};
use std::time::{Duration, Instant};

use linklock::LockGuard;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};

use crate::events::Events;
use crate::exit::by_signal;
use crate::shim;

/// How long a child that is to stop has, from TERM to KILL. Even with the time that it takes to
/// notice, it is dead before the 10 s are over for which others respect a lease that has ended.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    pid: Pid,
    /// The terminal that we were started from, if any. The child stays in our process group then:
    /// in one of its own it could not read what is typed. Otherwise it has its own, so that
    /// signals reach its children too.
    terminal: Option<File>,
}

impl Child {
    pub(crate) fn start(command: &[OsString], guard: &LockGuard) -> io::Result<Child> {
        let terminal = File::open("/dev/tty").ok();
        let mut shim = shim::command(command)?;
        shim.env("LINKLOCK_PATH", guard.path()).env("LINKLOCK_CLAIM", guard.claim_path());
        if terminal.is_none() {
            shim.process_group(0);
        }
        let process = shim.spawn()?;
        let pid = Pid::from_raw(i32::try_from(process.id()).map_err(io::Error::other)?);
        Ok(Child { process, pid, terminal })
    }

    /// What to exit with, if the child has ended.
    pub(crate) fn ended(&mut self) -> io::Result<Option<u8>> {
        Ok(self.process.try_wait()?.map(exit_code))
    }

    /// Passes on a signal that we got.
    pub(crate) fn pass_on(&self, signal: Signal) {
        if !self.has_got(signal) {
            self.signal(signal);
        }
    }

    /// Whether the child got the signal when we did: what is typed at the terminal goes to all in
    /// its foreground, and a second INT tells many programs to hurry.
    fn has_got(&self, signal: Signal) -> bool {
        matches!(signal, Signal::SIGINT | Signal::SIGQUIT)
            && self.terminal.as_ref().is_some_and(|tty| tcgetpgrp(tty) == Ok(getpgrp()))
    }

    /// Ends the child, if necessary by force.
    pub(crate) fn stop(&mut self, events: &Events) -> io::Result<()> {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT); // a child that is stopped takes no notice of TERM
        let deadline = Instant::now() + GRACE;
        while self.ended()?.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.signal(Signal::SIGKILL);
                self.process.wait()?;
            } else {
                events.next(left);
            }
        }
        Ok(())
    }

    /// The child has not been waited for, or nobody would call this: its pid is its own. What
    /// may not be signalled, since it runs as another user, is left alone.
    fn signal(&self, signal: Signal) {
        let _ = match self.terminal {
            Some(_) => kill(self.pid, signal),
            None => killpg(self.pid, signal),
        };
    }
}

/// As shells say it.
fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => by_signal(signal.unwrap_or_default()),
    }
}
