//! The protocol: how a lock is acquired, held, taken over and released.
//!
//! A contender makes a [`claim`] and links it to the lock file's name ([`acquire`]). If another holds
//! the lock, [`observe`] says whose file is there and [`verdict`] whether it is stale; a stale one's
//! tenure is ended by [`takeover`]. What a holder has is a [`tenure`]: it is refreshed, verified and
//! released, or handed to another process ([`transfer`]).

pub(crate) mod acquire;
pub(crate) mod claim;
pub(crate) mod claim_cache;
pub(crate) mod current_tenure;
pub(crate) mod fencing;
pub(crate) mod fitness;
pub(crate) mod observe;
pub(crate) mod sweep;
pub(crate) mod takeover;
pub(crate) mod tenure;
pub(crate) mod transfer;
