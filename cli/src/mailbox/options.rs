//! The options that all commands for mailboxes have.

use std::path::PathBuf;
use std::time::Duration;

use linklock::mailbox::MailboxLock;

use crate::exit::Failure;
use crate::time;

/// The mailbox, and how it is locked
#[derive(clap::Args, Debug)]
pub(super) struct Mailbox {
    /// The mailbox: an mbox file, which need not exist yet
    pub(super) mbox: PathBuf,

    /// Use the dotlock alone: if the programs that use the mailbox take the fcntl(2) lock
    /// themselves, or if the file system has no such locks
    #[arg(long)]
    pub(super) no_fcntl: bool,

    /// How long a dotlock and the mailbox must stay unchanged before the dotlock counts as left by a dead
    /// program; 60s or more
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = "5m")]
    pub(super) unchanged_for: Duration,
}

impl Mailbox {
    pub(super) fn lock(&self) -> Result<MailboxLock, Failure> {
        let options = MailboxLock::options(&self.mbox).fcntl(!self.no_fcntl);
        Ok(options.unchanged_for(self.unchanged_for).build()?)
    }
}
