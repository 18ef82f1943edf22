//! The command's relation to the terminal, and whether it shares our process group.
//!
//! In its own process group, all of the command's processes can be signalled, and when a stopped
//! job is continued none of them runs before the lock has been verified. But only one group at a
//! time may read from a terminal: a shell script or pipeline that we are part of would lose it. In
//! that case the command stays in our group, as any command would.

use std::fs::File;
use std::io::{self, IsTerminal};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgrp, getpid, getppid, getsid, tcgetpgrp, tcsetpgrp};

use crate::output::without_stop;

#[derive(Debug)]
pub(crate) enum Stand {
    /// There is no terminal: the command has its own process group.
    Apart,
    /// We are a separate job at the terminal: the command has its own process group, and gets the
    /// terminal whenever we have it.
    Job(File),
    /// We share a job at the terminal with other processes, and the command shares it with us.
    Shared(File),
    /// No process may be signalled, not even by itself, as in some sandboxes: the command shares
    /// our group, since it could not be stopped and continued.
    Confined,
}

impl Stand {
    pub(crate) fn find() -> Stand {
        if kill(getpid(), None).is_err() {
            return Stand::Confined;
        }
        let Ok(terminal) = File::open("/dev/tty") else { return Stand::Apart };
        let all_at_terminal =
            io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
        if getpid() == getpgrp() && all_at_terminal {
            Stand::Job(terminal)
        } else {
            Stand::Shared(terminal)
        }
    }

    pub(crate) fn has_own_group(&self) -> bool {
        matches!(self, Stand::Apart | Stand::Job(_))
    }

    pub(crate) fn is_job(&self) -> bool {
        matches!(self, Stand::Job(_))
    }

    /// Whether the command gets the terminal from the start.
    pub(crate) fn is_in_foreground(&self) -> bool {
        matches!(self, Stand::Job(terminal) if has_terminal(terminal, getpgrp()))
    }

    /// Whether the command received the signal when we did: keys typed at the terminal signal all
    /// processes in its foreground, and to many programs a second INT means to hurry.
    pub(crate) fn has_sent(&self, signal: Signal) -> bool {
        let is_typed = matches!(signal, Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTSTP);
        matches!(self, Stand::Shared(terminal) if is_typed && has_terminal(terminal, getpgrp()))
    }

    /// Gives the terminal to the command if we have it, and returns whether we had it.
    pub(crate) fn give(&self, command: Pid) -> bool {
        match self {
            Stand::Job(terminal) if has_terminal(terminal, getpgrp()) => {
                put_in_foreground(terminal, command);
                true
            }
            _ => false,
        }
    }

    /// Takes the terminal back, if the command has it.
    pub(crate) fn take_back(&self, command: Pid) {
        match self {
            Stand::Job(terminal) if has_terminal(terminal, command) => {
                put_in_foreground(terminal, getpgrp());
            }
            _ => {}
        }
    }

    /// Whether the terminal is currently used by the command or by us.
    pub(crate) fn is_at_work(&self, command: Pid) -> bool {
        match self {
            Stand::Apart | Stand::Confined => false,
            Stand::Job(terminal) | Stand::Shared(terminal) => {
                has_terminal(terminal, getpgrp()) || has_terminal(terminal, command)
            }
        }
    }

    /// Whether a shell controls us, which notices when we stop and can continue us.
    pub(crate) fn has_shell(&self) -> bool {
        let is_at_terminal = matches!(self, Stand::Job(_) | Stand::Shared(_));
        is_at_terminal && getsid(Some(getppid())).is_ok_and(|theirs| getsid(None) == Ok(theirs))
    }
}

fn has_terminal(terminal: &File, group: Pid) -> bool {
    tcgetpgrp(terminal) == Ok(group)
}

/// Called by the shim, before it becomes the command.
pub(crate) fn enter_foreground() {
    if let Ok(terminal) = File::open("/dev/tty") {
        put_in_foreground(&terminal, getpgrp());
    }
}

/// Ignores a failure: the terminal may be gone by now.
fn put_in_foreground(terminal: &File, group: Pid) {
    without_stop(|| {
        let _ = tcsetpgrp(terminal, group);
    });
}
