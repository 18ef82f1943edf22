//! A lock that is kept by a Relukko server.

use std::ffi::OsString;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use linklock_relukko::{Client, ClientError, LockGuard};

use super::args::Args;
use super::held::{Held, Trouble};
use super::hold::run_under;
use crate::events::Events;
use crate::exit::{self, Failure, by_signal};
use crate::output::say;

/// How long one request to a server may take.
const REQUEST: Duration = Duration::from_secs(30);

/// How long to wait before explaining why.
const SILENCE: Duration = Duration::from_secs(3);

/// A lock on a server, and how long it may be out of touch.
struct Remote {
    guard: LockGuard,
    lifetime: Duration,
}

/// Runs the command under the server's lock.
pub(crate) fn run(url: &str, args: &Args) -> Result<u8, Failure> {
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
        [name] => name.to_str().ok_or_else(|| usage("the lock's name is not valid UTF-8")),
        _ => Err(usage("--relukko takes exactly one lock")),
    }?;
    let key =
        std::env::var("RELUKKO_API_KEY").map_err(|_| usage("no API key: set RELUKKO_API_KEY"))?;
    let limit = &args.contention.limit;
    let client = Client::options(url, key)
        .request_timeout(limit.timeout().unwrap_or(REQUEST).clamp(Duration::from_secs(1), REQUEST));
    let client = client.build().map_err(failure)?;
    let host =
        args.lock.lock(Path::new("any.lock")).build()?.host_name().to_string_lossy().into_owned();
    let creator = format!("linklock on {host}, process {}", std::process::id());
    if limit.verbose {
        say(format_args!("asking {url} for lock {name}"));
    }
    let _acquired = (!limit.quiet).then(|| explain_later(url, name, limit.verbose));
    let (begun, mut ended) = (Instant::now(), None);
    let acquired = if limit.no_wait {
        client.try_lock(name, Some(&creator))
    } else {
        client.lock_while(name, Some(&creator), || {
            ended = events.ended_by();
            ended.is_none() && limit.lasts(begun.elapsed())
        })
    };
    // A signal that arrives before the command starts is not for the command, even if the lock is
    // ours by now.
    if let Some(signal) = ended.or_else(|| events.ended_by_now()) {
        return Err(Failure::silent(by_signal(signal as i32)));
    }
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

/// Explains after a while why we wait, unless the returned value is dropped before: because the
/// server is out of reach or, if asked for, because of a holder.
fn explain_later(url: &str, name: &str, tells_holder: bool) -> Sender<()> {
    let (acquired, is_acquired) = channel();
    let (url, name) = (url.to_owned(), name.to_owned());
    let explain = move || {
        if is_acquired.recv_timeout(SILENCE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let Ok(key) = std::env::var("RELUKKO_API_KEY") else { return };
        let client = Client::options(&url, key).request_timeout(SILENCE).build();
        match client.and_then(|client| holder(&client, &name)) {
            Err(error) => say(format_args!("waiting for lock {name}: {error}")),
            Ok(Some(holder)) if tells_holder => {
                say(format_args!("waiting for lock {name}: held by {holder}"));
            }
            Ok(_) => {}
        }
    };
    // Without a thread there is no explanation.
    let _ = std::thread::Builder::new().name("explain".into()).spawn(explain);
    acquired
}

/// The holder of the lock, according to the server.
fn holder(client: &Client, name: &str) -> Result<Option<String>, ClientError> {
    let lock = client.list()?.into_iter().find(|lock| lock.lock_name == name);
    Ok(lock.map(|lock| lock.creator.unwrap_or_else(|| "a holder that gave no name".to_owned())))
}

fn usage(why: &str) -> Failure {
    Failure::new(exit::USAGE, why)
}

fn failure(error: ClientError) -> Failure {
    let code = if matches!(error, ClientError::Invalid { .. }) { exit::USAGE } else { exit::UNFIT };
    Failure::new(code, error)
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
