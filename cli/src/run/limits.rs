//! The limits of a command that runs under a lock.

use std::time::Duration;

use clap::ValueEnum;

use crate::time;

/// How long COMMAND may run, and when it is stopped
#[derive(clap::Args, Debug)]
pub(crate) struct Limits {
    /// Hold the lock until all processes that COMMAND has started have ended, daemons too (on Linux)
    #[arg(long)]
    pub(super) wait_all: bool,

    /// Stop COMMAND if it runs for longer than this
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    pub(super) max_runtime: Option<Duration>,

    /// After --max-runtime, how long COMMAND has from TERM to KILL
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = "10s")]
    pub(super) kill_after: Duration,

    /// Hold the lock for at least this long, even if COMMAND ends sooner
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    pub(super) min_hold: Option<Duration>,

    /// What to do if the lock is lost while COMMAND runs
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    pub(super) on_lost: OnLost,
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
