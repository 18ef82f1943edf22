//! `linklock list`: all locks below a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::exit::Failure;
use crate::options::LockOptions;
use crate::output::{self, json, printable};
use crate::set::{self, Set};
use crate::status::{STATES, State, Status};
use crate::time::show_seconds;
use crate::walk::{Walk, lock_of, start_of};

/// A lock file contains a path that ends with a claim's name; no path is longer.
const LONGEST: u64 = 4096 + 255;

/// List all locks below a directory
///
/// Shows each lock of linklock's or flufl.lock's that is held or was left by a dead holder, even if it has
/// lost its content or can't be read, and each other file that a process waits for as if it were a
/// lock. A set of slots is one line, in which # stands for a slot that is held, ! for one that may be
/// taken over, and . for a free one; so are the commands that share a lock. A small file that can't be read counts as a lock. Only small regular files are read; symbolic
/// links are not followed.
///
/// Given the URL of a server (`linklock serve`), lists its locks by their URLs. How many clients wait for
/// each is not known.
#[derive(clap::Args, Debug)]
#[command(after_long_help = STATES)]
pub(crate) struct Args {
    /// The directory, or the URL of a server
    pub(crate) dir: PathBuf,

    /// Print a JSON array of the objects that `linklock status --json` prints
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) options: LockOptions,
}

pub(crate) fn list(args: &Args) -> Result<u8, Failure> {
    args.options.check(&args.dir)?;
    let separator = args.options.separator();
    let mut walk = Walk::below(&args.dir)?;
    let mut locks = BTreeSet::new();
    while let Some((path, meta)) = walk.next_file() {
        match path.file_name().and_then(|name| lock_of(name, &separator)) {
            // Its lock file may not be recognizable as one: it is the lock that the claim belongs
            // to.
            Some(lock) => locks.insert(path.with_file_name(lock)),
            None => may_be_lock(&path, &meta, &separator) && locks.insert(path),
        };
    }
    let mut found = Vec::new();
    for path in locks.iter().filter(|path| path.symlink_metadata().is_ok()) {
        // A file whose name cannot be a lock's is not a lock.
        let Ok(lock) = args.options.lock(path).build() else { continue };
        match Status::of(&lock, args.options.clock_slop) {
            Ok(status) if is_worth_listing(&status) => found.push(status),
            Ok(_) => {}
            Err(failure) => walk.failed_with(failure),
        }
    }
    show(found, args.json)?;
    Ok(walk.end())
}

pub(crate) fn show(mut found: Vec<Status>, as_json: bool) -> Result<(), Failure> {
    found.sort_by(|one, other| one.lock.cmp(&other.lock));
    Ok(output::show(&if as_json { json(&found)? } else { table(&found) })?)
}

/// Whether a file is recognizable as a lock file, or cannot be ruled out.
fn may_be_lock(path: &Path, meta: &Metadata, separator: &[u8]) -> bool {
    let Some(name) = path.file_name() else { return false };
    let claim = [name.as_bytes(), separator].concat();
    let shortest = [&*claim, b"h", separator, b"1", separator, b"1"].concat().len() as u64;
    if !(shortest..=LONGEST).contains(&meta.len()) {
        return false;
    }
    match start_of(path, LONGEST) {
        Ok(content) => content.windows(claim.len()).any(|at| at == claim),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// A file that is not a lock is worth listing only if a process waits for its removal.
fn is_worth_listing(status: &Status) -> bool {
    match status.state {
        State::Free => false, // it has just been released
        State::NotALock => !status.waiting.is_empty(),
        _ => true,
    }
}

fn table(found: &[Status]) -> String {
    let titles = ["STATE", "HOLDER", "LEASE", "WAITING", "LOCK"].map(String::from);
    let slots: Vec<_> = found.iter().map(Status::as_slot).collect();
    let (sets, rest) = Set::group(&slots);
    let rest = rest.into_iter().map(|index| &found[index]);
    let (readers, rest): (Vec<_>, Vec<_>) =
        rest.partition(|status| set::shared_lock(&status.lock).is_some());
    let mut shared: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (lock, reader) in readers.iter().filter_map(|it| Some((set::shared_lock(&it.lock)?, it))) {
        shared.entry(lock).or_default().push(*reader);
    }
    let shared = shared.iter().map(|(lock, readers)| shared_row(lock, readers));
    let mut rows: Vec<_> =
        sets.iter().map(set_row).chain(shared).chain(rest.into_iter().map(row)).collect();
    rows.sort_by(|one, other| one[4].cmp(&other[4]));
    rows.insert(0, titles);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..4).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        cells.collect::<String>() + &row[4] + "\n"
    };
    if found.is_empty() { String::new() } else { rows.iter().map(line).collect() }
}

fn set_row(set: &Set<'_>) -> [String; 5] {
    let of = format!("{} of {}", set.held(), set.number);
    [of, set.bar(), String::new(), set.waiting.to_string(), printable(set.path).into_owned()]
}

fn shared_row(lock: &str, readers: &[&Status]) -> [String; 5] {
    let waiting: usize = readers.iter().map(|reader| reader.waiting.len()).sum();
    let shared = set::shared_by(readers.len());
    ["shared".to_owned(), shared, String::new(), waiting.to_string(), printable(lock).into_owned()]
}

fn row(status: &Status) -> [String; 5] {
    let holder = status.holder.as_ref();
    let server = status.server.as_ref();
    let who = server.and_then(|lock| lock.who.clone().or(lock.address.clone()));
    let process = holder.and_then(|holder| {
        let nobody = holder.is_nobodys.then(|| "nobody".to_owned());
        let who = holder.pid.map(|pid| pid.to_string()).or(nobody)?;
        Some(format!("{who}@{}", holder.host.as_ref()?))
    });
    let lease = holder.and_then(|holder| holder.expires_in_seconds).map(|left| {
        if left < 0.0 { format!("ended {} ago", show_seconds(-left)) } else { show_seconds(left) }
    });
    [
        status.state.name().to_owned(),
        printable(&process.or(who).unwrap_or_default()).into_owned(),
        lease.unwrap_or_default(),
        server.map_or_else(|| status.waiting.len().to_string(), |_| String::new()),
        printable(&status.lock).into_owned(),
    ]
}
