//! The background process of `linklock acquire --keep-alive`, which keeps a lock alive until it is
//! released or its owner has ended.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use linklock::{Life, Lock};
use nix::unistd::{close, setsid};

use super::leave;
use crate::exit::{self, Failure};
use crate::options::LockOptions;
use crate::run::shim;
use crate::time;

/// A name that no user would type.
pub(crate) const NAME: &str = "__keep";

/// Keeps a lock alive until it is released or its owner has ended
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    lock: PathBuf,
    claim: PathBuf,
    #[arg(long, value_parser = time::parse, allow_hyphen_values = true)]
    lifetime: Duration,
    #[command(flatten)]
    options: LockOptions,
}

/// Closes the script's descriptors other than stdin, stdout and stderr: otherwise the background
/// process would hold open a lock or a pipe of the script's for as long as it lives. Must be called
/// before we open anything ourselves: then neither that process nor any other that we start has
/// them even for a moment.
pub(super) fn close_descriptors() -> io::Result<()> {
    let list = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let names: Vec<_> =
        fs::read_dir(list)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    let descriptors = names.iter().filter_map(|name| name.to_str()?.parse::<RawFd>().ok());
    for descriptor in descriptors.filter(|descriptor| *descriptor > 2) {
        let _ = close(descriptor); // the list's own is closed by now
    }
    Ok(())
}

/// Starts the keep-alive process for a lock that was detached with this claim, and waits until it
/// is ready.
pub(super) fn start(
    lock: &Path,
    claim: &Path,
    lifetime: Duration,
    options: &LockOptions,
) -> io::Result<()> {
    let mut process = Command::new(shim::this_program()?);
    shim::name(&mut process).arg(NAME);
    process.arg("--lifetime").arg(format!("{}ms", lifetime.as_millis())).args(options.arguments());
    process.arg("--").args([std::path::absolute(lock)?.as_path(), claim]);
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut word = String::new();
    let mut process = process.spawn()?;
    let said = process.stdout.take().expect("its stdout is piped").take(READY.len() as u64);
    { said }.read_to_string(&mut word)?;
    if word == READY { Ok(()) } else { Err(io::Error::other("the keep-alive process has failed")) }
}

/// Printed by the keep-alive process once it keeps the lock alive.
const READY: &str = "ready\n";

pub(crate) fn keep(args: &Args) -> Result<u8, Failure> {
    // Signals from the script's terminal, and its hangup, are not for us; nor should we keep its
    // directory from being unmounted.
    setsid().map_err(|errno| Failure::to("leave the session")(errno.into()))?;
    std::env::set_current_dir("/").map_err(Failure::to("leave the directory"))?;
    let lock = args.options.lock(&args.lock).lifetime(args.lifetime).build()?;
    let guard = lock.attach(&args.claim)?;
    let (lost, is_lost) = channel();
    guard.keep_alive(move |error| {
        let _ = lost.send(error);
    })?;
    io::stdout()
        .write_all(READY.as_bytes())
        .map_err(Failure::to("report that the lock is kept alive"))?;

    let pause = (args.lifetime / 6).clamp(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        if is_lost.recv_timeout(pause).is_ok() {
            leave(guard); // most likely released; at worst broken
            return Ok(exit::LOST);
        }
        if owner_is_dead(&lock, &args.claim) {
            guard.unlock()?;
            return Ok(0);
        }
    }
}

/// An owner of which nothing is known, such as `none`, counts as alive.
fn owner_is_dead(lock: &Lock, claim: &Path) -> bool {
    let holder = lock.holder().ok().flatten();
    holder.is_some_and(|holder| holder.claim_path() == claim && holder.life() == Life::Dead)
}

impl LockOptions {
    /// The equivalent command-line arguments.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![
            "--separator".into(),
            self.separator.to_string().into(),
            "--clock-slop".into(),
            format!("{}ms", self.clock_slop.as_millis()).into(),
        ];
        if let Some(name) = &self.host_name {
            arguments.extend(["--host-name".into(), name.clone()]);
        }
        arguments
    }
}
