//! `linklock release`: releases a script's lock.

use super::Held;
use crate::exit::Failure;

/// Release a lock that `linklock acquire` acquired
///
/// If the lock was lost in the meantime, because its lease ended or it was broken, another process
/// may have changed what it guards: the exit status is then 79.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) held: Held,
}

const EXAMPLES: &str = "\
Examples:
  claim=$(linklock acquire /shared/report.lock) || exit
  trap 'linklock release /shared/report.lock \"$claim\"' EXIT
  linklock release http://locks.example:3000/report     # its claim is in LINKLOCK_CLAIM

linklock(1), or linklock --help, has the exit statuses.";

pub(crate) fn release(args: &Args) -> Result<u8, Failure> {
    args.held.attach()?.unlock()?;
    Ok(0)
}
