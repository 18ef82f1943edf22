//! `linklock mailbox`: locks mailboxes that other mail programs deliver to.

mod options;
mod run;
mod status;

use clap::Subcommand;

use crate::exit::Failure;

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
