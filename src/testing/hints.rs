//! Wake-up hints between handles that are as far apart as machines: neither the host's queue nor
//! inotify connects them, only the loopback interface does. They poll once an hour, so that only a
//! hint can wake them in time.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

use crate::clock::system_clock;
use crate::error::Error;
use crate::guard::LockGuard;
use crate::lock::Lock;
use crate::model::machine::Machine;
use crate::options::LockOptions;
use crate::protocol::tenure::Tenure;
use crate::rw_lock::ReadGuard;
use crate::slots::SlotGuard;
use crate::sys::posix::PosixFs;
use crate::sys::process::PosixProcesses;
use crate::sys::udp::UdpNetwork;

const HOUR: Duration = Duration::from_secs(3600);
/// For a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < until, "{what}: not in {LIMIT:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The lock of a directory, as a machine of its own has it.
fn on_machine(number: usize, dir: &Path, options: fn(LockOptions) -> LockOptions) -> Lock {
    options(lock_of(number, dir)).build_on(machine()).unwrap()
}

fn lock_of(number: usize, dir: &Path) -> LockOptions {
    Lock::options(dir.join("lock"))
        .host_name(format!("host{number}"))
        .lifetime(HOUR)
        .polling(HOUR, HOUR)
        .wake_hints(true)
        .wake_address(Ipv4Addr::LOCALHOST)
}

fn machine() -> Machine {
    Machine {
        fs: Arc::new(PosixFs::linking_by(None)),
        clock: system_clock(),
        processes: Arc::new(PosixProcesses::default()),
        random: rand::random,
        network: Arc::new(UdpNetwork),
        can_wake: false,
    }
}

/// A lock that a machine holds, and what the waiters report: their numbers, in the order in which
/// they get it.
struct Scene {
    dir: TempDir,
    held: LockGuard,
    says: mpsc::Sender<usize>,
    served: Receiver<usize>,
}

fn scene(options: fn(LockOptions) -> LockOptions) -> Scene {
    let dir = tempdir().unwrap();
    let held = on_machine(0, dir.path(), options).lock().unwrap();
    let (says, served) = mpsc::channel();
    Scene { dir, held, says, served }
}

impl Scene {
    /// A waiter on another machine, once it has asked.
    fn add_waiter(&self, number: usize, options: fn(LockOptions) -> LockOptions) {
        let before = self.held.tenure().waiters_that_asked();
        let (lock, says) = (on_machine(number, self.dir.path(), options), self.says.clone());
        thread::spawn(move || {
            let guard = lock.lock().unwrap();
            says.send(number).unwrap();
            guard.unlock().unwrap();
        });
        wait_until("it asks", || self.held.tenure().waiters_that_asked() > before);
    }

    /// Releases the lock. Returns which of so many waiters were served, in what order.
    fn release(self, waiters: usize) -> Vec<usize> {
        self.held.unlock().unwrap();
        (0..waiters).map(|_| self.served.recv_timeout(LIMIT).expect("nothing wakes it")).collect()
    }
}

#[test]
fn a_release_wakes_the_waiter_on_another_machine() {
    for _ in 0..10 {
        let scene = scene(|lock| lock);
        scene.add_waiter(1, |lock| lock);
        assert_eq!(scene.release(1), [1]);
    }
}

#[test]
fn a_holder_that_keeps_its_claim_wakes_waiters_in_each_tenure() {
    let dir = tempdir().unwrap();
    let lock = on_machine(0, dir.path(), |lock| lock.keep_claim(true));
    for round in 1..5 {
        let (says, served) = mpsc::channel();
        let scene = Scene { dir: tempdir().unwrap(), held: lock.lock().unwrap(), says, served };
        let waiter = on_machine(1, dir.path(), |lock| lock.keep_claim(true));
        let says = scene.says.clone();
        thread::spawn(move || {
            let guard = waiter.lock().unwrap();
            guard.unlock().unwrap();
            says.send(round).unwrap();
        });
        wait_until("it asks", || scene.held.tenure().waiters_that_asked() > 0);
        assert_eq!(scene.release(1), [round]);
    }
}

#[test]
fn machines_are_served_in_the_order_in_which_they_asked() {
    let scene = scene(|lock| lock);
    for number in 1..=8 {
        scene.add_waiter(number, |lock| lock);
    }
    assert_eq!(scene.release(8), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_waiter_that_has_given_up_does_not_keep_the_others_asleep() {
    let scene = scene(|lock| lock);
    let first = on_machine(1, scene.dir.path(), |lock| lock);
    thread::scope(|scope| {
        let gives_up = scope.spawn(move || first.try_lock_for(Duration::from_millis(100)));
        wait_until("it asks", || scene.held.tenure().waiters_that_asked() > 0);
        let error = gives_up.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    });
    scene.add_waiter(2, |lock| lock);
    assert_eq!(scene.release(1), [2]);
}

#[test]
fn waiters_poll_where_the_holder_does_not_answer() {
    let often =
        |lock: LockOptions| lock.polling(Duration::from_millis(1), Duration::from_millis(9));
    let dir = tempdir().unwrap();
    let silent = on_machine(0, dir.path(), |lock| lock.wake_hints(false));
    for _ in 0..3 {
        let held = silent.lock().unwrap();
        assert_eq!(held.tenure().claim().nonce.address(), None);
        let waiter = on_machine(1, dir.path(), often);
        let waits = thread::spawn(move || waiter.lock().unwrap().unlock());
        wait_until("it waits", || std::fs::read_dir(dir.path()).unwrap().count() == 3);
        held.unlock().unwrap();
        waits.join().unwrap().unwrap();
    }
}

#[test]
fn a_machine_without_the_address_polls() {
    // An address of RFC 5737, which no machine has.
    let elsewhere = |lock: LockOptions| lock.wake_address(Ipv4Addr::new(192, 0, 2, 1));
    let dir = tempdir().unwrap();
    let held = on_machine(0, dir.path(), elsewhere).lock().unwrap();
    assert_eq!(held.tenure().claim().nonce.address(), None);
    held.unlock().unwrap();
}

/// The holder's word that it renews its lease arrives while the waiter waits.
#[test]
fn a_kept_lease_is_acknowledged() {
    let scene = scene(|lock| lock.lifetime(Duration::from_secs(1)));
    scene.held.keep_alive(|why| panic!("{why}")).unwrap();
    scene.add_waiter(1, |lock| lock);
    assert_eq!(scene.release(1), [1]);
}

/// Waits until a waiter on another machine has asked the holder of this tenure.
fn await_question(tenure: &Tenure) {
    wait_until("it asks", || tenure.waiters_that_asked() > 0);
}

#[test]
fn whichever_slot_is_released_wakes_the_waiter() {
    for released in 0..3 {
        let dir = tempdir().unwrap();
        let slots = |number| lock_of(number, dir.path()).slots_on(3, &machine()).unwrap();
        let holders = slots(0);
        let mut held: Vec<_> = (0..3).map(|_| holders.lock().unwrap()).collect();
        held.sort_by_key(SlotGuard::slot);
        thread::scope(|scope| {
            let waits = scope.spawn(|| slots(1).lock().unwrap().slot());
            for guard in &held {
                await_question(guard.tenure());
            }
            held.remove(released).into_guard().unlock().unwrap();
            assert_eq!(waits.join().unwrap(), released);
        });
    }
}

#[test]
fn a_waiter_that_has_got_another_slot_does_not_keep_the_others_asleep() {
    let dir = tempdir().unwrap();
    let slots = |number| lock_of(number, dir.path()).slots_on(2, &machine()).unwrap();
    let holders = slots(0);
    let (one, other) = (holders.lock().unwrap(), holders.lock().unwrap());
    thread::scope(|scope| {
        let first = scope.spawn(|| slots(1).lock().unwrap());
        for guard in [&one, &other] {
            await_question(guard.tenure());
        }
        one.into_guard().unlock().unwrap();
        let first = first.join().unwrap(); // and it is still in the list of the other holder
        let second = scope.spawn(|| slots(2).lock().unwrap().slot());
        wait_until("it asks", || other.tenure().waiters_that_asked() > 1);
        let (number, _first) = (other.slot(), first);
        other.into_guard().unlock().unwrap();
        assert_eq!(second.join().unwrap(), number);
    });
}

#[test]
fn the_last_reader_wakes_the_writer_and_the_writer_wakes_a_reader() {
    let dir = tempdir().unwrap();
    let lock = |number| lock_of(number, dir.path()).rw_lock_on(&machine()).unwrap();
    let (readers, writers) = (lock(0), lock(1));
    thread::scope(|scope| {
        let mut reading = vec![readers.read().unwrap(), readers.clone().read().unwrap()];
        let writes = scope.spawn(|| writers.write().unwrap());
        while !reading.is_empty() {
            let is_asked = |guard: &ReadGuard| guard.tenure().waiters_that_asked() > 0;
            wait_until("it asks", || reading.iter().any(is_asked));
            let asked = reading.iter().position(is_asked).expect("one is asked");
            reading.remove(asked).unlock().unwrap();
        }
        let writing = writes.join().unwrap();
        let reads = scope.spawn(|| readers.read().unwrap().unlock());
        await_question(writing.tenure());
        writing.unlock().unwrap();
        reads.join().unwrap().unwrap();
    });
}

#[cfg(feature = "tokio")]
#[test]
fn a_release_wakes_a_task_on_another_machine() {
    let scene = scene(|lock| lock);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let lock = crate::tokio::Lock::from(on_machine(1, scene.dir.path(), |lock| lock));
    let says = scene.says.clone();
    runtime.spawn(async move {
        let guard = lock.lock().await.unwrap();
        guard.unlock().await.unwrap();
        says.send(1).unwrap();
    });
    wait_until("it asks", || scene.held.tenure().waiters_that_asked() > 0);
    assert_eq!(scene.release(1), [1]);
}
