//! The queue is a hint: whatever happens to the waiters in it, the others get the lock.

use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use linklock::{Error, Lock, LockGuard};
use nix::sys::socket::{Backlog, listen};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use tempfile::{TempDir, tempdir};

use super::{HOUR, by_ear, claims};
use crate::kit::elsewhere::{ORDINARY, arrived, go_as_ordinary_user, open_to_all};
use crate::kit::line::{in_line, queue, queue_of};
use crate::kit::this_test;
use crate::kit::worker::{Job, Worker, command};
use crate::kit::{beside, names, wait_until};

pub(crate) const LIMIT: Duration = crate::kit::wait::LIMIT;

pub(crate) struct Scene {
    pub(crate) dir: TempDir,
    pub(crate) path: std::path::PathBuf,
    pub(crate) held: LockGuard,
}

/// A lock that is held, so that others wait.
pub(crate) fn scene() -> Scene {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = Lock::options(&path).lifetime(HOUR).build().unwrap().lock().unwrap();
    Scene { dir, path, held }
}

impl Scene {
    /// Another process, at the head of the queue.
    pub(crate) fn head(&self) -> Worker {
        let mut head = Worker::start(&mut command(Job::Listen, &self.path));
        assert_eq!(head.report().as_deref(), Some("waiting"));
        // Setting up the watch is the last thing it does before it sleeps.
        let maps = format!("/proc/{}/fd", head.pid());
        wait_until("it watches the lock file", || {
            let open = std::fs::read_dir(&maps).unwrap().filter_map(Result::ok);
            let mut targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
            targets.any(|target| target.to_string_lossy().contains("inotify"))
        });
        head
    }

    /// Waits in a thread, behind the present waiters, and reports when it has the lock.
    pub(crate) fn behind(
        &self,
        options: linklock::LockOptions,
    ) -> mpsc::Receiver<Result<LockGuard, Error>> {
        let (says, hears) = mpsc::channel();
        let before = beside(&self.path);
        thread::spawn(move || says.send(options.build().and_then(|lock| lock.lock())));
        wait_until("it has come", || {
            beside(&self.path).iter().any(|claim| !before.contains(claim))
        });
        hears
    }
}

#[test]
fn if_the_head_dies_the_next_takes_its_place() {
    let scene = scene();
    let mut head = scene.head();
    let behind = scene.behind(by_ear(&scene.path));
    head.kill_and_reap();
    // By the time of the release the line has formed again; if not, the release is not missed.
    scene.held.unlock().unwrap();
    behind.recv_timeout(LIMIT).expect("nobody has woken it").unwrap().unlock().unwrap();
    Lock::new(&scene.path).unwrap().sweep().unwrap(); // the dead one's claim
    assert!(names(scene.dir.path()).is_empty());
}

#[test]
fn if_the_head_gives_up_the_next_takes_its_place() {
    let scene = scene();
    let limit = Duration::from_millis(300);
    let head = scene.behind(by_ear(&scene.path).timeout(limit));
    let behind = scene.behind(by_ear(&scene.path));
    let error = head.recv_timeout(LIMIT).unwrap().unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    scene.held.unlock().unwrap();
    behind.recv_timeout(LIMIT).expect("nobody has woken it").unwrap().unlock().unwrap();
    assert!(names(scene.dir.path()).is_empty());
}

#[test]
fn a_waiter_that_gives_up_in_line_reports_the_holder() {
    let scene = scene();
    let _head = scene.head();
    let behind = scene.behind(by_ear(&scene.path).timeout(Duration::from_millis(300)));
    let error = behind.recv_timeout(LIMIT).unwrap().unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(error.holder().unwrap().claim_path(), scene.held.claim_path());
}

#[test]
fn a_waiter_that_gives_up_before_it_has_looked_says_so_too() {
    let scene = scene();
    // It had to wait the last time, so now it queues before it tries.
    let courteous = by_ear(&scene.path).build().unwrap();
    let held = thread::scope(|scope| {
        let waits = scope.spawn(|| courteous.lock().unwrap().unlock().unwrap());
        wait_until("it waits", || in_line(&scene.path) == 1);
        scene.held.unlock().unwrap();
        waits.join().unwrap();
        Lock::new(&scene.path).unwrap().lock().unwrap()
    });
    let scene = Scene { held, ..scene };
    let _head = scene.head();
    let error = courteous.try_lock_for(Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(error.holder().unwrap().claim_path(), scene.held.claim_path());
}

#[test]
fn a_stopped_head_delays_no_waiter_for_long() {
    let scene = scene();
    let head = scene.head();
    let looks = Lock::options(&scene.path).lifetime(HOUR);
    let pause = Duration::from_millis(100);
    let behind = scene.behind(looks.polling(pause, pause));
    head.freeze();
    scene.held.unlock().unwrap();
    behind.recv_timeout(LIMIT).expect("it does not look for itself").unwrap().unlock().unwrap();
}

#[test]
fn a_strangers_socket_under_the_queues_name_delays_no_waiter() {
    let scene = scene();
    // The name of the queue is read from an existing one.
    let head = scene.head();
    let mut queues = queues();
    drop(head);
    wait_until("the queue is gone", || {
        let left = self::queues();
        queues.retain(|queue| !left.contains(queue));
        !queues.is_empty()
    });
    let strangers: Vec<_> = queues
        .iter()
        .map(|name| UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()))
        .collect();
    assert!(strangers.iter().any(Result::is_ok), "{queues:?}");
    let pause = Duration::from_millis(100);
    let waits = Lock::options(&scene.path).lifetime(HOUR).polling(pause, pause);
    let behind = scene.behind(waits);
    scene.held.unlock().unwrap();
    behind.recv_timeout(LIMIT).expect("it does not look for itself").unwrap().unlock().unwrap();
}

/// A waiter in line behind another user would be at that user's mercy, who could pass on a socket
/// that blocks the waiter that accepts on it.
#[test]
fn no_waiter_queues_behind_another_user() {
    let test = this_test!();
    if let Some(dir) = arrived() {
        let waits = by_ear(&dir.join("lock")).build().unwrap();
        return waits.try_lock_for(LIMIT).expect("it listens for itself").unlock().unwrap();
    }
    let Scene { dir, path, held } = scene();
    open_to_all(dir.path(), 0);
    let name = SocketAddr::from_abstract_name(queue_of(&path, ORDINARY)).unwrap();
    let _stranger = UnixListener::bind_addr(&name).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| go_as_ordinary_user(test, dir.path()));
        wait_until("it has come", || claims(&path, 2) || waiter.is_finished());
        held.unlock().unwrap();
    });
    assert!(names(dir.path()).is_empty());
}

/// Nor is the place at the head given to another user, who could keep it.
#[test]
fn no_head_passes_the_turn_to_another_user() {
    let test = this_test!();
    if let Some(dir) = arrived() {
        let owner = std::fs::metadata(&dir).unwrap().uid();
        let queue = queue_of(&dir.join("lock"), owner);
        let queue = SocketAddr::from_abstract_name(queue).unwrap();
        let mut stranger = UnixStream::connect_addr(&queue).unwrap();
        stranger.set_read_timeout(Some(LIMIT)).unwrap();
        return assert_eq!(stranger.read(&mut [0]).unwrap(), 0, "it received something");
    }
    let scene = scene();
    open_to_all(scene.dir.path(), 0);
    let head = scene.behind(by_ear(&scene.path));
    wait_until("it is at the head", || in_line(&scene.path) == 1);
    thread::scope(|scope| {
        let stranger = scope.spawn(|| go_as_ordinary_user(test, scene.dir.path()));
        wait_until("the other user is in line", || {
            in_line(&scene.path) > 1 || stranger.is_finished()
        });
        scene.held.unlock().unwrap();
        head.recv_timeout(LIMIT).unwrap().unwrap().unlock().unwrap();
    });
}

#[test]
fn a_full_queue_delays_no_waiter() {
    let scene = scene();
    let name = SocketAddr::from_abstract_name(queue(&scene.path)).unwrap();
    let head = UnixListener::bind_addr(&name).unwrap();
    listen(&head, Backlog::new(0).unwrap()).unwrap(); // room for one
    let _in_line = UnixStream::connect_addr(&name).unwrap();
    // There is no place in line, so it watches the lock file itself.
    let behind = scene.behind(by_ear(&scene.path));
    scene.held.unlock().unwrap();
    behind.recv_timeout(LIMIT).expect("it waits for a place").unwrap().unlock().unwrap();
    assert!(names(scene.dir.path()).is_empty());
}

/// The names of all queues.
fn queues() -> Vec<String> {
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    let names = sockets.lines().filter_map(|line| line.rsplit_once('@'));
    names.map(|(_, name)| name.to_owned()).filter(|name| name.starts_with("linklock-")).collect()
}

#[test]
fn a_forked_child_passes_nothing_on() {
    let scene = scene();
    let behind = scene.behind(by_ear(&scene.path));
    scene.held.unlock().unwrap();
    let won = behind.recv_timeout(LIMIT).unwrap().unwrap(); // at the head of the queue
    let next = thread::scope(|scope| {
        let (says, hears) = mpsc::channel();
        let path = &scene.path;
        scope.spawn(move || says.send(by_ear(path).build().unwrap().lock()));
        wait_until("it has come", || claims(path, 2));
        let mut won = Some(won);
        // SAFETY: the child only drops what it has inherited, and ends.
        #[allow(unsafe_code)]
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                drop(won.take());
                // SAFETY: it ends the process, without running what the parent has set up to run.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => {
                waitpid(child, None).unwrap();
            }
        }
        assert!(hears.recv_timeout(Duration::from_millis(200)).is_err(), "it has the lock too");
        won.take().unwrap().unlock().unwrap();
        hears.recv_timeout(LIMIT).expect("nobody has woken it").unwrap()
    });
    next.unlock().unwrap();
    assert!(names(scene.dir.path()).is_empty());
}
