//! `linklock run`: a command under a lock.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use linklock::{Error, Lock, LockGuard};

use crate::args::RunArgs;
use crate::child::Child;
use crate::events::{Event, Events};
use crate::exit::{self, Failure};
use crate::message::say;
use crate::wait;

/// How late a refresh may be until the lock counts as lost. Not at all would be too strict: after
/// the whole machine was asleep, or all of us were stopped, the keep-alive needs a moment to find
/// out whether the lock is still ours.
const LATE: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let lock = Lock::options(&args.lock).lifetime(args.lifetime).stale(args.stale.into());
    let lock = lock.build()?;
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    let guard = wait::acquire(&lock, args, &events)?;
    if args.verbose {
        say(format_args!("acquired lock {}", guard.path().display()));
    }
    guard.keep_alive(events.on_lost())?;
    let mut child =
        Child::start(&args.command, &guard).map_err(Failure::to("start the command"))?;
    let end = attend(&mut child, &guard, &events).map_err(Failure::to("wait for the command"))?;
    match end {
        End::Child(code) => release(guard, args.verbose).map(|()| code),
        End::Lost(error) => give_up(&mut child, &events, &error),
        End::Overdue => {
            let path = guard.path().display();
            let why = format!("lock {path} was lost: it could not be refreshed in time");
            // The release would hang as the refresh does, and the lease is over anyway.
            std::mem::forget(guard);
            give_up(&mut child, &events, &why)
        }
    }
}

/// Why there is nothing more to attend to.
#[derive(Debug)]
enum End {
    Child(u8),
    Lost(Error),
    /// The lease is over, and the keep-alive does not get a word from the file server.
    Overdue,
}

/// Passes signals on to the child until it has ended or the lock is lost.
fn attend(child: &mut Child, guard: &LockGuard, events: &Events) -> io::Result<End> {
    loop {
        let left = guard.remaining();
        match events.next(if left.is_zero() { LATE } else { left }) {
            Some(Event::Child) => {
                if let Some(code) = child.ended()? {
                    return Ok(End::Child(code));
                }
            }
            Some(Event::Signal(signal)) => child.pass_on(signal),
            Some(Event::Lost(error)) => return Ok(End::Lost(error)),
            None if left.is_zero() && guard.remaining().is_zero() => return Ok(End::Overdue),
            None => {}
        }
    }
}

/// The command has ended. Whether the lock was lost before that is the one thing that casts doubt
/// on what it has done; a lock that just now can't be removed ends with its lease.
fn release(guard: LockGuard, verbose: bool) -> Result<(), Failure> {
    let path = guard.path().to_owned();
    match guard.unlock() {
        Err(error) if error.is_lost() => return Err(error.into()),
        Err(error) => say(error),
        Ok(()) if verbose => say(format_args!("released lock {}", path.display())),
        Ok(()) => {}
    }
    Ok(())
}

/// The lock is lost: the command must not go on.
fn give_up(child: &mut Child, events: &Events, why: &dyn Display) -> Result<u8, Failure> {
    say(format_args!("{why}: stopping the command"));
    child.stop(events).map_err(Failure::to("stop the command"))?;
    Ok(exit::LOST)
}
