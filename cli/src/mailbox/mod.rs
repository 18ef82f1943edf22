//! `linklock mailbox`: locks mailboxes that other mail programs deliver to.

mod run;
mod status;

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use linklock::mailbox::MailboxLock;

use crate::exit::Failure;
use crate::time;

/// Lock a mailbox as other mail programs do
///
/// An mbox is locked by fcntl(2) and by a dotlock beside it, as the Debian Policy Manual says (11.6),
/// so that mail programs which deliver to it are kept out: Exim, Postfix, procmail, Dovecot, mutt
/// and others.
///
/// A delivery to a Maildir needs no lock. To exclude each other, your own programs that work on a
/// whole directory of messages can use `linklock run` with a LOCK beside it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Status(status::Args),
}

pub(crate) fn mailbox(args: &Args) -> Result<u8, Failure> {
    match &args.command {
        Command::Run(args) => run::run(args),
        Command::Status(args) => status::status(args),
    }
}

/// The mailbox, and how it is locked
#[derive(clap::Args, Debug)]
struct Mailbox {
    /// The mailbox: an mbox file, which need not exist yet
    mbox: PathBuf,

    /// Use the dotlock alone: if the programs that use the mailbox take the fcntl(2) lock
    /// themselves, or if the file system has no such locks
    #[arg(long)]
    no_fcntl: bool,

    /// How long a dotlock and the mailbox must stay unchanged before the dotlock counts as left by a dead
    /// program; 60s or more
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = "5m")]
    unchanged_for: Duration,
}

impl Mailbox {
    fn lock(&self) -> Result<MailboxLock, Failure> {
        let options = MailboxLock::options(&self.mbox).fcntl(!self.no_fcntl);
        Ok(options.unchanged_for(self.unchanged_for).build()?)
    }
}
