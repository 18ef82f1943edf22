//! What every step needs to know about its mailbox.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::lock::Lock;
use crate::mailbox::pid_evidence::PidEvidence;
use crate::model::backoff::Polling;
use crate::model::context::Context;
use crate::model::names::Nonce;
use crate::policy::StalePolicy;
use crate::sys::errno::is_gone;
use crate::sys::fs::Attr;

/// One mailbox, as one handle and the clones of it see it.
#[derive(Debug)]
pub(crate) struct MailboxContext {
    pub(crate) mailbox: PathBuf,
    pub(crate) dotlock: PathBuf,
    /// Its holder may take over a dotlock of the mailbox that is not its own.
    pub(crate) breaker: Lock,
    /// The dotlock's path as that of a [`Lock`], whose lock file may stand there. `None` where the path
    /// has all the separators that a claim's name could use.
    pub(crate) leased: Option<Lock>,
    pub(crate) stale: StalePolicy,
    pub(crate) unchanged_for: Duration,
    /// Whether the mailbox itself is locked too.
    pub(crate) uses_fcntl: bool,
    pub(crate) polling: Polling,
    pub(crate) proc: PidEvidence,
    /// The claim on [`breaker`](Self::breaker) that could not be given back.
    pub(crate) left_behind: Mutex<Option<PathBuf>>,
}

impl MailboxContext {
    /// The clock, the file system and all else that is the same as for a [`Lock`].
    pub(crate) fn core(&self) -> &Arc<Context> {
        &self.breaker.context
    }

    /// Looks at the mailbox, which may not be there.
    pub(crate) fn find_mailbox(&self) -> Result<Option<Attr>, Error> {
        let core = self.core();
        match core.machine.retry_estale(|| core.machine.fs.stat_lockable(&self.mailbox)) {
            Ok(attr) => Ok(Some(attr)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(Error::io(Operation::Stat, &self.mailbox)(error)),
        }
    }

    /// A name beside the mailbox that nobody else uses, and that is swept if it is left behind.
    pub(crate) fn aside(&self) -> PathBuf {
        let core = self.core();
        core.names.aside(&Nonce::new((core.machine.random)(), None), core.machine.random_number())
    }
}
