//! The protocol: how a lock is acquired, held, taken over and released.
//!
//! A contender makes a [`claim`] and [links](mod@link) it to the lock file's name ([`acquire`]). If another
//! process holds the lock, [`observe`] reads the lock file and decides whether the lock is stale;
//! [`takeover`] ends a stale tenure. A holder has a [`tenure`]: it refreshes, verifies and releases
//! the tenure, or hands the lock to another process ([`transfer`]). After its release it may wake the
//! next waiter on another machine ([`wake_up`]).

pub(crate) mod acquire;
pub(crate) mod claim;
pub(crate) mod claim_cache;
pub(crate) mod current_tenure;
pub(crate) mod fencing;
pub(crate) mod fitness;
mod link;
mod new_claim;
pub(crate) mod not_made;
pub(crate) mod observe;
pub(crate) mod sweep;
pub(crate) mod takeover;
pub(crate) mod tenure;
pub(crate) mod transfer;
pub(crate) mod wake_up;
