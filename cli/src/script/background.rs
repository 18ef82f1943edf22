//! A process in the background that keeps a lock alive for a script.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::process::{Command, Stdio};

use nix::unistd::{close, setsid};

use crate::exit::Failure;
use crate::run::shim;

/// Printed by the process once it keeps the lock alive.
const READY: &str = "ready\n";

/// Closes the script's descriptors other than stdin, stdout and stderr: otherwise the background
/// process would hold open a lock or a pipe of the script's for as long as it lives. Must be called
/// before we open anything ourselves: then neither that process nor any other that we start has
/// them even for a moment.
pub(crate) fn close_descriptors() -> io::Result<()> {
    let list = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let names: Vec<_> =
        fs::read_dir(list)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    let descriptors = names.iter().filter_map(|name| name.to_str()?.parse::<RawFd>().ok());
    for descriptor in descriptors.filter(|descriptor| *descriptor > 2) {
        let _ = close(descriptor); // the list's own is closed by now
    }
    Ok(())
}

/// Starts this program as such a process, with the arguments that are added, and waits until it is ready.
pub(crate) fn start(add_arguments: impl FnOnce(&mut Command)) -> io::Result<()> {
    let mut process = Command::new(shim::this_program()?);
    add_arguments(shim::name(&mut process));
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut word = String::new();
    let mut process = process.spawn()?;
    let said = process.stdout.take().expect("its stdout is piped").take(READY.len() as u64);
    { said }.read_to_string(&mut word)?;
    if word == READY { Ok(()) } else { Err(io::Error::other("the keep-alive process has failed")) }
}

/// Signals from the script's terminal, and its hangup, are not for us; nor should we keep its
/// directory from being unmounted.
pub(crate) fn leave_script() -> Result<(), Failure> {
    setsid().map_err(|errno| Failure::to("leave the session")(errno.into()))?;
    std::env::set_current_dir("/").map_err(Failure::to("leave the directory"))
}

pub(crate) fn say_ready() -> Result<(), Failure> {
    let said = io::stdout().write_all(READY.as_bytes());
    said.map_err(Failure::to("report that the lock is kept alive"))
}
