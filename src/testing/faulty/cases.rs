//! Acquiring and holding a lock: failures that need a test of their own.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use super::fault::{Fault, Op, Quirk};
use super::scene::{LIFETIME, NEIGHBOUR, PEER, SLOP, Scene, US, truth};
use crate::error::{Error, Operation};
use crate::holder::Obstacle;
use crate::keep_alive::schedule::Renewable;
use crate::protocol::claim::Claim;
use crate::protocol::observe::is_lock_file;
use crate::protocol::sweep::{is_affordable, took};
use crate::protocol::tenure::Tenure;
use crate::sys::errno;
use crate::sys::fs::Mount;
use crate::wait::waiter::others_wait;

const ALL: [Mount; 3] = [Mount::Local, Mount::Nfs, Mount::Other];
const SECOND: Duration = Duration::from_secs(1);

/// Each errno by which a file system refuses hard links.
#[test]
fn a_file_system_without_hard_links_is_reported_as_such() {
    for mount in ALL {
        for errno in [errno::EPERM, errno::ENOTSUP, errno::EOPNOTSUPP, errno::ENOSYS, errno::EMLINK]
        {
            let scene = Scene::new(mount);
            let lock = scene.lock_of(US);
            scene.fs.arm(Some(Fault::once(Op::Link, errno)));
            let error = lock.lock().unwrap_err();
            assert!(matches!(error, Error::NoHardLinks { .. }), "{mount:?}, {errno}: {error:?}");
            assert!(scene.files().is_empty(), "{mount:?}, {errno}: {:?}", scene.files());
        }
    }
}

#[test]
fn a_linked_claim_holds_the_lock_whatever_link_reports() {
    for mount in ALL {
        let scene = Scene::new(mount);
        let lock = scene.lock_of(US);
        scene.fs.arm(Some(Fault { executed: true, ..Fault::once(Op::Link, errno::EIO) }));
        lock.lock().unwrap().unlock().unwrap();
    }
}

/// Where a request may be executed twice, a reported success proves nothing either.
#[test]
fn a_claim_that_is_not_linked_holds_nothing_whatever_link_reports() {
    let scene = Scene::quirky(Mount::Other, Quirk::TakenIsDone);
    let holder = scene.lock_of(PEER).lock().unwrap();
    let error = scene.lock_of(US).try_lock().unwrap_err();
    assert_eq!(error.holder().unwrap().claim_path(), holder.claim_path());
    holder.unlock().unwrap();
    scene.lock_of(US).try_lock().unwrap().unlock().unwrap();
}

/// A link count of 1 means no hard link, except on file systems that are known to report that.
#[test]
fn a_link_that_is_not_counted_is_not_accepted() {
    let scene = Scene::quirky(Mount::Other, Quirk::CountsNoLinks);
    let error = scene.lock_of(US).lock().unwrap_err();
    assert!(matches!(error, Error::NoHardLinks { .. }), "{error:?}");
    assert!(scene.files().is_empty(), "{:?}", scene.files());
}

/// A claim is touched when little of its lease is left. A process that acquires the lock just
/// before that does not start with the remainder.
#[test]
fn a_waiter_gets_a_whole_lease() {
    let scene = Scene::new(Mount::Nfs);
    let mut holder = Some(scene.lock_of(PEER).lock().unwrap());
    let guard = scene.lock_of(US).lock_while(|_| {
        if holder.take().is_some() {
            scene.pass(LIFETIME / 2);
        }
        true
    });
    let left = guard.unwrap().remaining();
    assert!(left > LIFETIME * 7 / 8, "{left:?}");
}

/// A lease written before the jump would end at once by the server's new time.
#[test]
fn a_lease_is_written_again_after_the_servers_clock_was_set_forward() {
    for ahead in [SLOP, Duration::from_secs(3600)] {
        let scene = Scene::new(Mount::Nfs);
        let guard = scene.lock_of(US).lock().unwrap();
        scene.server.set_forward(ahead);
        guard.refresh().unwrap();
        let ends = scene.lease_end(guard.claim_path()).unwrap();
        let left = ends.duration_since(scene.server_time() + ahead).unwrap();
        assert!(left >= LIFETIME && left < LIFETIME + SECOND, "{ahead:?}: {left:?}");
    }
}

/// The lock was not taken over: only the claim was removed, as a careless administrator might do.
#[test]
fn a_late_holder_whose_claim_was_removed_still_has_the_lock() {
    for mount in ALL {
        let scene = Scene::new(mount);
        let guard = scene.lock_of(US).lock().unwrap();
        scene.pass(LIFETIME + SLOP + SECOND);
        fs::remove_file(guard.claim_path()).unwrap();
        guard.refresh().unwrap();
        assert!(truth(guard.claim_path()).is_some(), "{mount:?}");
        scene.pass(LIFETIME + SECOND);
        fs::remove_file(guard.claim_path()).unwrap();
        guard.unlock().unwrap();
        assert!(scene.files().is_empty(), "{mount:?}: {:?}", scene.files());
    }
}

/// Another process may remove it before it has any content.
#[test]
fn a_claim_that_was_removed_while_it_was_made_is_made_again() {
    let scene = Scene::new(Mount::Nfs);
    let lock = scene.lock_of(US);
    scene.fs.arm(Some(Fault::once(Op::Create, errno::ESTALE)));
    lock.lock().unwrap().unlock().unwrap();
}

#[test]
fn a_lock_that_cannot_be_read_has_an_unknown_holder() {
    for errno in [errno::EACCES, errno::EPERM, errno::ESTALE] {
        let scene = Scene::new(Mount::Nfs);
        let holder = scene.lock_of(PEER).lock().unwrap();
        let lock = scene.lock_of(US);
        scene.fs.arm(Some(Fault::always(Op::Read, errno)));
        let obstacle = || match lock.try_lock().unwrap_err() {
            Error::Held { obstacle, .. } => *obstacle,
            other => panic!("{errno}: {other:?}"),
        };
        if errno != errno::ESTALE {
            // The claim beside it names the holder.
            let seen = obstacle();
            let claim = seen.holder().map(|seen| seen.claim_path().to_owned());
            assert_eq!(claim.as_deref(), Some(holder.claim_path()), "{seen:?}");
        }
        std::fs::remove_file(holder.claim_path()).unwrap();
        let seen = obstacle();
        let is_said = match &seen {
            Obstacle::ReadDenied(..) => errno != errno::ESTALE,
            Obstacle::Unreadable(_) => errno == errno::ESTALE,
            _ => false,
        };
        assert!(is_said, "{seen:?}");
        // Other errors are not waited out unless the options say so.
        scene.fs.arm(Some(Fault::always(Op::Read, errno::EIO)));
        let error = lock.try_lock().unwrap_err();
        assert!(matches!(error, Error::Io { operation: Operation::Read, .. }), "{error:?}");
    }
}

/// It is in whole microseconds, which every server keeps, and never before the end of the lease.
#[test]
fn the_end_in_a_claim_is_never_before_the_end_of_its_lease() {
    let scene = Scene::new(Mount::Nfs);
    let mut claim = Claim::make(&scene.lock_of(US).context, LIFETIME).unwrap();
    for _ in 0..5_000 {
        scene.pass(Duration::from_nanos(1));
        claim.touch().unwrap();
        let (says, ends) = (claim.expires_at(), scene.server_time() + LIFETIME);
        assert!(says >= ends && says < ends + Duration::from_millis(2), "{says:?}, {ends:?}");
        let since_epoch = says.duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(since_epoch.subsec_nanos() % 1000, 0);
    }
}

#[test]
fn a_lock_file_is_recognized_without_its_claim() {
    let scene = Scene::new(Mount::Nfs);
    let claim = Claim::make(&scene.lock_of(US).context, LIFETIME).unwrap();
    assert!(!is_lock_file(&claim).unwrap());
    fs::hard_link(&claim.path, scene.path()).unwrap();
    assert!(is_lock_file(&claim).unwrap());
    fs::remove_file(&claim.path).unwrap();
    assert!(is_lock_file(&claim).unwrap());
    fs::write(scene.path(), "same inode, other content").unwrap();
    assert!(!is_lock_file(&claim).unwrap());
}

/// The client held a handle of a file that is gone: its name may lead to another file by now.
#[test]
fn a_stale_handle_is_looked_up_again() {
    let scene = Scene::new(Mount::Nfs);
    let guard = scene.lock_of(US).lock().unwrap();
    for op in [Op::Stat, Op::Touch] {
        scene.fs.arm(Some(Fault::once(op, errno::ESTALE)));
        guard.refresh().unwrap();
    }
    scene.fs.arm(Some(Fault::always(Op::Stat, errno::ESTALE)));
    let begun = scene.server_time();
    let error = guard.verify().unwrap_err();
    assert!(matches!(error, Error::Io { operation: Operation::Stat, .. }), "{error:?}");
    // The first retry is immediate, and the next ones have growing pauses.
    let took = scene.server_time().duration_since(begun).unwrap();
    assert!(took > Duration::from_millis(200) && took < Duration::from_millis(300), "{took:?}");
}

#[test]
fn a_keep_alive_knows_the_lease_of_its_tenure() {
    let scene = Scene::new(Mount::Local);
    let claim = Claim::make(&scene.lock_of(US).context, LIFETIME).unwrap();
    let tenure = Tenure::begin(claim);
    let renewable: &dyn Renewable = &tenure;
    assert_eq!((renewable.path(), renewable.is_held()), (&*scene.path(), true));
    assert_eq!((renewable.remaining(), renewable.overdue()), (LIFETIME, Duration::ZERO));
    scene.pass(LIFETIME + SECOND);
    assert_eq!((renewable.remaining(), renewable.overdue()), (Duration::ZERO, SECOND));
}

#[test]
fn sweeps_of_a_large_directory_take_a_small_share_of_the_time() {
    let scene = Scene::new(Mount::Local);
    let other_dir = tempfile::tempdir().unwrap();
    let lock = scene.hearing_lock_at(&scene.path(), US);
    let other = scene.hearing_lock_at(&other_dir.path().join("lock"), US);
    let millisecond = Duration::from_millis(1);
    took(&lock.context, millisecond);
    assert!(is_affordable(&lock.context));
    took(&lock.context, 2 * millisecond);
    assert!(!is_affordable(&lock.context));
    assert!(is_affordable(&other.context));
    scene.pass(millisecond);
    took(&other.context, 2 * millisecond);
    assert!(!is_affordable(&lock.context), "each handle rests on its own");
    scene.pass(98 * millisecond);
    assert!(!is_affordable(&lock.context));
    scene.pass(millisecond);
    assert!(is_affordable(&lock.context), "a fiftieth of the time");
}

/// Waiters on other hosts only poll, and are never as quick as the next waiter in a local queue.
#[test]
fn the_queue_skips_a_turn_for_waiters_on_other_hosts() {
    for (mount, stands_back) in [(Mount::Nfs, true), (Mount::Local, false)] {
        let scene = Scene::new(mount);
        let lock = scene.lock_of(US);
        let _own = Claim::make(&scene.lock_of(NEIGHBOUR).context, LIFETIME).unwrap();
        assert!(!others_wait(&lock.context));
        let _other = Claim::make(&scene.lock_of(PEER).context, LIFETIME).unwrap();
        assert_eq!(others_wait(&lock.context), stands_back, "{mount:?}");
    }
}
