//! The real flufl.lock 10.0.0 and linklock on the same locks, in both directions.
//!
//!     cargo test --test exclusion peers
//!
//! Needs Python 3 and, for the first run, a network: see `python.rs`.

pub(crate) mod crowd;
mod dialogue;
mod flufl;
mod naming;
pub(crate) mod ours;
mod reading;
mod respect;
mod scene;
mod skew;
mod sweeping;
mod takeover;
