//! Tests of keep-alive: refreshes that hang, fail and panic, and the callback for a lost lock.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use super::*;
use crate::clock::SystemClock;
use crate::error::Operation;
use crate::sys::errno;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);
/// A lifetime in which a lock is refreshed three times.
const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(36_000);

type Outcome = fn(&Fake) -> Result<(), Error>;

/// A lock without any file.
struct Fake {
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    /// The outcome of its refreshes.
    outcome: Outcome,
    /// A refresh hangs for as long as the sender exists.
    gate: Mutex<Option<Receiver<()>>>,
    begun: AtomicUsize,
    done: AtomicUsize,
    held: AtomicBool,
}

impl Fake {
    fn new(clock: &Arc<dyn Clock>, lifetime: Duration, outcome: Outcome) -> Fake {
        Fake {
            clock: clock.clone(),
            lifetime,
            outcome,
            gate: Mutex::default(),
            begun: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            held: AtomicBool::new(true),
        }
    }

    /// A lock whose next refresh hangs until the sender is dropped.
    fn hanging(clock: &Arc<dyn Clock>) -> (Fake, Sender<()>) {
        let (opens, gate) = mpsc::channel();
        let fake = Fake::new(clock, SHORT, |_| Ok(()));
        *lock(&fake.gate) = Some(gate);
        (fake, opens)
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }
}

impl Renewable for Fake {
    fn refresh(&self) -> Result<(), Error> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let gate = lock(&self.gate).take();
        if let Some(gate) = gate {
            let _ = gate.recv(); // the sender never sends
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        (self.outcome)(self)
    }

    fn remaining(&self) -> Duration {
        self.lifetime
    }

    fn overdue(&self) -> Duration {
        Duration::ZERO
    }

    fn lifetime(&self) -> Duration {
        self.lifetime
    }

    fn path(&self) -> &Path {
        Path::new("/shared/lock")
    }

    fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

fn libc_error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

fn trouble(fake: &Fake) -> Result<(), Error> {
    Err(Error::io(Operation::Touch, fake.path())(libc_error(errno::EIO)))
}

fn lost(fake: &Fake) -> Result<(), Error> {
    Err(Error::Expired { path: fake.path().into(), ago: Duration::ZERO, error: None })
}

/// A clock of the test's own, so that its renewer is not shared either.
fn clock() -> Arc<dyn Clock> {
    #[derive(Debug)]
    struct Own(#[allow(dead_code)] u8); // not zero-sized, so that no two share an address
    impl Clock for Own {
        fn now(&self) -> Duration {
            SystemClock.now()
        }
        fn wall(&self) -> std::time::SystemTime {
            SystemClock.wall()
        }
        fn sleep(&self, time: Duration) {
            SystemClock.sleep(time);
        }
    }
    Arc::new(Own(0))
}

fn keep(fake: Fake, on_lost: impl FnOnce(Error) + Send + 'static) -> (Arc<Fake>, Renewing) {
    let fake = Arc::new(fake);
    let kept = Renewing::start(&fake, Box::new(on_lost)).unwrap();
    (fake, kept)
}

/// Locks whose refreshes succeed.
fn sound(clock: &Arc<dyn Clock>, count: usize) -> Vec<(Arc<Fake>, Renewing)> {
    let fakes = (0..count).map(|_| Fake::new(clock, SHORT, |_| Ok(())));
    fakes.map(|fake| keep(fake, |why| panic!("{why}"))).collect()
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "not in {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until each of them has been refreshed several times from now on.
#[track_caller]
fn go_on(others: &[(Arc<Fake>, Renewing)]) {
    let before: Vec<_> = others.iter().map(|(fake, _)| fake.done()).collect();
    wait_until("all other locks are refreshed again and again", || {
        others.iter().zip(&before).all(|((fake, _), before)| fake.done() >= before + 4)
    });
}

#[test]
fn a_refresh_that_hangs_delays_no_other_lock() {
    let clock = clock();
    let others = sound(&clock, 9);
    let (hanging, opens): (Vec<_>, Vec<_>) = (0..3)
        .map(|_| {
            let (fake, opens) = Fake::hanging(&clock);
            (keep(fake, |why| panic!("{why}")), opens)
        })
        .unzip();
    wait_until("all refreshes hang", || hanging.iter().all(|(fake, _)| fake.begun() == 1));
    go_on(&others);
    assert!(hanging.iter().all(|(fake, _)| fake.done() == 0));
    drop(opens);
    go_on(&hanging);
}

#[test]
fn a_slow_callback_delays_no_other_lock() {
    let clock = clock();
    let others = sound(&clock, 9);
    let (opens, gate) = mpsc::channel::<()>();
    let (called, is_called) = mpsc::channel();
    let (_lost, _kept) = keep(Fake::new(&clock, SHORT, lost), move |_| {
        called.send(()).unwrap();
        let _ = gate.recv();
    });
    is_called.recv_timeout(LIMIT).unwrap();
    go_on(&others);
    drop(opens);
}

/// A keep-alive ends at once, even while a refresh of its lock hangs, and its callback is not
/// called.
#[test]
fn a_keep_alive_is_dropped_while_a_refresh_hangs() {
    let clock = clock();
    let (fake, opens) = Fake::hanging(&clock);
    let (hanging, kept) = keep(Fake { outcome: lost, ..fake }, |why| panic!("{why}"));
    wait_until("the refresh hangs", || hanging.begun() == 1);
    drop(kept);
    go_on(&sound(&clock, 2));
    assert_eq!((hanging.begun(), hanging.done()), (1, 0));
    drop(opens);
    wait_until("the thread has dropped the lock", || Arc::strong_count(&hanging) == 1);
}

#[test]
fn a_lock_whose_refresh_hangs_is_not_taken_by_a_second_thread() {
    let clock = clock();
    let (fake, opens) = Fake::hanging(&clock);
    let hanging = keep(fake, |why| panic!("{why}"));
    wait_until("the refresh hangs", || hanging.0.begun() == 1);
    hanging.1.reschedule(&*hanging.0);
    go_on(&sound(&clock, 2)); // until after the lock would have been due again
    assert_eq!(hanging.0.begun(), 1);
    drop(opens);
    go_on(&[hanging]);
}

/// Locks that are due together are taken one after the other, unless a refresh takes long.
#[test]
fn many_locks_have_few_threads() {
    let fake: Arc<dyn Renewable> = Arc::new(Fake::new(&clock(), LONG, |_| Ok(())));
    let paced = || {
        let mut renewals = Renewals::default();
        for _ in 0..2 {
            let schedule = Schedule::begin(&*fake);
            renewals.add(Renewal {
                renewable: Arc::downgrade(&fake),
                schedule,
                on_lost: Box::new(drop),
            });
        }
        assert_eq!(renewals.pause(2 * LONG + SystemClock.now()), Some(Duration::ZERO));
        assert!(renewals.take().is_some());
        let pause = renewals.pause(2 * LONG + SystemClock.now());
        let (_, begun) = renewals.latest.take().unwrap();
        let is_quick = begun.elapsed() < HEAD_START; // otherwise this thread had to wait for a processor
        assert_eq!(renewals.pause(2 * LONG + SystemClock.now()), Some(Duration::ZERO));
        is_quick.then_some(pause)
    };
    let pause = std::iter::repeat_with(paced).take(10_000).flatten().next();
    assert!(pause.flatten().is_some_and(|pause| !pause.is_zero()), "{pause:?}");
}

#[test]
fn the_number_of_ready_threads_is_limited() {
    let clock = clock();
    let many = sound(&clock, 100);
    go_on(&many);
    let renewer = &many[0].1.renewer;
    wait_until("a thread is ready", || (1..=READY).contains(&lock(&renewer.renewals).ready));
    go_on(&many);
    assert!(lock(&renewer.renewals).ready <= READY);
}

/// All threads of a renewer own it, and nothing else does once no lock is kept alive.
#[test]
fn threads_end_when_no_lock_is_kept_alive() {
    let clock = clock();
    let others = sound(&clock, 3);
    go_on(&others);
    let renewer = Arc::downgrade(&others[0].1.renewer);
    drop(others);
    wait_until("the threads end", || renewer.strong_count() == 0);
    go_on(&sound(&clock, 1));
}

#[test]
fn a_single_thread_keeps_all_locks_alive_if_no_other_can_start() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let clock = clock();
    let only_one = |renewer| match STARTED.fetch_add(1, Ordering::SeqCst) {
        0 => start_thread(renewer),
        _ => Err(libc_error(errno::EAGAIN)),
    };
    let renewer = Arc::new(Renewer::new(&clock, only_one));
    lock(&RENEWERS).push(Arc::downgrade(&renewer));
    let all: Vec<_> = (0..5)
        .map(|_| keep(Fake::new(&clock, Duration::from_secs(1), |_| Ok(())), |why| panic!("{why}")))
        .collect();
    go_on(&all);
    assert!(STARTED.load(Ordering::SeqCst) > 1, "it has not tried to start another");
    drop(all);
    // If the system cannot start even one thread, that is an error.
    let none = Arc::new(Renewer::new(&self::clock(), |_| Err(libc_error(errno::EAGAIN))));
    lock(&RENEWERS).push(Arc::downgrade(&none));
    let fake = Arc::new(Fake::new(&none.clock, SHORT, |_| Ok(())));
    let refused = Renewing::start(&fake, Box::new(|why| panic!("{why}"))).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(errno::EAGAIN));
}

#[test]
fn locks_of_one_clock_share_their_threads() {
    let (clock, another) = (clock(), clock());
    let kept = |clock| keep(Fake::new(clock, LONG, |_| Ok(())), |why| panic!("{why}")).1;
    let (one, other, elsewhere) = (kept(&clock), kept(&clock), kept(&another));
    assert!(Arc::ptr_eq(&one.renewer, &other.renewer));
    assert!(!Arc::ptr_eq(&one.renewer, &elsewhere.renewer));
}

/// The retry is due after a second, or sooner if the lease is short.
#[test]
fn a_failed_refresh_is_retried_soon() {
    let clock = clock();
    for (lifetime, pause) in [(LONG, 1000), (Duration::from_secs(2), 200)] {
        let pause = Duration::from_millis(pause);
        let (fake, kept) = keep(Fake::new(&clock, lifetime, trouble), |why| panic!("{why}"));
        let before = clock.now();
        lock(&kept.renewer.renewals).due.clear(); // as if the lock were taken
        kept.renewer.refresh(kept.number, &*fake);
        let due = lock(&kept.renewer.renewals).all[&kept.number].schedule.due;
        assert!(due >= before + pause && due <= clock.now() + pause, "{lifetime:?}: {due:?}");
    }
}

/// A callback may own anything, such as another lock's guard.
#[test]
fn a_keep_alive_that_is_dropped_may_end_another() {
    let clock = clock();
    let (_other, inner) = keep(Fake::new(&clock, LONG, |_| Ok(())), |why| panic!("{why}"));
    let (_fake, outer) = keep(Fake::new(&clock, LONG, |_| Ok(())), move |_| drop(inner));
    let (says, can_wake) = mpsc::channel();
    thread::spawn(move || {
        drop(outer);
        says.send(()).unwrap();
    });
    can_wake.recv_timeout(LIMIT).expect("the thread waits for itself");
}

#[test]
fn a_refresh_that_panics_is_retried() {
    let clock = clock();
    let others = sound(&clock, 2);
    let panics =
        keep(Fake::new(&clock, SHORT, |_| panic!("as a clock may")), |why| panic!("{why}"));
    go_on(&[panics]);
    go_on(&others);
}

#[test]
fn a_released_lock_is_not_reported_as_lost() {
    let clock = clock();
    let (fake, opens) = Fake::hanging(&clock);
    let (called, is_called) = mpsc::channel();
    let (hanging, _kept) = keep(Fake { outcome: lost, ..fake }, move |why| {
        called.send(why).unwrap();
    });
    wait_until("a refresh is under way", || hanging.begun() == 1);
    hanging.held.store(false, Ordering::SeqCst);
    drop(opens);
    let called = is_called.recv_timeout(LIMIT);
    assert_eq!(called.unwrap_err(), mpsc::RecvTimeoutError::Disconnected, "dropped, not called");
}
