//! A directory for a lock whose events are recorded, and a clock by which others act during a wait.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use linklock::{Clock, Lock, LockOptions};
use tempfile::{TempDir, tempdir};

use crate::capture::{self, Told};

pub(crate) struct Stage {
    dir: TempDir,
    pub(crate) path: PathBuf,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        capture::listen();
        let dir = tempdir().unwrap();
        Stage { path: dir.path().join("lock"), dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn lock(&self) -> Lock {
        Lock::new(&self.path).unwrap()
    }

    pub(crate) fn options(&self, clock: &Arc<ActingClock>) -> LockOptions {
        Lock::options(&self.path).clock(clock.clone())
    }

    pub(crate) fn events(&self) -> Vec<Told> {
        capture::events(self.dir())
    }

    /// The events with that name.
    pub(crate) fn all(&self, name: &str) -> Vec<Told> {
        self.events().into_iter().filter(|event| event.short() == name).collect()
    }

    /// The one event with that name.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> Told {
        let [event] = &self.all(name)[..] else { panic!("{name}: {:#?}", self.events()) };
        event.clone()
    }

    /// All events: levels and names.
    #[track_caller]
    pub(crate) fn assert_told(&self, told: &[&str]) {
        assert_eq!(capture::names(&self.events()), told);
    }
}

type Act = Box<dyn FnMut(u32) + Send>;

/// Advances only by sleeps and by the test; each sleep calls a function with the number of sleeps.
pub(crate) struct ActingClock {
    now: Mutex<Duration>,
    act: Mutex<(u32, Act)>,
}

impl ActingClock {
    pub(crate) fn new(act: impl FnMut(u32) + Send + 'static) -> Arc<ActingClock> {
        // Starts some time after the machine's boot.
        Arc::new(ActingClock { now: Mutex::new(HOUR), act: Mutex::new((0, Box::new(act))) })
    }

    pub(crate) fn idle() -> Arc<ActingClock> {
        ActingClock::new(|_| {})
    }

    pub(crate) fn advance(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    /// How many sleeps there were.
    pub(crate) fn sleeps(&self) -> u32 {
        self.act.lock().unwrap().0
    }
}

const HOUR: Duration = Duration::from_secs(3600);

impl fmt::Debug for ActingClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActingClock").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Clock for ActingClock {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, time: Duration) {
        self.advance(time);
        let (sleeps, act) = &mut *self.act.lock().unwrap();
        *sleeps += 1;
        act(*sleeps);
    }
}
