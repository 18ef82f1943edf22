//! The operations on a lock that are tried while calls fail. Each use prepares itself undisturbed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::checks::Check;
use super::scene::{LIFETIME, NEIGHBOUR, NEXT, PEER, SLOP, Scene, US, truth};
use crate::error::Error;
use crate::guard::LockGuard;
use crate::holder::{Holder, Owner, State};
use crate::lock::Lock;
use crate::model::lease::SEAT_LEASE;

pub(super) type Use = fn(&Scene, &mut Check);

const SECOND: Duration = Duration::from_secs(1);

/// The lock has no other contender.
pub(super) fn uncontended(scene: &Scene, check: &mut Check) {
    let lock = scene.lock_of(US);
    check.arm();
    lock_and_unlock(check, &lock);
}

/// The very first token is drawn.
pub(super) fn first_token(scene: &Scene, check: &mut Check) {
    let lock = scene.fenced_lock_of(US);
    check.arm();
    lock_and_unlock(check, &lock);
    next_token(scene, check, 0);
}

/// The files of the lock and of its first token have a mode of their own.
pub(super) fn chosen_mode(scene: &Scene, check: &mut Check) {
    const MODE: u32 = 0o666;
    let lock = scene.fenced_lock_with_mode(MODE, US);
    check.arm();
    match lock.lock() {
        Ok(guard) => {
            check.holds("lock", &guard);
            let permissions = fs::metadata(scene.path()).unwrap().permissions();
            check.expect(permissions.mode() & 0o777 == MODE, || format!("{permissions:?}"));
            unlock(check, guard);
        }
        Err(error) => check.failed("lock", &error, false),
    }
    next_token(scene, check, 0);
}

/// Another process has drawn a token before us.
pub(super) fn later_token(scene: &Scene, check: &mut Check) {
    let guard = scene.fenced_lock_of(PEER).lock().unwrap();
    let before = guard.token().unwrap();
    guard.unlock().unwrap();
    let lock = scene.fenced_lock_of(US);
    check.arm();
    let drawn = match lock.lock() {
        Ok(guard) => {
            check.holds("lock", &guard);
            let token = guard.token();
            check.expect(token > Some(before), || format!("{token:?} after {before}"));
            unlock(check, guard);
            token
        }
        Err(error) => {
            check.failed("lock", &error, false);
            None
        }
    };
    next_token(scene, check, drawn.unwrap_or(before));
}

/// The next holder, once operations no longer fail, gets a higher token.
fn next_token(scene: &Scene, check: &mut Check, before: u64) {
    scene.fs.disarm();
    match scene.fenced_lock_of(NEXT).lock() {
        Ok(guard) => {
            let token = guard.token();
            check.expect(token > Some(before), || format!("{token:?} after {before}"));
            unlock(check, guard);
        }
        Err(error) => check.problems.push(format!("NO TOKEN for the next process: {error}")),
    }
    let left = fs::read_dir(scene.fence()).unwrap().count();
    check.expect(left == 1, || format!("there are {left} counters"));
}

/// The holder was on another host, and died long ago.
pub(super) fn expired_holder(scene: &Scene, check: &mut Check) {
    scene.die(PEER, scene.lock_of(PEER).lock().unwrap());
    scene.pass(LIFETIME + SLOP + SECOND);
    let lock = scene.lock_of(US);
    check.arm();
    lock_and_unlock(check, &lock);
}

/// The holder was a process of this host.
pub(super) fn dead_holder(scene: &Scene, check: &mut Check) {
    scene.die(NEIGHBOUR, scene.lock_of(NEIGHBOUR).lock().unwrap());
    let lock = scene.lock_of(US);
    check.arm();
    lock_and_unlock(check, &lock);
}

/// So did the process that was taking over the lock, in the first seat.
pub(super) fn dead_breaker(scene: &Scene, check: &mut Check) {
    let guard = scene.lock_of(PEER).lock().unwrap();
    let claim = guard.claim_path().to_owned();
    scene.die(PEER, guard);
    let nonce = name(&claim).rsplit_once('|').unwrap().1.to_owned();
    orphan(scene, "host7|7|x0000000000000007", &format!("break|{nonce}|0"));
    scene.pass(LIFETIME + SLOP + SECOND);
    let lock = scene.lock_of(US);
    check.arm();
    lock_and_unlock(check, &lock);
}

/// Another process holds it, and we do not wait.
pub(super) fn contended(scene: &Scene, check: &mut Check) {
    let holder = scene.lock_of(PEER).lock().unwrap();
    let lock = scene.lock_of(US);
    check.is_contended = true;
    check.arm();
    match lock.try_lock() {
        Ok(_) => check.problems.push("FALSE SUCCESS: another holds the lock".to_owned()),
        Err(error) => check.failed("try_lock", &error, false),
    }
    scene.fs.disarm();
    check.holds("the holder", &holder);
    let released = holder.unlock();
    check.expect(released.is_ok(), || format!("the holder: {released:?}"));
}

/// Another process holds it at first, and we wait until it does not.
pub(super) fn awaited(scene: &Scene, check: &mut Check) {
    let mut holder = Some(scene.lock_of(PEER).lock().unwrap());
    let begun = scene.server_time();
    let lock = scene.lock_of(US);
    check.arm();
    let locked = lock.lock_while(|_| {
        let waited = scene.server_time().duration_since(begun).unwrap();
        if waited > LIFETIME / 2 {
            drop(holder.take());
        }
        waited < 10 * LIFETIME
    });
    match locked {
        Ok(guard) => {
            check.expect(holder.is_none(), || "FALSE SUCCESS: another holds it".to_owned());
            check.holds("lock", &guard);
            unlock(check, guard);
        }
        Err(error) => check.failed("lock", &error, false),
    }
}

pub(super) fn refresh_in_time(scene: &Scene, check: &mut Check) {
    refresh_after(scene, check, LIFETIME / 2);
}

/// The lock could not have been taken over yet.
pub(super) fn refresh_late(scene: &Scene, check: &mut Check) {
    refresh_after(scene, check, LIFETIME + SECOND);
}

/// The lock could have been taken over meanwhile.
pub(super) fn refresh_very_late(scene: &Scene, check: &mut Check) {
    refresh_after(scene, check, LIFETIME + SLOP + SECOND);
}

/// Another process has removed the claim.
pub(super) fn refresh_without_claim(scene: &Scene, check: &mut Check) {
    let lock = scene.lock_of(US);
    let guard = lock.lock().unwrap();
    fs::remove_file(guard.claim_path()).unwrap();
    check.arm();
    refresh(check, guard);
}

pub(super) fn verify(scene: &Scene, check: &mut Check) {
    let lock = scene.lock_of(US);
    let guard = lock.lock().unwrap();
    check.arm();
    match guard.verify() {
        Ok(()) => check.holds("verify", &guard),
        Err(error) => check.failed("verify", &error, true),
    }
    scene.fs.disarm();
    unlock(check, guard);
}

pub(super) fn unlock_late(scene: &Scene, check: &mut Check) {
    unlock_after(scene, check, LIFETIME + SECOND);
}

pub(super) fn unlock_very_late(scene: &Scene, check: &mut Check) {
    unlock_after(scene, check, LIFETIME + SLOP + SECOND);
}

/// The lock is detached, and then adopted again by us.
pub(super) fn handed_over(scene: &Scene, check: &mut Check) {
    let lock = scene.lock_of(US);
    let guard = lock.lock().unwrap();
    check.arm();
    let claim = match guard.detach(Owner::Lease) {
        Ok(claim) => claim,
        Err(error) => return check.failed("detach", &error, true),
    };
    let is_held = scene.lease_end(&claim).is_some() && truth(&claim).is_some();
    check.expect(is_held, || "detach: FALSE SUCCESS: L is not that claim".to_owned());
    let lock = scene.lock_of(US);
    match lock.adopt(&claim) {
        Ok(guard) => {
            check.holds("adopt", &guard);
            unlock(check, guard);
        }
        Err(error) => {
            check.failed("adopt", &error, true);
            // It can still be adopted: by that claim or, if the adoption was executed but could not
            // be seen, by the adopter's.
            scene.fs.disarm();
            let claim = lock.holder().ok().flatten().map_or(claim, |it| it.claim_path().to_owned());
            let adopted = lock.adopt(&claim).and_then(LockGuard::unlock);
            check.expect(adopted.is_ok(), || format!("adopt: not again: {adopted:?}"));
        }
    }
}

/// Another process holds it, and we only query it.
pub(super) fn asked_about(scene: &Scene, check: &mut Check) {
    let holder = scene.lock_of(PEER).lock().unwrap();
    let lock = scene.lock_of(US);
    check.is_contended = true;
    check.arm();
    let is_holder = |found: Option<Holder>| found.map(|it| it.claim_path() == holder.claim_path());
    check.says("holder", lock.holder().map(is_holder));
    let is_future = |ends: Option<SystemTime>| ends.map(|ends| ends > scene.server_time());
    check.says("expires_at", lock.expires_at().map(is_future));
    let is_held =
        |state| if state == State::Unlocked { None } else { Some(state == State::Unknown) };
    check.says("state", lock.state().map(is_held));
    let is_locked = lock.is_locked();
    check.expect(matches!(is_locked, Ok(false)), || format!("is_locked: {is_locked:?}"));
    scene.fs.disarm();
    check.holds("the holder", &holder);
    let released = holder.unlock();
    check.expect(released.is_ok(), || format!("the holder: {released:?}"));
}

/// Beside a live lock there are a claim, a seat and a put-aside file of dead processes.
pub(super) fn sweep(scene: &Scene, check: &mut Check) {
    let holder = scene.lock_of(PEER).lock().unwrap();
    orphan(scene, "host7|7|x0000000000000007", "break|x0000000000000007|0");
    orphan(scene, "host7|8|x0000000000000008", "aside|x0000000000000008|815");
    let lock = scene.lock_of(US);
    let before = scene.files();
    check.arm();
    match lock.sweep() {
        Ok(swept) => {
            let gone = swept.iter().all(|path| before.contains(path) && !path.exists());
            check.expect(gone, || format!("sweep: FALSE SUCCESS: {swept:?}"));
        }
        Err(error) => check.failed("sweep", &error, false),
    }
    scene.fs.disarm();
    check.holds("the holder", &holder);
    let released = holder.unlock();
    check.expect(released.is_ok(), || format!("the holder: {released:?}"));
}

/// An administrator breaks a lock whose lease runs.
pub(super) fn break_if(scene: &Scene, check: &mut Check) {
    let holder = scene.lock_of(PEER).lock().unwrap();
    let lock = scene.lock_of(US);
    check.arm();
    match lock.break_if(|_| true) {
        Ok(broken) => {
            let is_held = scene.lease_end(holder.claim_path()).is_some();
            check.expect(!(broken.is_some() && is_held), || {
                "break_if: FALSE SUCCESS: it is still held".to_owned()
            });
        }
        Err(error) => check.failed("break_if", &error, false),
    }
    scene.fs.disarm();
    // The holder may be unable to learn of it.
    let _ = holder.unlock();
}

/// An administrator removes a file that is not a lock.
pub(super) fn break_file_if(scene: &Scene, check: &mut Check) {
    let lock = scene.lock_of(US);
    fs::write(lock.path(), "no lock").unwrap();
    fs::File::open(lock.path()).unwrap().set_modified(UNIX_EPOCH).unwrap();
    check.arm();
    match lock.break_file_if(|_, _| true) {
        Ok(broken) => check.expect(!(broken.is_some() && lock.path().exists()), || {
            "break_file_if: FALSE SUCCESS: it still exists".to_owned()
        }),
        Err(error) => check.failed("break_file_if", &error, false),
    }
    scene.fs.disarm();
    let next = scene.lock_of(NEXT);
    if lock.path().exists() {
        scene.pass(SEAT_LEASE + SLOP + SECOND); // the breaker may have been left in the seat
        let broken = next.break_file_if(|_, _| true);
        check.expect(matches!(broken, Ok(Some(_))), || format!("the next process: {broken:?}"));
    }
    lock_and_unlock(check, &next);
}

fn lock_and_unlock(check: &mut Check, lock: &Lock) {
    match lock.lock() {
        Ok(guard) => {
            check.holds("lock", &guard);
            unlock(check, guard);
        }
        Err(error) => {
            check.failed("lock", &error, false);
            let left = truth(lock.path()).is_some() && is_by(lock.path(), US);
            check.expect(!(left && check.is_passing()), || {
                format!("lock: L is left behind by an error: {error}")
            });
        }
    }
}

fn unlock(check: &mut Check, guard: LockGuard) {
    let claim = guard.claim_path().to_owned();
    let was_ours = check.scene.lease_end(&claim).is_some();
    match guard.unlock() {
        Ok(()) => {
            let is_held = check.scene.lease_end(&claim).is_some();
            check.expect(!is_held, || "unlock: FALSE SUCCESS: L is still our claim".to_owned());
            check.expect(was_ours, || "unlock: FALSE SUCCESS: L was not our claim".to_owned());
        }
        Err(error) => check.failed("unlock", &error, was_ours),
    }
}

fn unlock_after(scene: &Scene, check: &mut Check, time: Duration) {
    let lock = scene.lock_of(US);
    let guard = lock.lock().unwrap();
    scene.pass(time);
    check.arm();
    unlock(check, guard);
}

fn refresh_after(scene: &Scene, check: &mut Check, time: Duration) {
    let lock = scene.lock_of(US);
    let guard = lock.lock().unwrap();
    scene.pass(time);
    check.arm();
    refresh(check, guard);
}

fn refresh(check: &mut Check, guard: LockGuard) {
    let refreshed = guard.refresh();
    match &refreshed {
        Ok(()) => check.holds("refresh", &guard),
        Err(error) => check.failed("refresh", error, true),
    }
    check.scene.fs.disarm();
    // A process that did not learn that it lost the lock may try again.
    if !matches!(refreshed, Err(Error::Lost { .. })) {
        match guard.refresh() {
            Ok(()) => check.holds("refresh again", &guard),
            Err(error) => check.problems.push(format!("refresh again: {error}")),
        }
    }
    unlock(check, guard);
}

/// Makes an expired claim of a process that died long ago, and links it to another name.
fn orphan(scene: &Scene, claim: &str, other: &str) {
    let path = |rest: &str| scene.path().with_file_name(format!("lock|{rest}"));
    let claim = path(claim);
    fs::write(&claim, claim.as_os_str().as_encoded_bytes()).unwrap();
    fs::File::open(&claim).unwrap().set_modified(UNIX_EPOCH + SECOND).unwrap();
    fs::hard_link(&claim, path(other)).unwrap();
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Whether a lock file says that this process made it.
fn is_by(lock: &Path, pid: u32) -> bool {
    fs::read_to_string(lock).unwrap().contains(&format!("|{pid}|"))
}
