//! Locks of servers, by URL: the subcommands that are for lock files otherwise. And `run --relukko`, for
//! servers that have only Relukko's interface.

mod admin;
mod claim;
mod contend;
pub(crate) mod keep;
mod owner;
mod relukko;
mod run;
mod script;

use std::path::Path;
use std::time::Duration;

use linklock_relukko::v2::{self, LockUrl};
use linklock_relukko::{Client, ClientError, ClientOptions};

pub(crate) use self::admin::{break_lock, list, status};
pub(crate) use self::run::run;
pub(crate) use self::script::{acquire, check, refresh, release, wait};
use crate::access::Access;
use crate::exit::{self, Failure};
use crate::options::{Contention, LockOptions, Stale, WaitLimit};

/// How long one request to a server may take.
const REQUEST: Duration = Duration::from_secs(30);

/// A lock of a server.
struct Target {
    url: LockUrl,
    client: v2::Client,
}

impl Target {
    /// `timeout`: how long the user wants to wait.
    fn of(path: &Path, timeout: Option<Duration>) -> Result<Target, Failure> {
        let url: LockUrl = text(path)?.parse().map_err(usage)?;
        let client = client(url.server(), timeout)?.build().map_err(failure)?.v2();
        Ok(Target { url, client })
    }

    /// A request for the lock, or for a slot if there is no access.
    fn request(&self, access: Option<Access>, lifetime: Duration, who: String) -> v2::LockRequest {
        let request = self.client.request(self.url.name()).lifetime(lifetime).who(who);
        match access {
            Some(Access::Alone) => request.access(linklock_relukko::Access::Write),
            Some(Access::Shared) => request.access(linklock_relukko::Access::Read),
            None => request,
        }
    }
}

/// Options for a client of a server, with the key from the environment.
fn client(server: &str, timeout: Option<Duration>) -> Result<ClientOptions, Failure> {
    let key = std::env::var("RELUKKO_API_KEY");
    let key = key.map_err(|_| usage("no API key: set RELUKKO_API_KEY"))?;
    let longest = timeout.unwrap_or(REQUEST).clamp(Duration::from_secs(1), REQUEST);
    Ok(Client::options(server, key).request_timeout(longest))
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| usage("the lock's name is not valid UTF-8"))
}

/// How the holder calls itself.
fn who(options: &LockOptions, pid: u32) -> Result<String, Failure> {
    let any = options.lock(Path::new("any.lock")).build()?;
    Ok(format!("linklock on {}, process {pid}", any.host_name().to_string_lossy()))
}

/// Rejects options that a server's lock cannot have.
fn refuse(given: &[(bool, &str)]) -> Result<(), Failure> {
    match given.iter().find(|(is_given, _)| *is_given) {
        Some((_, option)) => {
            Err(usage(format_args!("{option} is for lock files, and not for a server's lock")))
        }
        None => Ok(()),
    }
}

fn refuse_of_files(options: &LockOptions) -> Result<(), Failure> {
    refuse(&[
        (options.separator != '|', "--separator"),
        (options.clock_slop != linklock::DEFAULT_CLOCK_SLOP, "--clock-slop"),
    ])
}

fn refuse_of_contenders(contention: &Contention) -> Result<(), Failure> {
    refuse(&[
        (contention.mode.is_some(), "--mode"),
        (contention.require_mount.is_some(), "--require-mount"),
        (contention.wake_hints, "--wake-hints"),
        (contention.stale != Stale::default(), "--stale"),
    ])
}

fn usage(why: impl std::fmt::Display) -> Failure {
    Failure::new(exit::USAGE, why)
}

fn failure(error: ClientError) -> Failure {
    let code = match error {
        ClientError::Invalid { .. } => exit::USAGE,
        ClientError::Lost { .. } | ClientError::Expired { .. } => exit::LOST,
        _ => exit::UNFIT,
    };
    match error {
        ClientError::Unsupported { .. } => {
            Failure::new(code, format_args!("{error}: use linklock run --relukko there"))
        }
        error => Failure::new(code, error),
    }
}

/// The failure if the lock could not be acquired.
fn not_acquired(error: ClientError, limit: &WaitLimit) -> Failure {
    if error.is_contention() { limit.failure(error) } else { failure(error) }
}
