//! `linklock break`: ends a lock that another process holds.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use linklock::{Clock, Error, Holder, Life, Lock, SystemClock};
use serde::Serialize;

use crate::errors::require_directory;
use crate::exit::{self, Failure};
use crate::foreign::Foreign;
use crate::options::LockOptions;
use crate::output::{self, json};
use crate::set;
use crate::status::{format_explained, text};
use crate::time;
use crate::walk::start_of;

/// Break a lock whose holder is gone
///
/// Removes the lock file and its holder's claim, and prints their names. If the lock is shared (run
/// --shared) or has slots (run --slots), does the same for each reader or slot. Without options, only a
/// lock that may be taken over anyway is broken: its lease is over, or its holder ran on this host and is
/// dead. With several options, all conditions must be met. A lock that another holder has acquired in the
/// meantime is never broken by mistake.
///
/// A server itself ends its locks whose leases are over, so a server's lock is broken only with --force. That
/// takes an API key with all rights, or the holder's own.
///
/// A holder that is alive finds out at its next refresh, and `linklock run` then stops its command.
/// --force also removes a regular file that is not a lock or can't be read; nothing else is ever
/// removed.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The lock file, or the URL of a server's lock
    pub(crate) lock: PathBuf,

    /// Break it if its holder has not refreshed it for this long
    ///
    /// A lock whose date is in the future, since a clock was set back, is watched for this long first.
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    pub(crate) if_unchanged_for: Option<Duration>,

    /// Break it if its holder ran on this host and is dead
    #[arg(long)]
    pub(crate) if_dead: bool,

    /// Break it even if its holder is alive; also remove a regular file that is not a lock or that
    /// can't be read
    #[arg(long, conflicts_with_all = ["if_unchanged_for", "if_dead"])]
    pub(crate) force: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pub(crate) options: LockOptions,
}

/// If the file server's clock seems to be behind by less than this, it may be right: its reading is
/// not exact, and the dates of many file systems are coarse.
const AHEAD: Duration = Duration::from_secs(1);
/// How often a watched lock is checked.
const EVERY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  linklock break /shared/report.lock
  linklock break --if-unchanged-for 10m /shared/report.lock
  linklock break --force /shared/report.lock

linklock(1), or linklock --help, has the exit statuses.";

impl Args {
    /// Whether the conditions are met, possibly except for the date of a lock that was watched
    /// instead.
    fn may_be_broken(&self, holder: &Holder, watched: Option<&Holder>) -> bool {
        let is_dead = holder.life() == Life::Dead;
        if self.if_unchanged_for.is_none() && !self.if_dead {
            return self.force || is_dead || holder.overdue() > self.options.clock_slop;
        }
        let was_watched = watched.is_some_and(|watched| is_unchanged(watched, holder));
        let is_unchanged = |time| was_watched || holder.idle() >= time;
        (!self.if_dead || is_dead) && self.if_unchanged_for.is_none_or(is_unchanged)
    }
}

/// What was broken, or removed.
pub(crate) struct Broken {
    pub(crate) was: String,
    pub(crate) removed: Vec<String>,
}

/// Breaks the lock itself, those of the readers that share it, and those of its slots.
pub(crate) fn break_lock(args: &Args) -> Result<u8, Failure> {
    let lock = args.options.lock(&args.lock).build()?;
    require_directory(lock.path())?;
    let slots = set::slots(lock.path(), &args.options)?.locks; // nothing is broken if this fails
    let itself = break_one(args, &lock);
    let readers = set::readers(lock.path(), &args.options);
    let others = readers.iter().chain(&slots).map(|other| break_one(args, other));
    report(args, text(lock.path()), itself, others)
}

/// Breaks one lock, if the conditions are met. `None` if nobody holds it.
fn break_one(args: &Args, lock: &Lock) -> Result<Option<Broken>, Failure> {
    if args.force {
        return break_by_force(lock);
    }
    let failure = |error| failure(lock, error);
    let watched = match args.if_unchanged_for {
        Some(time) => watch_if_dated_ahead(lock, time).map_err(failure)?,
        None => None,
    };
    let broken = lock.break_if(|holder| args.may_be_broken(holder, watched.as_ref()));
    match broken.map_err(failure)? {
        Some(holder) => Ok(Some(broke(lock, holder.to_string(), Some(holder.claim_path())))),
        None => match lock.holder().map_err(failure)? {
            Some(holder) => Err(not_broken(lock.path().display(), holder)),
            None => Ok(None),
        },
    }
}

/// Breaks the lock, or removes another regular file that has its name.
fn break_by_force(lock: &Lock) -> Result<Option<Broken>, Failure> {
    let (mut what, mut claim) = (String::new(), None);
    let broken = lock.break_file_if(|_, holder| {
        what = holder.map_or_else(|| kind(lock.path()).to_owned(), Holder::to_string);
        claim = holder.filter(|it| it.is_known()).map(|it| it.claim_path().to_owned());
        true
    });
    match broken.map_err(failure_by_force)? {
        Some(file) => {
            let age = time::show(file.unchanged_for());
            let what = format!("{what} (it was {file}, last changed {age} ago)");
            Ok(Some(broke(lock, what, claim.as_deref())))
        }
        None => match lock.holder().map_err(failure_by_force)? {
            Some(holder) => Err(not_broken(lock.path().display(), holder)),
            None => Ok(None),
        },
    }
}

fn broke(lock: &Lock, was: String, claim: Option<&Path>) -> Broken {
    Broken { was, removed: std::iter::once(lock.path()).chain(claim).map(text).collect() }
}

/// Shows what was broken, or that the lock is free. Fails if one that holds it was left alone.
pub(crate) fn report(
    args: &Args,
    lock: String,
    itself: Result<Option<Broken>, Failure>,
    others: impl Iterator<Item = Result<Option<Broken>, Failure>>,
) -> Result<u8, Failure> {
    let (mut was, mut removed, mut refused) = (Vec::new(), Vec::new(), None);
    for broken in std::iter::once(itself).chain(others) {
        match broken {
            Ok(Some(broken)) => {
                was.push(broken.was);
                removed.extend(broken.removed);
            }
            Ok(None) => (),
            Err(failure) => refused = refused.or(Some(failure)),
        }
    }
    let broken = !was.is_empty();
    let report = Report { lock, broken, was: broken.then(|| was.join("; ")), removed };
    match refused {
        None => report.show(args).map(|()| 0),
        Some(failure) if broken => report.show(args).and(Err(failure)),
        Some(failure) => Err(failure),
    }
}

/// The output of --json, as described in schema.json.
#[derive(Debug, Serialize)]
struct Report {
    lock: String,
    broken: bool,
    was: Option<String>,
    removed: Vec<String>,
}

impl Report {
    fn show(&self, args: &Args) -> Result<(), Failure> {
        output::show(&if args.json { json(self)? } else { self.to_string() })?;
        Ok(())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.was {
            Some(was) => writeln!(f, "broke lock {}: {was}", self.lock)?,
            None => writeln!(f, "lock {} is free", self.lock)?,
        }
        self.removed.iter().try_for_each(|path| writeln!(f, "removed {path}"))
    }
}

/// The refusal to break a lock that somebody holds.
pub(crate) fn not_broken(lock: impl Display, holder: impl Display) -> Failure {
    let why = format!(
        "lock {lock} is held by {holder}: not broken; if its holder hangs, end that process, or break the \
         lock with --force"
    );
    Failure::new(exit::HELD, why)
}

/// What kind of file this is, if it is not one of our locks.
fn kind(path: &Path) -> &'static str {
    let foreign = path.symlink_metadata().ok().and_then(|meta| Foreign::read(path, &meta));
    match foreign {
        Some(foreign) => format_explained(foreign.format),
        None if start_of(path, 0).is_err() => "a file that can't be read",
        None => "a file that is not a lock",
    }
}

/// An obstacle has its own exit code.
fn failure_by_force(error: Error) -> Failure {
    if error.is_contention() { Failure::new(exit::HELD, error) } else { error.into() }
}

/// Like `failure_by_force`, but points to --force where a regular file is in the way that it would
/// remove.
fn failure(lock: &Lock, error: Error) -> Failure {
    let is_plain = lock.path().symlink_metadata().is_ok_and(|meta| meta.is_file());
    match error {
        Error::Held { .. } if error.holder().is_none() && is_plain => {
            Failure::new(exit::HELD, format_args!("{error}; --force removes it"))
        }
        error => failure_by_force(error),
    }
}

/// Watches a lock whose date of last change is in the future: where a clock was set back, the date
/// does not show how long the lock has not changed. Returns the holder if the lock has not changed
/// for `time`, by this machine's monotonic clock.
fn watch_if_dated_ahead(lock: &Lock, time: Duration) -> Result<Option<Holder>, Error> {
    let server_time = lock.server_time()?;
    let Some(first) = lock.holder()? else { return Ok(None) };
    let ahead = first.refreshed_at().duration_since(server_time).unwrap_or_default();
    if ahead < AHEAD {
        return Ok(None);
    }
    let (path, ahead, long) = (lock.path().display(), time::show(ahead), time::show(time));
    output::say(format_args!(
        "lock {path} was last changed {ahead} in the future, by its date: watching it for {long}"
    ));
    let begun = SystemClock.now();
    loop {
        let left = time.saturating_sub(SystemClock.now().saturating_sub(begun));
        if left.is_zero() {
            return Ok(Some(first));
        }
        SystemClock.sleep(left.min(EVERY));
        if !lock.holder()?.is_some_and(|holder| is_unchanged(&first, &holder)) {
            return Ok(None);
        }
    }
}

/// Whether both show the same tenure without a refresh in between.
fn is_unchanged(before: &Holder, now: &Holder) -> bool {
    let dates = |holder: &Holder| (holder.refreshed_at(), holder.expires_at());
    before.claim_path() == now.claim_path() && dates(before) == dates(now)
}
