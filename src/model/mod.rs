//! The protocol's model, which makes no system calls by itself: names, leases, a lock's context,
//! and how long to wait between two polls.

pub(crate) mod backoff;
pub(crate) mod config;
pub(crate) mod context;
pub(crate) mod fairness;
pub(crate) mod hint;
pub(crate) mod lease;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod nonce;
pub(crate) mod safeguard;
pub(crate) mod server_clock;
