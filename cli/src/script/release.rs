//! `linklock release`

use super::Held;
use crate::exit::{self, Failure};

/// Release a lock that `linklock acquire` acquired
///
/// If the lock was lost meanwhile, because its lease ended or somebody broke it, what it guards may
/// have been changed by another: the exit status is 79 then.
#[derive(clap::Args, Debug)]
#[command(after_help = exit::table())]
pub(crate) struct Args {
    #[command(flatten)]
    held: Held,
}

pub(crate) fn release(args: &Args) -> Result<u8, Failure> {
    args.held.attach()?.unlock()?;
    Ok(0)
}
