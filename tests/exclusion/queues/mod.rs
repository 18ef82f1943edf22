//! Queues: many processes wait long for a lock, and nothing goes wrong.
//!
//! `LINKLOCK_TURNS=10000 cargo test --test exclusion queues` makes the queue's tests longer; what was
//! measured goes to stderr.

pub(crate) mod long;
mod swept;
