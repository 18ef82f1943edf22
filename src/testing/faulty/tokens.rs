//! Drawing fencing tokens: failures that need a test of their own.

use std::time::Duration;

use super::fault::{Fault, Op};
use super::scene::{Scene, US};
use crate::error::{Error, Operation};
use crate::sys::errno;
use crate::sys::fs::Mount;

const SECOND: Duration = Duration::from_secs(1);

/// Another process may have drawn it, or this one has, which an NFS client sees only once it has
/// asked.
#[test]
fn a_counter_that_is_gone_is_looked_for_again() {
    let scene = Scene::new(Mount::Nfs);
    let lock = scene.fenced_lock_of(US);
    lock.lock().unwrap().unlock().unwrap();
    scene.fs.arm(Some(Fault { executed: true, ..Fault::once(Op::Rename, errno::ENOENT) }));
    let guard = lock.lock().unwrap();
    assert_eq!(guard.token(), Some(3));
    assert_eq!([Op::List, Op::Stat].map(|op| scene.fs.count(op)), [2, 2]);
}

#[test]
fn the_first_token_is_drawn_although_its_draft_is_gone() {
    for (op, executed) in [(Op::Rename, true), (Op::Rename, false), (Op::MakeDir, false)] {
        let scene = Scene::new(Mount::Nfs);
        let lock = scene.fenced_lock_of(US);
        scene.fs.arm(Some(Fault { executed, ..Fault::once(op, errno::ENOENT) }));
        assert_eq!(lock.lock().unwrap().token(), Some(1), "{op:?}");
    }
}

#[test]
fn a_first_token_that_cannot_be_drafted_is_an_error_at_once() {
    for op in [Op::Rename, Op::MakeDir] {
        let scene = Scene::new(Mount::Local);
        let lock = scene.fenced_lock_of(US);
        let begun = scene.server_time();
        scene.fs.arm(Some(Fault::always(op, errno::EACCES)));
        let error = lock.lock().unwrap_err();
        assert!(matches!(&error, Error::Io { operation, .. } if *operation == op.operation()));
        assert_eq!(scene.server_time(), begun, "{op:?}");
    }
}

#[test]
fn a_counter_that_is_always_gone_is_looked_for_during_one_second() {
    for (errno, is_tried_again) in [(errno::ENOENT, true), (errno::EIO, false)] {
        let scene = Scene::new(Mount::Local);
        let lock = scene.fenced_lock_of(US);
        lock.lock().unwrap().unlock().unwrap();
        scene.fs.arm(Some(Fault::always(Op::Rename, errno)));
        let begun = scene.server_time();
        let error = lock.lock().unwrap_err();
        assert!(matches!(error, Error::Io { operation: Operation::Rename, .. }), "{error:?}");
        let took = scene.server_time().duration_since(begun).unwrap();
        let is_a_second = took >= SECOND && took < SECOND * 11 / 10;
        assert!(if is_tried_again { is_a_second } else { took.is_zero() }, "{errno}: {took:?}");
    }
}
