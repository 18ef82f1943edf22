//! The command line: the one definition that parsing, the help, and in time the man pages and
//! completions come from.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use linklock::StalePolicy;

use crate::{exit, time};

/// Run commands under a lock in a shared directory
///
/// The lock excludes all who use the same LOCK file, on this machine or on others that share its
/// directory, over NFS too. It is a lease that is kept alive while the command runs, so that a
/// lock whose holder died is not in the way for ever.
#[derive(Debug, Parser)]
#[command(name = "linklock", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunArgs),
    Status(StatusArgs),
    #[command(name = ShimArgs::NAME, hide = true)]
    Shim(ShimArgs),
}

/// Run a command while holding a lock
///
/// Waits for the lock, unless told otherwise, runs COMMAND, releases the lock when it ends, and
/// exits with its exit status.
///
/// HUP, INT, QUIT, TERM, USR1 and USR2 are passed on to COMMAND, except that the terminal itself
/// sends it what is typed there (INT, QUIT). The lock is held until COMMAND has ended.
///
/// If the lock is lost all the same, because the file server was out of reach for the whole
/// lifetime or somebody broke the lock, COMMAND gets TERM, and KILL 5 seconds later. If linklock
/// itself is killed with KILL, COMMAND is killed too (on Linux), though not what it has started.
///
/// COMMAND finds the lock's path in `LINKLOCK_PATH` and its claim, the holder's file beside it, in
/// `LINKLOCK_CLAIM`.
#[derive(Args, Debug)]
#[command(after_help = exit::table())]
pub(crate) struct RunArgs {
    /// The lock file, which exists while the lock is held
    pub(crate) lock: PathBuf,

    /// What to run, and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,

    /// Give up at once if the lock is held
    #[arg(short, long, conflicts_with = "timeout")]
    pub(crate) no_wait: bool,

    /// Give up after this time: 90, 90s, 5m, 1h30m, 500ms
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// For how long linklock may be out of touch before others may take the lock
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, default_value = "15s")]
    pub(crate) lifetime: Duration,

    /// When a lock that another holds may be taken over
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    pub(crate) stale: Stale,

    /// What to exit with if the lock is held, or still is after the timeout
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = exit::HELD)]
    pub(crate) conflict_exit_code: u8,

    /// Don't say so if the lock is held: the exit code does
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say when the lock is waited for, acquired and released
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// `StalePolicy`, for the command line
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Stale {
    /// When its lease is over, or its holder ran on this host and is dead
    #[default]
    ExpiredOrDead,
    /// Only when its lease is over
    Expired,
    /// Never
    Never,
}

impl From<Stale> for StalePolicy {
    fn from(stale: Stale) -> StalePolicy {
        match stale {
            Stale::ExpiredOrDead => StalePolicy::ExpiredOrDead,
            Stale::Expired => StalePolicy::Expired,
            Stale::Never => StalePolicy::Never,
        }
    }
}

/// Show who holds a lock
///
/// Says whether the lock is held, by whom, whether that process is alive, and when its lease ends.
/// Nothing is changed. Whether a lease is over is judged by this machine's clock.
///
/// The exit status is 0 if the state could be told, whatever it is: a script reads it from --json.
#[derive(Args, Debug)]
#[command(after_long_help = STATES)]
pub(crate) struct StatusArgs {
    /// The lock file
    pub(crate) lock: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
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

/// Becomes COMMAND, which then dies with the linklock that started it
#[derive(Args, Debug)]
pub(crate) struct ShimArgs {
    /// The process id of that linklock
    pub(crate) parent: i32,

    /// What to run, and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

impl ShimArgs {
    /// Not a name that anybody types.
    pub(crate) const NAME: &str = "__exec";
}
