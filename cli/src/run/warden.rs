//! The warden: a process beside the command that kills all of the command's processes if linklock
//! dies.
//!
//! The command itself dies with linklock by its parent-death signal, but the processes that it
//! started do not. The warden waits in the command's process group for the end of a pipe that only
//! linklock holds, and then kills the group, including itself. Since the warden is in the group,
//! the group's number cannot have been reused by then.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg};
use nix::unistd::{Pid, getpgrp};

use super::shim;
use crate::exit::{self, Failure};

/// A name that no user would type.
pub(crate) const NAME: &str = "__watch";

/// Waits until no process holds the other end of its stdin, then kills its process group
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

#[derive(Debug)]
pub(crate) struct Warden(Child);

impl Warden {
    /// Starts a warden in the process group of a command that has been started and not waited for.
    pub(crate) fn start(group: Pid) -> io::Result<Warden> {
        let mut warden = Command::new(shim::this_program()?);
        shim::name(&mut warden).arg(NAME).process_group(group.as_raw());
        warden.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Signals for the group must not reach the warden, not even at its start.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let started = warden.spawn();
        before.thread_set_mask()?;
        started.map(Warden)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends the warden, and leaves the rest of the group alone.
    pub(crate) fn dismiss(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Kills the rest of the group.
    pub(crate) fn kill_all(mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The warden's main function.
pub(crate) fn watch(_: &Args) -> Result<u8, Failure> {
    let failed = || Failure::to("watch over the command");
    SigSet::all().thread_block().map_err(|errno| failed()(errno.into()))?;
    io::stdin().read_to_end(&mut Vec::new()).map_err(failed())?;
    killpg(getpgrp(), Signal::SIGKILL).map_err(|errno| failed()(errno.into()))?;
    Ok(exit::SYSTEM) // not reached
}
