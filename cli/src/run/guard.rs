//! What a command can be run under: a lock, or a mailbox.

use std::path::Path;
use std::time::Duration;

use linklock::mailbox::MailboxGuard;
use linklock::{Error, LockGuard};

/// Something that is held by a lease.
pub(crate) trait Guard {
    /// What it is, in messages.
    const WHAT: &'static str;

    fn path(&self) -> &Path;
    fn remaining(&self) -> Duration;
    fn refresh(&self) -> Result<(), Error>;
    fn keep_alive(&self, on_lost: impl FnOnce(Error) + Send + 'static) -> Result<(), Error>;
    fn unlock(self) -> Result<(), Error>;
}

/// By their methods of the same names.
macro_rules! guard {
    ($guard:ty, $what:literal) => {
        impl Guard for $guard {
            const WHAT: &'static str = $what;

            fn path(&self) -> &Path {
                self.path()
            }

            fn remaining(&self) -> Duration {
                self.remaining()
            }

            fn refresh(&self) -> Result<(), Error> {
                self.refresh()
            }

            fn keep_alive(
                &self,
                on_lost: impl FnOnce(Error) + Send + 'static,
            ) -> Result<(), Error> {
                self.keep_alive(on_lost)
            }

            fn unlock(self) -> Result<(), Error> {
                self.unlock()
            }
        }
    };
}

guard!(LockGuard, "lock");
guard!(MailboxGuard, "mailbox");
