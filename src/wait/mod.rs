//! Waiting for a lock: how a [`waiter`] spends the time between two observations, for how long
//! ([`limit`]), and how it blocks ([`park`]).

pub(crate) mod limit;
pub(crate) mod park;
pub(crate) mod together;
pub(crate) mod waiter;
pub(crate) mod yielding;
