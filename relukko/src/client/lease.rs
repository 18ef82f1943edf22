//! What a holder knows of its lease, by its own clock.

use std::time::{Duration, Instant};

use super::error::ClientError;
use crate::info::LockInfo;

pub(super) struct Lease {
    pub(super) info: LockInfo,
    /// When the server created the lock was no earlier than this, by our clock.
    asked: Instant,
    /// By our clock, and never later than by the server's.
    pub(super) expires: Instant,
}

impl Lease {
    pub(super) fn new(info: LockInfo, asked: Instant) -> Lease {
        let mut lease = Lease { info, asked, expires: asked };
        lease.expires = lease.on_our_clock(&lease.info);
        lease
    }

    /// When the lock expires by our clock, from the distance to when it was created.
    pub(super) fn on_our_clock(&self, info: &LockInfo) -> Instant {
        self.asked + info.expires_at.duration_since(info.created_at).unwrap_or_default()
    }

    pub(super) fn remaining(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
    }

    /// Until when a refresh may take: the server's grace is not for us to use.
    pub(super) fn limit(&self) -> Instant {
        Instant::now() + self.remaining().max(Duration::from_secs(1))
    }

    /// That there is no such lock means, of one's own, that it is lost.
    pub(super) fn explain(&self, error: ClientError) -> ClientError {
        match error {
            ClientError::NotFound(id) => {
                ClientError::Lost { lock_name: self.info.lock_name.clone(), id }
            }
            error => error,
        }
    }

    /// When to refresh it again, which was to have been done before `expired`, or why it is lost.
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
                let (lock_name, id) = (self.info.lock_name.clone(), self.info.id);
                Err(ClientError::Expired { lock_name, id, last: Some(Box::new(error)) })
            }
            Err(error) => Err(error),
        }
    }
}

/// When to refresh for the first time.
pub(super) fn first_pause(lifetime: Duration) -> Duration {
    lifetime / 3
}

/// A lease that is kept alive lasts for a second at least.
pub(super) fn check_lifetime(lifetime: Duration) -> Result<(), ClientError> {
    if lifetime < Duration::from_secs(1) {
        return Err(ClientError::Invalid { reason: "less than a second of lifetime".into() });
    }
    Ok(())
}
