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
//! Requests are synced in rounds: a request that finds a round under way waits for the next, which
//! serves all that have come by then. The directories, which all requests change, are synced once in a
//! round. Each file is synced by itself, but several at a time, since a file system joins syncs that it
//! is asked for at the same time: by a few threads, for a thread of each request would spend more time
//! on the file system's locks than on the syncs.
//!
//! A deletion is not synced. If it is lost in a power failure, the lock is held again until its lease
//! ends, which costs time, but never lets two holders in: the next holder's lock file, once answered, is
//! durable.

use std::fs::File;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// How many syncs a thread makes, one after the other, unless there are too many threads then.
const SYNCS_EACH: usize = 4;
const MOST_THREADS: usize = 16;

/// Makes sure that a file's content, or a directory's names, survive a power failure.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What makes a lock durable, other than the directories.
pub(super) type Files = [File; 2];

/// A round: syncs the files of each request, and the directories for all. The results are the requests'.
pub(super) fn sync_all(requests: &[Files], dirs: [&Path; 2]) -> Vec<io::Result<()>> {
    let [one, other] = dirs.map(File::open);
    let dirs = match one.and_then(|one| Ok([one, other?])) {
        Ok(dirs) => dirs,
        Err(error) => return requests.iter().map(|_| Err(copy(&error))).collect(),
    };
    let results = in_threads(requests.iter().flatten().chain(&dirs).collect());
    let (files, dirs) = results.split_at(2 * requests.len());
    let all_of = |own: &[io::Result<()>]| own.iter().chain(dirs).try_for_each(copy_result);
    files.chunks(2).map(all_of).collect()
}

/// Syncs all of these.
fn in_threads(files: Vec<&File>) -> Vec<io::Result<()>> {
    let places: Vec<_> = files.into_iter().map(|file| (file, OnceLock::new())).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((file, result)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            result.get_or_init(|| file.sync_all());
        }
    };
    thread::scope(|scope| {
        for _ in 1..places.len().div_ceil(SYNCS_EACH).min(MOST_THREADS) {
            let helper = thread::Builder::new().name("linklock-sync".into());
            let _ = helper.spawn_scoped(scope, work); // without it the others do its share
        }
        work();
    });
    let done = "a thread has left no file behind, and has not panicked";
    places.into_iter().map(|(_, result)| result.into_inner().expect(done)).collect()
}

/// Requests that wait for a round of syncs which serves them.
#[derive(Debug)]
pub(super) struct Rounds<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    is_syncing: bool,
    /// The round that has not begun, and the requests that wait for it.
    next: Arc<Round>,
    requests: Vec<T>,
}

#[derive(Debug, Default)]
struct Round {
    results: OnceLock<Vec<io::Result<()>>>,
    /// It has ended, or it is time to begin it.
    moved: Condvar,
}

impl<T> Default for Rounds<T> {
    fn default() -> Rounds<T> {
        Rounds(Mutex::new(State { is_syncing: false, next: Arc::default(), requests: Vec::new() }))
    }
}

impl<T> Rounds<T> {
    /// Returns once a round has ended that was begun after this call, with the request's result in it.
    /// `sync` is called by one of those whom the round serves, and must do for each of them.
    pub(super) fn join(
        &self,
        request: T,
        sync: impl FnOnce(&[T]) -> Vec<io::Result<()>>,
    ) -> io::Result<()> {
        let mut state = self.state();
        let (round, place) = (state.next.clone(), state.requests.len());
        state.requests.push(request);
        loop {
            if let Some(results) = round.results.get() {
                return copy_result(&results[place]);
            }
            if !state.is_syncing {
                break;
            }
            state = round.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (state.is_syncing, state.next) = (true, Arc::default());
        let requests = mem::take(&mut state.requests);
        drop(state);
        let results = round.results.get_or_init(|| sync(&requests));
        let mut state = self.state();
        state.is_syncing = false;
        round.moved.notify_all();
        state.next.moved.notify_one();
        copy_result(&results[place])
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy_result(result: &io::Result<()>) -> io::Result<()> {
    result.as_ref().copied().map_err(copy)
}

/// `io::Error` is not `Clone`.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Has this many requests come while a round is under way, and returns their results.
    fn during_a_round(
        rounds: &Rounds<usize>,
        requests: usize,
        sync: impl Fn(&[usize]) -> Vec<io::Result<()>> + Sync,
    ) -> Vec<io::Result<()>> {
        let (begun, begins) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let first_sync = move |served: &[usize]| {
            assert_eq!(served, [0]);
            begun.send(()).unwrap();
            goes_on.recv().unwrap();
            vec![Ok(())]
        };
        thread::scope(|scope| {
            let first = scope.spawn(|| rounds.join(0, first_sync));
            begins.recv().unwrap();
            let sync = &sync;
            let join = |number| scope.spawn(move || rounds.join(number, sync));
            let others: Vec<_> = (0..requests).map(join).collect();
            while rounds.state().requests.len() < requests {
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
    fn requests_that_come_during_a_round_share_the_next_one() {
        let served = Mutex::new(Vec::new());
        let results = during_a_round(&Rounds::default(), 16, |requests| {
            served.lock().unwrap().extend_from_slice(requests);
            requests.iter().map(|_| Ok(())).collect()
        });
        assert!(results.iter().all(Result::is_ok));
        let mut served = served.into_inner().unwrap();
        served.sort_unstable();
        assert!(served.into_iter().eq(0..16));
    }

    #[test]
    fn an_error_reaches_the_request_whose_it_is() {
        const NO_SPACE: i32 = 28;
        let rounds = Rounds::default();
        let results = during_a_round(&rounds, 4, |requests| {
            let fails = |number: &usize| match number {
                2 => Err(io::Error::from_raw_os_error(NO_SPACE)),
                _ => Ok(()),
            };
            requests.iter().map(fails).collect()
        });
        for (number, result) in results.into_iter().enumerate() {
            let error = result.err().and_then(|error| error.raw_os_error());
            assert_eq!(error, (number == 2).then_some(NO_SPACE), "{number}");
        }
        assert!(rounds.join(0, |_| vec![Ok(())]).is_ok());
    }

    /// A device like this cannot be synced: EINVAL.
    #[test]
    fn what_cannot_be_synced_fails_its_own_request_only_and_a_directory_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: String| File::create(dir.path().join(name)).unwrap();
        let mut requests: Vec<Files> =
            (0..40).map(|number| ["l", "r"].map(|kind| file(format!("{kind}{number}")))).collect();
        let here = [dir.path(); 2];
        assert!(sync_all(&requests, here).iter().all(Result::is_ok));
        requests[7][1] = File::open("/dev/null").unwrap();
        let results = sync_all(&requests, here);
        let failed: Vec<_> = (0..40).filter(|number| results[*number].is_err()).collect();
        assert_eq!(failed, [7]);
        let gone = dir.path().join("none");
        let results = sync_all(&requests, [dir.path(), &gone]);
        let kinds: Vec<_> = results.into_iter().map(|it| it.unwrap_err().kind()).collect();
        assert_eq!(kinds, vec![io::ErrorKind::NotFound; 40]);
    }

    /// Each request writes a number; a sync makes durable what was written when it began.
    #[test]
    fn no_request_ends_before_a_round_that_began_after_its_writes() {
        const REQUESTS: usize = 8;
        let (rounds, start) = (Rounds::default(), Barrier::new(REQUESTS));
        let (written, durable) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..REQUESTS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..500 {
                        let own = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let sync = |requests: &[()]| {
                            let seen = written.load(Ordering::SeqCst);
                            thread::yield_now();
                            durable.fetch_max(seen, Ordering::SeqCst);
                            requests.iter().map(|()| Ok(())).collect()
                        };
                        rounds.join((), sync).unwrap();
                        assert!(durable.load(Ordering::SeqCst) >= own);
                    }
                });
            }
        });
    }
}
