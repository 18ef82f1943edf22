//! `linklock run`: a command under a lock.

mod child;
mod held;
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
use linklock::{Lock, LockGuard};

use self::child::Child;
use self::held::Held;
use self::supervise::{Outcome, supervise};
use crate::contend;
use crate::events::{Event, Events};
use crate::exit::{self, Failure};
use crate::options::{Contention, LockOptions};
use crate::outer;
use crate::output::say;
use crate::time;

/// Run a command while holding a lock
///
/// Waits for the lock, unless told otherwise, runs COMMAND, releases the lock when it ends, and
/// exits with its exit status. Given several locks, it holds all of them or none, and waits for one
/// only while it holds no other, so that nobody can deadlock.
///
/// HUP, INT, QUIT, TERM, USR1, USR2, TSTP and CONT are passed on to COMMAND, which has a process
/// group of its own. Only where it shares the terminal with a pipeline or a script it shares their
/// group too, and the terminal itself sends it what is typed there. The lock is held until COMMAND
/// has ended, whatever it has started and left running. A COMMAND that is stopped keeps its lock,
/// except by what is typed at the terminal: then linklock stops too, as the shell expects, and the
/// lease runs out. Before a COMMAND that is stopped goes on, the lock is made sure of.
///
/// If the lock is lost all the same, because the file server was out of reach for the whole
/// lifetime or somebody broke the lock, COMMAND gets TERM, and KILL 5 seconds later; if it is
/// stopped, KILL at once. If linklock itself is killed with KILL, COMMAND is killed too (on Linux),
/// and all that is in its process group. Out of reach are processes that have left the group, as
/// daemons do; what COMMAND has started where it shares its group; and programs of another user's,
/// such as sudo(8) starts, unless linklock is root's.
///
/// Signals that are ignored when linklock starts, as by nohup(1) or in the background of a script,
/// stay ignored, for COMMAND too (but for PIPE, which it finds at its default).
///
/// COMMAND finds the lock's path in `LINKLOCK_PATH` and its claim, the holder's file beside it, in
/// `LINKLOCK_CLAIM`: one a line if there are several. With --fence it finds the lock's fencing token in
/// `LINKLOCK_TOKEN`, in the same way.
#[derive(clap::Args, Debug)]
#[command(after_help = exit::table())]
pub(crate) struct Args {
    /// The lock file, which exists while the lock is held
    #[arg(value_name = "LOCK", required = true)]
    locks: Vec<PathBuf>,

    /// What to run, and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,

    #[command(flatten)]
    contention: Contention,

    /// For how long linklock may be out of touch before others may take the lock
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = "15s")]
    lifetime: Duration,

    /// Number the acquisitions, for what COMMAND writes to to refuse those who have lost the lock
    ///
    /// COMMAND finds its number in `LINKLOCK_TOKEN`: higher than those of all before it. All who use
    /// the lock should do so. The counter is kept in the directory LOCK.fence.
    #[arg(long)]
    fence: bool,

    /// If the linklock that started this command holds LOCK, run COMMAND under that lock
    ///
    /// Without this option such a command fails as if another held the lock, since waiting would never end.
    #[arg(long)]
    reentrant: bool,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    lock: LockOptions,

    /// Use the lock named LOCK of the Relukko server at this URL, with the key in RELUKKO_API_KEY.
    ///
    /// COMMAND finds the lock's name in `LINKLOCK_NAME` and its id in `LINKLOCK_RELUKKO_ID`. A lock
    /// that is left behind ends when it expires on the server, which may be 13 minutes later.
    #[arg(long, value_name = "URL", conflicts_with = "fence")]
    relukko: Option<String>,
}

/// How long COMMAND may run, and what becomes of it
#[derive(clap::Args, Debug)]
pub(crate) struct Limits {
    /// Stop COMMAND if it runs for longer than this
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    max_runtime: Option<Duration>,

    /// How long a COMMAND that is to stop after --max-runtime has, from TERM to KILL
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = "10s")]
    kill_after: Duration,

    /// Hold the lock for at least this long, however soon COMMAND ends
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    min_hold: Option<Duration>,

    /// What to do if the lock is lost while COMMAND runs
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    on_lost: OnLost,
}

/// What becomes of a command whose lock is lost
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum OnLost {
    /// Stop it
    #[default]
    Kill,
    /// Say so, and let it go on
    Warn,
}

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
    let outer = if args.reentrant { take_outer(&mut locks) } else { Vec::new() };
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    let guards = contend::acquire(&locks, &args.contention.limit, &events)?;
    let variables = environment(&outer, &guards);
    let (slop, verbose) = (args.lock.clock_slop, args.contention.limit.verbose);
    run_under(guards, &args.command, variables, &events, &args.limits, slop, verbose)
}

/// Runs a command while these are held, and kept alive. Others respect them for the clock slop after
/// their leases have ended.
pub(crate) fn run_under<G: Held>(
    guards: Vec<G>,
    command: &[OsString],
    variables: impl IntoIterator<Item = (&'static str, OsString)>,
    events: &Events,
    limits: &Limits,
    clock_slop: Duration,
    verbose: bool,
) -> Result<u8, Failure> {
    let acquired = Instant::now();
    for guard in &guards {
        guard.keep_alive(events).map_err(|trouble| {
            Failure::new(if trouble.is_lost { exit::LOST } else { exit::SYSTEM }, trouble)
        })?;
    }
    events.watch_job_control().map_err(Failure::to("watch for signals"))?;
    let child = Child::start(command, variables).map_err(Failure::to("start the command"))?;
    let mut outcome = supervise(child, &guards, events, limits, clock_slop)
        .map_err(Failure::to("wait for the command"))?;
    if let Some(least) = limits.min_hold {
        hold_on(acquired, least, events, &mut outcome);
    }
    release(guards, verbose, &mut outcome);
    Ok(match outcome {
        Outcome { is_lost: true, .. } => exit::LOST,
        Outcome { is_overlong: true, .. } => exit::OVERLONG,
        Outcome { code, .. } => code,
    })
}

/// The locks. One that is named twice would be waited for by the one who holds it.
fn build_all(args: &Args) -> Result<Vec<Lock>, Failure> {
    let mut seen = Vec::new();
    for path in &args.locks {
        let identity = outer::identity(path);
        if seen.contains(&identity) {
            let why = format!("lock {} is named twice", path.display());
            return Err(Failure::new(exit::USAGE, why));
        }
        seen.push(identity);
    }
    let build = |path: &PathBuf| {
        let options = args.contention.apply_to(args.lock.lock(path));
        Ok(options.lifetime(args.lifetime).fencing(args.fence).build()?)
    };
    args.locks.iter().map(build).collect()
}

/// Those that the linklock around this one holds, with their claims; the others are left.
fn take_outer(locks: &mut Vec<Lock>) -> Vec<(PathBuf, PathBuf)> {
    let mut outer = Vec::new();
    locks.retain(|lock| {
        let holder = outer::holder(lock);
        let held = holder.map(|holder| (lock.path().to_owned(), holder.claim_path().to_owned()));
        held.map(|held| outer.push(held)).is_none()
    });
    outer
}

/// What the command finds in its environment of its locks: of those that were held before, and its own.
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

/// Holds the locks for a while after the command has ended, unless a signal says that it is enough.
fn hold_on(acquired: Instant, least: Duration, events: &Events, outcome: &mut Outcome) {
    while !outcome.is_lost {
        let left = least.saturating_sub(acquired.elapsed());
        match events.next(left) {
            _ if left.is_zero() => return,
            Some(Event::Lost(error)) => {
                say(error);
                outcome.is_lost = true;
            }
            Some(event) if event.ends().is_some() => return,
            _ => {}
        }
    }
}

/// The command has ended. Whether a lock was lost before that is the one thing that casts doubt on
/// what it has done; a lock that just now can't be removed ends with its lease.
fn release<G: Held>(guards: Vec<G>, verbose: bool, outcome: &mut Outcome) {
    for guard in guards {
        if outcome.hangs && guard.remaining().is_zero() {
            // The release would hang as the refresh does, and the lease is over anyway.
            std::mem::forget(guard);
            continue;
        }
        let name = guard.name();
        match guard.release() {
            Ok(()) if verbose => say(format_args!("released {} {name}", G::WHAT)),
            Ok(()) => {}
            Err(error) if error.is_lost => {
                if !std::mem::replace(&mut outcome.is_lost, true) {
                    say(error);
                }
            }
            Err(error) => say(error),
        }
    }
}
