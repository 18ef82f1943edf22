//! After SIGKILL at any moment, all answers that the server gave are still true.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use linklock::Lock;
use linklock_relukko::{ClientError, LockId, LockInfo};
use tempfile::tempdir;

use crate::common::until;
use crate::server::Server;

/// Rounds of work, each ended by a kill; `LINKLOCK_KILLS` for more.
fn rounds() -> usize {
    std::env::var("LINKLOCK_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12)
}

/// What is known about a lock: `None` if a request was not answered.
type Known = Mutex<HashMap<LockId, Option<LockInfo>>>;

#[test]
fn what_was_answered_is_true_after_a_kill() {
    let dir = tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let (known, deleted): (Known, Mutex<Vec<LockId>>) = Default::default();
    let mut total = 0;
    for round in 0..rounds() {
        let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let options = server.client_options().retries(1, Duration::ZERO, 1.0);
                let (stop, done, known, deleted) = (&stop, &done, &known, &deleted);
                scope.spawn(move || {
                    let client = options.build().unwrap();
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let name = format!("{round}/{worker}/{number}");
                        let Ok(guard) = client.try_lock(&name, Some("worker")) else { continue };
                        let mut info = guard.info();
                        std::mem::forget(guard); // the result is checked below
                        known.lock().unwrap().insert(info.id, Some(info.clone()));
                        if number % 3 == 0 {
                            known.lock().unwrap().insert(info.id, None);
                            let kept = client.keep_alive_for(info.id, Duration::from_secs(5000));
                            let Ok(kept) = kept else { continue };
                            info = kept;
                            known.lock().unwrap().insert(info.id, Some(info.clone()));
                        }
                        if number % 2 == 0 {
                            known.lock().unwrap().insert(info.id, None);
                            if client.delete(info.id).is_ok() {
                                deleted.lock().unwrap().push(info.id);
                            }
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            until("there is a lock to lose", || done.load(Ordering::Relaxed) > 20);
            std::thread::sleep(Duration::from_millis(u64::try_from(round).unwrap() * 7 % 50));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        server.restart();
        total += done.load(Ordering::Relaxed);
        check(&server, &known.lock().unwrap(), &deleted.lock().unwrap());
    }
    assert!(total > 20 * rounds());
    // All locks can still be used.
    let client = server.client();
    for lock in client.list().unwrap() {
        client.delete(lock.id).unwrap();
    }
    assert!(client.list().unwrap().is_empty());
    let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let locks = left.filter(|name| !name.to_string_lossy().contains(['|', '.'])).count();
    assert_eq!(locks, 0, "except for claims and records that are swept in time");
}

fn check(server: &Server, known: &HashMap<LockId, Option<LockInfo>>, deleted: &[LockId]) {
    let listed = server.client().list().unwrap();
    let listed: HashMap<_, _> = listed.into_iter().map(|lock| (lock.id, lock)).collect();
    for (id, info) in known {
        if let Some(info) = info {
            assert_eq!(
                listed.get(id),
                Some(info),
                "every lock that was confirmed is held, as confirmed"
            );
        }
    }
    for id in deleted {
        assert_eq!(listed.get(id), None, "deleted locks stay deleted");
    }
}

/// A lock whose creation was not answered is complete: it has a record, is listed and can be
/// deleted.
#[test]
fn a_lock_outlives_its_server_for_other_programs_too() {
    let dir = tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let guard = server.client().try_lock("report", Some("me")).unwrap();
    server.kill();
    let lock = Lock::new(dir.path().join("report")).unwrap();
    assert!(lock.try_lock().unwrap_err().is_contention(), "its process is dead, but it is held");
    server.restart();
    assert_eq!(server.client().get(guard.id()).unwrap(), guard.info());
    guard.refresh(Duration::from_secs(4000)).unwrap();
    assert!(lock.expires_at().unwrap().unwrap() > guard.info().expires_at);
    // The keep-alive survives a restart as well.
    let (lost, is_lost) = channel();
    let tell = move |why: ClientError| lost.send(why).unwrap();
    guard.keep_alive(Duration::from_secs(3), tell).unwrap();
    server.kill();
    server.restart();
    assert!(matches!(is_lost.recv_timeout(Duration::from_secs(2)), Err(RecvTimeoutError::Timeout)));
    guard.unlock().unwrap();
    lock.try_lock().unwrap().unlock().unwrap();
    let error = server.client().get(LockId::NIL).unwrap_err();
    assert!(matches!(error, ClientError::NotFound(_)), "{error}");
}
