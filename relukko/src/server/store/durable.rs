//! Durability: what the server has answered is still there after a power failure.
//!
//! A directory and a file are durable once they are synced; nothing else is promised by every file
//! system. So before a tenure or a new date is answered, four things are synced: the record, the lock
//! file (which is the claim: its content and its lease), the directory of the lock files and that of
//! the records. Nothing is synced before that, and the order does not matter, since what a power
//! failure leaves of a lock that was never answered is harmless:
//!
//! - A record without a lock file has no effect, and is swept.
//! - A lock file without a record, or with one that is blank or cut off, ends with its lease, or as a lock
//!   file that is blank itself does (see `linklock`).
//!
//! Only what replaces a durable record has to be durable before it does.
//!
//! Each request syncs its own two files: file systems join syncs that are made at the same time. Only
//! so many do so at once, for more of them spend their time on the file system's locks. The
//! directories are changed by all requests, and a file system may write its whole journal for each
//! sync; so requests share these: a request that finds a sync under way waits for the next, which
//! serves all that have come by then.
//!
//! A deletion is not synced. If it is lost in a power failure, the lock is held again until its lease
//! ends, which costs time, but never lets two holders in: the next holder's lock file, once answered, is
//! durable.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// How many requests sync their files at once.
const AT_ONCE: usize = 16;

/// Makes sure that a file's content, or a directory's names, survive a power failure.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The requests that sync their own files.
#[derive(Debug, Default)]
pub(super) struct OwnSyncs {
    at_once: Mutex<usize>,
    left: Condvar,
}

impl OwnSyncs {
    /// Makes a request's two files durable.
    pub(super) fn run(&self, [one, other]: [File; 2]) -> io::Result<()> {
        let mut at_once = self.at_once();
        while *at_once >= AT_ONCE {
            at_once = self.left.wait(at_once).unwrap_or_else(PoisonError::into_inner);
        }
        *at_once += 1;
        drop(at_once);
        let _inside = Inside(self);
        one.sync_all()?;
        other.sync_all()
    }

    fn at_once(&self) -> MutexGuard<'_, usize> {
        self.at_once.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that syncs its files.
struct Inside<'a>(&'a OwnSyncs);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.0.at_once() -= 1;
        self.0.left.notify_one();
    }
}

/// Syncs that are shared.
#[derive(Debug, Default)]
pub(super) struct SharedSync(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_syncing: bool,
    /// The round that has not begun. It serves all who wait for it.
    next: Arc<Round>,
}

#[derive(Debug, Default)]
struct Round {
    result: OnceLock<io::Result<()>>,
    /// It has ended, or it is time to begin it.
    moved: Condvar,
}

impl SharedSync {
    /// Returns once a sync has ended that was begun after this call, with its result. `sync` is called
    /// by one of those whom it serves, and must do for each of them.
    pub(super) fn run(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        let round = state.next.clone();
        loop {
            if let Some(result) = round.result.get() {
                return copy(result);
            }
            if !state.is_syncing {
                break;
            }
            state = round.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        *state = State { is_syncing: true, next: Arc::default() };
        drop(state);
        let result = round.result.get_or_init(sync);
        let mut state = self.state();
        state.is_syncing = false;
        round.moved.notify_all();
        state.next.moved.notify_one();
        copy(result)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `io::Error` is not `Clone`.
fn copy(result: &io::Result<()>) -> io::Result<()> {
    result.as_ref().copied().map_err(|error| match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Has this many requests come while a sync is under way, and returns their results.
    fn during_a_sync(
        shared: &SharedSync,
        requests: usize,
        sync: impl Fn() -> io::Result<()> + Sync,
    ) -> Vec<io::Result<()>> {
        let (begun, begins) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let first_sync = move || {
            begun.send(()).unwrap();
            goes_on.recv().unwrap();
            Ok(())
        };
        thread::scope(|scope| {
            let first = scope.spawn(|| shared.run(first_sync));
            begins.recv().unwrap();
            let others: Vec<_> = (0..requests).map(|_| scope.spawn(|| shared.run(&sync))).collect();
            // The state refers to the round that has not begun, and so does each that waits for it.
            while Arc::strong_count(&shared.state().next) <= requests {
                thread::yield_now();
            }
            assert!(
                others.iter().all(|other| !other.is_finished()),
                "the first does not serve them"
            );
            go_on.send(()).unwrap();
            assert!(first.join().unwrap().is_ok());
            others.into_iter().map(|other| other.join().unwrap()).collect()
        })
    }

    #[test]
    fn requests_that_come_during_a_sync_share_the_next_one() {
        let syncs = AtomicUsize::new(0);
        let results = during_a_sync(&SharedSync::default(), 16, || {
            syncs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_error_reaches_all_whom_the_sync_should_have_served_and_no_other() {
        const NO_SPACE: i32 = 28;
        let shared = SharedSync::default();
        let results = during_a_sync(&shared, 4, || Err(io::Error::from_raw_os_error(NO_SPACE)));
        for result in results {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(NO_SPACE));
        }
        assert!(shared.run(|| Ok(())).is_ok());
    }

    /// A device like this cannot be synced: EINVAL.
    #[test]
    fn a_file_that_cannot_be_synced_is_an_error_of_its_own_request() {
        const REQUESTS: usize = 3 * AT_ONCE;
        let dir = tempfile::tempdir().unwrap();
        let (own, start) = (OwnSyncs::default(), Barrier::new(REQUESTS));
        let file = |name: &str| File::create(dir.path().join(name)).unwrap();
        let bad = || File::open("/dev/null").unwrap();
        assert!(own.run([file("x"), file("y")]).is_ok());
        assert!(own.run([bad(), file("x")]).is_err() && own.run([file("x"), bad()]).is_err());
        thread::scope(|scope| {
            for number in 0..REQUESTS {
                let (own, start, is_bad) = (&own, &start, number % 5 == 0);
                let files = [file("x"), if is_bad { bad() } else { file("y") }];
                scope.spawn(move || {
                    start.wait();
                    assert_eq!(own.run(files).is_err(), is_bad);
                });
            }
        });
        assert_eq!(*own.at_once(), 0);
    }

    /// Each request writes a number; a sync makes durable what was written when it began.
    #[test]
    fn no_request_ends_before_a_sync_that_began_after_its_writes() {
        const REQUESTS: usize = 8;
        let (shared, start) = (SharedSync::default(), Barrier::new(REQUESTS));
        let (written, durable) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..REQUESTS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..500 {
                        let own = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let sync = || {
                            let seen = written.load(Ordering::SeqCst);
                            thread::yield_now();
                            durable.fetch_max(seen, Ordering::SeqCst);
                            Ok(())
                        };
                        shared.run(sync).unwrap();
                        assert!(durable.load(Ordering::SeqCst) >= own);
                    }
                });
            }
        });
    }
}
