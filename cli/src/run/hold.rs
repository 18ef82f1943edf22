//! Runs a command while locks are held, of either kind.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::child::{self, Child};
use super::held::Held;
use super::limits::Limits;
use super::supervise::{Outcome, supervise};
use crate::events::{Event, Events};
use crate::exit::{self, Failure};
use crate::journal::{Happening, Note};
use crate::output::say;

/// Runs a command while these locks are held and kept alive, then releases them. Other processes
/// respect the locks for the clock slop after their leases have ended.
pub(crate) fn run_under<G: Held>(
    guards: Vec<G>,
    command: &[OsString],
    variables: impl IntoIterator<Item = (&'static str, OsString)>,
    events: &Events,
    limits: &Limits,
    clock_slop: Duration,
    verbose: bool,
) -> Result<u8, Failure> {
    let outcome = hold(&guards, command, variables, events, limits, clock_slop)?;
    Ok(release(guards, verbose, events, outcome))
}

/// Runs a command while these locks are held.
pub(super) fn hold(
    guards: &[impl Held],
    command: &[OsString],
    variables: impl IntoIterator<Item = (&'static str, OsString)>,
    events: &Events,
    limits: &Limits,
    clock_slop: Duration,
) -> Result<Outcome, Failure> {
    let acquired = Instant::now();
    for guard in guards {
        guard.keep_alive(events).map_err(|trouble| {
            Failure::new(if trouble.is_lost { exit::LOST } else { exit::SYSTEM }, trouble)
        })?;
    }
    events.watch_job_control().map_err(Failure::to("watch for signals"))?;
    if limits.wait_all {
        child::adopt_orphans().map_err(Failure::to("wait for all processes"))?;
    }
    let child = Child::start(command, variables).map_err(Failure::to("start the command"))?;
    let mut outcome = supervise(child, guards, events, limits, clock_slop)
        .map_err(Failure::to("wait for the command"))?;
    events.journal.note(|| Note { exit_status: Some(outcome.code), ..Note::of(Happening::Ended) });
    if let Some(least) = limits.min_hold {
        hold_on(acquired, least, events, &mut outcome);
    }
    Ok(outcome)
}

/// Holds the locks for a while after the command has ended, unless a signal cuts this short.
fn hold_on(acquired: Instant, least: Duration, events: &Events, outcome: &mut Outcome) {
    while !outcome.is_lost {
        let left = least.saturating_sub(acquired.elapsed());
        match events.next(left) {
            _ if left.is_zero() => return,
            Some(Event::Lost(error)) => {
                events.note_loss(&error);
                say(error);
                outcome.is_lost = true;
            }
            Some(event) if event.ends().is_some() => return,
            _ => {}
        }
    }
}

/// Releases the locks after the command has ended. Only the loss of a lock before that casts doubt
/// on what the command did; a lock that cannot be removed now ends with its lease.
pub(super) fn release<G: Held>(
    guards: Vec<G>,
    verbose: bool,
    events: &Events,
    mut outcome: Outcome,
) -> u8 {
    let note = |lock: &str, event, reason| {
        events.journal.note(|| Note { lock: Some(lock.to_owned()), reason, ..Note::of(event) });
    };
    for guard in guards {
        if outcome.hangs && guard.remaining().is_zero() {
            // The release would hang as the refresh does, and the lease has ended anyway.
            note(&guard.name(), Happening::NotReleased, None);
            std::mem::forget(guard);
            continue;
        }
        let name = guard.name();
        let Err(error) = guard.release() else {
            note(&name, Happening::Released, None);
            if verbose {
                say(format_args!("released {} {name}", G::WHAT));
            }
            continue;
        };
        if error.is_lost && std::mem::replace(&mut outcome.is_lost, true) {
            continue; // that was reported before
        }
        let event = if error.is_lost { Happening::Lost } else { Happening::NotReleased };
        note(&name, event, Some(error.to_string()));
        say(error);
    }
    outcome.exit_code()
}
