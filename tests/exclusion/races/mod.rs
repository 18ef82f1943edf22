//! Races: many processes for locks whose holders die, stall, or have their clocks wrong.
//!
//! `LINKLOCK_BREAKS=10000 cargo test --test exclusion races` breaks that many locks, half of them by
//! each policy; what was measured goes to stderr.

mod clocks;
pub(crate) mod stale;
pub(crate) mod wrong_date;
