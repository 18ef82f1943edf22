//! A lock that is held while the command runs, wherever it is kept.

use std::fmt::{self, Display};
use std::time::Duration;

use linklock::{Error, LockGuard};

use crate::events::Events;

/// What went wrong with it, to be told to the user.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) is_lost: bool,
    why: String,
}

impl Trouble {
    pub(crate) fn new(is_lost: bool, why: &impl Display) -> Trouble {
        Trouble { is_lost, why: why.to_string() }
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::new(error.is_lost(), &error)
    }
}

pub(crate) trait Held {
    /// What the user calls it.
    fn name(&self) -> String;
    /// Keeps it alive from now on; the loss of it is an event.
    fn keep_alive(&self, events: &Events) -> Result<(), Trouble>;
    /// For how much longer the lease runs.
    fn remaining(&self) -> Duration;
    fn refresh(&self) -> Result<(), Trouble>;
    fn release(self: Box<Self>) -> Result<(), Trouble>;
    /// Leaves it to its lease.
    fn forget(self: Box<Self>);
}

impl Held for LockGuard {
    fn name(&self) -> String {
        self.path().display().to_string()
    }

    fn keep_alive(&self, events: &Events) -> Result<(), Trouble> {
        Ok(LockGuard::keep_alive(self, events.on_lost())?)
    }

    fn remaining(&self) -> Duration {
        LockGuard::remaining(self)
    }

    fn refresh(&self) -> Result<(), Trouble> {
        Ok(LockGuard::refresh(self)?)
    }

    fn release(self: Box<Self>) -> Result<(), Trouble> {
        Ok(self.unlock()?)
    }

    fn forget(self: Box<Self>) {
        std::mem::forget(self);
    }
}
