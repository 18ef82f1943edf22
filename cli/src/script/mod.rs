//! Commands for scripts: one acquires a lock and another releases it.
//!
//! They are connected by the lock's claim, the holder's file beside it, whose name `acquire`
//! prints. The lock belongs to its owner, the script, and may be taken over when that dies.

pub(crate) mod acquire;
pub(crate) mod background;
pub(crate) mod caller;
pub(crate) mod check;
pub(crate) mod keep;
pub(crate) mod refresh;
pub(crate) mod release;
pub(crate) mod wait;

use std::path::PathBuf;

use linklock::{Lock, LockGuard};

use crate::exit::{self, Failure};
use crate::options::LockOptions;

/// A lock that a script has acquired
#[derive(clap::Args, Debug)]
pub(crate) struct Held {
    /// The lock file, or the URL of a server's lock
    pub(crate) lock: PathBuf,

    /// The lock's claim, as `linklock acquire` printed it; that of a server's lock is read from
    /// `LINKLOCK_CLAIM` instead
    pub(crate) claim: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) options: LockOptions,
}

impl Held {
    fn lock(&self) -> Result<Lock, Failure> {
        Ok(self.options.lock(&self.lock).build()?)
    }

    /// Attaches to the lock in place of its owner.
    fn attach(&self) -> Result<LockGuard, Failure> {
        let missing = || {
            Failure::new(
                exit::USAGE,
                "write the claim after the lock, as `linklock acquire` printed it",
            )
        };
        Ok(self.lock()?.attach(self.claim.as_ref().ok_or_else(missing)?)?)
    }
}

/// Leaves the lock held by its owner.
fn leave(guard: LockGuard) {
    std::mem::forget(guard);
}
