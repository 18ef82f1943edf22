//! A directory of the host that the host and all guests see without NFS. It has tickets that order
//! events in different kernels, cues by which they wait for each other, and a witness of their
//! exclusion.
//!
//! All are directories, because of several processes that want to make one, the host makes it for
//! one only.

use std::{
    fs, io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};

use crate::kit::exclusion::is_alone;

/// Longer than any wait in a lab, so that a broken lab comes to an end.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct Shared {
    dir: PathBuf,
}

impl Shared {
    pub(crate) fn at(dir: PathBuf) -> Shared {
        Shared { dir }
    }

    /// Draws a number above all that any guest has drawn before: the first that is not yet the name
    /// of a directory.
    pub(crate) fn ticket(&self) -> u64 {
        static MINE: AtomicU64 = AtomicU64::new(0);
        let mut number = MINE.load(Relaxed) + 1;
        while !self.make(&number.to_string()) {
            number += 1;
        }
        MINE.store(number, Relaxed);
        number
    }

    /// When a ticket was drawn, by the host's clock. For the host only: guests see whole seconds.
    pub(crate) fn time_of(&self, ticket: u64) -> SystemTime {
        let drawn = fs::metadata(self.dir.join(ticket.to_string()));
        drawn.and_then(|ticket| ticket.modified()).expect("a ticket that was drawn")
    }

    /// Returns once this many more tickets have been drawn, by any process.
    pub(crate) fn await_tickets(&self, more: usize) {
        let drawn = || fs::read_dir(&self.dir).expect("the shared directory").count();
        let enough = drawn() + more;
        wait_until("tickets", || drawn() >= enough);
    }

    /// Wakes all processes that wait for this cue, now or later.
    pub(crate) fn cue(&self, name: &str) {
        self.make(name);
    }

    pub(crate) fn is_cued(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    pub(crate) fn await_cue(&self, name: &str) {
        wait_until(name, || self.is_cued(name));
    }

    /// Does what only one process may do at a time. Returns whether only one did, by a witness.
    pub(crate) fn alone(&self, what: &str, act: impl FnOnce()) -> bool {
        is_alone(&self.witness(what), act)
    }

    /// Whether a process is there that does what only one may do.
    pub(crate) fn is_witnessed(&self, what: &str) -> bool {
        self.witness(what).exists()
    }

    fn witness(&self, what: &str) -> PathBuf {
        self.dir.join(format!("{what}.witness"))
    }

    /// Makes a directory, and returns whether there was none.
    fn make(&self, name: &str) -> bool {
        match fs::create_dir(self.dir.join(name)) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => panic!("{}: {error}", self.dir.join(name).display()),
        }
    }
}

/// Returns once a condition holds, which must be within [`LIMIT`].
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(10));
    }
}
