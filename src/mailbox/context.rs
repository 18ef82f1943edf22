//! What every step needs to know about the mailbox.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::holder::Role;
use crate::lock::Lock;
use crate::mailbox::pid_evidence::PidEvidence;
use crate::model::backoff::Polling;
use crate::model::context::Context;
use crate::model::nonce::Nonce;
use crate::policy::StalePolicy;
use crate::sys::errno::is_gone;
use crate::sys::fs::Attr;

/// A mailbox, as a handle and its clones see it.
#[derive(Debug)]
pub(crate) struct MailboxContext {
    pub(crate) mailbox: PathBuf,
    pub(crate) dotlock: PathBuf,
    /// The lock whose holder may take over a dotlock that is not its own.
    pub(crate) breaker: Lock,
    /// A [`Lock`] at the dotlock's path, since such a lock file may be there. `None` if the path
    /// contains every separator that a claim's name could use.
    pub(crate) leased: Option<Lock>,
    pub(crate) stale: StalePolicy,
    pub(crate) unchanged_for: Duration,
    /// Whether the mailbox itself is locked by fcntl(2) too.
    pub(crate) uses_fcntl: bool,
    pub(crate) polling: Polling,
    pub(crate) proc: PidEvidence,
    /// A claim on [`breaker`](Self::breaker) that could not be removed.
    pub(crate) left_behind: Mutex<Option<PathBuf>>,
    /// Whether two names of a file were seen to show one inode.
    pub(crate) has_links: AtomicBool,
}

impl MailboxContext {
    /// The context that a mailbox shares with a [`Lock`]: clock, file system and so on.
    pub(crate) fn core(&self) -> &Arc<Context> {
        &self.breaker.context
    }

    /// The attributes of the mailbox, if it exists.
    pub(crate) fn find_mailbox(&self) -> Result<Option<Attr>, Error> {
        let core = self.core();
        match core.machine.retry_estale(|| core.machine.fs.stat_lockable(&self.mailbox)) {
            Ok(attr) => Ok(Some(attr)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(Error::io(Operation::Stat, &self.mailbox)(error)),
        }
    }

    /// A unique name beside the mailbox, which is swept if it is left behind.
    pub(crate) fn aside(&self) -> PathBuf {
        let core = self.core();
        core.names.aside(
            &Nonce::new((core.machine.random)(), None, Role::Alone),
            core.machine.random_number(),
        )
    }
}
