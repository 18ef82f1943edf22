//! `linklock run --relukko`: a command under a lock of a server that need not have more than Relukko's
//! interface.

use std::ffi::OsString;
use std::time::Duration;

use linklock_relukko::{Client, ClientError, LockGuard};

use super::contend::contend;
use super::{client, failure, text, usage, who};
use crate::events::Events;
use crate::exit::Failure;
use crate::output::say;
use crate::run::{Args, Held, Trouble, run_under};

/// How long the request may take that explains why we wait.
const EXPLAIN: Duration = Duration::from_secs(3);

/// A lock on a server, and how long it may be out of touch.
struct Remote {
    guard: LockGuard,
    lifetime: Duration,
}

/// Runs the command under the server's lock.
pub(super) fn run(url: &str, args: &Args) -> Result<u8, Failure> {
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    let lock = acquire(url, args, &events)?;
    let variables = [
        ("LINKLOCK_NAME", OsString::from(lock.name())),
        ("LINKLOCK_RELUKKO_ID", OsString::from(lock.guard.id().to_string())),
    ];
    let (slop, verbose) = (args.lock.clock_slop, args.contention.limit.verbose);
    run_under(vec![lock], &args.command, variables, &events, &args.limits, slop, verbose)
}

/// Waits for the lock, as for a lock file.
fn acquire(url: &str, args: &Args, events: &Events) -> Result<Remote, Failure> {
    let name = match args.locks.as_slice() {
        [name] => text(name),
        _ => Err(usage("--relukko takes exactly one lock")),
    }?;
    let limit = &args.contention.limit;
    let options = client(url, limit.timeout())?;
    let client = options.clone().build().map_err(failure)?;
    let creator = who(&args.lock, std::process::id())?;
    if limit.verbose {
        say(format_args!("asking {url} for lock {name}"));
    }
    let explain = {
        let name = name.to_owned();
        move || holder(&options.request_timeout(EXPLAIN).build()?, &name)
    };
    let acquired = contend(name, limit, events, explain, |go_on| {
        if limit.no_wait {
            client.try_lock(name, Some(&creator))
        } else {
            client.lock_while(name, Some(&creator), go_on)
        }
    })?;
    let guard = match acquired {
        Err(error) if error.is_contention() => {
            // Some servers already include the holder in their message.
            let error = error.to_string();
            let holder = holder(&client, name).ok().flatten().filter(|it| !error.contains(it));
            let holder = holder.map_or_else(String::new, |holder| format!(", held by {holder}"));
            return Err(limit.failure(error + &holder));
        }
        acquired => acquired.map_err(failure)?,
    };
    if limit.verbose {
        say(format_args!("acquired lock {name}"));
    }
    let lifetime = args.lifetime.max(Duration::from_secs(1));
    guard.expire_in(lifetime).map_err(failure)?; // instead of after the server's ten minutes
    Ok(Remote { guard, lifetime })
}

/// The holder of the lock, according to the server.
fn holder(client: &Client, name: &str) -> Result<Option<String>, ClientError> {
    let lock = client.list()?.into_iter().find(|lock| lock.lock_name == name);
    Ok(lock.map(|lock| lock.creator.unwrap_or_else(|| "a holder that gave no name".to_owned())))
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Trouble {
        Trouble::new(error.is_lost(), &error)
    }
}

impl Held for Remote {
    const WHAT: &'static str = "lock";

    fn name(&self) -> String {
        self.guard.info().lock_name
    }

    fn keep_alive(&self, events: &Events) -> Result<(), Trouble> {
        Ok(self.guard.keep_alive(self.lifetime, events.on_lost())?)
    }

    fn remaining(&self) -> Duration {
        self.guard.remaining()
    }

    fn refresh(&self) -> Result<(), Trouble> {
        Ok(self.guard.refresh(self.lifetime)?)
    }

    fn release(self) -> Result<(), Trouble> {
        Ok(self.guard.unlock()?)
    }
}
