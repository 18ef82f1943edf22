//! `linklock sweep`: removes files that dead processes have left.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::exit::Failure;
use crate::options::LockOptions;
use crate::output::{self, json};
use crate::status::text;
use crate::walk::{Walk, lock_of};

/// Remove files that dead processes have left beside locks
///
/// Below a directory, removes expired claims and similar files that no lock file is a link to, and
/// prints their names. Lock files themselves stay: the next process to ask for the lock takes it
/// over, and `linklock break` breaks it. Every run sweeps for its own lock; this command is for
/// locks that are no longer used.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The directory
    pub(crate) dir: PathBuf,

    /// Print the names of the files that would be removed, without removing them
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: LockOptions,
}

const EXAMPLES: &str = "\
Examples:
  linklock sweep --dry-run /shared";

/// The output of --json, as described in schema.json.
#[derive(Debug, Serialize)]
struct Swept {
    dry_run: bool,
    removed: Vec<String>,
}

pub(crate) fn sweep(args: &Args) -> Result<u8, Failure> {
    args.options.check(&args.dir)?;
    let separator = args.options.separator();
    let mut walk = Walk::below(&args.dir)?;
    let mut locks = BTreeSet::new();
    while let Some((path, _)) = walk.next_file() {
        let lock = path.file_name().and_then(|name| lock_of(name, &separator));
        locks.extend(lock.map(|lock| path.with_file_name(lock)));
    }
    let mut removed = Vec::new();
    for path in locks {
        let Ok(lock) = args.options.lock(&path).build() else { continue };
        match if args.dry_run { lock.orphans() } else { lock.sweep() } {
            Ok(swept) => {
                for path in swept.iter().filter(|_| !args.json) {
                    output::show(&format!("{}\n", path.display()))?;
                }
                removed.extend(swept.iter().map(|path| text(path)));
            }
            Err(error) => walk.failed(&error),
        }
    }
    if args.json {
        output::show(&json(&Swept { dry_run: args.dry_run, removed })?)?;
    }
    Ok(walk.end())
}
