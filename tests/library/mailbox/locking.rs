//! Both locks are taken, or none.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linklock::mailbox::MailboxLock;
use linklock::{Error, Obstacle};
use nix::fcntl::{FcntlArg, fcntl};

use super::scene::Scene;
use crate::kit::this_test;
use crate::kit::{skip, wait_until};

/// The argument of fcntl(2) for a POSIX lock on a whole file, as other mail programs take it.
fn whole(kind: i32) -> libc::flock {
    let l_type = libc::c_short::try_from(kind).unwrap();
    libc::flock { l_type, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Another process with a POSIX lock on a file, until it is dropped.
struct Locker(Child);

impl Locker {
    fn start(test: &str, file: &std::path::Path) -> Option<Locker> {
        let script = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); \
                      print('locked', flush=True); sys.stdin.read()";
        let mut python = Command::new("python3");
        python.arg("-c").arg(script).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = python.spawn() else {
            skip(test, "no python3");
            return None;
        };
        let mut word = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
        assert_eq!(&word, b"locked");
        Some(Locker(child))
    }
}

impl Drop for Locker {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Whether another process is refused a POSIX lock on a file.
fn another_is_excluded(test: &str, file: &std::path::Path) -> Option<bool> {
    let script =
        "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)";
    let mut python = Command::new("python3");
    let Ok(output) = python.arg("-c").arg(script).arg(file).output() else {
        skip(test, "no python3");
        return None;
    };
    let refused = String::from_utf8_lossy(&output.stderr).contains("BlockingIOError");
    assert!(refused != output.status.success(), "{output:?}");
    Some(refused)
}

#[test]
fn a_mailbox_that_is_locked_by_fcntl_is_held() {
    let scene = Scene::new();
    let test = this_test!();
    let Some(locker) = Locker::start(test, &scene.mbox) else { return };
    let pid = locker.0.id();
    match scene.lock().try_lock() {
        Err(Error::Held { obstacle, path, .. }) => {
            assert!(matches!(*obstacle, Obstacle::Fcntl(Some(by)) if by == pid), "{obstacle:?}");
            assert_eq!(path, scene.mbox);
        }
        other => panic!("{other:?}"),
    }
    assert!(scene.beside().is_empty(), "the dotlock is not taken first, nor left");
    drop(locker);
    scene.lock().try_lock().unwrap().unlock().unwrap();
}

#[cfg(all(target_os = "linux", not(linklock_unsupported)))] // it belongs to the open file description
#[test]
fn our_lock_excludes_posix_locks_and_does_not_vanish_when_the_mailbox_is_closed() {
    let scene = Scene::new();
    let guard = scene.lock().lock().unwrap();
    // As a library in the same program might: its close would release a POSIX lock of ours.
    drop(File::open(&scene.mbox).unwrap());
    let other = File::options().read(true).write(true).open(&scene.mbox).unwrap();
    assert!(fcntl(&other, FcntlArg::F_SETLK(&whole(libc::F_WRLCK))).is_err());
    guard.unlock().unwrap();
    fcntl(&other, FcntlArg::F_SETLK(&whole(libc::F_WRLCK))).unwrap();
}

/// Also where our lock belongs to the process: there each close of the mailbox would release it.
#[test]
fn no_other_handle_of_the_process_ends_the_lock() {
    let test = this_test!();
    let scene = Scene::new();
    let guard = scene.lock().lock().unwrap();
    let other = scene.lock();
    other.try_lock().unwrap_err();
    assert!(!other.obstacles().unwrap().is_empty());
    let Some(excludes) = another_is_excluded(test, &scene.mbox) else { return };
    assert!(excludes);
    guard.unlock().unwrap();
    assert_eq!(another_is_excluded(test, &scene.mbox), Some(false));
    other.try_lock().unwrap().unlock().unwrap();
}

#[test]
fn the_mailbox_is_not_kept_locked_while_the_dotlock_is_waited_for() {
    let scene = Scene::new();
    scene.dotlock_of("0\n", 0o644);
    let test = this_test!();
    let lock = MailboxLock::new(&scene.mbox).unwrap();
    let waiting = AtomicU32::new(0);
    thread::scope(|threads| {
        let waiter = threads.spawn(|| {
            lock.lock_while(|_| {
                waiting.fetch_add(1, Ordering::Relaxed);
                true
            })
        });
        wait_until("it waits", || waiting.load(Ordering::Relaxed) > 0);
        // It waits for the owner of the dotlock, which gets the mailbox meanwhile.
        let locker = Locker::start(test, &scene.mbox);
        fs::remove_file(&scene.dotlock).unwrap();
        drop(locker);
        waiter.join().unwrap().unwrap().unlock().unwrap();
    });
}

#[test]
fn without_a_mailbox_the_dotlock_alone_is_taken() {
    let scene = Scene::without_mailbox();
    let guard = scene.lock().lock().unwrap();
    assert!(guard.file().is_none());
    assert_eq!(scene.beside(), ["joe.lock"]);
    assert!(!scene.mbox.exists(), "making it is up to the caller");
    guard.unlock().unwrap();
    assert!(scene.beside().is_empty());
}

#[test]
fn without_fcntl_the_dotlock_alone_is_taken() {
    let scene = Scene::new();
    let other = File::options().read(true).write(true).open(&scene.mbox).unwrap();
    fcntl(&other, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))).unwrap();
    assert!(scene.lock().try_lock().is_err());
    let guard = scene.options().fcntl(false).build().unwrap().try_lock().unwrap();
    assert!(guard.file().is_none());
    guard.unlock().unwrap();
}

#[test]
fn a_mailbox_may_be_appended_to_through_the_guard() {
    let scene = Scene::new();
    let guard = scene.lock().lock().unwrap();
    guard.file().unwrap().write_all(b"Hello\n").unwrap();
    guard.unlock().unwrap();
    assert_eq!(fs::read(&scene.mbox).unwrap(), b"Hello\n");
}

#[test]
fn threads_exclude_each_other() {
    const ROUNDS: u32 = 25;
    let scene = Scene::new();
    let lock = MailboxLock::options(&scene.mbox)
        .polling(Duration::from_micros(100), Duration::from_millis(5))
        .build()
        .unwrap();
    let inside = Mutex::new(());
    thread::scope(|threads| {
        for _ in 0..4 {
            let handle = lock.clone();
            let inside = &inside;
            threads.spawn(move || {
                for _ in 0..ROUNDS {
                    let guard = handle.lock().unwrap();
                    let alone = inside.try_lock().expect("nobody else holds the lock");
                    let mut count = String::new();
                    let mut file = guard.file().unwrap();
                    file.read_to_string(&mut count).unwrap();
                    file.write_all(b".").unwrap();
                    drop(alone);
                    guard.unlock().unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read(&scene.mbox).unwrap().len(), 4 * ROUNDS as usize);
}

#[test]
fn a_thread_that_holds_the_mailbox_does_not_wait_for_itself() {
    let scene = Scene::new();
    let lock = scene.lock();
    let guard = lock.lock().unwrap();
    assert!(matches!(lock.lock(), Err(Error::AlreadyLocked { .. })));
    assert!(matches!(lock.clone().try_lock(), Err(Error::Held { .. })));
    let in_another = thread::scope(|scope| scope.spawn(|| lock.try_lock()).join().unwrap());
    assert!(matches!(in_another, Err(Error::Held { .. })), "{in_another:?}");
    drop(guard);
    lock.try_lock().unwrap().unlock().unwrap();
}

#[test]
fn a_wait_ends_in_time_and_reports_the_obstacle() {
    let scene = Scene::new();
    scene.dotlock_of("0", 0o444);
    let error = scene.lock().try_lock_for(Duration::from_secs(20)).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("a dotlock of procmail or lockfile"), "{said}");
    assert!(said.contains("waited 20"), "{said}");
}

#[test]
fn a_wait_may_have_a_deadline() {
    let scene = Scene::new();
    scene.dotlock_of("0", 0o444);
    let lock = scene.lock();
    let error = lock.try_lock_until(Instant::now() + Duration::from_secs(20)).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    fs::remove_file(&scene.dotlock).unwrap();
    lock.try_lock_until(Instant::now()).unwrap().unlock().unwrap(); // the mailbox is free nevertheless
}

/// Programs that rewrite a mailbox put another file in its place, perhaps under a dotlock only.
#[test]
fn a_mailbox_that_was_put_in_the_place_of_the_one_locked_is_locked_instead() {
    let scene = Scene::new();
    let options = || {
        let short = Duration::from_micros(200);
        MailboxLock::options(&scene.mbox).polling(short / 4, short)
    };
    let copy = scene.dir.path().join("copy");
    thread::scope(|threads| {
        let rewriting = threads.spawn(|| {
            let lock = options().fcntl(false).build().unwrap();
            for _ in 0..2000 {
                let guard = lock.lock().unwrap();
                fs::write(&copy, "").unwrap();
                fs::rename(&copy, &scene.mbox).unwrap();
                guard.unlock().unwrap();
            }
        });
        let lock = options().build().unwrap();
        while !rewriting.is_finished() {
            let guard = lock.lock().unwrap();
            let locked = guard.file().unwrap().metadata().unwrap();
            assert_eq!(locked.ino(), fs::metadata(&scene.mbox).unwrap().ino());
            guard.unlock().unwrap();
        }
    });
}
