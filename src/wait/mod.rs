//! Waiting for a lock: how a [`waiter`] spends the time between two observations, for how long
//! ([`limit`]), what it asks of holders on other machines ([`hints`]), and how it blocks ([`park`]).

pub(crate) mod hints;
pub(crate) mod limit;
pub(crate) mod park;
pub(crate) mod together;
pub(crate) mod waiter;
pub(crate) mod yielding;
