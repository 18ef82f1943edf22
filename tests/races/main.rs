//! Races: many processes for locks whose holders die, stall, or have their clocks wrong.
//!
//! `LINKLOCK_BREAKS=10000 cargo test --test races` breaks that many locks, half of them by each
//! policy; what was measured goes to stderr.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod clocks;
mod stale;
mod wrong_date;

use support::worker;

/// What a process of a crew runs; see [`support::crew`].
#[test]
#[ignore = "the other tests run it, in processes of their own"]
fn worker() {
    worker::run(&[&stale::DEAD, &stale::EXPIRED, &stale::FLUFL]);
}

/// What [`wrong_date`] runs.
#[test]
#[ignore = "another test runs it, in a process with a wrong date"]
fn contender_with_a_wrong_date() {
    wrong_date::contend();
}
