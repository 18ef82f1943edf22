//! `linklock check`

use super::{Held, leave};
use crate::exit::{self, Failure};

/// Check that a lock is still held
///
/// Succeeds if the lock is held with this claim and its lease runs. Nothing is prolonged: do what
/// is to be done before the lease ends, or refresh it.
#[derive(clap::Args, Debug)]
#[command(after_help = exit::table())]
pub(crate) struct Args {
    #[command(flatten)]
    held: Held,
}

pub(crate) fn check(args: &Args) -> Result<u8, Failure> {
    let guard = args.held.attach()?;
    let verified = guard.verify();
    leave(guard);
    verified?;
    Ok(0)
}
