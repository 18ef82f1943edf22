//! A holder's lease, by its own clock.

use std::time::{Duration, Instant};

use super::error::ClientError;
use super::interface::Described;

pub(super) struct Lease<I> {
    pub(super) info: I,
    /// The server created the lock no earlier than this, by our clock.
    asked: Instant,
    /// By our clock; never later than the server's own date.
    pub(super) expires: Instant,
}

impl<I: Described> Lease<I> {
    pub(super) fn new(info: I, asked: Instant) -> Lease<I> {
        let mut lease = Lease { info, asked, expires: asked };
        lease.expires = lease.on_our_clock(&lease.info);
        lease
    }

    /// When the lock expires by our clock, computed from its lifetime since it was created.
    pub(super) fn on_our_clock(&self, info: &I) -> Instant {
        later(self.asked, info.lasts())
    }

    pub(super) fn renew(&mut self, info: I, expires: Instant) {
        self.info = info;
        self.expires = expires;
    }

    pub(super) fn remaining(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
    }

    /// The deadline for a refresh: the server's grace period is not ours to use.
    pub(super) fn limit(&self) -> Instant {
        Instant::now() + self.remaining().max(Duration::from_secs(1))
    }

    /// If our own lock is not found, it is lost.
    pub(super) fn explain(&self, error: ClientError) -> ClientError {
        match error {
            ClientError::NotFound(id) => {
                ClientError::Lost { lock_name: self.info.name().to_owned(), id }
            }
            error => error,
        }
    }

    /// How long to wait after a refresh that was due before `expired`, or why the lock is lost.
    pub(super) fn after(
        &self,
        refreshed: Result<(), ClientError>,
        lifetime: Duration,
        expired: Instant,
    ) -> Result<Duration, ClientError> {
        match refreshed {
            Ok(()) => Ok(first_pause(lifetime)),
            Err(error) if error.is_passing() && Instant::now() < expired => {
                Ok((lifetime / 10).min(Duration::from_secs(1)))
            }
            Err(error) if error.is_passing() => {
                let (lock_name, id) = (self.info.name().to_owned(), self.info.id());
                Err(ClientError::Expired { lock_name, id, last: Box::new(error) })
            }
            Err(error) => Err(error),
        }
    }
}

/// `from` plus `by`, or the latest time that is safe to represent.
pub(super) fn later(from: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
    from.checked_add(by).unwrap_or_else(|| from + FAR)
}

/// How long to wait before the first refresh.
pub(super) fn first_pause(lifetime: Duration) -> Duration {
    lifetime / 3
}

/// A lease that is kept alive must last at least a second.
pub(super) fn check_lifetime(lifetime: Duration) -> Result<(), ClientError> {
    if lifetime < Duration::from_secs(1) {
        let reason = format!("invalid lifetime {lifetime:?}: it must be at least one second");
        return Err(ClientError::Invalid { reason });
    }
    Ok(())
}
