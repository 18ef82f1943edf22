//! Waiting for a server's lock, until the user's limit or a signal ends the wait.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use linklock_relukko::ClientError;
use linklock_relukko::v2::{Client, LockGuard, LockInfo, LockRequest};

use super::claim::Claim;
use super::{Target, failure, not_acquired};
use crate::events::Events;
use crate::exit::{Failure, by_signal};
use crate::options::WaitLimit;
use crate::output::say;

/// How long to wait before explaining why.
const SILENCE: Duration = Duration::from_secs(3);

/// Acquires the lock, as a lock file is acquired.
pub(super) fn acquire(
    target: &Target,
    request: &LockRequest,
    limit: &WaitLimit,
    events: &Events,
) -> Result<LockGuard, Failure> {
    let Target { url, client } = target;
    if let Some(around) = Claim::around() {
        let held = client.find(url.name()).map_err(failure)?;
        if held.is_some_and(|lock| lock.id == around.id) {
            return Err(limit.failure(format_args!(
                "lock {url} is already held by the linklock or the script that started this command: \
                 waiting would never end"
            )));
        }
    }
    let holder = {
        let (client, name) = (client.clone(), url.name().to_owned());
        move || Ok(in_the_way(&client, &name)?.map(|lock| holder(&lock)))
    };
    let acquired = contend(&url.to_string(), limit, events, holder, |go_on| {
        if limit.no_wait { request.try_lock() } else { request.lock_while(go_on) }
    })?;
    let guard = acquired.map_err(|error| not_acquired(error, limit))?;
    if limit.verbose {
        let slot = guard.slot().map(|slot| format!("slot {slot} of "));
        say(format_args!("acquired {}{url}", slot.as_deref().unwrap_or("lock ")));
    }
    Ok(guard)
}

/// The lock, or the lock of a reader if a writer has it that waits for its readers, as we may.
fn in_the_way(client: &Client, name: &str) -> Result<Option<LockInfo>, ClientError> {
    match client.find(name)?.filter(|lock| !lock.is_waiting()) {
        Some(lock) => Ok(Some(lock)),
        None => Ok(client.readers(name)?.into_iter().next()),
    }
}

/// The holder of a lock, for people.
pub(super) fn holder(lock: &LockInfo) -> String {
    lock.who.clone().unwrap_or_else(|| "a holder that gave no name".to_owned())
}

/// Acquires a lock by a function that waits as long as the condition holds that it is given. Fails if a
/// signal has ended the wait; a lock that was acquired is dropped then.
pub(super) fn contend<G>(
    lock: &str,
    limit: &WaitLimit,
    events: &Events,
    holder: impl FnOnce() -> Result<Option<String>, ClientError> + Send + 'static,
    acquire: impl FnOnce(&mut dyn FnMut() -> bool) -> Result<G, ClientError>,
) -> Result<Result<G, ClientError>, Failure> {
    let _acquired = (!limit.quiet).then(|| explain_later(lock, limit.verbose, holder));
    let (begun, mut ended) = (Instant::now(), None);
    let acquired = acquire(&mut || {
        ended = events.ended_by();
        ended.is_none() && limit.lasts(begun.elapsed())
    });
    // A signal that arrives before the command starts is not for the command, even if the lock is
    // ours by now.
    match ended.or_else(|| events.ended_by_now()) {
        Some(signal) => Err(Failure::silent(by_signal(signal as i32))),
        None => Ok(acquired),
    }
}

/// Explains after a while why we wait, unless the returned value is dropped before: because the
/// server is out of reach or, if asked for, because of a holder.
fn explain_later(
    lock: &str,
    tells_holder: bool,
    holder: impl FnOnce() -> Result<Option<String>, ClientError> + Send + 'static,
) -> Sender<()> {
    let (acquired, is_acquired) = channel();
    let lock = lock.to_owned();
    let explain = move || {
        if is_acquired.recv_timeout(SILENCE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        match holder() {
            Err(error) => say(format_args!("waiting for lock {lock}: {error}")),
            Ok(Some(holder)) if tells_holder => {
                say(format_args!("waiting for lock {lock}: held by {holder}"));
            }
            Ok(_) => {}
        }
    };
    // Without a thread there is no explanation.
    let _ = std::thread::Builder::new().name("explain".into()).spawn(explain);
    acquired
}
