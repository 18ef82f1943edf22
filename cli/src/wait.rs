//! Waiting for the lock.

use std::time::Instant;

use linklock::{Lock, LockGuard, Obstacle};

use crate::args::RunArgs;
use crate::events::Events;
use crate::exit::{Failure, by_signal};
use crate::message::say;

/// Acquires the lock, for as long as the user wants to wait and sends no signal to end us.
/// Whichever way it ends, no claim is left behind.
pub(crate) fn acquire(lock: &Lock, args: &RunArgs, events: &Events) -> Result<LockGuard, Failure> {
    let begun = Instant::now();
    let mut to_tell = args.verbose;
    let mut ended = None;
    let go_on = |obstacle: &Obstacle| {
        if std::mem::take(&mut to_tell) {
            say(format_args!("waiting for lock {}: {obstacle}", lock.path().display()));
        }
        ended = events.ended_by();
        ended.is_none() && args.timeout.is_none_or(|timeout| begun.elapsed() < timeout)
    };
    let acquired = if args.no_wait { lock.try_lock() } else { lock.lock_while(go_on) };

    // What comes before there is a command is not meant for it, even if the lock is ours by now.
    if let Some(signal) = ended.or_else(|| events.ended_by()) {
        return Err(Failure::silent(by_signal(signal as i32)));
    }
    acquired.map_err(|error| match args.conflict_exit_code {
        _ if !error.is_contention() => error.into(),
        code if args.quiet => Failure::silent(code),
        code => Failure::new(code, error),
    })
}
