//! `linklock mailbox status`: shows which programs have locked a mailbox.

use std::fmt;

use linklock::Obstacle;
use serde::Serialize;

use super::options::Mailbox;
use crate::errors::require_directory;
use crate::exit::Failure;
use crate::foreign::dotlock_format;
use crate::output::{self, json, printable};
use crate::status::{alive, text};
use crate::time;

/// Show which programs have locked a mailbox
///
/// Shows whether the mailbox is locked by fcntl(2), and by which process; and whether it has a
/// dotlock, the program that made it, whether the process that it names runs, and when it was last
/// touched. Nothing is changed.
///
/// The exit status is 0 if the state is known, whatever it is: a script can read it from --json,
/// where dates are in RFC 3339 and UTC, and unknown values are null.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    mailbox: Mailbox,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn status(args: &Args) -> Result<u8, Failure> {
    let lock = args.mailbox.lock()?;
    require_directory(lock.path())?;
    let obstacles = lock.obstacles()?;
    let status = Status {
        mailbox: text(lock.path()),
        is_locked: !obstacles.is_empty(),
        locks: obstacles.iter().map(Locked::by).collect(),
    };
    output::show(&if args.json { json(&status)? } else { status.to_string() })?;
    Ok(0)
}

/// The output of --json, field by field. Invalid UTF-8 is replaced.
#[derive(Debug, Serialize)]
struct Status {
    mailbox: String,
    is_locked: bool,
    locks: Vec<Locked>,
}

#[derive(Debug, Serialize)]
struct Locked {
    by: Means,
    /// The program whose format the dotlock has.
    format: Option<&'static str>,
    host: Option<String>,
    pid: Option<u32>,
    /// Whether that process runs; `None` where that cannot be determined here.
    alive: Option<bool>,
    /// When the dotlock was created or last touched.
    changed_at: Option<String>,
    #[serde(skip)]
    said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Means {
    Fcntl,
    Dotlock,
    /// The file with the dotlock's name is not a dotlock, and stays in the way until it is removed
    /// by hand.
    NotALock,
    /// A dotlock that may not be read.
    Unreadable,
}

impl Locked {
    fn by(obstacle: &Obstacle) -> Locked {
        let said = obstacle.to_string();
        let by = match obstacle {
            Obstacle::Fcntl(_) => Means::Fcntl,
            Obstacle::NotALock => Means::NotALock,
            Obstacle::Unreadable(_) | Obstacle::ReadDenied(..) => Means::Unreadable,
            _ => Means::Dotlock,
        };
        let empty =
            Locked { by, format: None, host: None, pid: None, alive: None, changed_at: None, said };
        match obstacle {
            Obstacle::Fcntl(pid) => Locked { pid: *pid, ..empty },
            Obstacle::Dotlock(dotlock) => Locked {
                format: dotlock_format(dotlock.kind()),
                host: dotlock.kind().host().map(|host| host.to_string_lossy().into_owned()),
                pid: dotlock.kind().pid(),
                alive: alive(dotlock.life()),
                changed_at: time::date(dotlock.changed_at()),
                ..empty
            },
            Obstacle::Holder(holder) => Locked {
                format: Some("flufl.lock"),
                host: Some(holder.host().to_string_lossy().into_owned()),
                pid: Some(holder.pid()),
                alive: alive(holder.life()),
                changed_at: time::date(holder.refreshed_at()),
                ..empty
            },
            _ => empty,
        }
    }
}

/// One line for each lock.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mailbox = printable(&self.mailbox);
        if self.locks.is_empty() {
            writeln!(f, "{mailbox}: free")?;
        }
        for Locked { said, changed_at, .. } in &self.locks {
            write!(f, "{mailbox}: {said}")?;
            match changed_at {
                Some(date) => writeln!(f, ", last touched at {date}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
