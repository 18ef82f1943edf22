//! A peer that speaks flufl.lock 10's protocol, fault for fault: it breaks a lock by name, it
//! touches its claim only before it begins to wait and once it is linked, and it trusts the reply
//! of link(2).
//!
//! When it breaks a lock, or acts on one after its own lease has expired, neither it nor its victim
//! is promised anything: from then on the run is excused.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::actor::Actor;
use super::constants::{LIFETIME, PATH, SLOP};
use super::host::random;
use crate::clock::Clock;
use crate::sys::errno;
use crate::sys::fs::Fs;

/// A process that uses flufl.lock.
struct Flufl<'a> {
    actor: &'a Actor,
    claim: PathBuf,
    /// The end of its lease, as it last wrote it.
    ends: SystemTime,
}

/// Acquires the lock, works, refreshes it, works, and releases it.
pub(super) fn tenure(actor: &Actor) {
    if let Some(mut held) = Flufl::lock(actor) {
        actor.sleep(2);
        if held.is_locked() {
            actor.sleep(2);
        }
        held.unlock();
    }
}

pub(super) fn two_tenures(actor: &Actor) {
    tenure(actor);
    tenure(actor);
}

impl<'a> Flufl<'a> {
    fn lock(actor: &'a Actor) -> Option<Flufl<'a>> {
        let pid = 9000 + actor.process.id;
        let claim = PathBuf::from(format!("{PATH}|flufl.example|{pid}|{}", random() >> 1));
        let content = claim.as_os_str().as_encoded_bytes();
        let mut ends = lease_end(actor);
        let mut mtime = |_: &_| {
            ends = lease_end(actor);
            ends
        };
        actor.fs.create(&claim, content, None, &mut mtime).ok()?;
        let mut this = Flufl { actor, claim, ends };
        loop {
            if actor.process.has_crashed() {
                return None;
            }
            let linked = actor.fs.link(&this.claim, Path::new(PATH));
            match linked.map_err(|error| error.raw_os_error()) {
                Ok(()) => {
                    this.is_late("linked a claim that had expired");
                    this.touch();
                    this.holds();
                    return Some(this);
                }
                Err(Some(errno::EEXIST)) if this.holds_the_lock_file() => {
                    let id = actor.process.id;
                    let falsehood =
                        format!("process {id} (flufl.lock) gets a wrong answer: already locked");
                    actor.process.is_wrong(falsehood);
                    return None;
                }
                Err(Some(errno::EEXIST | errno::ENOENT | errno::ESTALE)) => {}
                Err(_) => {
                    let _ = actor.fs.unlink(&this.claim);
                    return None;
                }
            }
            if let Ok(attr) = actor.fs.stat(Path::new(PATH)) {
                if attr.mtime + SLOP < actor.clock.wall() {
                    this.break_lock();
                }
            }
            let pause = Duration::from_millis(10 + random() % 2000);
            actor.clock.sleep(pause);
        }
    }

    /// Removes the lock file, even if it is another process's by now, and the claim that it named.
    fn break_lock(&self) {
        let lock = Path::new(PATH);
        self.excuse("broke a lock by name");
        let _ = self.actor.fs.touch(lock, lease_end(self.actor));
        let winner = self.actor.fs.read(lock, usize::MAX);
        let _ = self.actor.fs.unlink(lock);
        if let Ok((_, winner)) = winner {
            let winner = String::from_utf8_lossy(&winner).into_owned();
            let _ = self.actor.fs.unlink(Path::new(&winner));
        }
    }

    fn touch(&mut self) {
        self.ends = lease_end(self.actor);
        let _ = self.actor.fs.touch(&self.claim, self.ends);
    }

    fn holds_the_lock_file(&self) -> bool {
        let lock = Path::new(PATH);
        let fs = &self.actor.fs;
        let read = || -> io::Result<bool> {
            let claim = self.claim.as_os_str().as_encoded_bytes();
            Ok(fs.stat(lock)?.nlink == 2 && fs.read(lock, usize::MAX)?.1 == claim)
        };
        read().unwrap_or(false)
    }

    fn holds(&self) {
        let left = self.ends.duration_since(self.actor.clock.wall()).unwrap_or_default();
        self.actor.holds(left);
    }

    /// Refreshes the lease, and returns whether the lock is still held.
    fn is_locked(&mut self) -> bool {
        self.is_late("refreshed a lock that had expired");
        self.touch();
        let is_locked = self.holds_the_lock_file();
        if is_locked {
            self.holds();
        } else {
            self.actor.process.world().safety.ends(self.actor.process.id);
        }
        is_locked
    }

    fn unlock(mut self) {
        if self.is_locked() {
            self.actor.process.note(|| "begins to unlock".to_owned());
            self.is_late("released a lock that had expired");
            self.actor.process.world().safety.ends(self.actor.process.id);
            let _ = self.actor.fs.unlink(Path::new(PATH));
        }
        let _ = self.actor.fs.unlink(&self.claim);
    }

    /// After the end of its lease it has no right to act on the lock, and acts on it all the same.
    fn is_late(&self, what: &str) {
        if self.ends < self.actor.clock.wall() {
            self.excuse(what);
        }
    }

    fn excuse(&self, what: &str) {
        self.actor.process.note(|| format!("flufl.lock {what}"));
        self.actor.process.world().safety.excuse.get_or_insert_with(|| what.to_owned());
    }
}

/// A lifetime from now by this machine's date, in whole seconds.
fn lease_end(actor: &Actor) -> SystemTime {
    let ends = actor.clock.wall() + LIFETIME;
    let since_epoch = ends.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs())
}
