//! Options that several subcommands share.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use linklock::{Lock, StalePolicy};

use crate::exit::{self, Failure};
use crate::{require_mount, time};

/// Whether this is the URL of a server or of its lock, and not a path.
pub(crate) fn is_url(path: &Path) -> bool {
    let is_like = |scheme: &str| path.as_os_str().as_bytes().starts_with(scheme.as_bytes());
    is_like("http://") || is_like("https://")
}

/// What all users of a lock have to agree on
#[derive(Args, Debug)]
pub(crate) struct LockOptions {
    /// Name of this host in the lock, instead of its host name
    #[arg(long, value_name = "NAME", env = "LINKLOCK_HOST_NAME", hide_env_values = true)]
    pub(crate) host_name: Option<OsString>,

    /// Character between the parts of a claim's name; the same for all users of the lock
    #[arg(long, value_name = "CHARACTER", default_value_t = '|')]
    pub(crate) separator: char,

    /// How long a lease is still respected after its end; the same for all users of the lock
    #[arg(long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true, default_value = time::exact(linklock::DEFAULT_CLOCK_SLOP))]
    pub(crate) clock_slop: Duration,
}

impl LockOptions {
    /// The separator, as bytes: it does not occur in a lock's own name, but in the name of every
    /// file beside the lock.
    pub(crate) fn separator(&self) -> Vec<u8> {
        self.separator.to_string().into_bytes()
    }

    /// Checks that the directory is one, and that locks with these options can exist below it:
    /// otherwise none would be found.
    pub(crate) fn check(&self, dir: &Path) -> Result<(), Failure> {
        if dir.metadata().is_ok_and(|meta| !meta.is_dir()) {
            let name = dir.display();
            let why = format!(
                "{name} is not a directory; for a single lock, use `linklock status {name}`"
            );
            return Err(Failure::new(exit::USAGE, why));
        }
        self.lock(&dir.join("any.lock")).build()?;
        Ok(())
    }

    /// Options for the lock, not built yet.
    pub(crate) fn lock(&self, path: &Path) -> linklock::LockOptions {
        let options = Lock::options(path).separator(self.separator).clock_slop(self.clock_slop);
        match &self.host_name {
            Some(name) => options.host_name(name),
            None => options,
        }
    }
}

/// How to contend for a lock
#[derive(Args, Debug)]
pub(crate) struct Contention {
    #[command(flatten)]
    pub(crate) limit: WaitLimit,

    /// When a lock that another process holds may be taken over
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    pub(crate) stale: Stale,

    /// Mode of the lock's files, whatever the umask is, such as 664 for a lock that several users
    /// share [default: 666 less the umask]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub(crate) mode: Option<u32>,

    /// Ask a holder on another host for a wake-up by UDP when it releases the lock, and wake others
    ///
    /// A waiter then gets the lock milliseconds after its release, in the order of arrival of the hosts,
    /// where the holder has this option too and no firewall drops the datagrams; otherwise it polls as
    /// usual. It works on mounts that name their server's IPv4 address, as NFS does. The claims' names
    /// then have this host's address in them.
    #[arg(long)]
    pub(crate) wake_hints: bool,

    /// Refuse to lock unless a file system is mounted on MOUNTPOINT, and LOCK's directory is on it
    ///
    /// Where a shared directory is not mounted, as after a boot that went wrong, the bare directory would be
    /// locked instead, which no other host sees. MOUNTPOINT must be the mount point of what LOCK's
    /// directory is on, as /proc/self/mountinfo has it, when symbolic links in both paths are resolved:
    /// neither a directory in a mounted file system nor one above it. An automounter is given the time to
    /// mount it. Otherwise the exit status is 73.
    #[arg(long, value_name = "MOUNTPOINT")]
    pub(crate) require_mount: Option<PathBuf>,
}

impl Contention {
    /// Fails unless the lock is on the file system that was meant.
    pub(crate) fn check_mount(&self, lock: &Path) -> Result<(), Failure> {
        let dir = match lock.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        self.require_mount.as_ref().map_or(Ok(()), |point| require_mount::require(point, dir))
    }

    /// The lock with these options, polled often enough that a short timeout is observed.
    pub(crate) fn apply_to(&self, lock: linklock::LockOptions) -> linklock::LockOptions {
        const SHORTEST: Duration = Duration::from_millis(1);
        const LONGEST: Duration = Duration::from_secs(1); // as without a timeout
        let lock = lock.stale(self.stale.into()).wake_hints(self.wake_hints);
        let lock = match self.mode {
            Some(mode) => lock.mode(mode),
            None => lock,
        };
        match self.limit.timeout() {
            Some(timeout) => lock.polling(SHORTEST, (timeout / 20).clamp(SHORTEST, LONGEST)),
            None => lock,
        }
    }
}

/// A mode as chmod(1) takes it, in octal digits.
fn mode(text: &str) -> Result<u32, &'static str> {
    let is_octal = !text.is_empty() && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && mode <= 0o777 => Ok(mode),
        _ => Err("expected up to three octal digits, such as 664"),
    }
}

/// How long to wait, and what to print
#[derive(Args, Debug)]
pub(crate) struct WaitLimit {
    /// Give up at once if the lock is held
    #[arg(short, long, conflicts_with = "timeout")]
    pub(crate) no_wait: bool,

    /// Give up after this time: 90, 90s, 5m, 1h30m, 500ms [default: LINKLOCK_TIMEOUT in the
    /// environment, or no limit]
    #[arg(short, long, value_name = "DURATION", value_parser = time::parse, allow_hyphen_values = true)]
    timeout: Option<Duration>,

    #[arg(long, value_name = "LINKLOCK_TIMEOUT", value_parser = time::parse, env = "LINKLOCK_TIMEOUT", hide = true)]
    default_timeout: Option<Duration>,

    /// Exit status if the lock is held, or still is after the timeout
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = exit::HELD)]
    pub(crate) conflict_exit_code: u8,

    /// Print nothing if the lock is held, or while waiting
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print a message when the lock is waited for, acquired and released
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

impl WaitLimit {
    /// How long to wait before giving up.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout.or(self.default_timeout.filter(|_| !self.no_wait))
    }

    /// Whether the wait may continue.
    pub(crate) fn lasts(&self, waited: Duration) -> bool {
        !self.no_wait && self.timeout().is_none_or(|timeout| waited < timeout)
    }

    /// The failure when the wait has ended, for this reason.
    pub(crate) fn failure(&self, why: impl Display) -> Failure {
        if self.quiet {
            Failure::silent(self.conflict_exit_code)
        } else {
            Failure::new(self.conflict_exit_code, why)
        }
    }
}

/// `StalePolicy`, for the command line
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
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
