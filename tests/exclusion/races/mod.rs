//! Races: many processes contend for locks whose holders die, stall, or have wrong clocks.
//!
//! `LINKLOCK_BREAKS=10000 cargo test --test exclusion races` breaks that many locks, half of them
//! by each policy; the measurements go to stderr.

mod clocks;
pub(crate) mod stale;
pub(crate) mod wrong_date;
