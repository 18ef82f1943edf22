//! A lock on the mount, and the leases that all its users agree on: one word in a worker's job.

use std::{
    fmt::{self, Display},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use linklock::{Lock, LockOptions, RwLock, Slots};

use crate::{lab, shared::LIMIT};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) name: &'a str,
    pub(crate) lifetime: Duration,
    pub(crate) slop: Duration,
    /// Whether its users wake each other by hints.
    pub(crate) hints: bool,
}

impl<'a> Terms<'a> {
    /// Leases that no scenario outlasts: they never end by themselves.
    pub(crate) fn patient(name: &'a str) -> Terms<'a> {
        Terms { name, lifetime: LIMIT, slop: LIMIT, hints: false }
    }

    /// Leases of some seconds, and a slop of 2: requests take much less in a lab without delays.
    pub(crate) fn seconds(name: &'a str, lifetime: u64) -> Terms<'a> {
        let (lifetime, slop) = (Duration::from_secs(lifetime), Duration::from_secs(2));
        Terms { name, lifetime, slop, hints: false }
    }

    /// The library's defaults.
    pub(crate) fn by_default(name: &'a str) -> Terms<'a> {
        let (lifetime, slop) = (Duration::from_secs(15), Duration::from_secs(10));
        Terms { name, lifetime, slop, hints: false }
    }

    /// The same, with wake-up hints.
    pub(crate) fn with_hints(self) -> Terms<'a> {
        Terms { hints: true, ..self }
    }

    /// A cue about this lock.
    pub(crate) fn cue(&self, what: &str) -> String {
        format!("{}.{what}", self.name)
    }

    /// The cue that a worker gives when it holds the lock.
    pub(crate) fn held_by(&self, vm: &str) -> String {
        self.cue(&format!("held-by-{vm}"))
    }

    /// The cue that a worker gives when it is about to be killed while it holds the lock.
    pub(crate) fn died_on(&self, vm: &str) -> String {
        self.cue(&format!("died-on-{vm}"))
    }

    /// In a guest: the lock.
    pub(crate) fn lock(&self) -> Lock {
        self.options(&self.path()).build().expect("a lock")
    }

    /// In a guest: the lock, with a claim that its handle keeps.
    pub(crate) fn lock_with_kept_claim(&self) -> Lock {
        self.options(&self.path()).keep_claim(true).build().expect("a lock")
    }

    /// In a guest: a set of slots.
    pub(crate) fn slots(&self, slots: u32) -> Slots {
        self.options(&self.path()).slots(slots).expect("a set")
    }

    /// In a guest: the lock for readers and writers.
    pub(crate) fn rw_lock(&self) -> RwLock {
        self.options(&self.path()).rw_lock().expect("a lock")
    }

    /// In a guest: a lock that only this guest knows.
    pub(crate) fn lock_apart(&self) -> Lock {
        self.options(&Path::new("/dev/shm").join(self.name)).build().expect("a lock")
    }

    fn options(&self, path: &Path) -> LockOptions {
        let options = Lock::options(path).lifetime(self.lifetime).clock_slop(self.slop);
        options.timeout(LIMIT).wake_hints(self.hints)
    }

    /// In a guest: the lock file.
    pub(crate) fn path(&self) -> PathBuf {
        lab::mount().join(self.name)
    }
}

impl Display for Terms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.lifetime.as_secs(), self.slop.as_secs())?;
        if self.hints { write!(f, ":hints") } else { Ok(()) }
    }
}

impl<'a> TryFrom<&'a str> for Terms<'a> {
    type Error = <u64 as FromStr>::Err;

    fn try_from(word: &'a str) -> Result<Terms<'a>, Self::Error> {
        let mut words = word.split(':');
        let name = words.next().unwrap_or_default();
        let mut seconds = || words.next().unwrap_or_default().parse().map(Duration::from_secs);
        let (lifetime, slop) = (seconds()?, seconds()?);
        Ok(Terms { name, lifetime, slop, hints: words.next() == Some("hints") })
    }
}
