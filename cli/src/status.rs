//! `linklock status`: who holds a lock.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use linklock::{Error, Holder, Life, Lock, Obstacle};
use serde::Serialize;

use crate::exit::Failure;
use crate::time;

/// Show who holds a lock
///
/// Says whether the lock is held, by whom, whether that process is alive, and when its lease ends.
/// Nothing is changed. Whether a lease is over is judged by this machine's clock.
///
/// The exit status is 0 if the state could be told, whatever it is: a script reads it from --json.
#[derive(clap::Args, Debug)]
#[command(after_long_help = STATES)]
pub(crate) struct Args {
    /// The lock file
    lock: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const STATES: &str = "\
States:
  free        nobody holds the lock
  held        its holder's lease runs
  expired     its holder's lease is over: another may take the lock, after 10 s of grace
  dead        its holder ran on this host and is dead: the next comer takes the lock over
  unreadable  there is a file that may not be read, and is taken for a lock that is held
  not-a-lock  what has this name is no lock, and stays in the way until somebody removes it

With --json, dates are in RFC 3339 and UTC; what is not known is null.";

pub(crate) fn status(args: &Args) -> Result<u8, Failure> {
    let status = Status::of(&Lock::new(&args.lock)?)?;
    print(&status, args.json).map_err(Failure::to("write the status"))?;
    Ok(0)
}

fn print(status: &Status, as_json: bool) -> io::Result<()> {
    let text =
        if as_json { serde_json::to_string_pretty(status)? + "\n" } else { status.to_string() };
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever closes a pipe has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// What --json shows, field by field. What is not UTF-8 is made so.
#[derive(Debug, Serialize)]
struct Status {
    lock: String,
    state: State,
    holder: Option<Details>,
    /// Why a lock can't be read.
    error: Option<String>,
}

/// See `linklock status --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Free,
    Held,
    Expired,
    Dead,
    Unreadable,
    NotALock,
}

#[derive(Debug, Serialize)]
struct Details {
    host: String,
    pid: u32,
    /// Whether it is alive; `None` where that can't be told from here.
    alive: Option<bool>,
    claim: String,
    /// When the lease ends; `None` for what is no date.
    expires_at: Option<String>,
    /// Below zero once it is over.
    expires_in_seconds: f64,
    refreshed_at: Option<String>,
    idle_seconds: f64,
}

impl Status {
    fn of(lock: &Lock) -> Result<Status, Failure> {
        let status =
            |state, holder, error| Ok(Status { lock: text(lock.path()), state, holder, error });
        match lock.holder() {
            Ok(None) => status(State::Free, None, None),
            Ok(Some(holder)) => status(State::of(&holder), Some(Details::of(&holder)), None),
            Err(Error::Held { obstacle, .. }) => match *obstacle {
                Obstacle::Unreadable(error) => {
                    status(State::Unreadable, None, Some(error.to_string()))
                }
                _ => status(State::NotALock, None, None),
            },
            Err(error) => Err(error.into()),
        }
    }
}

impl State {
    fn of(holder: &Holder) -> State {
        match (holder.life(), holder.is_expired()) {
            (Life::Dead, _) => State::Dead,
            (_, true) => State::Expired,
            (_, false) => State::Held,
        }
    }

    fn explained(self) -> &'static str {
        match self {
            State::Free => "free",
            State::Held => "held",
            State::Expired => "expired: held, but its lease is over",
            State::Dead => "dead: its holder is gone, and the next comer takes it over",
            State::Unreadable => "unreadable: taken for a lock that is held",
            State::NotALock => "not a lock: something else has this name",
        }
    }
}

impl Details {
    fn of(holder: &Holder) -> Details {
        let expires_in_seconds = match holder.expires_at().duration_since(SystemTime::now()) {
            Ok(left) => left.as_secs_f64(),
            Err(over) => -over.duration().as_secs_f64(),
        };
        Details {
            host: holder.host().to_string_lossy().into_owned(),
            pid: holder.pid(),
            alive: match holder.life() {
                Life::Alive => Some(true),
                Life::Dead => Some(false),
                Life::Unknown => None,
            },
            claim: text(holder.claim_path()),
            expires_at: time::date(holder.expires_at()),
            expires_in_seconds,
            refreshed_at: time::date(holder.refreshed_at()),
            idle_seconds: holder.idle().as_secs_f64(),
        }
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.lock, self.state.explained())?;
        if let Some(error) = &self.error {
            writeln!(f, "  error:      {error}")?;
        }
        self.holder.as_ref().map_or(Ok(()), |holder| holder.fmt(f))
    }
}

impl Display for Details {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let alive = match self.alive {
            Some(true) => " (alive)",
            Some(false) => " (dead)",
            None => "",
        };
        let date = self.expires_at.as_deref().unwrap_or("(no date)");
        let (ends, relative) = if self.expires_in_seconds < 0.0 {
            ("ended", format!("{} ago", seconds(-self.expires_in_seconds)))
        } else {
            ("ends", format!("in {}", seconds(self.expires_in_seconds)))
        };
        writeln!(f, "  holder:     process {} on {}{alive}", self.pid, self.host)?;
        writeln!(f, "  lease {:5} {}, {relative}", format!("{ends}:"), date)?;
        writeln!(f, "  refreshed:  {} ago", seconds(self.idle_seconds))?;
        writeln!(f, "  claim:      {}", self.claim)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn seconds(seconds: f64) -> String {
    time::show(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
