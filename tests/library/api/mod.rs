//! What each public method promises.

mod acquiring;
mod breaking;
mod clocks;
mod errors;
mod evidence;
mod handover;
mod holding;
mod keep_alive;
mod kept;
mod making;
mod rw_lock;
mod slots;
mod surveying;
mod sweeping;
mod threads;

use linklock::{Error, Holder, Lock, LockGuard, LockOptions, Obstacle, Successor};

#[test]
fn everything_can_cross_threads_and_outlive_its_scope() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Lock>();
    crosses::<LockGuard>();
    crosses::<LockOptions>();
    crosses::<Holder>();
    crosses::<Obstacle>();
    crosses::<Successor>();
    crosses::<Error>();
}
