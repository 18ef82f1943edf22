//! A directory of the host that the host and all guests see, and that no NFS has a part in: tickets
//! that put in order what happens in different kernels, cues by which they wait for each other, and
//! a witness of their exclusion.
//!
//! All are directories, because the host makes each for one of those who want to make it.

use std::{
    fs, io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};

use crate::kit::exclusion::is_alone;

/// Longer than all that anybody in a lab waits for, so that a broken one comes to an end.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct Shared {
    dir: PathBuf,
}

impl Shared {
    pub(crate) fn at(dir: PathBuf) -> Shared {
        Shared { dir }
    }

    /// A number above all that were given out before, to any guest: the first that isn't yet the
    /// name of a directory.
    pub(crate) fn ticket(&self) -> u64 {
        static MINE: AtomicU64 = AtomicU64::new(0);
        let mut number = MINE.load(Relaxed) + 1;
        while !self.make(&number.to_string()) {
            number += 1;
        }
        MINE.store(number, Relaxed);
        number
    }

    /// When a ticket was drawn, by the host's clock. To be asked on the host: guests see whole
    /// seconds.
    pub(crate) fn time_of(&self, ticket: u64) -> SystemTime {
        let drawn = fs::metadata(self.dir.join(ticket.to_string()));
        drawn.and_then(|ticket| ticket.modified()).expect("a ticket that was drawn")
    }

    /// Returns once this many more tickets have been drawn, by whomever.
    pub(crate) fn await_tickets(&self, more: usize) {
        let drawn = || fs::read_dir(&self.dir).expect("the shared directory").count();
        let enough = drawn() + more;
        wait_until("tickets", || drawn() >= enough);
    }

    /// Tells all who wait for it, now or later.
    pub(crate) fn cue(&self, name: &str) {
        self.make(name);
    }

    pub(crate) fn is_cued(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    pub(crate) fn await_cue(&self, name: &str) {
        wait_until(name, || self.is_cued(name));
    }

    /// Does something that only one may do at a time. Says whether only one did, by a witness.
    pub(crate) fn alone(&self, what: &str, act: impl FnOnce()) -> bool {
        is_alone(&self.dir.join(format!("{what}.witness")), act)
    }

    /// Makes a directory, and says whether there was none.
    fn make(&self, name: &str) -> bool {
        match fs::create_dir(self.dir.join(name)) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => panic!("{}: {error}", self.dir.join(name).display()),
        }
    }
}

/// Returns once something is so, which must be within [`LIMIT`].
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(10));
    }
}
