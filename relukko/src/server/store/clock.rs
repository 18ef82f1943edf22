//! The file server's time: the one clock that all servers of a directory share.
//!
//! The library reads it from the time that the file server stamps on a claim, and extrapolates it
//! with its monotonic clock. This machine's date plays no part, except as a hint: if it diverges
//! from the monotonic clock it was set, and perhaps the file server's clock with it.
//!
//! The file server's clock may be set as well: an hour forward, and every lock would look expired.
//! So a date counts by the clock as it was when the date was written.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use linklock::{Clock, Lock, SystemClock};

use crate::timestamp::whole_microseconds;

/// Smaller differences come from the resolution of time stamps and from the network.
const NOISE: Duration = Duration::from_millis(200);
/// A reading younger than this is as good as a new one.
const YOUNG: Duration = Duration::from_secs(1);
/// How many settings of the clock are remembered.
const MOST: usize = 64;

#[derive(Debug)]
pub(crate) struct FileClock {
    /// The file server stamps this lock's claims.
    probe: Lock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    settings: Settings,
    /// When the clock was last read, on this machine's two clocks.
    read: Option<(Duration, SystemTime)>,
}

impl FileClock {
    /// `dir` is the directory to create claims in.
    pub(crate) fn open(dir: &Path) -> Result<FileClock, linklock::Error> {
        let mut probe = Lock::new(dir.join("clock"))?;
        probe.set_sweeping(false);
        let clock = FileClock { probe, state: Mutex::default() };
        clock.read()?;
        Ok(clock)
    }

    /// The current time, to the microsecond.
    pub(crate) fn now(&self) -> SystemTime {
        if self.was_set() {
            if let Err(error) = self.read() {
                tracing::warn!(%error, "cannot read the file server's clock");
            }
        }
        whole_microseconds(self.state().settings.date(SystemClock.now()))
    }

    /// Reads the clock.
    pub(crate) fn read(&self) -> Result<(), linklock::Error> {
        let stamped = self.probe.server_time()?;
        let (now, wall) = (SystemClock.now(), SystemClock.wall());
        let mut state = self.state();
        state.settings.learn(stamped, now);
        state.read = Some((now, wall));
        Ok(())
    }

    /// Whether a date that was written at `written` has come. Before returning true it
    /// reads the clock, unless it has just been read.
    pub(crate) fn has_come(
        &self,
        date: SystemTime,
        written: SystemTime,
    ) -> Result<bool, linklock::Error> {
        let has_come = || {
            let now = SystemClock.now();
            self.state().settings.moment(date, written) <= now
        };
        if !has_come() {
            return Ok(false);
        }
        let age = self.state().read.map(|(read, _)| SystemClock.now().saturating_sub(read));
        if age.is_none_or(|age| age > YOUNG) || self.was_set() {
            self.read()?;
        }
        Ok(has_come())
    }

    /// Whether this machine's date has diverged from its monotonic clock.
    fn was_set(&self) -> bool {
        let Some((read, date)) = self.state().read else { return true };
        let passed = SystemClock.now().saturating_sub(read);
        let Some(expected) = date.checked_add(passed) else { return true };
        distance(SystemClock.wall(), expected) > NOISE
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settings of the file server's clock, in order; the last one is current.
#[derive(Debug, Default)]
struct Settings(Vec<Setting>);

#[derive(Clone, Copy, Debug)]
struct Setting {
    /// When it was noticed, on the monotonic clock.
    since: Duration,
    /// The date at which the monotonic clock was zero.
    zero: SystemTime,
}

impl Setting {
    fn date(&self, now: Duration) -> SystemTime {
        self.zero.checked_add(now).unwrap_or(self.zero)
    }

    fn moment(&self, date: SystemTime) -> Duration {
        date.duration_since(self.zero).unwrap_or_default()
    }
}

impl Settings {
    /// Records that the file server stamped `stamped` at the moment `now`.
    fn learn(&mut self, stamped: SystemTime, now: Duration) {
        if self.0.last().is_some_and(|last| distance(last.date(now), stamped) <= NOISE) {
            return;
        }
        let zero = stamped.checked_sub(now).unwrap_or(SystemTime::UNIX_EPOCH);
        self.0.push(Setting { since: now, zero });
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    fn date(&self, now: Duration) -> SystemTime {
        self.0.last().map_or(SystemTime::UNIX_EPOCH, |last| last.date(now))
    }

    /// The moment of a date that was written at `written`, by the setting of that time; the latest
    /// moment if the setting is ambiguous. A date written before all settings counts by the first.
    fn moment(&self, date: SystemTime, written: SystemTime) -> Duration {
        let ends = self.0.iter().skip(1).map(|next| Some(next.since)).chain([None]);
        let was_valid = |(setting, end): &(&Setting, Option<Duration>)| {
            setting.date(setting.since) <= written + NOISE
                && end.is_none_or(|end| written <= setting.date(end) + NOISE)
        };
        let valid = self.0.iter().zip(ends).filter(was_valid);
        let moment = valid.map(|(setting, _)| setting.moment(date)).max();
        moment.or_else(|| self.0.first().map(|first| first.moment(date))).unwrap_or(Duration::MAX)
    }
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const LIFETIME: Duration = Duration::from_secs(600);

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + 500_000 * HOUR
    }

    #[test]
    fn a_date_is_extrapolated_and_noise_is_not_a_setting() {
        let mut settings = Settings::default();
        settings.learn(noon(), HOUR);
        assert_eq!(settings.date(3 * HOUR), noon() + 2 * HOUR);
        settings.learn(noon() + HOUR + NOISE / 2, 2 * HOUR);
        assert_eq!(settings.date(3 * HOUR), noon() + 2 * HOUR);
        assert_eq!(settings.0.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_forward_ends_no_lock() {
        let mut settings = Settings::default();
        settings.learn(noon(), HOUR);
        let expires = noon() + LIFETIME;
        settings.learn(noon() + 5 * HOUR, HOUR + Duration::from_secs(15));
        // Written before the setting, and even before the first reading.
        for written in [noon(), noon() - HOUR] {
            assert_eq!(settings.moment(expires, written), HOUR + LIFETIME);
        }
        // Written since the setting.
        let (written, now) = (noon() + 5 * HOUR, HOUR + Duration::from_secs(15));
        assert_eq!(settings.moment(written + LIFETIME, written), now + LIFETIME);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_no_lock_early() {
        let mut settings = Settings::default();
        settings.learn(noon(), HOUR);
        settings.learn(noon() - HOUR, 2 * HOUR); // it was 13:00
        let written = noon() - HOUR / 2;
        assert_eq!(settings.moment(written + LIFETIME, written), 2 * HOUR + HOUR / 2 + LIFETIME);
        // A date that was on the clock twice counts the second time.
        settings.learn(noon() - HOUR / 2, 3 * HOUR);
        let written = noon() - HOUR / 4;
        assert!(settings.moment(written + LIFETIME, written) >= 3 * HOUR + LIFETIME);
    }

    #[test]
    fn the_time_is_the_file_servers_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let clock = FileClock::open(dir.path()).unwrap();
        let now = clock.now();
        assert!(distance(now, SystemTime::now()) < Duration::from_secs(5), "one disk, one clock");
        assert!(!clock.has_come(now + HOUR, now).unwrap());
        assert!(clock.has_come(now, now - HOUR).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
