//! linklock.
//!
//! # Succession
#![deny(missing_docs)]

mod acquire;
mod claim;
mod context;
mod error;
mod fs;
mod guard;
mod handover;
mod holder;
mod judge;
mod keeper;
mod lease;
mod lock;
mod names;
mod options;
mod process;
mod report;
mod safeguard;
#[cfg(test)]
mod sim;
mod succession;
mod sweep;
mod tenure;
mod wait;

pub use error::{Error, Operation, Successor};
pub use fs::{Clock, SystemClock};
pub use guard::LockGuard;
pub use holder::{Holder, Obstacle, Owner, StalePolicy, State};
pub use lock::Lock;
pub use options::Options;
pub use process::Life;
