//! How a lock's secret is sent, for the client and the server.

use std::ops::RangeInclusive;

/// The header with the holder's secret.
pub(crate) const HEADER: &str = "x-lock-secret";
/// How many characters a secret has.
pub(crate) const LENGTH: RangeInclusive<usize> = 16..=200;
