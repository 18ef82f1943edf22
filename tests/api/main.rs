//! What each public method promises.

#[path = "../common/mod.rs"]
mod common;

mod acquiring;
mod breaking;
mod clocks;
mod errors;
mod evidence;
mod handover;
mod holding;
mod keep_alive;
mod kept;
mod surveying;
mod sweeping;

use linklock::{Error, Holder, Lock, LockGuard, Obstacle, Options, Successor};

/// Not a test: the other process of tests that need one.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    common::worker::work();
}

#[test]
fn everything_can_cross_threads_and_outlive_its_scope() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Lock>();
    crosses::<LockGuard>();
    crosses::<Options>();
    crosses::<Holder>();
    crosses::<Obstacle>();
    crosses::<Successor>();
    crosses::<Error>();
}
