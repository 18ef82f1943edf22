//! The real flufl.lock 10.0.0 and linklock on the same locks, in both directions.
//!
//!     cargo test --test peers
//!
//! Needs Python 3 and, for the first run, a network: see `python.rs`.
#![cfg(unix)]

mod crowd;
mod dialogue;
mod flufl;
mod naming;
mod ours;
mod python;
mod reading;
mod respect;
mod scene;
mod skew;
mod sweeping;
mod takeover;
