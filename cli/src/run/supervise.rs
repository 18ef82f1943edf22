//! Supervises the command while it runs: signals, its time limit, and the lock.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::child::{Change, Child};
use super::held::Held;
use super::limits::{Limits, OnLost};
use crate::events::{Event, Events};
use crate::exit;
use crate::output::say;
use crate::time;

/// The longest time that a command has from TERM to KILL after its lock was lost. Even including
/// the time to notice the loss, the command is dead before the clock slop ends, for which other
/// processes respect an expired lease: the grace takes at most half of it, and the notice a tenth.
const GRACE: Duration = Duration::from_secs(5);

/// How late a refresh may be before the lock counts as lost. Zero would be too strict: after the
/// whole machine was asleep, or all of our processes were stopped, the keep-alive needs a moment to
/// find out whether the lock is still ours.
const LATE: Duration = Duration::from_secs(1);

/// How the run ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// The command's exit code.
    pub(crate) code: u8,
    /// Whether the command was stopped for running too long.
    pub(crate) is_overlong: bool,
    /// Whether the lock was lost in the meantime.
    pub(crate) is_lost: bool,
    /// Whether the lock was lost because the file server did not answer: a release would hang, too.
    pub(crate) hangs: bool,
}

impl Outcome {
    /// linklock's exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Outcome { is_lost: true, .. } => exit::LOST,
            Outcome { is_overlong: true, .. } => exit::OVERLONG,
            Outcome { code, .. } => code,
        }
    }
}

/// Supervises the command until it has ended.
pub(crate) fn supervise(
    child: Child,
    guards: &[impl Held],
    events: &Events,
    limits: &Limits,
    clock_slop: Duration,
) -> io::Result<Outcome> {
    let begun = Instant::now();
    let mut supervisor = Supervisor {
        child,
        guards,
        events,
        on_lost: limits.on_lost,
        waits_for_all: limits.wait_all,
        ended: None,
        begun,
        limit: limits.max_runtime.and_then(|limit| begun.checked_add(limit)),
        kill_after: limits.kill_after,
        grace: GRACE.min(clock_slop / 2),
        late: LATE.min(clock_slop / 10),
        kill_at: None,
        overdue_since: None,
        outcome: Outcome::default(),
    };
    supervisor.begin();
    loop {
        let event = events.next(supervisor.next_look());
        // The response to any event depends on whether the command is stopped.
        if let Some(code) = supervisor.end_of_all()? {
            if let Some(Event::Lost(error)) = event {
                supervisor.lost_in_the_end(&error);
            }
            return Ok(supervisor.end(code));
        }
        match event {
            Some(Event::Signal(Signal::SIGCONT)) => supervisor.go_on(),
            Some(Event::Signal(signal)) => supervisor.child.pass_on(signal),
            Some(Event::Lost(error)) => supervisor.lost(&error),
            Some(Event::Child | Event::CaughtUp(_)) | None => {}
        }
        supervisor.look_at_the_clock();
    }
}

/// How much longer all of the leases run. There are no guards where the outer linklock holds the
/// locks.
fn remaining(guards: &[impl Held]) -> Duration {
    guards.iter().map(Held::remaining).min().unwrap_or(Duration::MAX)
}

struct Supervisor<'a, G> {
    child: Child,
    guards: &'a [G],
    events: &'a Events,
    on_lost: OnLost,
    /// Whether the lock is held until all processes that the command started have ended.
    waits_for_all: bool,
    /// The command's exit code, once it has ended.
    ended: Option<u8>,
    begun: Instant,
    limit: Option<Instant>,
    kill_after: Duration,
    grace: Duration,
    late: Duration,
    /// When to kill the command, which was asked to end.
    kill_at: Option<Instant>,
    /// Since when a lease has been expired.
    overdue_since: Option<Instant>,
    outcome: Outcome,
}

impl<G: Held> Supervisor<'_, G> {
    /// How long to wait for an event before the next check.
    fn next_look(&self) -> Duration {
        let now = Instant::now();
        let lease = match remaining(self.guards) {
            _ if self.outcome.is_lost => Duration::MAX,
            Duration::ZERO => self.late,
            left => left,
        };
        let deadlines = [self.limit, self.kill_at].into_iter().flatten();
        deadlines.map(|at| at.saturating_duration_since(now)).fold(lease, Duration::min)
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        if self.limit.take_if(|limit| *limit <= now).is_some() {
            self.outcome.is_overlong = true;
            let limit = time::show(now - self.begun);
            say(format_args!("the command has run for {limit}: stopping it"));
            self.stop(self.kill_after);
        }
        if self.kill_at.take_if(|at| *at <= now).is_some() {
            self.child.kill();
        }
        match remaining(self.guards) {
            Duration::ZERO if !self.outcome.is_lost => {
                if now - *self.overdue_since.get_or_insert(now) >= self.late {
                    self.outcome.hangs = true;
                    self.lost(&"the lock was lost: it could not be refreshed in time");
                }
            }
            _ => self.overdue_since = None,
        }
    }

    /// The command's exit code, once the lock is no longer needed.
    fn end_of_all(&mut self) -> io::Result<Option<u8>> {
        if self.ended.is_none() {
            self.ended = self.changes()?;
        }
        let goes_on = self.ended.is_some() && self.waits_for_all && self.child.has_left_any();
        Ok(self.ended.filter(|_| !goes_on))
    }

    /// Handles the child's changes since the last call; returns its exit code if it has ended.
    fn changes(&mut self) -> io::Result<Option<u8>> {
        while let Some(change) = self.child.change()? {
            match change {
                Change::Ended(code) => return Ok(Some(code)),
                Change::Stopped(signal) => self.stopped_by(signal),
                Change::Continued => {}
            }
        }
        Ok(None)
    }

    /// Handles the loss of the lock: unless the user chose otherwise, the command must not go on,
    /// and a stopped command is killed at once.
    fn lost(&mut self, why: &dyn Display) {
        if std::mem::replace(&mut self.outcome.is_lost, true) {
            return;
        }
        self.events.note_loss(why);
        if matches!(self.on_lost, OnLost::Warn) {
            return say(why);
        }
        self.limit = None; // it ends sooner than that
        if self.child.is_stopped() {
            say(format_args!("{why}: killing the command"));
            self.child.kill();
        } else {
            say(format_args!("{why}: stopping the command"));
            self.stop(self.grace);
        }
    }

    /// Records a loss of the lock that is reported after the command has ended.
    fn lost_in_the_end(&mut self, why: &dyn Display) {
        if !std::mem::replace(&mut self.outcome.is_lost, true) {
            self.events.note_loss(why);
            say(why);
        }
    }

    /// Asks the command to end, and schedules its kill.
    fn stop(&mut self, grace: Duration) {
        let at = Instant::now() + grace;
        self.kill_at = Some(self.kill_at.map_or(at, |before| before.min(at)));
        self.child.terminate();
        self.go_on(); // a stopped child does not react to TERM
    }

    /// The command was stopped; we may stop too.
    fn stopped_by(&mut self, signal: Signal) {
        if self.child.stop_with(signal) {
            self.go_on();
        }
    }

    /// Lets the command begin. Unless we have been stopped since the lock was acquired, it is known
    /// to be held without a check.
    fn begin(&mut self) {
        if remaining(self.guards).is_zero() {
            self.go_on();
        } else {
            self.child.go_on();
        }
    }

    /// Continues the command. While it was stopped, we may have been stopped too, or suspended with
    /// the machine, for any length of time: a lease that seems to run is not enough.
    fn go_on(&mut self) {
        if self.child.is_stopped() && !self.outcome.is_lost {
            self.make_sure();
        }
        let must_not = self.outcome.is_lost && matches!(self.on_lost, OnLost::Kill);
        if !(self.child.is_stopped() && must_not) {
            self.child.go_on();
        }
    }

    /// Verifies that the lock is still held, and renews its lease in full.
    fn make_sure(&mut self) {
        if let Err(trouble) = self.guards.iter().try_for_each(Held::refresh) {
            if trouble.is_lost || remaining(self.guards).is_zero() {
                self.lost(&trouble);
            }
        }
    }

    /// Cleans up after the command has ended.
    fn end(self, code: u8) -> Outcome {
        let was_stopped = self.outcome.is_overlong
            || (self.outcome.is_lost && matches!(self.on_lost, OnLost::Kill));
        if was_stopped {
            self.child.clean_up();
        } else {
            self.child.leave();
        }
        Outcome { code, ..self.outcome }
    }
}
