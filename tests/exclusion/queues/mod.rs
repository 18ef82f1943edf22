//! Queues: many processes wait long for a lock.
//!
//! `LINKLOCK_TURNS=10000 cargo test --test exclusion queues` makes the queue's tests longer; the
//! measurements go to stderr.

pub(crate) mod long;
mod swept;
