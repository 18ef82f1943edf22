//! acquire, refresh, check, release and wait, for a server's lock.

use std::io;
use std::time::{Duration, Instant};

use linklock_relukko::ClientError;
use linklock_relukko::v2::{Client, LockGuard, LockInfo, LockUrl};

use super::claim::Claim;
use super::owner::Owner;
use super::{
    Target, client, contend, failure, keep, refuse, refuse_of_contenders, refuse_of_files, usage,
    who,
};
use crate::access::Access;
use crate::events::Events;
use crate::exit::{Failure, by_signal};
use crate::output::{print, say};
use crate::script::{self, Held, background, caller};
use crate::set::number_of_slots;

/// The longest pause between two looks at a lock that is waited for.
const LONGEST: Duration = Duration::from_millis(500);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);

pub(crate) fn acquire(args: &script::acquire::Args) -> Result<u8, Failure> {
    // Determined at once, since the calling process may soon be gone.
    let pid = match args.owner {
        None => Some(caller::caller()),
        Some(linklock::Owner::Process(pid)) => Some(pid),
        Some(_) => None,
    };
    let is_named = args.owner.is_some() && pid.is_some();
    refuse(&[(is_named && !args.keep_alive, "--owner PID without --keep-alive")])?;
    if args.keep_alive {
        background::close_descriptors().map_err(Failure::to("close the caller's descriptors"))?;
    }
    let owner = pid.and_then(Owner::of);
    if let (true, Some(pid), None) = (args.keep_alive, pid, owner) {
        return Err(usage(format_args!(
            "there is no process {pid}, with whose end the keep-alive would end: give --owner"
        )));
    }
    refuse_of_contenders(&args.contention)?;
    refuse_of_files(&args.options)?;
    let target = Target::of(&args.lock, args.contention.limit.timeout())?;
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    let pid = pid.unwrap_or_else(caller::caller);
    let (who, limit) = (who(&args.options, pid)?, &args.contention.limit);
    let request = target.request(Some(Access::Alone), args.lifetime, who);
    let guard = contend::acquire(&target, &request, limit, &events)?;
    let claim = Claim { id: guard.id(), secret: guard.secret() };
    let keep = || keep::start(&target, &claim, owner.as_ref());
    let kept = if args.keep_alive { keep() } else { Ok(()) };
    let told = kept.and_then(|()| tell(&claim));
    told.map_err(Failure::to("hand the lock over"))?; // otherwise the guard releases it
    let _ = guard.detach();
    Ok(0)
}

fn tell(claim: &Claim) -> io::Result<()> {
    print((claim.text() + "\n").as_bytes())
}

/// The lock that a script has acquired, whose lease this renews.
fn adopt(held: &Held) -> Result<LockGuard, Failure> {
    refuse_of_files(&held.options)?;
    let (target, claim) = (Target::of(&held.lock, None)?, Claim::of(held)?);
    // It is looked at first, lest another lock of the script's be changed.
    look(&target, &claim)?;
    let adopted = target.client.adopt(claim.id, &claim.secret);
    adopted.map_err(|error| claim.failure(&target, error))
}

fn look(target: &Target, claim: &Claim) -> Result<(), Failure> {
    let found: LockInfo =
        target.client.get(claim.id).map_err(|error| claim.failure(target, error))?;
    Claim::check(target, &found.name)
}

pub(crate) fn release(args: &script::release::Args) -> Result<u8, Failure> {
    adopt(&args.held)?.unlock().map_err(failure)?;
    Ok(0)
}

pub(crate) fn refresh(args: &script::refresh::Args) -> Result<u8, Failure> {
    let guard = adopt(&args.held)?; // which has renewed it
    let refreshed = args.lifetime.map_or(Ok(()), |lifetime| guard.refresh_for(lifetime));
    let _ = guard.detach();
    refreshed.map_err(failure)?;
    Ok(0)
}

pub(crate) fn check(args: &script::check::Args) -> Result<u8, Failure> {
    refuse_of_files(&args.held.options)?;
    look(&Target::of(&args.held.lock, None)?, &Claim::of(&args.held)?)?;
    Ok(0)
}

/// Waits until the lock is free. A server that is out of reach is waited for too once it has answered,
/// or if there is a limit.
pub(crate) fn wait(args: &script::wait::Args) -> Result<u8, Failure> {
    refuse_of_files(&args.options)?;
    let url = Target::of(&args.lock, None)?.url;
    let once = client(url.server(), None)?.request_timeout(LOOK).retries(1, Duration::ZERO, 1.0);
    let client = once.build().map_err(failure)?.v2();
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    let (begun, mut pause) = (Instant::now(), Duration::from_millis(10));
    let (mut was_answered, mut to_tell) = (false, args.limit.verbose);
    loop {
        let found = holder_of(&client, &url);
        let is_persistent = was_answered || args.limit.timeout().is_some();
        was_answered |= found.is_ok();
        let why = match found {
            Ok(None) => return Ok(0),
            Ok(Some(lock)) => format!("lock {url} is held by {}", contend::holder(&lock)),
            Err(error)
                if is_persistent && is_passing(&error) && args.limit.lasts(begun.elapsed()) =>
            {
                error.to_string()
            }
            Err(error) => return Err(failure(error)),
        };
        if !args.limit.lasts(begun.elapsed()) {
            return Err(args.limit.failure(why));
        }
        if std::mem::take(&mut to_tell) {
            say(format_args!("waiting: {why}"));
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(LONGEST);
        if let Some(signal) = events.ended_by() {
            return Err(Failure::silent(by_signal(signal as i32)));
        }
    }
}

/// Who holds the lock, one of those that share it, or the holder of a slot if all are held.
fn holder_of(client: &Client, url: &LockUrl) -> Result<Option<LockInfo>, ClientError> {
    if let Some(lock) = client.find(url.name())? {
        return Ok(Some(lock));
    }
    if let Some(reader) = client.readers(url.name())?.into_iter().next() {
        return Ok(Some(reader));
    }
    let slots = client.slots(url.name())?;
    let is_full = slots.len() == number_of_slots(slots.iter().map(|slot| slot.slots));
    Ok(slots.into_iter().next().filter(|_| is_full))
}

/// Whether the same request may succeed later.
fn is_passing(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Unreachable { .. }
            | ClientError::NoAnswer { .. }
            | ClientError::Unavailable { .. }
    )
}
