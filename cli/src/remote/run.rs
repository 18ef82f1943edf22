//! `linklock run URL`: a command under a server's lock.

use std::ffi::OsString;
use std::time::Duration;

use linklock_relukko::v2::{LockGuard, LockUrl};

use super::claim::Claim;
use super::contend::acquire;
use super::{Target, refuse, refuse_of_contenders, refuse_of_files, relukko, usage, who};
use crate::access::Access;
use crate::events::Events;
use crate::exit::Failure;
use crate::run::{Args, Held, Trouble, run_under};

/// How long servers respect a lock after its lease has ended.
const GRACE: Duration = Duration::from_secs(2);

struct Remote {
    url: LockUrl,
    guard: LockGuard,
}

/// Runs the command under the lock of a server.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    if let Some(url) = &args.relukko {
        return relukko::run(url, args);
    }
    let target = target(args)?;
    let limit = &args.contention.limit;
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    let who = who(&args.lock, std::process::id())?;
    let request = match args.slots {
        Some(slots) => target.request(None, args.lifetime, who).slots(slots),
        None => target.request(Some(Access::of(args.shared)), args.lifetime, who),
    };
    let guard = acquire(&target, &request, limit, &events)?;
    let variables = variables(&target, &guard);
    let lock = Remote { url: target.url, guard };
    run_under(vec![lock], &args.command, variables, &events, &args.limits, GRACE, limit.verbose)
}

fn target(args: &Args) -> Result<Target, Failure> {
    refuse(&[
        (args.auto.is_some(), "--auto"),
        (args.at_most_every.is_some(), "--at-most-every"),
        (args.reentrant, "--reentrant"),
        (args.events.is_some(), "--events"),
    ])?;
    refuse_of_contenders(&args.contention)?;
    refuse_of_files(&args.lock)?;
    match args.locks.as_slice() {
        [path] => Target::of(path, args.contention.limit.timeout()),
        _ => Err(usage("a server's lock can only be the only one")),
    }
}

/// What the command finds in its environment, as for a lock file.
fn variables(target: &Target, guard: &LockGuard) -> Vec<(&'static str, OsString)> {
    let claim = Claim { id: guard.id(), secret: guard.secret() };
    let mut variables = vec![
        ("LINKLOCK_PATH", target.url.to_string().into()),
        ("LINKLOCK_CLAIM", claim.text().into()),
    ];
    variables.extend(guard.slot().map(|slot| ("LINKLOCK_SLOT", slot.to_string().into())));
    variables.extend(guard.token().map(|token| ("LINKLOCK_TOKEN", token.to_string().into())));
    variables
}

impl Held for Remote {
    const WHAT: &'static str = "lock";

    fn name(&self) -> String {
        self.url.to_string()
    }

    fn keep_alive(&self, events: &Events) -> Result<(), Trouble> {
        Ok(self.guard.keep_alive(events.on_lost())?)
    }

    fn remaining(&self) -> Duration {
        self.guard.remaining()
    }

    fn refresh(&self) -> Result<(), Trouble> {
        Ok(self.guard.refresh()?)
    }

    fn release(self) -> Result<(), Trouble> {
        Ok(self.guard.unlock()?)
    }
}
