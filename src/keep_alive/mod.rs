//! Keep-alive: one [`schedule`] of renewals, and the [`thread`]s that follow it for both faces.

pub(crate) mod schedule;
pub(crate) mod thread;
