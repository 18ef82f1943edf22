//! Keep-alive: one [`schedule`] of renewals, the [`thread`]s that follow it for both faces, and
//! the [`report`] of a loss.

pub(crate) mod report;
pub(crate) mod schedule;
pub(crate) mod thread;
