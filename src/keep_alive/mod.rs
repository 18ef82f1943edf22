//! Keeping leases alive: one [`schedule`], which the [`thread`] of blocking programs and the task of
//! those on tokio both go by.

pub(crate) mod schedule;
pub(crate) mod thread;
