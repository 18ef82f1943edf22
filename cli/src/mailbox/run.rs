//! `linklock mailbox run`: runs a command while a mailbox is locked.

use std::ffi::OsString;
use std::time::Duration;

use super::options::Mailbox;
use crate::contend;
use crate::events::Events;
use crate::exit::Failure;
use crate::options::WaitLimit;
use crate::run::{Limits, run_under};

/// Run a command while a mailbox is locked
///
/// Waits for the mailbox, runs COMMAND, unlocks the mailbox when COMMAND ends, and exits with its
/// exit status. The dotlock is touched every 10 seconds, since other programs break a dotlock that
/// does not change.
/// Signals, and a lock that is lost, are handled as by `linklock run`.
///
/// COMMAND must not lock the mailbox itself: it would wait for linklock, which waits for it. (If it
/// takes only the fcntl(2) lock, use --no-fcntl.) It should write to the mailbox file itself rather
/// than replace it by another file.
///
/// COMMAND finds the mailbox's path in `LINKLOCK_MAILBOX` and the dotlock's in `LINKLOCK_PATH`.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    mailbox: Mailbox,

    /// The command to run, and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,

    #[command(flatten)]
    limit: WaitLimit,

    #[command(flatten)]
    limits: Limits,
}

const EXAMPLES: &str = "\
Examples:
  linklock mailbox run -t 1m /var/mail/anna -- sh -c 'cat new >>/var/mail/anna'

linklock(1), or linklock --help, has the exit statuses.";

/// How long after the end of its lease a dotlock is respected by every program but the least
/// patient one, for which the lease is designed. The next program breaks it after two minutes, so
/// this is well below that.
const RESPECT: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let lock = args.mailbox.lock()?;
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    let guard = contend::acquire_mailbox(&lock, &args.limit, &events)?;
    let variables = [
        ("LINKLOCK_MAILBOX", lock.path().as_os_str().to_owned()),
        ("LINKLOCK_PATH", lock.dotlock_path().as_os_str().to_owned()),
    ];
    let verbose = args.limit.verbose;
    let (guards, limits) = (vec![guard], &args.limits);
    run_under(guards, &args.command, variables, &events, limits, RESPECT, verbose)
}
