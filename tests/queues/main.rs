//! Queues: many processes wait long for a lock, and nothing goes wrong.
//!
//! `LINKLOCK_TURNS=10000 cargo test --test queues` makes the queue's tests longer; what was measured
//! goes to stderr.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod long;
mod swept;

use support::worker;

/// What a process of a crew runs; see [`support::crew`].
#[test]
#[ignore = "the other tests run it, in processes of their own"]
fn worker() {
    worker::run(&[&long::LINKLOCK, &long::FLUFL]);
}
