//! `linklock check`: verifies that a script's lock is still held.

use super::{Held, leave};
use crate::exit::Failure;

/// Check that a lock is still held
///
/// Succeeds if the lock is held with this claim and its lease runs. The lease is not extended: finish
/// before it ends, or refresh it. If the lock was lost, the exit status is 79. For a server's lock, the
/// server says whether it is still held.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) held: Held,
}

const EXAMPLES: &str = "\
Examples:
  linklock check /shared/report.lock \"$claim\" && send-the-report

linklock(1), or linklock --help, has the exit statuses.";

pub(crate) fn check(args: &Args) -> Result<u8, Failure> {
    let guard = args.held.attach()?;
    let verified = guard.verify();
    leave(guard);
    verified?;
    Ok(0)
}
