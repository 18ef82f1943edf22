//! `linklock acquire`: acquires a lock for a script.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linklock::Owner;

use super::caller::caller;
use super::{background, keep};
use crate::access::Access;
use crate::events::Events;
use crate::exit::Failure;
use crate::options::{Contention, LockOptions};
use crate::output::print;
use crate::{contend, time};

/// Acquire a lock, and leave it held for a script
///
/// Prints the lock's claim, which `linklock refresh`, `check` and `release` take:
///
///   claim=$(linklock acquire LOCK) || exit
///   ...
///   linklock release LOCK "$claim"
///
/// The lock belongs to the calling shell: if that dies, other processes on the same host can take over the
/// lock at once, and other hosts when its lease ends. The lease also ends while the shell lives: refresh
/// it in time, or use --keep-alive.
///
/// A server's lock, http://HOST:PORT/NAME, belongs to no process: only its lease counts. (With
/// --keep-alive, the background process releases it when the owner has ended.) Its claim has a
/// secret in it, which the other commands read from the environment, since every user can see a
/// command's arguments:
///
///   LINKLOCK_CLAIM=$(linklock acquire URL) || exit
///   export LINKLOCK_CLAIM
///   ...
///   linklock release URL
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct Args {
    /// The lock file, which exists while the lock is held, or the URL of a server's lock
    pub(crate) lock: PathBuf,

    #[command(flatten)]
    pub(crate) contention: Contention,

    /// Length of the lease
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = "5m")]
    pub(crate) lifetime: Duration,

    /// The process that the lock belongs to, or `none` for a lock that only its lease ends
    /// [default: the calling process]
    #[arg(long, value_name = "PID", value_parser = parse_owner)]
    pub(crate) owner: Option<Owner>,

    /// Start a background process that keeps the lock alive until it is released or its owner has ended
    #[arg(short, long)]
    pub(crate) keep_alive: bool,

    #[command(flatten)]
    pub(crate) options: LockOptions,
}

const EXAMPLES: &str = "\
Examples:
  claim=$(linklock acquire -t 1m /shared/report.lock) || exit
  claim=$(linklock acquire --keep-alive --lifetime 15s /shared/report.lock) || exit
  claim=$(ssh host linklock acquire --owner none -l 1h /shared/report.lock)

linklock(1), or linklock --help, has the exit statuses.";

fn parse_owner(text: &str) -> Result<Owner, String> {
    match text.parse() {
        _ if text == "none" => Ok(Owner::Lease),
        Ok(pid) if pid > 0 => Ok(Owner::Process(pid)),
        _ => Err("write a process id, or none".to_owned()),
    }
}

pub(crate) fn acquire(args: &Args) -> Result<u8, Failure> {
    // Determined at once, since the calling process may soon be gone.
    let owner = args.owner.unwrap_or_else(|| Owner::Process(caller()));
    if args.keep_alive {
        background::close_descriptors().map_err(Failure::to("close the caller's descriptors"))?;
    }
    args.contention.check_mount(&args.lock)?;
    let lock = args.contention.apply_to(args.options.lock(&args.lock));
    let lock = lock.lifetime(args.lifetime).rw_lock()?;
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    let limit = &args.contention.limit;
    let mut guards = contend::acquire(std::slice::from_ref(&lock), Access::Alone, limit, &events)?;
    let guard = guards.pop().expect("as many guards as locks");
    let claim = guard.detach(owner)?;
    let keep = || keep::start(&args.lock, &claim, args.lifetime, &args.options);
    let kept = if args.keep_alive { keep() } else { Ok(()) };
    if let Err(error) = kept.and_then(|()| tell(&claim)) {
        // No other process knows of the lock.
        if let Ok(guard) = lock.as_lock().attach(&claim) {
            drop(guard);
        }
        return Err(Failure::to("hand the lock over")(error));
    }
    Ok(0)
}

fn tell(claim: &Path) -> io::Result<()> {
    print(&[claim.as_os_str().as_bytes(), b"\n"].concat())
}
