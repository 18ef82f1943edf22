//! Supervising the command while it runs: signals, its time limit, and the lock.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::child::{Change, Child};
use super::held::Held;
use super::{Limits, OnLost};
use crate::events::{Event, Events};
use crate::exit;
use crate::output::say;
use crate::time;

/// How long a command that has lost its lock has at most, from TERM to KILL. Even with the time that
/// it takes to notice, it is dead before the clock slop is over, for which others respect a lease
/// that has ended: half of it, and a tenth.
const GRACE: Duration = Duration::from_secs(5);

/// How late at most a refresh may be until the lock counts as lost. Not at all would be too strict: after
/// the whole machine was asleep, or all of us were stopped, the keep-alive needs a moment to find
/// out whether the lock is still ours.
const LATE: Duration = Duration::from_secs(1);

/// How it ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// What the command has exited with.
    pub(crate) code: u8,
    /// Whether it was stopped for having run too long.
    pub(crate) is_overlong: bool,
    /// Whether the lock was lost meanwhile.
    pub(crate) is_lost: bool,
    /// Whether it was lost since the file server did not answer: a release would hang, too.
    pub(crate) hangs: bool,
}

impl Outcome {
    /// What linklock exits with.
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
        // Whatever has happened, what to do about it depends on whether the command is stopped.
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
            Some(Event::Child) | None => {}
        }
        supervisor.look_at_the_clock();
    }
}

/// For how much longer all of the leases run. There are none where the linklock around this one has them.
fn remaining(guards: &[impl Held]) -> Duration {
    guards.iter().map(Held::remaining).min().unwrap_or(Duration::MAX)
}

struct Supervisor<'a, G> {
    child: Child,
    guards: &'a [G],
    on_lost: OnLost,
    /// Whether the lock is held until what the command has started has ended, too.
    waits_for_all: bool,
    /// What the command has exited with.
    ended: Option<u8>,
    begun: Instant,
    limit: Option<Instant>,
    kill_after: Duration,
    grace: Duration,
    late: Duration,
    /// When the command, which was asked to end, is to be killed.
    kill_at: Option<Instant>,
    /// Since when some lease has been over.
    overdue_since: Option<Instant>,
    outcome: Outcome,
}

impl<G: Held> Supervisor<'_, G> {
    /// For how long nothing needs to be done unless something happens.
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

    /// The command's exit code, once nothing is left that the lock is held for.
    fn end_of_all(&mut self) -> io::Result<Option<u8>> {
        if self.ended.is_none() {
            self.ended = self.changes()?;
        }
        let goes_on = self.ended.is_some() && self.waits_for_all && self.child.has_left_any();
        Ok(self.ended.filter(|_| !goes_on))
    }

    /// What the child has done since the last time; its exit code, if it has ended.
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

    /// The lock is lost: unless the user has said otherwise, the command must not go on, and one
    /// that is stopped gets not a moment more.
    fn lost(&mut self, why: &dyn Display) {
        if std::mem::replace(&mut self.outcome.is_lost, true) {
            return;
        }
        if matches!(self.on_lost, OnLost::Warn) {
            return say(why);
        }
        self.limit = None; // it ends sooner
        if self.child.is_stopped() {
            say(format_args!("{why}: killing the command"));
            self.child.kill();
        } else {
            say(format_args!("{why}: stopping the command"));
            self.stop(self.grace);
        }
    }

    /// The lock is lost, and the command has ended.
    fn lost_in_the_end(&mut self, why: &dyn Display) {
        if !std::mem::replace(&mut self.outcome.is_lost, true) {
            say(why);
        }
    }

    /// Asks the command to end, and kills it after a while.
    fn stop(&mut self, grace: Duration) {
        let at = Instant::now() + grace;
        self.kill_at = Some(self.kill_at.map_or(at, |before| before.min(at)));
        self.child.terminate();
        self.go_on(); // a child that is stopped takes no notice of TERM
    }

    /// The command was stopped, and we may be too.
    fn stopped_by(&mut self, signal: Signal) {
        if self.child.stop_with(signal) {
            self.go_on();
        }
    }

    /// The command begins. That its lock is held is known without a look, unless we have been
    /// stopped since it was acquired.
    fn begin(&mut self) {
        if remaining(self.guards).is_zero() {
            self.go_on();
        } else {
            self.child.go_on();
        }
    }

    /// Has the command go on. While it is stopped we may have been stopped too, or suspended with
    /// the machine, for any time: that the lease seems to run is not enough.
    fn go_on(&mut self) {
        if self.child.is_stopped() && !self.outcome.is_lost {
            self.make_sure();
        }
        let must_not = self.outcome.is_lost && matches!(self.on_lost, OnLost::Kill);
        if !(self.child.is_stopped() && must_not) {
            self.child.go_on();
        }
    }

    /// Looks whether the lock is still held, and makes its lease whole.
    fn make_sure(&mut self) {
        if let Err(trouble) = self.guards.iter().try_for_each(Held::refresh) {
            if trouble.is_lost || remaining(self.guards).is_zero() {
                self.lost(&trouble);
            }
        }
    }

    /// The command has ended.
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
