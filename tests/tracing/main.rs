//! The feature `tracing`: what subscribers are told of locks, and what they can't do to them.

#[path = "../common/mod.rs"]
mod common;

mod acquiring;
mod breaking;
mod capture;
mod guide;
mod holding;
mod hostile;
mod mailbox;
mod stage;
mod subscribers;

/// Not a test: the other process of tests that need one.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    common::worker::work();
}
