//! The child: the command that runs under the lock.

use std::ffi::OsString;
use std::io;

use nix::sys::signal::{Signal, kill, killpg, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::shim;
use super::terminal::Stand;
use super::warden::Warden;
use crate::exit::by_signal;
use crate::output::say;
use crate::process;

#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    stand: Stand,
    /// How it ended, if it never became the command; it has been waited for.
    failed: Option<Change>,
    /// Present where the command has its own process group.
    warden: Option<Warden>,
    /// According to its last change.
    is_stopped: bool,
    /// It has been waited for: its pid may be reused.
    has_ended: bool,
}

/// What happened to the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// With this exit code.
    Ended(u8),
    Stopped(Signal),
    Continued,
}

impl Change {
    /// The change, with exit codes as in shells.
    fn of(news: WaitStatus) -> Option<Change> {
        match news {
            WaitStatus::Exited(_, code) => {
                Some(Change::Ended(u8::try_from(code).unwrap_or(u8::MAX)))
            }
            WaitStatus::Signaled(_, signal, _) => Some(Change::Ended(by_signal(signal as i32))),
            WaitStatus::Stopped(_, signal) => Some(Change::Stopped(signal)),
            WaitStatus::Continued(_) => Some(Change::Continued),
            _ => None,
        }
    }
}

impl Child {
    /// Starts the command with these variables in its environment. Where it has its own process
    /// group, it is stopped at first, and begins on `go_on`.
    pub(crate) fn start(
        command: &[OsString],
        variables: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> io::Result<Child> {
        let stand = Stand::find();
        let mut process = shim::command(command, &stand)?;
        // A token set by an outer linklock belongs to another lock.
        let process = process
            .env_remove("LINKLOCK_TOKEN")
            .env_remove("LINKLOCK_SLOT")
            .envs(variables)
            .spawn()?;
        let pid = Pid::from_raw(i32::try_from(process.id()).map_err(io::Error::other)?);
        let mut child =
            Child { pid, stand, failed: None, warden: None, is_stopped: false, has_ended: false };
        if child.stand.has_own_group() {
            child.failed = child.await_stop()?;
        }
        if child.stand.has_own_group() && child.failed.is_none() {
            // If there can be no warden, at least the command itself dies with us.
            child.warden = Warden::start(pid).ok();
            child.is_stopped = true;
        }
        Ok(child)
    }

    /// Waits until the shim has stopped or failed.
    fn await_stop(&self) -> io::Result<Option<Change>> {
        let news = waitpid(self.pid, Some(WaitPidFlag::WUNTRACED))?;
        Ok(Change::of(news).filter(|change| matches!(change, Change::Ended(_))))
    }

    /// What has happened to the child since the last call.
    pub(crate) fn change(&mut self) -> io::Result<Option<Change>> {
        if self.failed.is_some() {
            return Ok(self.failed);
        }
        let news = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
        let change = Change::of(waitpid(self.pid, Some(news))?);
        if change.is_some() {
            self.is_stopped = matches!(change, Some(Change::Stopped(_)));
            self.has_ended = matches!(change, Some(Change::Ended(_)));
        }
        Ok(change)
    }

    /// Whether the child, according to its last change, is stopped until it gets CONT.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Passes on a signal that we received.
    pub(crate) fn pass_on(&self, signal: Signal) {
        if !self.stand.has_sent(signal) {
            self.signal(signal);
        }
    }

    /// Asks the child to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Handles a stop of the child. If it was caused by a key typed at the terminal (or by an
    /// access to the terminal from the background), we stop too, so that the shell notices. Returns
    /// whether the child should continue now; it has not been continued yet.
    pub(crate) fn stop_with(&self, signal: Signal) -> bool {
        let wants_terminal = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
        let is_typed = wants_terminal || signal == Signal::SIGTSTP;
        // Programs that have caught TSTP stop themselves by STOP, and other processes use STOP on
        // purpose; a command that does not use the terminal keeps its lock in the meantime.
        if !is_typed && !self.stand.is_at_work(self.pid) {
            return false;
        }
        if wants_terminal && self.stand.give(self.pid) {
            return true;
        }
        if !self.stand.has_shell() {
            // Without a shell that could continue it, a process does not stop for typed keys. If it
            // was stopped by other means, those also continue it.
            return self.stand.is_job();
        }
        self.stand.take_back(self.pid);
        let _ = raise(Signal::SIGSTOP);
        true
    }

    /// Continues the child, and gives it the terminal if we have it.
    pub(crate) fn go_on(&mut self) {
        self.is_stopped = false;
        self.stand.give(self.pid);
        self.signal(Signal::SIGCONT);
    }

    /// For a child that has ended: lets the processes that it started continue.
    pub(crate) fn leave(self) {
        self.stand.take_back(self.pid);
        if let Some(warden) = self.warden {
            warden.dismiss();
        }
    }

    /// For a child that has ended: kills the processes that it started and that are still in its
    /// process group.
    pub(crate) fn clean_up(self) {
        self.stand.take_back(self.pid);
        if let Some(warden) = self.warden {
            warden.kill_all();
        }
    }

    /// Signals the child. A process that may not be signalled, because it runs as another user, is
    /// left alone.
    fn signal(&self, signal: Signal) {
        if self.failed.is_some() {
            return;
        }
        if self.has_ended {
            for pid in self.left() {
                let _ = kill(pid, signal);
            }
            return;
        }
        let _ = match self.stand {
            Stand::Confined => return end_by_ending(signal),
            Stand::Shared(_) => kill(self.pid, signal),
            Stand::Apart | Stand::Job(_) => killpg(self.pid, signal),
        };
    }

    /// Whether, after the child has ended, any process that it started still runs.
    pub(crate) fn has_left_any(&self) -> bool {
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|news| news.pid().is_some()) {}
        self.left().next().is_some()
    }

    /// The processes that the child started and the kernel has reparented to us.
    fn left(&self) -> impl Iterator<Item = Pid> {
        let warden = self.warden.as_ref().map(Warden::pid);
        let children = process::children(std::process::id()).into_iter();
        let others = children.filter(move |pid| Some(*pid) != warden);
        others.filter_map(|pid| Some(Pid::from_raw(i32::try_from(pid).ok()?)))
    }
}

/// Where no process may be signalled, only the kernel can end the child, once we have ended. The
/// lock stays behind, and may be taken over since its holder is dead.
fn end_by_ending(signal: Signal) {
    let ends = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGKILL];
    if ends.contains(&signal) {
        say("signals may not be sent here (kill(2) is denied): ending, which kills the command");
        std::process::exit(by_signal(signal as i32).into());
    }
}

/// Makes us the parent of our descendants whose own parents end.
#[cfg(target_os = "linux")]
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Other systems have no equivalent.
#[cfg(not(target_os = "linux"))]
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
