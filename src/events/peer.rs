//! The peer of an event: the process or file on its other side.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::dotlock::{Dotlock, DotlockKind};
use crate::error::Successor;
use crate::events::text::plain;
use crate::holder::{Format, Holder, Obstacle};
use crate::sys::process::Life;

/// The process or file that has a lock or is in its way. It borrows everything, so that nothing is
/// allocated without a subscriber.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer<'a> {
    pub(super) kind: &'static str,
    pub(super) host: Option<&'a OsStr>,
    pub(super) pid: Option<u32>,
    pub(super) claim: Option<&'a Path>,
    pub(super) life: Option<Life>,
    format: Option<Format>,
    dotlock: Option<&'a DotlockKind>,
    /// How much longer its lease ran; negative once it had ended.
    pub(super) lease_secs: Option<f64>,
    pub(super) unchanged: Option<Duration>,
    pub(super) error: Option<&'a io::Error>,
}

impl<'a> Peer<'a> {
    pub(super) fn of_kind(kind: &'static str) -> Peer<'a> {
        Peer { kind, ..Peer::default() }
    }

    fn because_of(self, error: &'a io::Error) -> Peer<'a> {
        Peer { error: Some(error), ..self }
    }

    pub(super) fn life(&self) -> Option<&'static str> {
        self.life.map(|life| match life {
            Life::Alive => "alive",
            Life::Dead => "dead",
            Life::Unknown => "unknown",
        })
    }

    /// The program that writes files in this format.
    pub(super) fn program(&self) -> Option<String> {
        match (self.format, self.dotlock) {
            (Some(Format::Linklock), _) => Some("linklock".into()),
            (Some(Format::FluflLock), _) => Some("flufl.lock".into()),
            (None, dotlock) => dotlock.map(|kind| plain(kind.to_string())),
        }
    }

    /// Identifies the peer for as long as it lives: a hash of what does not change from one
    /// observation to the next.
    pub(super) fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.kind, self.host, self.pid, self.claim, self.dotlock, self.life()).hash(&mut hasher);
        self.error.map(io::Error::raw_os_error).hash(&mut hasher);
        hasher.finish()
    }
}

impl<'a> From<&'a Holder> for Peer<'a> {
    fn from(holder: &'a Holder) -> Peer<'a> {
        Peer {
            host: Some(&holder.host),
            pid: Some(holder.pid),
            claim: Some(&holder.claim),
            life: Some(holder.life),
            format: Some(holder.format),
            lease_secs: Some(seconds_until(holder.expires_at, holder.server_time)),
            ..Peer::of_kind("lock")
        }
    }
}

impl<'a> From<&'a Dotlock> for Peer<'a> {
    fn from(dotlock: &'a Dotlock) -> Peer<'a> {
        Peer {
            host: dotlock.kind.host(),
            pid: dotlock.kind.pid(),
            life: Some(dotlock.life),
            dotlock: Some(&dotlock.kind),
            unchanged: Some(dotlock.unchanged_for),
            ..Peer::of_kind("dotlock")
        }
    }
}

impl<'a> From<&'a Obstacle> for Peer<'a> {
    fn from(obstacle: &'a Obstacle) -> Peer<'a> {
        match obstacle {
            Obstacle::Holder(holder) => holder.into(),
            Obstacle::CannotBreak(holder, error) => Peer::from(holder).because_of(error),
            Obstacle::Dotlock(dotlock) => dotlock.into(),
            Obstacle::CannotBreakDotlock(dotlock, error) => Peer::from(dotlock).because_of(error),
            Obstacle::Fcntl(pid) => Peer { pid: *pid, ..Peer::of_kind("fcntl") },
            Obstacle::NotALock => Peer::of_kind("no_lock"),
            Obstacle::Unreadable(error) | Obstacle::ReadDenied(_, error) => {
                Peer::of_kind("unreadable").because_of(error)
            }
            Obstacle::Queue => Peer::of_kind("queue"),
        }
    }
}

impl<'a> From<&'a Successor> for Peer<'a> {
    fn from(successor: &'a Successor) -> Peer<'a> {
        match successor {
            Successor::Nobody => Peer::of_kind("nobody"),
            Successor::Holder(holder) => Peer::from(&**holder),
            Successor::Stranger => Peer::of_kind("stranger"),
            Successor::Dotlock(dotlock) => Peer::from(&**dotlock),
        }
    }
}

fn seconds_until(end: SystemTime, now: SystemTime) -> f64 {
    match end.duration_since(now) {
        Ok(left) => left.as_secs_f64(),
        Err(over) => -over.duration().as_secs_f64(),
    }
}
