//! What fails in a way of its own.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::fault::{Fault, Op, Quirk, When};
use super::scene::{LIFETIME, NEIGHBOUR, PEER, POLL, SLOP, Scene, US, truth};
use crate::claim::Claim;
use crate::error::{Error, Operation};
use crate::fs::Mount;
use crate::holder::Obstacle;
use crate::judge::is_lock_file;
use crate::succession::{Caught, catch};
use crate::tenure::Tenure;
use crate::upkeep::Leased;

const ALL: [Mount; 3] = [Mount::Local, Mount::Nfs, Mount::Other];
const SECOND: Duration = Duration::from_secs(1);

fn once(op: Op, errno: i32, executed: bool) -> Option<Fault> {
    Some(Fault { op, errno, when: When::At(0), executed })
}

/// However the file system says it.
#[test]
fn where_there_are_no_hard_links_that_is_said() {
    for mount in ALL {
        for errno in [libc::EPERM, libc::ENOTSUP, libc::EOPNOTSUPP, libc::ENOSYS, libc::EMLINK] {
            let scene = Scene::new(mount);
            let lock = scene.lock_of(US);
            scene.fs.arm(once(Op::Link, errno, false));
            let error = lock.lock().unwrap_err();
            assert!(matches!(error, Error::NoHardLinks { .. }), "{mount:?}, {errno}: {error:?}");
            assert!(scene.files().is_empty(), "{mount:?}, {errno}: {:?}", scene.files());
        }
    }
}

#[test]
fn whoever_has_the_lock_has_it_though_an_error_was_reported() {
    for mount in ALL {
        let scene = Scene::new(mount);
        let lock = scene.lock_of(US);
        scene.fs.arm(once(Op::Link, libc::EIO, true));
        lock.lock().unwrap().unlock().unwrap();
    }
}

/// Where it is not known how requests are executed, success is not believed either.
#[test]
fn whoever_has_not_the_lock_has_not_though_success_was_reported() {
    let scene = Scene::quirky(Mount::Other, Quirk::TakenIsDone);
    let holder = scene.lock_of(PEER).lock().unwrap();
    let error = scene.lock_of(US).try_lock().unwrap_err();
    assert_eq!(error.holder().unwrap().claim_path(), holder.claim_path());
    holder.unlock().unwrap();
    scene.lock_of(US).try_lock().unwrap().unlock().unwrap();
}

/// What can't be seen to be a hard link is none, unless it is known who says so.
#[test]
fn a_link_that_does_not_count_is_no_hard_link() {
    let scene = Scene::quirky(Mount::Other, Quirk::CountsNoLinks);
    let error = scene.lock_of(US).lock().unwrap_err();
    assert!(matches!(error, Error::NoHardLinks { .. }), "{error:?}");
    assert!(scene.files().is_empty(), "{:?}", scene.files());
}

/// A claim is touched when little of its lease is left. Whoever gets the lock before that does not
/// begin with what is left.
#[test]
fn whoever_has_waited_has_a_whole_lease() {
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

/// What was written before it was known would end at once, by the server's new time.
#[test]
fn a_lease_is_prolonged_by_a_date_that_was_set_forward() {
    for ahead in [SLOP, Duration::from_secs(3600)] {
        let scene = Scene::new(Mount::Nfs);
        let guard = scene.lock_of(US).lock().unwrap();
        *scene.server.ahead.lock().unwrap() = ahead;
        guard.refresh().unwrap();
        let ends = scene.lease_end(guard.claim_path()).unwrap();
        let left = ends.duration_since(scene.server_time() + ahead).unwrap();
        assert!(left >= LIFETIME && left < LIFETIME + SECOND, "{ahead:?}: {left:?}");
    }
}

/// Nobody has taken it: only the claim was removed, as whoever cleans up might.
#[test]
fn a_late_holder_whose_claim_was_removed_has_the_lock_still() {
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

/// To break a lock that may not be broken, or that just could not be.
#[test]
fn only_what_is_forbidden_is_said_to_be() {
    for (errno, is_forbidden) in [
        (libc::EPERM, true),
        (libc::EACCES, true),
        (libc::EROFS, true),
        (libc::EIO, false),
        (libc::ENOSPC, false),
    ] {
        let scene = Scene::new(Mount::Nfs);
        scene.die(PEER, scene.lock_of(PEER).lock().unwrap());
        scene.pass(LIFETIME + SLOP + SECOND);
        let lock = scene.lock_of(US);
        scene.fs.arm(once(Op::Rename, errno, false));
        match lock.try_lock().unwrap_err() {
            Error::Held { obstacle, .. } => {
                assert!(is_forbidden && matches!(*obstacle, Obstacle::CannotBreak(..)));
            }
            Error::Io { operation: Operation::Rename, .. } => assert!(!is_forbidden, "{errno}"),
            other => panic!("{errno}: {other:?}"),
        }
    }
}

#[test]
fn what_was_caught_by_mistake_is_given_back() {
    let scene = Scene::new(Mount::Nfs);
    let holder = scene.lock_of(PEER).lock().unwrap();
    let before = scene.files();
    let lock = scene.lock_of(US);
    let aside = scene.path().with_file_name("lock|aside|x0000000000000001|1");
    let caught = catch(&lock.context, &scene.path(), aside, |_| false).unwrap();
    assert_eq!(caught, Caught::Another);
    assert_eq!(scene.files(), before);
    holder.verify().unwrap();
}

#[test]
fn what_was_caught_by_mistake_is_not_put_in_the_place_of_a_third() {
    let scene = Scene::new(Mount::Nfs);
    let caught = scene.lock_of(PEER).lock().unwrap();
    let lock = scene.lock_of(US);
    let aside = scene.path().with_file_name("lock|aside|x0000000000000001|1");
    let mut third = None;
    let end = catch(&lock.context, &scene.path(), aside.clone(), |_| {
        third = Some(scene.lock_of(PEER + 100).lock().unwrap());
        false
    });
    assert_eq!(end.unwrap(), Caught::Another);
    assert!(!aside.exists());
    third.unwrap().unlock().unwrap();
    assert!(caught.unlock().unwrap_err().is_lost());
}

/// It is another's, who may be holding it: it must not be lost besides.
#[test]
fn what_cannot_be_given_back_is_kept() {
    let scene = Scene::new(Mount::Nfs);
    let holder = scene.lock_of(PEER).lock().unwrap();
    let lock = scene.lock_of(US);
    let aside = scene.path().with_file_name("lock|aside|x0000000000000001|1");
    scene.fs.arm(once(Op::Link, libc::EIO, false));
    let error = catch(&lock.context, &scene.path(), aside.clone(), |_| false).unwrap_err();
    assert!(matches!(error, Error::Io { operation: Operation::Link, .. }), "{error:?}");
    assert_eq!(truth(&aside), truth(holder.claim_path()));
    fs::rename(&aside, scene.path()).unwrap();
    holder.unlock().unwrap();
}

/// A seat that is said to be taken, and in which nobody is, over and over.
#[test]
fn whoever_never_finds_its_seat_gives_up() {
    let scene = Scene::new(Mount::Nfs);
    scene.die(PEER, scene.lock_of(PEER).lock().unwrap());
    scene.pass(LIFETIME + SLOP + SECOND);
    let lock = scene.lock_of(US);
    lock.context.has_swept.store(true, std::sync::atomic::Ordering::Relaxed);
    scene.fs.arm(Some(Fault {
        op: Op::Link,
        errno: libc::EEXIST,
        when: When::From(0),
        executed: false,
    }));
    let error = lock.try_lock().unwrap_err();
    assert!(!scene.fs.gave_up());
    assert!(matches!(&error, Error::Io { error, .. } if error.kind() == io::ErrorKind::NotFound));
    // Once means only that somebody has left it in that moment. (First it is tried for the lock.)
    let when = When::At(1);
    scene.fs.arm(Some(Fault { op: Op::Link, errno: libc::EEXIST, when, executed: false }));
    lock.try_lock().unwrap().unlock().unwrap();
}

/// Somebody may have removed it before it had any content.
#[test]
fn a_claim_that_went_while_it_was_made_is_made_anew() {
    let scene = Scene::new(Mount::Nfs);
    let lock = scene.lock_of(US);
    scene.fs.arm(once(Op::Create, libc::ESTALE, false));
    lock.lock().unwrap().unlock().unwrap();
}

#[test]
fn a_lock_that_cannot_be_read_is_held_by_someone_unknown() {
    for errno in [libc::EACCES, libc::EPERM, libc::ESTALE] {
        let scene = Scene::new(Mount::Nfs);
        let _holder = scene.lock_of(PEER).lock().unwrap();
        let lock = scene.lock_of(US);
        let when = When::From(0);
        scene.fs.arm(Some(Fault { op: Op::Read, errno, when, executed: false }));
        match lock.try_lock().unwrap_err() {
            Error::Held { obstacle, .. } => {
                assert!(matches!(*obstacle, Obstacle::Unreadable(_)), "{obstacle:?}");
            }
            other => panic!("{errno}: {other:?}"),
        }
    }
}

/// In whole microseconds, which every server keeps, and never before the lease is over.
#[test]
fn what_a_claim_says_is_never_less_than_its_lease() {
    let scene = Scene::new(Mount::Nfs);
    let mut claim = Claim::make(&scene.lock_of(US).context, LIFETIME).unwrap();
    for _ in 0..5_000 {
        scene.pass(Duration::from_nanos(1));
        claim.touch().unwrap();
        let (says, ends) = (claim.expires_at(), scene.server_time() + LIFETIME);
        assert!(says >= ends && says < ends + Duration::from_millis(2), "{says:?}, {ends:?}");
        let since_epoch = says.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(since_epoch.subsec_nanos() % 1000, 0);
    }
}

#[test]
fn a_forfeited_seat_is_passed_over_in_its_own_succession() {
    let scene = Scene::new(Mount::Nfs);
    let context = &scene.lock_of(US).context;
    let mut claim = Claim::make(context, LIFETIME).unwrap();
    let other = Claim::make(context, LIFETIME).unwrap().name.nonce.clone();
    let nonce = claim.name.nonce.clone();
    assert_eq!(claim.first_seat(&nonce), 0);
    claim.forfeited = Some((nonce.clone(), 3));
    assert_eq!(claim.first_seat(&nonce), 4);
    assert_eq!(claim.first_seat(&other), 0);
}

#[test]
fn a_lock_file_without_its_claim_is_its_claims_still() {
    let scene = Scene::new(Mount::Nfs);
    let claim = Claim::make(&scene.lock_of(US).context, LIFETIME).unwrap();
    assert!(!is_lock_file(&claim).unwrap());
    fs::hard_link(&claim.path, scene.path()).unwrap();
    assert!(is_lock_file(&claim).unwrap());
    fs::remove_file(&claim.path).unwrap();
    assert!(is_lock_file(&claim).unwrap());
    fs::write(scene.path(), "its inode, and not its content").unwrap();
    assert!(!is_lock_file(&claim).unwrap());
}

/// The rest that is given to a dead holder's last request is not its successor's.
#[test]
fn each_of_the_dead_is_given_its_own_rest() {
    let scene = Scene::new(Mount::Nfs);
    scene.die(NEIGHBOUR, scene.lock_of(NEIGHBOUR).lock().unwrap());
    let begun = scene.server_time();
    let waited = || scene.server_time().duration_since(begun).unwrap();
    let mut second = None;
    let guard = scene.lock_of(US).lock_while(|_| {
        if second.is_none() && waited() > SLOP / 2 {
            let next = scene.lock_of(NEIGHBOUR + 1);
            assert!(next.break_if(|_| true).unwrap().is_some());
            scene.die(NEIGHBOUR + 1, next.lock().unwrap());
            second = Some(waited());
        }
        true
    });
    let rested = waited() - second.unwrap();
    assert!(rested >= SLOP && rested < SLOP + 2 * POLL, "{rested:?}");
    drop(guard);
}

/// Where nothing is ever under way, its seat is as good as empty.
#[test]
fn a_breaker_that_died_in_its_seat_is_passed_over_at_once() {
    for (mount, is_passed) in [(Mount::Local, true), (Mount::Nfs, false)] {
        let scene = Scene::new(mount);
        let guard = scene.lock_of(PEER).lock().unwrap();
        let seat = guard.claim_path().to_string_lossy().rsplit_once('|').unwrap().1.to_owned();
        let seat = scene.path().with_file_name(format!("lock|break|{seat}|0"));
        scene.die(PEER, guard);
        scene.pass(LIFETIME + SLOP + SECOND);
        let claim = Claim::make(&scene.lock_of(NEIGHBOUR).context, LIFETIME).unwrap();
        fs::hard_link(&claim.path, seat).unwrap();
        scene.kill(NEIGHBOUR);
        drop(claim); // as the memory of the dead goes
        assert_eq!(scene.lock_of(US).try_lock().is_ok(), is_passed, "{mount:?}");
    }
}

/// Another may have drawn it, or we ourselves: which an NFS client sees only once it has asked.
#[test]
fn a_number_that_is_gone_is_looked_for_anew() {
    let scene = Scene::new(Mount::Nfs);
    let lock = scene.fenced_lock_of(US);
    lock.lock().unwrap().unlock().unwrap();
    scene.fs.arm(once(Op::Rename, libc::ENOENT, true));
    let guard = lock.lock().unwrap();
    assert_eq!(guard.token(), Some(3));
    assert_eq!([Op::List, Op::Stat].map(|op| scene.fs.count(op)), [2, 2]);
}

#[test]
fn the_first_number_is_drawn_though_its_draft_is_gone() {
    for (op, executed) in [(Op::Rename, true), (Op::Rename, false), (Op::MakeDir, false)] {
        let scene = Scene::new(Mount::Nfs);
        let lock = scene.fenced_lock_of(US);
        scene.fs.arm(once(op, libc::ENOENT, executed));
        assert_eq!(lock.lock().unwrap().token(), Some(1), "{op:?}");
    }
}

#[test]
fn whoever_may_not_draft_the_first_number_is_told_at_once() {
    for op in [Op::Rename, Op::MakeDir] {
        let scene = Scene::new(Mount::Local);
        let lock = scene.fenced_lock_of(US);
        let (when, begun) = (When::From(0), scene.server_time());
        scene.fs.arm(Some(Fault { op, errno: libc::EACCES, when, executed: false }));
        let error = lock.lock().unwrap_err();
        assert!(matches!(&error, Error::Io { operation, .. } if *operation == op.operation()));
        assert_eq!(scene.server_time(), begun, "{op:?}");
    }
}

#[test]
fn a_number_that_is_always_gone_is_looked_for_in_a_second_and_no_more() {
    for (errno, is_tried_again) in [(libc::ENOENT, true), (libc::EIO, false)] {
        let scene = Scene::new(Mount::Local);
        let lock = scene.fenced_lock_of(US);
        lock.lock().unwrap().unlock().unwrap();
        scene.fs.arm(Some(Fault { op: Op::Rename, errno, when: When::From(0), executed: false }));
        let begun = scene.server_time();
        let error = lock.lock().unwrap_err();
        assert!(matches!(error, Error::Io { operation: Operation::Rename, .. }), "{error:?}");
        let took = scene.server_time().duration_since(begun).unwrap();
        let is_a_second = took >= SECOND && took < SECOND * 11 / 10;
        assert!(if is_tried_again { is_a_second } else { took.is_zero() }, "{errno}: {took:?}");
    }
}

/// The client had hold of a file that has gone: its name may lead to another.
#[test]
fn what_is_stale_is_asked_for_again() {
    let scene = Scene::new(Mount::Nfs);
    let guard = scene.lock_of(US).lock().unwrap();
    for op in [Op::Stat, Op::Touch] {
        scene.fs.arm(once(op, libc::ESTALE, false));
        guard.refresh().unwrap();
    }
    scene.fs.arm(Some(Fault {
        op: Op::Stat,
        errno: libc::ESTALE,
        when: When::From(0),
        executed: false,
    }));
    let begun = scene.server_time();
    let error = guard.verify().unwrap_err();
    assert!(matches!(error, Error::Io { operation: Operation::Stat, .. }), "{error:?}");
    // Once at once, and then ever more rarely.
    let took = scene.server_time().duration_since(begun).unwrap();
    assert!(took > Duration::from_millis(200) && took < Duration::from_millis(300), "{took:?}");
}

/// A request that is executed late, or twice, must not find in use what another has.
#[test]
fn what_is_put_aside_has_a_name_of_its_own_each_time() {
    let scene = Scene::new(Mount::Nfs);
    let context = &scene.lock_of(US).context;
    let numbers = [(); 8].map(|()| context.random_number());
    assert!(numbers.iter().enumerate().all(|(at, number)| !numbers[..at].contains(number)));
}

#[test]
fn a_keeper_is_told_what_it_must_know_of_a_tenure() {
    let scene = Scene::new(Mount::Local);
    let claim = Claim::make(&scene.lock_of(US).context, LIFETIME).unwrap();
    let dev = fs::metadata(&claim.path).unwrap().dev();
    let tenure = Tenure::begin(claim);
    let leased: &dyn Leased = &tenure;
    assert_eq!((leased.path(), leased.dev()), (&*scene.path(), dev));
    assert_eq!((leased.remaining(), leased.overdue()), (LIFETIME, Duration::ZERO));
    scene.pass(LIFETIME + SECOND);
    assert_eq!((leased.remaining(), leased.overdue()), (Duration::ZERO, SECOND));
}
