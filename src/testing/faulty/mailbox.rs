//! The lock on a mailbox, with every errno at every call of every operation.

use super::fault::{Fault, Op, When};
use super::mailbox_case::{Case, REST, SECOND, is_fcntl};
use super::scene::{LIFETIME, PEER, SLOP};
use super::table::drive;
use crate::error::Error;
use crate::mailbox::LEASE;
use crate::sys::errno;
use crate::sys::fs::Mount;
use std::fs;
use std::time::Duration;

fn uncontended(case: &mut Case) {
    let lock = case.ours();
    case.arm();
    case.lock_and_unlock(&lock);
}

fn without_mailbox(case: &mut Case) {
    fs::remove_file(case.mailbox()).unwrap();
    uncontended(case);
}

fn without_fcntl(case: &mut Case) {
    case.uses_fcntl = false;
    uncontended(case);
}

/// Another program holds it, by both locks or by its dotlock alone.
fn contended(case: &mut Case) {
    contended_by(case, true);
}

fn contended_by_dotlock(case: &mut Case) {
    contended_by(case, false);
}

fn contended_by(case: &mut Case, uses_fcntl: bool) {
    let holder = case.lock_of(PEER, uses_fcntl).lock().unwrap();
    let lock = case.ours();
    case.is_contended = true;
    case.arm();
    match lock.try_lock() {
        Ok(_) => case.problems.push("FALSE SUCCESS: another holds the mailbox".to_owned()),
        Err(error) => case.failed("try_lock", &error, false),
    }
    case.scene.fs.disarm();
    let released = holder.verify().and_then(|()| holder.unlock());
    case.expect(released.is_ok(), || format!("the holder: {released:?}"));
    case.is_contended = false;
}

/// Another program holds it at first, and we wait for it.
fn awaited(case: &mut Case) {
    let mut holder = Some(case.lock_of(PEER, true).lock().unwrap());
    let lock = case.ours();
    case.arm();
    let mut looks = 0;
    let locked = lock.lock_while(|_| {
        looks += 1;
        if looks == 3 {
            holder = None;
        }
        looks < 100
    });
    match locked {
        Ok(guard) => {
            case.expect(holder.is_none(), || "FALSE SUCCESS: another holds it".to_owned());
            case.holds("lock", &guard);
            case.unlock(guard);
        }
        Err(error) => case.failed("lock", &error, false),
    }
}

/// A dead program's dotlock was observed unchanged, and is taken over.
fn stale_dotlock(case: &mut Case) {
    case.make_dotlock(b"0\n");
    take_over(case);
}

/// The same for a program that writes nothing into its dotlock.
fn empty_dotlock(case: &mut Case) {
    case.make_dotlock(b"");
    take_over(case);
}

/// The same for a lock file of [`Lock`](crate::Lock)'s kind.
fn stale_lock_file(case: &mut Case) {
    let lock = case.scene.lock_at(&case.dotlock(), PEER);
    case.scene.die(PEER, lock.lock().unwrap());
    take_over(case);
}

fn take_over(case: &mut Case) {
    case.is_taking_over = true;
    let lock = case.ours();
    let refused = lock.try_lock().unwrap_err();
    assert!(refused.is_contention(), "{refused:?}");
    case.scene.pass(REST + SECOND);
    case.arm();
    case.lock_and_unlock(&lock);
}

fn refresh_in_time(case: &mut Case) {
    refresh_after(case, LEASE / 2);
}

/// Another program could have taken the mailbox meanwhile.
fn refresh_late(case: &mut Case) {
    refresh_after(case, REST + SECOND);
}

fn refresh_after(case: &mut Case, time: Duration) {
    let guard = case.ours().lock().unwrap();
    case.scene.pass(time);
    case.arm();
    let refreshed = guard.refresh();
    match &refreshed {
        Ok(()) => case.holds("refresh", &guard),
        Err(error) => case.failed("refresh", error, true),
    }
    case.scene.fs.disarm();
    // Only a holder that did not learn of its loss may try again.
    if !matches!(refreshed, Err(Error::Lost { .. })) {
        // The right to act on a dotlock may have been left behind, with its lease.
        case.scene.pass(LIFETIME + 2 * SLOP);
        match guard.refresh() {
            Ok(()) => case.holds("refresh again", &guard),
            Err(error) => case.problems.push(format!("refresh again: {error}")),
        }
    }
    case.unlock(guard);
}

fn verify(case: &mut Case) {
    let guard = case.ours().lock().unwrap();
    case.arm();
    match guard.verify() {
        Ok(()) => case.holds("verify", &guard),
        Err(error) => case.failed("verify", &error, true),
    }
    case.scene.fs.disarm();
    case.unlock(guard);
}

fn unlock_in_time(case: &mut Case) {
    unlock_after(case, LEASE / 2);
}

fn unlock_late(case: &mut Case) {
    unlock_after(case, REST + SECOND);
}

fn unlock_after(case: &mut Case, time: Duration) {
    let guard = case.ours().lock().unwrap();
    case.scene.pass(time);
    case.arm();
    case.unlock(guard);
}

/// Another program holds it, and we only list the obstacles.
fn asked_about(case: &mut Case) {
    let holder = case.lock_of(PEER, true).lock().unwrap();
    let lock = case.ours();
    case.arm();
    // The file system itself may claim that there is no mailbox, or no dotlock.
    let may_be_gone = case.fault.is_some_and(|fault| fault.errno == errno::ENOENT);
    match lock.obstacles() {
        Ok(found) => {
            let is_true = found.iter().any(is_fcntl) && found.len() == 2;
            case.expect(is_true || may_be_gone, || format!("obstacles: {found:?}"));
        }
        Err(error) => case.failed("obstacles", &error, false),
    }
    case.scene.fs.disarm();
    let released = holder.verify().and_then(|()| holder.unlock());
    case.expect(released.is_ok(), || format!("the holder: {released:?}"));
}

/// The mailbox is free, and we only list the obstacles.
fn asked_about_nothing(case: &mut Case) {
    let lock = case.ours();
    case.arm();
    match lock.obstacles() {
        Ok(found) => case.expect(found.is_empty(), || format!("obstacles: {found:?}")),
        Err(error) => case.failed("obstacles", &error, false),
    }
}

/// Other processes of its host see that its process is alive, but not that it has no use for that
/// right.
#[test]
fn a_right_that_was_not_given_back_does_not_block_its_own_process() {
    let case = Case::new(Mount::Nfs, None);
    let lock = case.ours();
    let rest = || {
        case.make_dotlock(b"0\n");
        assert!(lock.try_lock().unwrap_err().is_contention());
        case.scene.pass(REST + SECOND);
    };
    rest();
    // The first rename takes the dotlock away.
    let fault = Fault { when: When::At(1), ..Fault::once(Op::Rename, errno::EIO) };
    case.scene.fs.arm(Some(fault));
    lock.lock().unwrap().unlock().unwrap();
    assert!(case.breaker().exists());
    rest();
    lock.try_lock().unwrap().unlock().unwrap();
    assert!(!case.breaker().exists());
}

macro_rules! table {
    ($($name:ident)*) => {
        mod table {
            use super::{Case, drive};

            $(
                #[test]
                fn $name() {
                    drive(|mount, fault| {
                        let mut case = Case::new(mount, fault);
                        super::$name(&mut case);
                        case.finish()
                    });
                }
            )*
        }
    };
}

table! {
    uncontended
    without_mailbox
    without_fcntl
    contended
    contended_by_dotlock
    awaited
    stale_dotlock
    empty_dotlock
    stale_lock_file
    refresh_in_time
    refresh_late
    verify
    unlock_in_time
    unlock_late
    asked_about
    asked_about_nothing
}
