//! `linklock status`: shows the holder of a lock.

mod breakers;
mod origin;
#[cfg_attr(not(feature = "relukko"), allow(dead_code, reason = "no server is asked"))]
mod server;
mod show;

pub(crate) use self::server::ServerLock;
pub(crate) use self::show::format_explained;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use linklock::{Error, Format, Holder, Life, Lock, LockFile, Obstacle};
use serde::Serialize;

use self::breakers::{Breaker, Facts, breakers};
use crate::errors::require_directory;
use crate::exit::Failure;
use crate::foreign::Foreign;
use crate::options::LockOptions;
use crate::output::{self, json};
use crate::set::{self, Slot};
use crate::time;

/// Show the holder of a lock
///
/// Shows whether the lock is held, by which process, user and command, since when, whether that
/// process is alive, when its lease ends, and which processes wait. With --breakers, also which
/// programs would treat the lock as stale, and when, if its holder stopped refreshing it. If LOCK is a
/// set of slots, shows those that are held; if commands share it, shows each.
///
/// Leases are judged by the file server's time, which is read from a file that is created and removed at
/// once. Without write access this machine's time is used.
///
/// A server's lock is free or held. Its dates are the server's, and are compared with this machine's clock.
///
/// The exit status is 0 if the state is known, whatever it is: a script can read it from --json.
#[derive(clap::Args, Debug)]
#[command(after_long_help = STATES)]
pub(crate) struct Args {
    /// The lock file, or the URL of a server's lock
    pub(crate) lock: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Show which programs would break the lock, as is always shown for a mail program's lock
    #[arg(long)]
    pub(crate) breakers: bool,

    #[command(flatten)]
    pub(crate) options: LockOptions,
}

pub(crate) const STATES: &str = "\
States:
  free        no process holds the lock
  held        the holder's lease runs
  expired     the holder's lease is over: the lock may be taken over 10 s later
  dead        the holder ran on this host and is dead: the next process to ask for the lock
              takes it over
  unreadable  this user may not read the file: it counts as a held lock
  not-a-lock  the file of this name is not a lock of this kind, and stays until it is removed;
              its format is shown where it is known

With --json, dates are in RFC 3339 and UTC; unknown values are null. The fields are described in
schema.json, which is installed beside linklock's documentation.

Examples:
  linklock status /shared/report.lock
  linklock list /shared
  linklock status --json /shared/report.lock | jq -r .state";

pub(crate) fn status(args: &Args) -> Result<u8, Failure> {
    let lock = args.options.lock(&args.lock).build()?;
    let mut status = Status::of(&lock, args.options.clock_slop)?;
    let slots = set::slots(lock.path(), &args.options)?;
    let slots = slots.locks.iter().map(|slot| Status::of(slot, args.options.clock_slop));
    status.slots = slots.collect::<Result<_, _>>()?;
    let readers = set::readers(lock.path(), &args.options);
    let readers = readers.iter().map(|lock| Status::of(lock, args.options.clock_slop));
    status.readers = readers.collect::<Result<_, _>>()?;
    let with_breakers = args.breakers || status.is_mail_programs();
    output::show(&if args.json { json(&status)? } else { status.to_text(with_breakers) })?;
    Ok(0)
}

/// The output of --json, as described in schema.json. Invalid UTF-8 is replaced.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) lock: String,
    pub(crate) state: State,
    /// The program whose format the lock file has.
    format: Option<&'static str>,
    pub(crate) holder: Option<Details>,
    /// Why a lock cannot be read.
    error: Option<String>,
    /// The obstacle, if it is a regular file that is not a lock or cannot be read.
    file: Option<FileDetails>,
    /// How far the file server's clock is ahead of this machine's.
    clock_offset_seconds: Option<f64>,
    pub(crate) waiting: Vec<Waiter>,
    breakers: Vec<Breaker>,
    /// The slots that are held of the set with the lock's path.
    pub(crate) slots: Vec<Status>,
    /// The locks of the readers that share the lock.
    pub(crate) readers: Vec<Status>,
    /// A lock that a server has.
    pub(crate) server: Option<ServerLock>,
}

/// See `linklock status --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Free,
    Held,
    Expired,
    Dead,
    Unreadable,
    NotALock,
}

#[derive(Debug, Serialize)]
pub(crate) struct Details {
    pub(crate) host: Option<String>,
    /// `None` if it is not known, or if the lock is held by its lease alone.
    pub(crate) pid: Option<u32>,
    /// The owner of the lock file.
    user: Option<String>,
    /// The command line of a process that runs on this host.
    command: Option<String>,
    /// Since when the lock has been held, as far as is known: when linklock's command was started,
    /// or else when the claim was created, which may be before the lock was acquired.
    since: Option<String>,
    held_seconds: Option<f64>,
    /// Whether the lock belongs to no process.
    #[serde(skip)]
    pub(crate) is_nobodys: bool,
    /// Whether the process is alive; `None` if that cannot be determined here.
    alive: Option<bool>,
    /// How many slots the set has in which it holds one.
    slots: Option<u32>,
    claim: Option<String>,
    /// When the lease ends; `None` for an invalid date, or a lock without a lease.
    expires_at: Option<String>,
    /// Negative once the lease has ended.
    pub(crate) expires_in_seconds: Option<f64>,
    refreshed_at: Option<String>,
    idle_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct FileDetails {
    owner: String,
    owner_uid: u32,
    /// In octal.
    mode: String,
    size: u64,
    unchanged_seconds: f64,
    #[serde(skip)]
    advice: [&'static str; 2],
}

#[derive(Debug, Serialize)]
pub(crate) struct Waiter {
    host: String,
    pid: u32,
    /// The owner of the claim.
    user: Option<String>,
    /// The command line of a process that runs on this host.
    command: Option<String>,
    alive: Option<bool>,
    claim: String,
}

impl Status {
    pub(crate) fn of(lock: &Lock, clock_slop: Duration) -> Result<Status, Failure> {
        let before = SystemTime::now();
        let server_time = lock.server_time().ok();
        let offset = server_time.map(|time| time::signed_seconds(time, before));
        let mut status = Status::new(text(lock.path()), State::Free, offset);
        let now = server_time.unwrap_or_else(SystemTime::now);
        match lock.holder() {
            Ok(None) => require_directory(lock.path())?,
            Ok(Some(holder)) => {
                status.state = State::of(&holder);
                status.format = format(lock.path(), &holder);
                status.holder = Some(Details::of(lock.path(), &holder, now));
                status.breakers = facts(lock.path(), Some(&holder), clock_slop, now);
            }
            Err(Error::Held { obstacle, .. }) => status.obstructed_by(lock, &obstacle, now),
            Err(error) => return Err(error.into()),
        }
        // If the directory cannot be listed, the lock's own state is known nevertheless.
        let mut waiters = lock.waiters().unwrap_or_default();
        waiters.sort_by(|one, other| one.claim_path().cmp(other.claim_path()));
        status.waiting = waiters.iter().map(Waiter::of).collect();
        Ok(status)
    }

    fn new(lock: String, state: State, clock_offset_seconds: Option<f64>) -> Status {
        Status {
            lock,
            state,
            format: None,
            holder: None,
            error: None,
            file: None,
            clock_offset_seconds,
            waiting: Vec::new(),
            breakers: Vec::new(),
            slots: Vec::new(),
            readers: Vec::new(),
            server: None,
        }
    }

    /// The lock, as it may be a slot of a set.
    pub(crate) fn as_slot(&self) -> Slot<'_> {
        Slot {
            lock: &self.lock,
            of: self.holder.as_ref().and_then(|holder| holder.slots),
            is_stale: matches!(self.state, State::Expired | State::Dead),
            waiting: self.waiting.len(),
        }
    }

    /// Whether it is a dotlock, as mail programs create them.
    fn is_mail_programs(&self) -> bool {
        self.format.is_some_and(|format| !matches!(format, "linklock" | "flufl.lock" | "filelock"))
    }

    /// Records an obstacle that is not one of our locks.
    fn obstructed_by(&mut self, lock: &Lock, obstacle: &Obstacle, now: SystemTime) {
        self.state = State::NotALock;
        if let Obstacle::Unreadable(error) | Obstacle::ReadDenied(_, error) = obstacle {
            self.state = State::Unreadable;
            self.error = Some(error.to_string());
        }
        if let Obstacle::ReadDenied(file, _) = obstacle {
            self.file = Some(FileDetails::of(file));
        }
        let meta = lock.path().symlink_metadata();
        if let Some(foreign) = meta.ok().and_then(|meta| Foreign::read(lock.path(), &meta)) {
            self.format = Some(foreign.format);
            self.breakers = facts(lock.path(), None, Duration::ZERO, now);
            if foreign.pid.is_some() || foreign.claim.is_some() {
                self.holder = Some(Details::of_foreign(lock.path(), &foreign));
            }
        }
    }
}

/// The program whose format a lock file has. Without content and claim it may be any program's.
fn format(path: &Path, holder: &Holder) -> Option<&'static str> {
    match holder.format() {
        _ if !holder.is_known() => {
            let meta = path.symlink_metadata().ok()?;
            Foreign::read(path, &meta).map(|foreign| foreign.format)
        }
        Format::FluflLock => Some("flufl.lock"),
        _ => Some("linklock"),
    }
}

fn facts(
    path: &Path,
    holder: Option<&Holder>,
    clock_slop: Duration,
    now: SystemTime,
) -> Vec<Breaker> {
    let Ok(meta) = path.symlink_metadata() else { return Vec::new() };
    let Ok(modified) = meta.modified() else { return Vec::new() };
    let changed = u64::try_from(meta.ctime()).unwrap_or_default();
    breakers(&Facts {
        lease_ends: holder.map(Holder::expires_at),
        holder_is_dead: holder.is_some_and(|holder| holder.life() == Life::Dead),
        modified,
        changed: UNIX_EPOCH + Duration::from_secs(changed),
        size: meta.len(),
        clock_slop,
        now,
    })
}

impl State {
    /// The name in the output of --json.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Free => "free",
            State::Held => "held",
            State::Expired => "expired",
            State::Dead => "dead",
            State::Unreadable => "unreadable",
            State::NotALock => "not-a-lock",
        }
    }

    fn of(holder: &Holder) -> State {
        match (holder.life(), holder.is_expired()) {
            (Life::Dead, _) => State::Dead,
            (_, true) => State::Expired,
            (_, false) => State::Held,
        }
    }
}

impl Details {
    fn of(path: &Path, holder: &Holder, now: SystemTime) -> Details {
        let left = holder.remaining().as_secs_f64() - holder.overdue().as_secs_f64();
        let is_nobodys = origin::is_nobodys(holder);
        let begun = origin::begun(path, holder, now);
        Details {
            host: holder.is_known().then(|| holder.host().to_string_lossy().into_owned()),
            pid: (holder.is_known() && !is_nobodys).then(|| holder.pid()),
            user: origin::user(path),
            command: origin::command(holder),
            since: begun.and_then(time::date),
            held_seconds: begun.map(|begun| time::signed_seconds(now, begun).max(0.0)),
            is_nobodys,
            alive: alive(holder.life()),
            slots: holder.slots(),
            claim: holder.is_known().then(|| text(holder.claim_path())),
            expires_at: time::date(holder.expires_at()),
            expires_in_seconds: Some(left),
            refreshed_at: time::date(holder.refreshed_at()),
            idle_seconds: Some(holder.idle().as_secs_f64()),
        }
    }

    fn of_foreign(path: &Path, foreign: &Foreign) -> Details {
        Details {
            host: foreign.host.clone(),
            pid: foreign.pid,
            user: origin::user(path),
            command: None,
            since: None,
            held_seconds: None,
            is_nobodys: false,
            alive: None,
            slots: None,
            claim: foreign.claim.as_deref().map(text),
            expires_at: None,
            expires_in_seconds: None,
            refreshed_at: None,
            idle_seconds: None,
        }
    }
}

impl FileDetails {
    fn of(file: &LockFile) -> FileDetails {
        FileDetails {
            owner: file.owner_name().unwrap_or_else(|| file.owner().to_string()),
            owner_uid: file.owner(),
            mode: format!("{:04o}", file.permissions()),
            size: file.size(),
            unchanged_seconds: file.unchanged_for().as_secs_f64(),
            advice: [
                "its owner and root can see the holder of the lock; after chmod a+r every user can",
                "linklock break --force removes it, whatever it contains",
            ],
        }
    }
}

impl Waiter {
    fn of(waiter: &Holder) -> Waiter {
        Waiter {
            host: waiter.host().to_string_lossy().into_owned(),
            pid: waiter.pid(),
            user: origin::user(waiter.claim_path()),
            command: origin::command(waiter),
            alive: alive(waiter.life()),
            claim: text(waiter.claim_path()),
        }
    }
}

pub(crate) fn alive(life: Life) -> Option<bool> {
    match life {
        Life::Alive => Some(true),
        Life::Dead => Some(false),
        _ => None,
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
