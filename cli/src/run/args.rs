//! The arguments of `linklock run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};

use super::limits::Limits;
use crate::options::{Contention, LockOptions};
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
/// `LINKLOCK_TOKEN`, in the same way; with --slots, the number of its slot in `LINKLOCK_SLOT`; with --relukko, the lock's name and id in `LINKLOCK_NAME` and
/// `LINKLOCK_RELUKKO_ID`.
///
/// If LOCK is a URL, http://HOST:PORT/NAME, COMMAND runs under that lock of a server (`linklock serve`), with
/// the API key in RELUKKO_API_KEY. `LINKLOCK_PATH` is then the URL, `LINKLOCK_CLAIM` has a secret in it, and
/// `LINKLOCK_TOKEN` is always set.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The lock file, which exists while the lock is held, or the URL of a server's lock
    #[arg(value_name = "LOCK", required_unless_present = "auto")]
    pub(crate) locks: Vec<PathBuf>,

    /// The command to run, and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,

    #[command(flatten)]
    pub(crate) contention: Contention,

    /// Lease: how long linklock may be out of touch before other processes may take over the lock
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = time::exact(linklock::DEFAULT_LIFETIME))]
    pub(crate) lifetime: Duration,

    /// Give each acquisition a number (a fencing token), so that whatever COMMAND writes to can reject a
    /// holder that has lost the lock
    ///
    /// COMMAND finds the number in `LINKLOCK_TOKEN`; it is higher than all earlier ones. All commands that
    /// use the lock should have this option. The counter is kept in the directory LOCK.fence.
    #[arg(long)]
    pub(crate) fence: bool,

    /// If the linklock that started this command holds LOCK, run COMMAND under that lock
    ///
    /// Without this option such a command fails as if another process held the lock, since waiting
    /// would never end.
    #[arg(long)]
    pub(crate) reentrant: bool,

    /// Use a lock that is named after COMMAND and its arguments, in DIR or else in ~/.cache/linklock
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "",
        value_parser = OsStringValueParser::new().map(PathBuf::from), conflicts_with = "locks")]
    pub(crate) auto: Option<PathBuf>,

    /// Don't run COMMAND if it last succeeded less than this time ago, on any host
    ///
    /// A run that is skipped counts as if the lock was held, for the exit status too. The time is
    /// counted from when that run began, so choose somewhat less than the interval of a cron job:
    /// 50m for an hourly one. The date is kept in the file LOCK.success.
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    pub(crate) at_most_every: Option<Duration>,

    #[command(flatten)]
    pub(crate) limits: Limits,

    /// Let up to N commands run at once, each in a slot of its own
    ///
    /// The slots are the locks LOCK.0 to LOCK.N-1. COMMAND gets any of them, and finds its number, from 0 on,
    /// in `LINKLOCK_SLOT`. All commands should have the same N: if not, as many may run at once as
    /// the largest says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256),
        conflicts_with_all = ["at_most_every", "reentrant"])]
    pub(crate) slots: Option<u32>,

    /// Share LOCK with other commands that have this option: it is held by any number of them, or by one
    /// command without it
    ///
    /// COMMAND reads what others write. Commands without this option wait for those that share LOCK, and
    /// those that come later wait behind them. COMMAND finds the path of its own lock, beside LOCK, in
    /// `LINKLOCK_PATH`.
    #[arg(long, conflicts_with_all = ["at_most_every", "fence", "slots"])]
    pub(crate) shared: bool,

    /// Append what happens to LOCK to FILE, as JSON, one object a line
    ///
    /// The field `event` is waiting, gave-up, acquired, lost, ended (COMMAND), released or not-released. All
    /// fields are described in schema.json, which is installed beside linklock's documentation.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) lock: LockOptions,

    /// Use the lock named LOCK of the Relukko server at this URL, with the key in RELUKKO_API_KEY
    ///
    /// COMMAND finds the lock's name in `LINKLOCK_NAME` and its id in `LINKLOCK_RELUKKO_ID`. A lock
    /// that is left behind ends when it expires on the server, which may be 13 minutes later.
    #[arg(long, value_name = "URL", conflicts_with_all = ["fence", "auto", "at_most_every", "reentrant", "mode", "events", "require_mount", "slots", "shared", "wake_hints"])]
    pub(crate) relukko: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  # wait for the lock, then run a backup
  linklock run /shared/backup.lock -- /usr/local/bin/backup
  # from cron: skip this time if the last run goes on, on any host
  linklock run -nq -E 0 /shared/report.lock -- /usr/local/bin/report
  # wait for 10 minutes at most, and stop a job that hangs
  linklock run -t 10m --max-runtime 2h /shared/backup.lock -- /usr/local/bin/backup
  # encode on the four GPUs of this machine, one command on each
  linklock run --slots 4 /run/lock/gpu.lock -- sh -c 'CUDA_VISIBLE_DEVICES=$LINKLOCK_SLOT encode'
  # on hosts that share no directory: under a lock of a server
  linklock run -n http://locks.example:3000/report -- /usr/local/bin/report
  # one run of this very command at a time, without a name
  linklock run -n --auto -- rsync -a /home/ /mnt/backup/

linklock(1), or linklock --help, has the exit statuses.";
