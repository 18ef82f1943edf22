//! A lock that is held while the command runs, wherever it is stored.

use std::fmt::{self, Display};
use std::time::Duration;

use linklock::mailbox::MailboxGuard;
use linklock::{Error, LockGuard};

use crate::events::Events;

/// What went wrong with a lock, as a message for the user.
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
    /// The kind of lock, for messages.
    const WHAT: &'static str;

    /// The user's name for the lock.
    fn name(&self) -> String;
    /// Keeps the lock alive from now on; its loss is an event.
    fn keep_alive(&self, events: &Events) -> Result<(), Trouble>;
    /// How much longer the lease runs.
    fn remaining(&self) -> Duration;
    fn refresh(&self) -> Result<(), Trouble>;
    fn release(self) -> Result<(), Trouble>;
}

/// Implements the trait by the guard's methods of the same names.
macro_rules! held {
    ($guard:ty, $what:literal) => {
        impl Held for $guard {
            const WHAT: &'static str = $what;

            fn name(&self) -> String {
                self.path().display().to_string()
            }

            fn keep_alive(&self, events: &Events) -> Result<(), Trouble> {
                Ok(self.keep_alive(events.on_lost())?)
            }

            fn remaining(&self) -> Duration {
                self.remaining()
            }

            fn refresh(&self) -> Result<(), Trouble> {
                Ok(self.refresh()?)
            }

            fn release(self) -> Result<(), Trouble> {
                Ok(self.unlock()?)
            }
        }
    };
}

held!(LockGuard, "lock");
held!(MailboxGuard, "mailbox");
