//! The feature `tracing`: what subscribers learn about locks, and what they can't do to them.

#[path = "../kit/mod.rs"]
mod kit;

mod acquiring;
mod breaking;
mod capture;
mod guide;
mod holding;
mod hostile;
mod mailbox;
mod stage;
mod subscribers;

/// Not a test: the other process, for tests that need one.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    crate::kit::worker::work();
}
