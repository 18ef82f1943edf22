//! `linklock wait`: waits until a lock is free.

use std::path::PathBuf;
use std::time::Duration;

use linklock::{Error, Life, Lock, Obstacle};

use crate::errors::require_directory;
use crate::events::Events;
use crate::exit::{Failure, by_signal};
use crate::occupied;
use crate::options::{LockOptions, WaitLimit};
use crate::progress::{Progress, explain};
use crate::set;

/// The longest pause between two checks, the same as for contenders.
const LONGEST: Duration = Duration::from_millis(500);

/// Wait until a lock is free, without taking it
///
/// A lock that may be taken over, because its lease is over or its holder is dead, counts as free; one that
/// is shared (run --shared) does not. A set of slots (run --slots) is free if one of its slots is.
///
/// Another process may take it before this command has ended.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The lock file, or the URL of a server's lock
    pub(crate) lock: PathBuf,

    #[command(flatten)]
    pub(crate) limit: WaitLimit,

    #[command(flatten)]
    pub(crate) options: LockOptions,
}

const EXAMPLES: &str = "\
Examples:
  linklock wait -t 10m /shared/report.lock && echo free

linklock(1), or linklock --help, has the exit statuses.";

pub(crate) fn wait(args: &Args) -> Result<u8, Failure> {
    let lock = args.options.lock(&args.lock).build()?;
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    // Use the server's time if it can be read; without write access this machine's has to do.
    let _ = lock.server_time();
    let mut progress = Progress::new(&args.limit);
    let waited = watch(&lock, args, &events, &mut progress);
    progress.clear();
    waited
}

fn watch(
    lock: &Lock,
    args: &Args,
    events: &Events,
    progress: &mut Progress,
) -> Result<u8, Failure> {
    let mut pause = Duration::from_millis(1);
    while let Some(obstacle) = obstacle(lock, args)? {
        if !args.limit.lasts(progress.waited()) {
            let why = format!("lock {} is {obstacle}", lock.path().display());
            return Err(args.limit.failure(why));
        }
        progress.show(lock.path(), || explain(lock, &obstacle));
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(LONGEST);
        if let Some(signal) = events.ended_by() {
            return Err(Failure::silent(by_signal(signal as i32)));
        }
    }
    Ok(0)
}

/// The obstacle to the lock, if any: its holder, one of those that share it, or that of a slot if all are
/// held.
fn obstacle(lock: &Lock, args: &Args) -> Result<Option<Obstacle>, Failure> {
    if let Some(obstacle) = obstacle_of(lock, args)? {
        return Ok(Some(obstacle));
    }
    require_directory(lock.path())?;
    for reader in set::readers(lock.path(), &args.options) {
        if let Some(obstacle) = obstacle_of(&reader, args)? {
            return Ok(Some(obstacle));
        }
    }
    let slots = set::slots(lock.path(), &args.options)?;
    if slots.locks.len() < slots.number {
        return Ok(None);
    }
    let mut obstacle = None;
    for slot in &slots.locks {
        match obstacle_of(slot, args)? {
            None => return Ok(None), // it may be taken over
            held => obstacle = obstacle.or(held),
        }
    }
    Ok(obstacle)
}

fn obstacle_of(lock: &Lock, args: &Args) -> Result<Option<Obstacle>, Failure> {
    match lock.holder() {
        Ok(None) => Ok(None),
        Ok(Some(holder)) if holder.life() == Life::Dead => Ok(None),
        Ok(Some(holder)) if holder.overdue() > args.options.clock_slop => Ok(None),
        Ok(Some(holder)) => Ok(Some(Obstacle::Holder(holder))),
        Err(Error::Held { obstacle, .. }) if occupied::is_in_vain(lock.path(), &obstacle) => {
            Err(occupied::by(lock.path()))
        }
        Err(Error::Held { obstacle, .. }) => Ok(Some(*obstacle)),
        Err(error) => Err(error.into()),
    }
}
