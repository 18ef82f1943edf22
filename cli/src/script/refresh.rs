//! `linklock refresh`: renews the lease of a script's lock.

use std::time::Duration;

use linklock::{Holder, Lock};

use super::{Held, leave};
use crate::exit::Failure;
use crate::time;

/// Extend the lease of a lock that is held
///
/// The lease is then a whole lifetime long from now. If the lock was lost, the exit status is 79.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) held: Held,

    /// The new length of the lease [default: as long as it was before]
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    pub(crate) lifetime: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  linklock refresh /shared/report.lock \"$claim\" || exit
  linklock refresh --lifetime 1h /shared/report.lock \"$claim\"

linklock(1), or linklock --help, has the exit statuses.";

pub(crate) fn refresh(args: &Args) -> Result<u8, Failure> {
    let lifetime = match args.lifetime {
        Some(lifetime) => lifetime,
        None => lifetime_of(&args.held.lock()?)?,
    };
    let guard = args.held.attach()?;
    let refreshed = guard.refresh_for(lifetime);
    leave(guard);
    refreshed?;
    Ok(0)
}

/// The length of the lease when it was last renewed. The lease ends at the file's mtime, and the
/// ctime shows when that was set, give or take the duration of the system call. So the length is
/// rounded; otherwise it would shrink with every refresh.
fn lifetime_of(lock: &Lock) -> Result<Duration, Failure> {
    let lease = |holder: Holder| holder.expires_at().duration_since(holder.refreshed_at()).ok();
    let lifetime = lock.holder()?.and_then(lease).unwrap_or(lock.lifetime());
    Ok(if lifetime < Duration::from_secs(2) {
        lifetime.max(Duration::from_millis(10))
    } else {
        Duration::from_secs((lifetime + Duration::from_millis(500)).as_secs())
    })
}
