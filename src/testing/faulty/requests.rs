//! How many requests are made when nothing fails: a file server has other clients, too.

use std::thread;
use std::time::Duration;

use super::fault::Op;
use super::scene::{LIFETIME, PEER, SLOP, Scene, US};
use crate::lock::Lock;
use crate::sys::HAS_QUEUE;
use crate::sys::fs::Mount;

const ALL: [Mount; 3] = [Mount::Local, Mount::Nfs, Mount::Other];

/// The longest pause between two polls, by default.
const POLL: Duration = Duration::from_secs(1);

/// A handle that has swept already, and from now on makes only the requests of its operations.
fn used(scene: &Scene) -> Lock {
    let (options, machine) = scene.options(&scene.path(), US);
    let lock = options.polling(POLL / 4, POLL).build_on(machine).unwrap();
    lock.lock().unwrap().unlock().unwrap();
    lock
}

#[track_caller]
fn assert_asked(scene: &Scene, expected: &[(Op, usize)]) {
    let asked = Op::ALL.into_iter().map(|op| (op, scene.fs.count(op)));
    let asked: Vec<_> = asked.filter(|(_, count)| *count > 0).collect();
    assert_eq!(asked, expected);
}

#[test]
fn a_lock_takes_few_requests() {
    for mount in ALL {
        let scene = Scene::new(mount);
        let lock = used(&scene);
        scene.fs.arm(None);
        let _guard = lock.lock().unwrap();
        match mount {
            Mount::Local | Mount::Exported | Mount::Nfs => {
                assert_asked(&scene, &[(Op::Create, 1), (Op::Link, 1)]);
            }
            Mount::Other => {
                assert_asked(&scene, &[(Op::Create, 1), (Op::Stat, 2), (Op::Link, 1)]);
            }
        }
    }
}

#[test]
fn an_unlock_takes_few_requests() {
    for mount in ALL {
        let scene = Scene::new(mount);
        let guard = used(&scene).lock().unwrap();
        scene.fs.arm(None);
        guard.unlock().unwrap();
        match mount {
            Mount::Local | Mount::Exported => {
                assert_asked(&scene, &[(Op::Stat, 1), (Op::Unlink, 2)]);
            }
            Mount::Nfs | Mount::Other => {
                assert_asked(&scene, &[(Op::Stat, 1), (Op::Rename, 1), (Op::Unlink, 2)]);
            }
        }
    }
}

#[test]
fn a_refresh_and_a_verify_take_few_requests() {
    for mount in ALL {
        let scene = Scene::new(mount);
        let guard = used(&scene).lock().unwrap();
        scene.fs.arm(None);
        guard.refresh().unwrap();
        assert_asked(&scene, &[(Op::Stat, 1), (Op::Touch, 1)]);
        scene.fs.arm(None);
        guard.verify().unwrap();
        assert_asked(&scene, &[(Op::Stat, 1)]);
    }
}

#[test]
fn a_token_takes_few_requests() {
    for mount in ALL {
        let scene = Scene::new(mount);
        let lock = scene.fenced_lock_of(US);
        lock.lock().unwrap().unlock().unwrap();
        scene.fs.arm(None);
        let _guard = lock.lock().unwrap();
        assert_eq!([Op::List, Op::Rename, Op::Unlink].map(|op| scene.fs.count(op)), [1, 1, 0]);
        let looks = if mount == Mount::Other { 3 } else { 1 };
        assert_eq!(scene.fs.count(Op::Stat), looks, "{mount:?}");
    }
}

/// A waiter polls once a second, reads the content once, and touches its claim in time.
#[test]
fn a_waiter_polls_with_few_requests() {
    for mount in ALL {
        let scene = Scene::new(mount);
        let lock = used(&scene);
        scene.die(PEER, scene.lock_of(PEER).lock().unwrap());
        scene.fs.arm(None);
        let begun = scene.server_time();
        let _guard = lock.lock().unwrap();
        let waited = scene.server_time().duration_since(begun).unwrap();
        assert!(waited > LIFETIME + SLOP && waited < LIFETIME + SLOP + 2 * POLL, "{waited:?}");
        let counts = [Op::Stat, Op::Read, Op::Touch].map(|op| scene.fs.count(op));
        // A takeover makes some more requests.
        assert!((20..50).contains(&counts[0]), "{mount:?}, stats: {counts:?}");
        assert!((1..=4).contains(&counts[1]), "{mount:?}, reads: {counts:?}");
        assert!((2..=4).contains(&counts[2]), "{mount:?}, touches: {counts:?}");
    }
}

/// Each operation, at what it costs an NFS server at most: requests, if the directory has a hundred
/// names.
fn requests(scene: &Scene) -> usize {
    let cost = |op| match op {
        // LOOKUP, CREATE, WRITE and SETATTR; READDIR, for each 30 names.
        Op::Create | Op::List => 4,
        Op::Read => 3, // OPEN, READ, CLOSE
        _ => 1,
    };
    Op::ALL.into_iter().map(|op| cost(op) * scene.fs.count(op)).sum()
}

/// A hundred processes of one host at once: one of them sweeps, and one watches the lock file.
#[test]
fn an_arrival_takes_few_requests() {
    const CROWD: u32 = 100; // US and the others of our host
    if !HAS_QUEUE {
        return; // each of them sweeps and polls
    }
    let scene = Scene::new(Mount::Nfs);
    let held = scene.lock_of(PEER).lock().unwrap();
    scene.fs.arm(None);
    let lists = thread::scope(|scope| {
        for pid in US..US + CROWD {
            let waiter = scene.lock_of_crowd(pid);
            scope.spawn(move || waiter.lock().unwrap().unlock().unwrap());
        }
        while scene.fs.count(Op::Link) < CROWD as usize {
            thread::yield_now(); // until all have tried once
        }
        let lists = scene.fs.count(Op::List);
        held.unlock().unwrap();
        lists
    });
    assert_eq!(lists, 1, "only the head of the queue sweeps");
    let each = requests(&scene) / CROWD as usize;
    // Each makes a claim, tries to link it, and once more in its turn, and gives the lock back.
    assert!(each < 15, "{each} requests each");
}

/// What `docs/scale.md` says of a machine that waits for long.
#[test]
fn a_long_wait_takes_fewer_than_two_requests_a_second() {
    const SECONDS: usize = 100;
    let scene = Scene::new(Mount::Nfs);
    let lock = used(&scene);
    let held = scene.lock_of(PEER).lock().unwrap();
    held.refresh_for(Duration::from_secs(3600)).unwrap();
    scene.fs.arm(None);
    lock.try_lock_for(Duration::from_secs(SECONDS as u64)).unwrap_err();
    let asked = requests(&scene);
    assert!(asked > SECONDS && asked < SECONDS * 2, "{asked} requests");
}
