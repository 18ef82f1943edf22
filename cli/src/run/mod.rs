//! `linklock run`: runs a command under a lock.

mod args;
mod auto;
mod child;
mod held;
mod hold;
mod limits;
mod marker;
pub(crate) mod shim;
mod slots;
mod supervise;
mod terminal;
pub(crate) mod warden;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use linklock::{Lock, LockGuard, RwLock, SlotGuard};

pub(crate) use self::args::Args;
#[cfg(feature = "relukko")]
pub(crate) use self::held::{Held, Trouble};
pub(crate) use self::hold::run_under;
use self::hold::{hold, release};
pub(crate) use self::limits::Limits;
use self::marker::Marker;
use crate::access::Access;
use crate::cleaned::cleaned;
use crate::contend;
use crate::events::Events;
use crate::exit::{self, Failure};
use crate::journal::{Journal, Note};
use crate::options::WaitLimit;
use crate::outer::{self, Outer};
use crate::output::say;

pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let set = args.slots.map(|number| slots::build(args, number)).transpose()?;
    let mut locks = if set.is_none() { build_all(args)? } else { Vec::new() };
    warn_of_cleaning(args, &locks);
    let access = Access::of(args.shared);
    let outer = if args.reentrant { take_outer(&mut locks, access) } else { Vec::new() };
    let mut events = Events::watch().map_err(Failure::to("watch for signals"))?;
    if let Some(path) = &args.events {
        events.journal = Journal::open(path)?;
    }
    let limit = &args.contention.limit;
    let gave_up = |failure: &Failure| events.journal.note(|| Note::of_failure(failure));
    let slot = set.map(|set| slots::acquire(&set, args, &events)).transpose();
    let slot = slot.inspect_err(gave_up)?;
    let number = slot.as_ref().map(SlotGuard::slot);
    let (mut guards, marker) = acquire(&locks, access, args, &events).inspect_err(gave_up)?;
    guards.extend(slot.map(SlotGuard::into_guard));
    for guard in &guards {
        events.journal.note(|| Note::of_acquired(guard));
    }
    let mut variables = environment(&outer, &guards);
    variables.extend(number.map(|number| ("LINKLOCK_SLOT", number.to_string().into())));
    let slop = args.lock.clock_slop;
    let outcome = hold(&guards, &args.command, variables, &events, &args.limits, slop)
        .inspect_err(gave_up)?;
    if let Some(marker) = marker.filter(|_| outcome.exit_code() == 0) {
        marker.set();
    }
    Ok(release(guards, limit.verbose, &events, outcome))
}

/// Acquires the locks, if the command is to run at all. Returns the marker of its success, if it
/// has one.
fn acquire(
    locks: &[RwLock],
    access: Access,
    args: &Args,
    events: &Events,
) -> Result<(Vec<LockGuard>, Option<Marker>), Failure> {
    let limit = &args.contention.limit;
    let guards = contend::acquire(locks, access, limit, events)?;
    let marker = match (args.at_most_every, locks.first()) {
        (Some(period), Some(lock)) => Some(due(lock.as_lock(), period, limit)?),
        _ => None,
    };
    Ok((guards, marker))
}

/// The marker of a command that is due again.
fn due(lock: &Lock, period: Duration, limit: &WaitLimit) -> Result<Marker, Failure> {
    let marker = Marker::of(lock)?;
    match marker.age()?.filter(|age| *age < period) {
        Some(age) => Err(limit.failure(marker::too_soon(age, period))),
        None => Ok(marker),
    }
}

/// Warns if the directory may lose what must persist between two runs.
fn warn_of_cleaning(args: &Args, locks: &[RwLock]) {
    if args.contention.limit.quiet {
        return;
    }
    let what = match (args.fence, args.at_most_every) {
        (true, _) => "the counter of --fence, after which tokens begin at 1 again",
        (_, Some(_)) => "the date of the last success",
        _ => return,
    };
    let mut dirs = locks.iter().filter_map(|lock| lock.path().parent());
    if let Some(dir) = dirs.find_map(cleaned) {
        say(format_args!(
            "warning: files in {dir} are removed by age or at boot, perhaps also {what}"
        ));
    }
}

/// Builds the locks. Rejects a lock that is named twice: its holder would wait for itself.
fn build_all(args: &Args) -> Result<Vec<RwLock>, Failure> {
    let auto = args.auto.as_ref().map(|dir| auto::lock(dir, &args.command)).transpose()?;
    let paths: Vec<_> = args.locks.iter().chain(&auto).collect();
    let mut seen = Vec::new();
    for path in &paths {
        let identity = outer::identity(path);
        if seen.contains(&identity) {
            let why = format!("lock {} is named twice", path.display());
            return Err(Failure::new(exit::USAGE, why));
        }
        seen.push(identity);
    }
    let build = |path: &&PathBuf| {
        args.contention.check_mount(path)?;
        let options = args.contention.apply_to(args.lock.lock(path));
        Ok(options.lifetime(args.lifetime).fencing(args.fence).rw_lock()?)
    };
    paths.iter().map(build).collect()
}

/// Takes out the locks that the outer linklock holds, and returns them with their claims.
fn take_outer(locks: &mut Vec<RwLock>, access: Access) -> Vec<(PathBuf, PathBuf)> {
    let mut outer = Vec::new();
    locks.retain(|lock| {
        // What is held alone may be shared under it, but not the other way round.
        let suffices = |outer: &Outer| outer.access == Access::Alone || access == Access::Shared;
        let holder = outer::holding(lock).filter(suffices).map(|outer| outer.holder);
        let held = holder.map(|holder| (lock.path().to_owned(), holder.claim_path().to_owned()));
        held.map(|held| outer.push(held)).is_none()
    });
    outer
}

/// The variables that describe the command's locks: those that an outer linklock holds, and our
/// own.
fn environment(
    outer: &[(PathBuf, PathBuf)],
    guards: &[LockGuard],
) -> Vec<(&'static str, OsString)> {
    let (paths, claims) = (outer.iter().map(|held| &*held.0), outer.iter().map(|held| &*held.1));
    let mut variables = vec![
        ("LINKLOCK_PATH", lines(paths.chain(guards.iter().map(LockGuard::path)))),
        ("LINKLOCK_CLAIM", lines(claims.chain(guards.iter().map(LockGuard::claim_path)))),
    ];
    let tokens: Vec<_> = guards.iter().filter_map(LockGuard::token).collect();
    if !tokens.is_empty() {
        variables.push(("LINKLOCK_TOKEN", lines(tokens.iter().map(u64::to_string))));
    }
    variables
}

fn lines(parts: impl Iterator<Item = impl AsRef<OsStr>>) -> OsString {
    let parts: Vec<_> = parts.map(|part| part.as_ref().as_bytes().to_vec()).collect();
    OsString::from_vec(parts.join(&b'\n'))
}
