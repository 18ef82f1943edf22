//! `linklock list`: all locks below a directory.

use std::fs::Metadata;
use std::path::PathBuf;

use linklock::Error;

use crate::exit::Failure;
use crate::message::{self, json, printable};
use crate::options::LockOptions;
use crate::status::{STATES, State, Status};
use crate::time::show_seconds;
use crate::walk::Walk;

/// A lock file has a path in it, with a claim's name; no path is longer.
const LONGEST: u64 = 4096 + 255;

/// List all locks below a directory
///
/// Shows each lock of linklock's or flufl.lock's that is held, or is left by a dead holder. Only
/// plain files that are small enough are read; symbolic links are not followed.
#[derive(clap::Args, Debug)]
#[command(after_long_help = STATES)]
pub(crate) struct Args {
    /// The directory
    dir: PathBuf,

    /// Print a JSON array of what `linklock status --json` prints for each
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: LockOptions,
}

pub(crate) fn list(args: &Args) -> Result<u8, Failure> {
    let mut walk = Walk::below(&args.dir);
    let mut found = Vec::new();
    while let Some((path, meta)) = walk.next_file() {
        if !may_be_lock(&meta) {
            continue;
        }
        // What can't be a lock's name is no lock; a claim's can't, since it has the separator in it.
        let Ok(lock) = args.options.lock(&path).build() else { continue };
        match lock.holder() {
            Ok(Some(_)) => match Status::of(&lock, args.options.clock_slop) {
                Ok(status) => found.push(status),
                Err(failure) => walk.failed_with(failure),
            },
            Ok(None) | Err(Error::Held { .. }) => {}
            Err(error) => walk.failed(&error),
        }
    }
    found.retain(|status| status.state != State::Free); // by now
    found.sort_by(|one, other| one.lock.cmp(&other.lock));
    message::show(&if args.json { json(&found)? } else { table(&found) })?;
    Ok(walk.end())
}

fn may_be_lock(meta: &Metadata) -> bool {
    (1..=LONGEST).contains(&meta.len())
}

fn table(found: &[Status]) -> String {
    let titles = ["STATE", "HOLDER", "LEASE", "WAITING", "LOCK"].map(String::from);
    let rows: Vec<_> = std::iter::once(titles).chain(found.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..4).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        cells.collect::<String>() + &row[4] + "\n"
    };
    if found.is_empty() { String::new() } else { rows.iter().map(line).collect() }
}

fn row(status: &Status) -> [String; 5] {
    let holder = status.holder.as_ref();
    let process =
        holder.and_then(|holder| Some(format!("{}@{}", holder.pid?, holder.host.as_ref()?)));
    let lease = holder.and_then(|holder| holder.expires_in_seconds).map(|left| {
        if left < 0.0 { format!("ended {} ago", show_seconds(-left)) } else { show_seconds(left) }
    });
    [
        status.state.name().to_owned(),
        printable(&process.unwrap_or_default()).into_owned(),
        lease.unwrap_or_default(),
        status.waiting.len().to_string(),
        printable(&status.lock).into_owned(),
    ]
}
