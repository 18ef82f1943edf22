//! Readers and writers: who is in with whom, who waits for whom, and what errors say.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use linklock::{Error, Holder, Lock, RwLock, StalePolicy};
use tempfile::tempdir;

use crate::kit::worker::{Job, Worker, command};
use crate::kit::{far_off, lock_like_flufl, long_ago, names, set_lease_end, wait, wait_until};

const SHORT: Duration = Duration::from_millis(20);

fn readers_in(dir: &Path) -> usize {
    let names = names(dir).into_iter().map(|name| name.into_string().unwrap());
    names.filter(|name| name.starts_with("cache.read.") && !name.contains('|')).count()
}

#[test]
fn readers_are_in_together_and_a_writer_alone() {
    let dir = tempdir().unwrap();
    let cache = RwLock::new(dir.path().join("cache")).unwrap();
    let readers: Vec<_> = (0..3).map(|_| cache.clone().try_read().unwrap()).collect();
    assert_eq!(cache.readers().unwrap().len(), 3);
    assert_eq!(cache.writer().unwrap(), None);
    let error = cache.clone().try_write().unwrap_err();
    assert!(matches!(&error, Error::Held { path, .. } if path == cache.path()), "{error:?}");
    assert_eq!(error.holder().unwrap().pid(), std::process::id());
    let error = cache.clone().try_write_for(SHORT).unwrap_err();
    assert!(matches!(&error, Error::TimedOut { path, .. } if path == cache.path()), "{error:?}");
    // The writer that gave up is in nobody's way.
    drop(cache.clone().try_read().unwrap());
    drop(readers);

    let writer = cache.clone().write().unwrap();
    assert_eq!(cache.readers().unwrap(), []);
    assert_eq!(cache.writer().unwrap().unwrap().claim_path(), writer.claim_path());
    for error in [cache.clone().try_read().unwrap_err(), cache.clone().try_write().unwrap_err()] {
        assert!(matches!(&error, Error::Held { path, .. } if path == cache.path()), "{error:?}");
    }
    let error = cache.clone().try_read_for(SHORT).unwrap_err();
    assert!(matches!(&error, Error::TimedOut { path, .. } if path == cache.path()), "{error:?}");
    writer.unlock().unwrap();
    drop(cache);
    assert_eq!(names(dir.path()), [""; 0], "nothing is left");
}

#[test]
fn threads_that_share_a_handle_are_readers_and_writers() {
    const ROUNDS: usize = 20;
    let dir = tempdir().unwrap();
    let cache = RwLock::new(dir.path().join("cache")).unwrap();
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for number in 0..8 {
            let (cache, inside, most) = (&cache, &inside, &most);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    if number < 2 {
                        let guard = cache.write().unwrap();
                        assert_eq!(inside.fetch_add(100, Ordering::SeqCst), 0);
                        thread::yield_now();
                        assert_eq!(inside.fetch_sub(100, Ordering::SeqCst), 100);
                        guard.unlock().unwrap();
                    } else {
                        let guard = cache.read().unwrap();
                        let before = inside.fetch_add(1, Ordering::SeqCst);
                        assert!(before < 100, "a writer is in");
                        most.fetch_max(before + 1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(1));
                        inside.fetch_sub(1, Ordering::SeqCst);
                        guard.unlock().unwrap();
                    }
                }
            });
        }
    });
    assert!(most.into_inner() > 1, "no reader was in with another");
    drop(cache);
    assert_eq!(names(dir.path()), [""; 0]);
}

/// A reader that waited for a writer that waits for it would wait for ever, and so would two readers
/// that both want to write.
#[test]
fn a_thread_does_not_wait_for_itself() {
    let dir = tempdir().unwrap();
    let cache = RwLock::new(dir.path().join("cache")).unwrap();
    let reader = cache.read().unwrap();
    assert!(matches!(cache.read(), Err(Error::AlreadyLocked { .. })));
    assert!(matches!(cache.write(), Err(Error::AlreadyLocked { .. })));
    thread::scope(|scope| scope.spawn(|| drop(cache.read().unwrap())).join().unwrap());
    drop(reader);
    let writer = cache.write().unwrap();
    assert!(matches!(cache.read(), Err(Error::AlreadyLocked { .. })));
    assert!(matches!(cache.write(), Err(Error::AlreadyLocked { .. })));
    drop(writer);
    drop(cache.read().unwrap());
}

/// No stream of readers keeps a writer out: those that come after it wait behind it.
#[test]
fn readers_wait_behind_a_writer_that_waits() {
    let dir = tempdir().unwrap();
    let cache = RwLock::new(dir.path().join("cache")).unwrap();
    let first = cache.clone().read().unwrap();
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let writer = cache.clone();
        scope.spawn(|| {
            let guard = { writer }.write().unwrap();
            order.lock().unwrap().push("writer");
            guard.unlock().unwrap();
        });
        wait_until("the writer waits for the reader", || cache.writer().unwrap().is_some());
        let error = cache.clone().try_read().unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "{error:?}");
        scope.spawn(|| {
            let guard = cache.clone().read().unwrap();
            order.lock().unwrap().push("reader");
            guard.unlock().unwrap();
        });
        assert_eq!(*order.lock().unwrap(), [""; 0]);
        first.unlock().unwrap();
    });
    assert_eq!(order.into_inner().unwrap(), ["writer", "reader"]);
}

#[test]
fn a_writer_becomes_a_reader_without_a_gap() {
    let dir = tempdir().unwrap();
    let cache = RwLock::new(dir.path().join("cache")).unwrap();
    let writer = cache.write().unwrap();
    thread::scope(|scope| {
        let other = cache.clone();
        let waits = scope.spawn(move || other.write().map(drop));
        let reader = writer.downgrade().unwrap();
        assert!(matches!(cache.read(), Err(Error::AlreadyLocked { .. })));
        wait_until("the other has the lock file", || cache.writer().unwrap().is_some());
        assert!(!waits.is_finished());
        reader.verify().unwrap();
        reader.unlock().unwrap();
        waits.join().unwrap().unwrap();
    });
}

#[test]
fn guards_are_those_of_locks() {
    let dir = tempdir().unwrap();
    let options = Lock::options(dir.path().join("cache")).lifetime(Duration::from_secs(30));
    let cache = options.fencing(true).rw_lock().unwrap();
    let reader = cache.read().unwrap();
    assert!(reader.path().to_str().unwrap().contains("cache.read."), "{:?}", reader.path());
    assert!(reader.remaining() > Duration::from_secs(25));
    assert_eq!(reader.token(), None, "readers change nothing");
    reader.refresh_for(Duration::from_secs(60)).unwrap();
    let kept = reader.kept_alive().unwrap();
    assert!(!kept.is_lost());
    reader.into_guard().unlock().unwrap();
    let first = cache.write().unwrap().token();
    let second = cache.write().unwrap().token();
    assert!(first.is_some() && first < second);
}

#[test]
fn a_writer_does_not_wait_for_dead_readers() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = RwLock::new(&path).unwrap();
    let mut worker = Worker::reading(&path);
    assert_eq!(cache.readers().unwrap().len(), 1);
    worker.kill();
    cache.try_write().unwrap().unlock().unwrap();
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_reader_whose_lease_is_over_is_taken_over_and_hears_of_it() {
    let dir = tempdir().unwrap();
    let options = Lock::options(dir.path().join("cache")).clock_slop(Duration::ZERO);
    let cache = options.stale(StalePolicy::Expired).lifetime(SHORT).rw_lock().unwrap();
    let reader = cache.read().unwrap();
    let writer = cache.clone().try_write_for(wait::LIMIT).unwrap();
    assert!(matches!(reader.verify(), Err(Error::Lost { .. })));
    assert!(matches!(reader.unlock(), Err(Error::Lost { .. })));
    writer.unlock().unwrap();
}

#[test]
fn what_dead_readers_have_left_is_swept() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = RwLock::new(&path).unwrap();
    let alive = cache.read().unwrap();
    let mut worker = Worker::reading(&path);
    worker.kill();
    // And a claim that was never linked.
    let claim = dir.path().join("cache.read.0123456789abcdef|host|7|x0123456789abcdef");
    std::fs::write(&claim, "x").unwrap();
    set_lease_end(&claim, long_ago());
    assert_eq!(readers_in(dir.path()), 2);
    assert_eq!(cache.sweep().unwrap(), 1);
    assert_eq!(readers_in(dir.path()), 1);
    assert!(!claim.exists());
    alive.unlock().unwrap();
    drop(cache);
    assert_eq!(names(dir.path()), [""; 0]);
}

/// Its claim stays for its next reading, which makes it no waiter.
#[test]
fn a_reader_that_is_in_does_not_wait() {
    let dir = tempdir().unwrap();
    let cache = RwLock::new(dir.path().join("cache")).unwrap();
    let reader = cache.read().unwrap();
    let other = cache.clone();
    thread::scope(|scope| {
        let writer = cache.clone();
        scope.spawn(move || writer.write().map(drop).unwrap());
        wait_until("the writer waits for the reader", || other.writer().unwrap().is_some());
        assert_eq!(other.as_lock().waiters().unwrap(), []);
        // Another process waits.
        let mut command = command(Job::Read, other.path());
        let _waiter = Worker::start(&mut command);
        wait_until("it waits", || other.as_lock().waiters().unwrap().len() == 1);
        reader.unlock().unwrap();
    });
}

/// flufl.lock and older versions see only the lock file.
#[test]
fn a_lock_by_itself_keeps_out_those_that_come_and_not_those_that_are_in() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = RwLock::new(&path).unwrap();
    let reader = cache.clone().read().unwrap();
    let plain = Lock::new(&path).unwrap().try_lock().unwrap();
    reader.verify().unwrap();
    assert!(cache.clone().try_read().is_err());
    assert!(cache.clone().try_write().is_err());
    assert_eq!(cache.writer().unwrap().unwrap().claim_path(), plain.claim_path());
    plain.unlock().unwrap();
    reader.unlock().unwrap();
    let claim = lock_like_flufl(&path, far_off());
    assert!(cache.try_read().is_err());
    assert!(claim.exists());
}

#[test]
fn other_names_are_no_readers() {
    let dir = tempdir().unwrap();
    let others = ["cache.read.", "cache.read.0123", "cache.read.0123456789ABCDEF", "cache.reader"];
    for name in others {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    let cache = RwLock::new(dir.path().join("cache")).unwrap();
    assert_eq!(cache.readers().unwrap(), []);
    cache.try_write().unwrap().unlock().unwrap();
    assert_eq!(cache.sweep().unwrap(), 0);
    assert_eq!(names(dir.path()).len(), others.len());
}

#[test]
fn a_name_that_is_too_long_for_readers_is_an_error() {
    let dir = tempdir().unwrap();
    let longest = |make: &dyn Fn(&Path) -> bool| {
        (1..255).rev().find(|length| make(&dir.path().join("x".repeat(*length)))).unwrap()
    };
    let locks = longest(&|path| Lock::new(path).is_ok());
    assert_eq!(longest(&|path| RwLock::new(path).is_ok()), locks - 22);
}

/// As a lock server does for its clients.
#[test]
fn a_lock_that_is_acquired_at_the_entrance_is_a_readers() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = RwLock::new(&path).unwrap();
    let entrance = cache.try_enter().unwrap();
    assert!(Lock::new(&path).unwrap().holder().unwrap().unwrap().is_entering());
    assert_eq!(cache.writer().unwrap(), None);
    assert!(cache.clone().try_write().unwrap_err().is_contention());
    let reader = Lock::new(dir.path().join("cache.read.0123456789abcdef")).unwrap();
    let guard = reader.try_lock().unwrap();
    assert!(!reader.holder().unwrap().unwrap().is_entering());
    entrance.unlock().unwrap();
    assert_eq!(cache.readers().unwrap().len(), 1);
    let error = cache.clone().try_write().unwrap_err();
    assert_eq!(error.holder().unwrap().claim_path(), guard.claim_path());
    guard.unlock().unwrap();

    let writer = cache.clone().try_write().unwrap();
    let error = cache.try_enter().unwrap_err();
    assert!(matches!(&error, Error::Held { path, .. } if path == cache.path()), "{error:?}");
    writer.unlock().unwrap();
}

#[test]
fn one_that_was_too_slow_at_the_entrance_learns_of_it() {
    let dir = tempdir().unwrap();
    let cache = RwLock::new(dir.path().join("cache")).unwrap();
    let entrance = cache.try_enter().unwrap();
    cache.as_lock().break_if(Holder::is_entering).unwrap();
    let writer = cache.clone().try_write().unwrap();
    let error = entrance.unlock().unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    writer.unlock().unwrap();
}
