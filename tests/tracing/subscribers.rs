//! Nothing that a subscriber does endangers the lock; and without a subscriber nothing is reported.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use linklock::Lock;
use linklock::mailbox::MailboxLock;
use tempfile::tempdir;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::capture::{self, REENTRANT};
use crate::kit::again::this_program;
use crate::kit::child::Child;
use crate::kit::{lock_like_flufl, long_ago, names};
use crate::stage::Stage;

/// Panics at every event.
struct Panics(Arc<AtomicU32>);

impl Panics {
    fn panic(&self) -> ! {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::panic::resume_unwind(Box::new("a subscriber's")) // without a message on stderr
    }
}

impl Subscriber for Panics {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {
        self.panic()
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.panic()
    }

    fn enter(&self, _: &Id) {
        self.panic()
    }

    fn exit(&self, _: &Id) {
        self.panic()
    }

    fn try_close(&self, _: Id) -> bool {
        self.panic()
    }
}

#[test]
fn a_subscriber_that_panics_does_no_harm() {
    let dir = tempdir().unwrap();
    let (path, mbox) = (dir.path().join("lock"), dir.path().join("joe"));
    let panics = Arc::new(AtomicU32::new(0));
    tracing::subscriber::with_default(Panics(panics.clone()), || {
        let lock = Lock::new(&path).unwrap();
        lock_like_flufl(&path, long_ago()); // to be broken
        let guard = lock.lock().unwrap();
        lock.clone().try_lock().unwrap_err();
        guard.refresh().unwrap();
        guard.unlock().unwrap();
        drop(lock.lock().unwrap());
        let guard = MailboxLock::new(&mbox).unwrap().lock().unwrap();
        guard.unlock().unwrap();
        // In a guard's destructor, while its thread panics, another panic would abort the process.
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _guard = lock.lock().unwrap();
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(unwound.is_err());
        lock.lock().unwrap().unlock().unwrap();
    });
    assert!(panics.load(Ordering::Relaxed) > 30, "it was called");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_subscriber_gets_no_events_of_its_own_locks() {
    let stage = Stage::new();
    let guard = Lock::new(stage.dir().join(REENTRANT)).unwrap().lock().unwrap();
    guard.unlock().unwrap();
    stage.assert_told(&["DEBUG acquired", "DEBUG released"]);
    assert!(names(stage.dir()).is_empty(), "and both locks are free");
}

/// In a forked child a subscriber may hang: in the parent, another thread may have been using it.
#[test]
fn in_a_forked_child_there_are_no_events_of_its_parents_locks() {
    let stage = Stage::new();
    let guard = stage.lock().lock().unwrap();
    let mut inherited = Some(stage.lock());
    let calls = capture::calls();
    let mut guard = Some(guard);
    let child = Child::fork(|| {
        let calls = capture::calls(); // events of other tests' threads end here
        let guard = guard.take().unwrap();
        guard.verify().unwrap_err();
        guard.refresh().unwrap_err();
        guard.unlock().unwrap_err();
        drop(inherited.take());
        assert_eq!(capture::calls(), calls);
    });
    assert_eq!(child.status(), Some(0));
    assert!(capture::calls() >= calls);
    guard.unwrap().unlock().unwrap();
    stage.assert_told(&["DEBUG acquired", "DEBUG released"]);
}

/// Not a test: a process without a subscriber.
#[test]
#[ignore = "started by a test as another process"]
fn quiet() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, long_ago());
    let guard = Lock::new(&path).unwrap().lock().unwrap();
    Lock::new(&path).unwrap().try_lock().unwrap_err();
    Lock::new(&path).unwrap().break_if(|_| true).unwrap().unwrap();
    drop(guard); // which was lost
}

#[test]
fn without_a_subscriber_nothing_is_printed() {
    let mut quiet = this_program("subscribers::quiet");
    let output = quiet.env("RUST_LOG", "trace").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let printed = String::from_utf8(output.stdout).unwrap();
    let harness = ["running 1 test", "test subscribers::quiet ... ok", "test result: ok. 1 passed"];
    for line in printed.lines().filter(|line| !line.is_empty()) {
        assert!(harness.iter().any(|begin| line.starts_with(begin)), "{printed}");
    }
}
