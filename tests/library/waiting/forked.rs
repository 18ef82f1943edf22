//! A forked child that does not exec has a copy of each of its parent's descriptors, as long as it
//! lives. That does not put it in a queue, and no process waits for it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use linklock::{Error, Lock, LockGuard};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork};

use super::trouble::{LIMIT, scene};
use super::{by_ear, claims};
use crate::kit::again::alone;
use crate::kit::child::Child;
use crate::kit::line::in_line;
use crate::kit::{HOUR, wait_until};

/// A child that does nothing, and is killed at the end.
struct Idle(Pid);

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

/// Makes a child that does nothing, by fork(2) or another call.
fn idle(fork: impl FnOnce() -> Pid) -> Idle {
    match fork() {
        child if child.as_raw() == 0 => loop {
            thread::sleep(Duration::from_secs(3600)); // until it is killed
        },
        child => Idle(child),
    }
}

fn by_fork() -> Pid {
    // SAFETY: the child does nothing but sleep.
    #[allow(unsafe_code)]
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => Pid::from_raw(0),
        ForkResult::Parent { child } => child,
    }
}

/// The C library does not know of this child, so no handler of pthread_atfork(3) is called.
fn by_clone() -> Pid {
    // SAFETY: as with fork(2). The other arguments stand for nothing.
    #[allow(unsafe_code)]
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    assert!(child >= 0, "{}", std::io::Error::last_os_error());
    Pid::from_raw(child.try_into().unwrap())
}

/// The child outlives the queue. Later waiters are woken nevertheless.
fn does_not_keep_the_queue(fork: impl FnOnce() -> Pid) {
    let mut scene = scene();
    let waits = scene.behind(by_ear(&scene.path));
    scene.held.unlock().unwrap();
    let at_the_head = waits.recv_timeout(LIMIT).unwrap().unwrap();
    let child = idle(fork);
    at_the_head.unlock().unwrap(); // nobody is in line
    for _ in 0..2 {
        scene.held = Lock::new(&scene.path).unwrap().lock().unwrap();
        let mut waits = scene.head();
        scene.held.unlock().unwrap();
        assert_eq!(waits.report().as_deref(), Some("held"));
        waits.finish();
    }
    drop(child);
}

#[test]
fn a_forked_child_does_not_keep_the_queue() {
    alone!();
    does_not_keep_the_queue(by_fork);
}

#[test]
fn a_child_that_was_cloned_does_not_keep_the_queue() {
    alone!();
    does_not_keep_the_queue(by_clone);
}

/// A process with a place in the queue that has forked a child since.
struct Parent {
    process: Option<Child>,
    _child: Idle,
}

impl Parent {
    /// It is in line, waiting for the lock.
    fn waiting(path: &Path) -> Parent {
        let pause = Duration::from_millis(1);
        Parent::start(|forks| {
            let lock = Lock::options(path).lifetime(HOUR).polling(pause, pause).build().unwrap();
            let mut asked = 0;
            let _guard = lock.lock_while(|_| {
                asked += 1; // the first time before it is in line
                if asked == 2 {
                    forks();
                }
                true
            });
            thread::sleep(HOUR);
        })
    }

    /// It has waited for the lock, and holds it.
    fn holding(path: &Path) -> Parent {
        Parent::start(|forks| {
            let _guard = by_ear(path).build().unwrap().lock().unwrap();
            forks();
            thread::sleep(HOUR);
        })
    }

    fn start(work: impl FnOnce(&mut dyn FnMut())) -> Parent {
        let (mut says, mut hears) = UnixStream::pair().unwrap();
        let process = Child::fork(|| {
            work(&mut || {
                let child = std::mem::ManuallyDrop::new(idle(by_fork)); // it has to outlive us
                says.write_all(&child.0.as_raw().to_ne_bytes()).unwrap();
            });
        });
        hears.set_read_timeout(Some(LIMIT)).unwrap();
        let mut child = [0; 4];
        hears.read_exact(&mut child).unwrap();
        let child = Idle(Pid::from_raw(i32::from_ne_bytes(child)));
        Parent { process: Some(process), _child: child }
    }

    fn die(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        self.die();
    }
}

/// In whatever order.
fn all_are_served<const N: usize>(waiters: [Receiver<Result<LockGuard, Error>>; N]) {
    let releases = |waits: Receiver<Result<LockGuard, Error>>| {
        thread::spawn(move || waits.recv_timeout(LIMIT).map(|held| held.unwrap().unlock().unwrap()))
    };
    for served in waiters.map(releases) {
        served.join().unwrap().expect("nobody has woken it");
    }
}

#[test]
fn a_child_of_a_head_that_dies_delays_no_waiter() {
    alone!();
    let scene = scene();
    let mut head = Parent::waiting(&scene.path);
    let behind = scene.behind(by_ear(&scene.path));
    wait_until("it stands in line", || in_line(&scene.path) == 2);
    head.die();
    let later = scene.behind(by_ear(&scene.path));
    scene.held.unlock().unwrap();
    all_are_served([behind, later]);
}

#[test]
fn a_child_of_a_waiter_that_dies_delays_no_other() {
    alone!();
    let scene = scene();
    let head = scene.behind(by_ear(&scene.path));
    wait_until("it is at the head", || in_line(&scene.path) == 1);
    let mut dies = Parent::waiting(&scene.path);
    let last = scene.behind(by_ear(&scene.path));
    wait_until("both stand in line", || in_line(&scene.path) == 3);
    dies.die();
    scene.held.unlock().unwrap();
    all_are_served([head, last]);
}

#[test]
fn a_child_of_a_holder_that_dies_delays_no_waiter() {
    alone!();
    let scene = scene();
    let path = scene.path.clone();
    let mut holder = thread::scope(|scope| {
        let starts = scope.spawn(|| Parent::holding(&path));
        wait_until("it waits", || in_line(&path) == 1 && claims(&path, 2));
        scene.held.unlock().unwrap();
        starts.join().unwrap()
    });
    let held = Lock::new(&path).unwrap().try_lock().map(drop);
    assert!(held.is_err(), "it does not hold the lock");
    // The waiter looks again when it is at the head: a killed process closes its sockets a moment
    // before it counts as dead.
    let options = Lock::options(&path).lifetime(HOUR).polling(Duration::from_millis(1), HOUR);
    let behind = options.build().unwrap();
    let waits = thread::spawn(move || behind.try_lock_for(LIMIT).map(drop));
    wait_until("it stands in line", || in_line(&path) == 2);
    holder.die();
    waits.join().unwrap().expect("nobody has woken it");
}
