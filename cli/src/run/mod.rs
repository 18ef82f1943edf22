//! `linklock run`: runs a command under a lock.

mod auto;
mod child;
mod held;
mod marker;
#[cfg(feature = "relukko")]
mod remote;
pub(crate) mod shim;
mod supervise;
mod terminal;
pub(crate) mod warden;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use clap::builder::{OsStringValueParser, TypedValueParser};
use linklock::{Lock, LockGuard};

use self::child::Child;
use self::held::Held;
use self::marker::Marker;
use self::supervise::{Outcome, supervise};
use crate::cleaned::cleaned;
use crate::contend;
use crate::events::{Event, Events};
use crate::exit::{self, Failure};
use crate::journal::{Happening, Journal, Note};
use crate::options::{Contention, LockOptions, WaitLimit};
use crate::outer;
use crate::output::say;
use crate::time;

/// Run a command while holding a lock
///
/// Waits for the lock, runs COMMAND, releases the lock when COMMAND ends, and exits with its exit status.
/// Given several locks, it holds all of them or none, and waits for one only while it holds no other, so
/// that no two commands can deadlock.
///
/// HUP, INT, QUIT, TERM, USR1, USR2, TSTP and CONT are passed on to COMMAND, which runs in a
/// process group of its own. If linklock shares the terminal with a pipeline or a script, COMMAND
/// stays in their group, and the terminal itself signals it when keys are typed. The lock is held
/// until COMMAND has ended, even if processes that it started still run; --wait-all waits for those
/// too. A COMMAND stopped by a signal keeps its lock. After Ctrl-Z, however, linklock stops too, as
/// the shell expects, and the lease may run out; when the job is resumed, linklock checks that it
/// still holds the lock before COMMAND continues.
///
/// The lock can be lost nevertheless: if the file server was out of reach for the whole lifetime,
/// or if an administrator broke the lock. COMMAND then gets TERM, and KILL 5 seconds later; if it
/// is stopped, KILL at once. If linklock itself is killed with KILL, COMMAND is killed too (on
/// Linux), with its whole process group. Processes that have left the group, as daemons do, are out
/// of reach; so are other users' processes, such as those of sudo(8), unless linklock runs as root:
/// write `sudo linklock run ...`, not `linklock run ... sudo`.
///
/// Signals that are ignored when linklock starts, as by nohup(1) or in the background of a script,
/// stay ignored, for COMMAND too (except PIPE, which is reset to its default).
///
/// COMMAND finds the lock's path in `LINKLOCK_PATH` and its claim, the holder's file beside it, in
/// `LINKLOCK_CLAIM`: one per line if there are several. With --fence it finds the fencing token in
/// `LINKLOCK_TOKEN`, in the same way; with --relukko, the lock's name and id in `LINKLOCK_NAME` and
/// `LINKLOCK_RELUKKO_ID`.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The lock file, which exists while the lock is held
    #[arg(value_name = "LOCK", required_unless_present = "auto")]
    locks: Vec<PathBuf>,

    /// The command to run, and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,

    #[command(flatten)]
    contention: Contention,

    /// Lease: how long linklock may be out of touch before other processes may take over the lock
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = time::exact(linklock::DEFAULT_LIFETIME))]
    lifetime: Duration,

    /// Give each acquisition a number (a fencing token), so that whatever COMMAND writes to can reject a
    /// holder that has lost the lock
    ///
    /// COMMAND finds the number in `LINKLOCK_TOKEN`; it is higher than all earlier ones. All commands that
    /// use the lock should have this option. The counter is kept in the directory LOCK.fence.
    #[arg(long)]
    fence: bool,

    /// If the linklock that started this command holds LOCK, run COMMAND under that lock
    ///
    /// Without this option such a command fails as if another process held the lock, since waiting
    /// would never end.
    #[arg(long)]
    reentrant: bool,

    /// Use a lock that is named after COMMAND and its arguments, in DIR or else in ~/.cache/linklock
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "",
        value_parser = OsStringValueParser::new().map(PathBuf::from), conflicts_with = "locks")]
    auto: Option<PathBuf>,

    /// Don't run COMMAND if it last succeeded less than this time ago, on any host
    ///
    /// A run that is skipped counts as if the lock was held, for the exit status too. The time is
    /// counted from when that run began, so choose somewhat less than the interval of a cron job:
    /// 50m for an hourly one. The date is kept in the file LOCK.success.
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    at_most_every: Option<Duration>,

    #[command(flatten)]
    limits: Limits,

    /// Append what happens to LOCK to FILE, as JSON, one object a line
    ///
    /// The field `event` is waiting, gave-up, acquired, lost, ended (COMMAND), released or not-released. All
    /// fields are described in schema.json, which is installed beside linklock's documentation.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,

    #[command(flatten)]
    lock: LockOptions,

    /// Use the lock named LOCK of the Relukko server at this URL, with the key in RELUKKO_API_KEY
    ///
    /// COMMAND finds the lock's name in `LINKLOCK_NAME` and its id in `LINKLOCK_RELUKKO_ID`. A lock
    /// that is left behind ends when it expires on the server, which may be 13 minutes later.
    #[arg(long, value_name = "URL", conflicts_with_all = ["fence", "auto", "at_most_every", "reentrant", "mode", "events"])]
    relukko: Option<String>,
}

/// How long COMMAND may run, and when it is stopped
#[derive(clap::Args, Debug)]
pub(crate) struct Limits {
    /// Hold the lock until all processes that COMMAND has started have ended, daemons too (on Linux)
    #[arg(long)]
    wait_all: bool,

    /// Stop COMMAND if it runs for longer than this
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    max_runtime: Option<Duration>,

    /// After --max-runtime, how long COMMAND has from TERM to KILL
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = "10s")]
    kill_after: Duration,

    /// Hold the lock for at least this long, even if COMMAND ends sooner
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    min_hold: Option<Duration>,

    /// What to do if the lock is lost while COMMAND runs
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    on_lost: OnLost,
}

/// What to do with a command whose lock is lost
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum OnLost {
    /// Stop it
    #[default]
    Kill,
    /// Print a warning, and let it continue
    Warn,
}

const EXAMPLES: &str = "\
Examples:
  # wait for the lock, then run a backup
  linklock run /shared/backup.lock -- /usr/local/bin/backup
  # from cron: skip this time if the last run goes on, on any host
  linklock run -nq -E 0 /shared/report.lock -- /usr/local/bin/report
  # wait for 10 minutes at most, and stop a job that hangs
  linklock run -t 10m --max-runtime 2h /shared/backup.lock -- /usr/local/bin/backup
  # one run of this very command at a time, without a name
  linklock run -n --auto -- rsync -a /home/ /mnt/backup/

linklock(1), or linklock --help, has the exit statuses.";

pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    #[cfg(feature = "relukko")]
    if let Some(url) = &args.relukko {
        return remote::run(url, args);
    }
    #[cfg(not(feature = "relukko"))]
    if args.relukko.is_some() {
        return Err(crate::no_serve::missing("run --relukko"));
    }
    let mut locks = build_all(args)?;
    warn_of_cleaning(args, &locks);
    let outer = if args.reentrant { take_outer(&mut locks) } else { Vec::new() };
    let mut events = Events::watch().map_err(Failure::to("watch for signals"))?;
    if let Some(path) = &args.events {
        events.journal = Journal::open(path)?;
    }
    let limit = &args.contention.limit;
    let gave_up = |failure: &Failure| events.journal.note(|| Note::of_failure(failure));
    let (guards, marker) = acquire(&locks, args, &events).inspect_err(gave_up)?;
    for guard in &guards {
        events.journal.note(|| Note::of_acquired(guard));
    }
    let variables = environment(&outer, &guards);
    let slop = args.lock.clock_slop;
    let outcome = hold(&guards, &args.command, variables, &events, &args.limits, slop)
        .inspect_err(gave_up)?;
    if let Some(marker) = marker.filter(|_| outcome.exit_code() == 0) {
        marker.set();
    }
    Ok(release(guards, limit.verbose, &events, outcome))
}

/// Acquires the locks, if the command is to run at all. Returns the marker of its success, if it
/// has one.
fn acquire(
    locks: &[Lock],
    args: &Args,
    events: &Events,
) -> Result<(Vec<LockGuard>, Option<Marker>), Failure> {
    let limit = &args.contention.limit;
    let guards = contend::acquire(locks, limit, events)?;
    let marker = match (args.at_most_every, locks.first()) {
        (Some(period), Some(lock)) => Some(due(lock, period, limit)?),
        _ => None,
    };
    Ok((guards, marker))
}

/// The marker of a command that is due again.
fn due(lock: &Lock, period: Duration, limit: &WaitLimit) -> Result<Marker, Failure> {
    let marker = Marker::of(lock)?;
    match marker.age()?.filter(|age| *age < period) {
        Some(age) => Err(limit.failure(marker::too_soon(age, period))),
        None => Ok(marker),
    }
}

/// Warns if the directory may lose what must persist between two runs.
fn warn_of_cleaning(args: &Args, locks: &[Lock]) {
    if args.contention.limit.quiet {
        return;
    }
    let what = match (args.fence, args.at_most_every) {
        (true, _) => "the counter of --fence, after which tokens begin at 1 again",
        (_, Some(_)) => "the date of the last success",
        _ => return,
    };
    let mut dirs = locks.iter().filter_map(|lock| lock.path().parent());
    if let Some(dir) = dirs.find_map(cleaned) {
        say(format_args!(
            "warning: files in {dir} are removed by age or at boot, perhaps also {what}"
        ));
    }
}

/// Runs a command while these locks are held and kept alive, then releases them. Other processes
/// respect the locks for the clock slop after their leases have ended.
pub(crate) fn run_under<G: Held>(
    guards: Vec<G>,
    command: &[OsString],
    variables: impl IntoIterator<Item = (&'static str, OsString)>,
    events: &Events,
    limits: &Limits,
    clock_slop: Duration,
    verbose: bool,
) -> Result<u8, Failure> {
    let outcome = hold(&guards, command, variables, events, limits, clock_slop)?;
    Ok(release(guards, verbose, events, outcome))
}

/// Runs a command while these locks are held.
fn hold(
    guards: &[impl Held],
    command: &[OsString],
    variables: impl IntoIterator<Item = (&'static str, OsString)>,
    events: &Events,
    limits: &Limits,
    clock_slop: Duration,
) -> Result<Outcome, Failure> {
    let acquired = Instant::now();
    for guard in guards {
        guard.keep_alive(events).map_err(|trouble| {
            Failure::new(if trouble.is_lost { exit::LOST } else { exit::SYSTEM }, trouble)
        })?;
    }
    events.watch_job_control().map_err(Failure::to("watch for signals"))?;
    if limits.wait_all {
        child::adopt_orphans().map_err(Failure::to("wait for all processes"))?;
    }
    let child = Child::start(command, variables).map_err(Failure::to("start the command"))?;
    let mut outcome = supervise(child, guards, events, limits, clock_slop)
        .map_err(Failure::to("wait for the command"))?;
    events.journal.note(|| Note { exit_status: Some(outcome.code), ..Note::of(Happening::Ended) });
    if let Some(least) = limits.min_hold {
        hold_on(acquired, least, events, &mut outcome);
    }
    Ok(outcome)
}

/// Builds the locks. Rejects a lock that is named twice: its holder would wait for itself.
fn build_all(args: &Args) -> Result<Vec<Lock>, Failure> {
    let auto = args.auto.as_ref().map(|dir| auto::lock(dir, &args.command)).transpose()?;
    let paths: Vec<_> = args.locks.iter().chain(&auto).collect();
    let mut seen = Vec::new();
    for path in &paths {
        let identity = outer::identity(path);
        if seen.contains(&identity) {
            let why = format!("lock {} is named twice", path.display());
            return Err(Failure::new(exit::USAGE, why));
        }
        seen.push(identity);
    }
    let build = |path: &&PathBuf| {
        let options = args.contention.apply_to(args.lock.lock(path));
        Ok(options.lifetime(args.lifetime).fencing(args.fence).build()?)
    };
    paths.iter().map(build).collect()
}

/// Takes out the locks that the outer linklock holds, and returns them with their claims.
fn take_outer(locks: &mut Vec<Lock>) -> Vec<(PathBuf, PathBuf)> {
    let mut outer = Vec::new();
    locks.retain(|lock| {
        let holder = outer::holder(lock);
        let held = holder.map(|holder| (lock.path().to_owned(), holder.claim_path().to_owned()));
        held.map(|held| outer.push(held)).is_none()
    });
    outer
}

/// The variables that describe the command's locks: those that an outer linklock holds, and our
/// own.
fn environment(
    outer: &[(PathBuf, PathBuf)],
    guards: &[LockGuard],
) -> Vec<(&'static str, OsString)> {
    let (paths, claims) = (outer.iter().map(|held| &*held.0), outer.iter().map(|held| &*held.1));
    let mut variables = vec![
        ("LINKLOCK_PATH", lines(paths.chain(guards.iter().map(LockGuard::path)))),
        ("LINKLOCK_CLAIM", lines(claims.chain(guards.iter().map(LockGuard::claim_path)))),
    ];
    let tokens: Vec<_> = guards.iter().filter_map(LockGuard::token).collect();
    if !tokens.is_empty() {
        variables.push(("LINKLOCK_TOKEN", lines(tokens.iter().map(u64::to_string))));
    }
    variables
}

fn lines(parts: impl Iterator<Item = impl AsRef<OsStr>>) -> OsString {
    let parts: Vec<_> = parts.map(|part| part.as_ref().as_bytes().to_vec()).collect();
    OsString::from_vec(parts.join(&b'\n'))
}

/// Holds the locks for a while after the command has ended, unless a signal cuts this short.
fn hold_on(acquired: Instant, least: Duration, events: &Events, outcome: &mut Outcome) {
    while !outcome.is_lost {
        let left = least.saturating_sub(acquired.elapsed());
        match events.next(left) {
            _ if left.is_zero() => return,
            Some(Event::Lost(error)) => {
                events.note_loss(&error);
                say(error);
                outcome.is_lost = true;
            }
            Some(event) if event.ends().is_some() => return,
            _ => {}
        }
    }
}

/// Releases the locks after the command has ended. Only the loss of a lock before that casts doubt
/// on what the command did; a lock that cannot be removed now ends with its lease.
fn release<G: Held>(guards: Vec<G>, verbose: bool, events: &Events, mut outcome: Outcome) -> u8 {
    let note = |lock: &str, event, reason| {
        events.journal.note(|| Note { lock: Some(lock.to_owned()), reason, ..Note::of(event) });
    };
    for guard in guards {
        if outcome.hangs && guard.remaining().is_zero() {
            // The release would hang as the refresh does, and the lease has ended anyway.
            note(&guard.name(), Happening::NotReleased, None);
            std::mem::forget(guard);
            continue;
        }
        let name = guard.name();
        let Err(error) = guard.release() else {
            note(&name, Happening::Released, None);
            if verbose {
                say(format_args!("released {} {name}", G::WHAT));
            }
            continue;
        };
        if error.is_lost && std::mem::replace(&mut outcome.is_lost, true) {
            continue; // that was reported before
        }
        let event = if error.is_lost { Happening::Lost } else { Happening::NotReleased };
        note(&name, event, Some(error.to_string()));
        say(error);
    }
    outcome.exit_code()
}
