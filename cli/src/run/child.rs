//! The child: the command that the lock is held for.

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
    /// What came of it if it never came to be the command: it has been waited for.
    failed: Option<Change>,
    /// Where the command has its own process group.
    warden: Option<Warden>,
    /// By its last change.
    is_stopped: bool,
    /// It has been waited for: its pid may be another's.
    has_ended: bool,
}

/// What became of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// With what to exit.
    Ended(u8),
    Stopped(Signal),
    Continued,
}

impl Change {
    /// As shells say it.
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
    /// group it is stopped, and begins when it is to go on.
    pub(crate) fn start(
        command: &[OsString],
        variables: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> io::Result<Child> {
        let stand = Stand::find();
        let mut process = shim::command(command, &stand)?;
        // One that a linklock around this one has set is another lock's.
        let process = process.env_remove("LINKLOCK_TOKEN").envs(variables).spawn()?;
        let pid = Pid::from_raw(i32::try_from(process.id()).map_err(io::Error::other)?);
        let mut child =
            Child { pid, stand, failed: None, warden: None, is_stopped: false, has_ended: false };
        if child.stand.has_own_group() {
            child.failed = child.await_stop()?;
        }
        if child.stand.has_own_group() && child.failed.is_none() {
            // Without one, if there can't be one, at least the command itself dies with us.
            child.warden = Warden::start(pid).ok();
            child.is_stopped = true;
        }
        Ok(child)
    }

    /// Waits until the shim has stopped, or has failed.
    fn await_stop(&self) -> io::Result<Option<Change>> {
        let news = waitpid(self.pid, Some(WaitPidFlag::WUNTRACED))?;
        Ok(Change::of(news).filter(|change| matches!(change, Change::Ended(_))))
    }

    /// What has become of the child since the last time.
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

    /// Whether the child, by its last change, does nothing until it gets CONT.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Passes on a signal that we got.
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

    /// The child was stopped. If that was by what is typed at the terminal (or for reading from it
    /// in the background), we stop too, so that the shell sees it. Says whether the child is to go
    /// on now: it has not yet.
    pub(crate) fn stop_with(&self, signal: Signal) -> bool {
        let wants_terminal = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
        let is_typed = wants_terminal || signal == Signal::SIGTSTP;
        // By STOP programs stop themselves that have caught TSTP, and others stop them on purpose;
        // those who are not at the terminal keep their lock meanwhile.
        if !is_typed && !self.stand.is_at_work(self.pid) {
            return false;
        }
        if wants_terminal && self.stand.give(self.pid) {
            return true;
        }
        if !self.stand.has_shell() {
            // Without a shell that could let it go on, what is typed does not stop a process. What
            // was stopped by other means is continued by them.
            return self.stand.is_job();
        }
        self.stand.take_back(self.pid);
        let _ = raise(Signal::SIGSTOP);
        true
    }

    /// Has the child go on, with the terminal if we have it.
    pub(crate) fn go_on(&mut self) {
        self.is_stopped = false;
        self.stand.give(self.pid);
        self.signal(Signal::SIGCONT);
    }

    /// The child has ended. What it has started may go on.
    pub(crate) fn leave(self) {
        self.stand.take_back(self.pid);
        if let Some(warden) = self.warden {
            warden.dismiss();
        }
    }

    /// The child has ended. What it has started, and is still in its process group, must not go on.
    pub(crate) fn clean_up(self) {
        self.stand.take_back(self.pid);
        if let Some(warden) = self.warden {
            warden.kill_all();
        }
    }

    /// What may not be signalled, since it runs as another user, is left alone.
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

    /// Whether anything that the child has started still runs, once the child has ended.
    pub(crate) fn has_left_any(&self) -> bool {
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|news| news.pid().is_some()) {}
        self.left().next().is_some()
    }

    /// What the child has started, and the kernel has made ours.
    fn left(&self) -> impl Iterator<Item = Pid> {
        let warden = self.warden.as_ref().map(Warden::pid);
        let children = process::children(std::process::id()).into_iter();
        let others = children.filter(move |pid| Some(*pid) != warden);
        others.filter_map(|pid| Some(Pid::from_raw(i32::try_from(pid).ok()?)))
    }
}

/// Where no process may be signalled, only the kernel can end the child: when we have ended. The lock is
/// left, and may be taken over since its holder is dead.
fn end_by_ending(signal: Signal) {
    let ends = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGKILL];
    if ends.contains(&signal) {
        say("signals may not be sent here (kill(2) is denied): ending, which kills the command");
        std::process::exit(by_signal(signal as i32).into());
    }
}

/// Has the kernel make us the parent of all processes whose parents end, among those that we start.
#[cfg(target_os = "linux")]
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Elsewhere there is no such thing.
#[cfg(not(target_os = "linux"))]
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
