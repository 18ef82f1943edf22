//! `linklock break`: ending another's hold of a lock.

use std::path::PathBuf;
use std::time::Duration;

use linklock::{Holder, Life};

use crate::exit::{self, Failure};
use crate::message;
use crate::options::LockOptions;
use crate::time;

/// Break a lock whose holder is gone
///
/// Ends the hold of whoever holds the lock, and says what was removed. Without options only a lock
/// that the next comer would take over anyway is broken: its lease is over, or its holder ran on
/// this host and is dead. With several options all must be so. It is done as a takeover is: never is
/// the lock of a successor broken by mistake.
///
/// A holder that is alive is not told, but finds out at its next refresh, and `linklock run` then
/// stops its command. What is no lock of this kind is never removed.
#[derive(clap::Args, Debug)]
#[command(after_help = exit::table())]
pub(crate) struct Args {
    /// The lock file
    lock: PathBuf,

    /// Break it if its holder has not refreshed it for this long
    #[arg(long, value_name = "DURATION", value_parser = time::parse)]
    if_unchanged_for: Option<Duration>,

    /// Break it if its holder ran on this host and is dead
    #[arg(long)]
    if_dead: bool,

    /// Break it although its holder may be at work
    #[arg(long, conflicts_with_all = ["if_unchanged_for", "if_dead"])]
    force: bool,

    #[command(flatten)]
    options: LockOptions,
}

impl Args {
    fn may_be_broken(&self, holder: &Holder) -> bool {
        let is_dead = holder.life() == Life::Dead;
        if self.if_unchanged_for.is_none() && !self.if_dead {
            return self.force || is_dead || holder.overdue() > self.options.clock_slop;
        }
        (!self.if_dead || is_dead) && self.if_unchanged_for.is_none_or(|time| holder.idle() >= time)
    }
}

pub(crate) fn break_lock(args: &Args) -> Result<u8, Failure> {
    let lock = args.options.lock(&args.lock).build()?;
    let path = lock.path().display();
    let broken = lock.break_if(|holder| args.may_be_broken(holder));
    match broken.map_err(|error| match error {
        error if error.is_contention() => Failure::new(exit::HELD, error),
        error => error.into(),
    })? {
        Some(holder) => {
            let claim = holder.claim_path().display();
            message::show(&format!(
                "broke lock {path}: {holder}\nremoved {path}\nremoved {claim}\n"
            ))?;
            Ok(0)
        }
        None => match lock.holder()? {
            Some(holder) => {
                let why = format!("lock {path} is held by {holder}: not broken");
                Err(Failure::new(exit::HELD, why))
            }
            None => message::show(&format!("lock {path} is free\n")).map(|()| 0),
        },
    }
}
