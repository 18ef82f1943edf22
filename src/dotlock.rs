//! The dotlocks of mail programs: what each program writes, and the only parser.
//!
//! | program | content | mode |
//! |---|---|---|
//! | dotlockfile, lockfile_create(3), this library | `0\n` | 0644 |
//! | dotlockfile -p | `PID\n` | 0644 |
//! | procmail, lockfile(1) | `0` | 0444 |
//! | Dovecot | `PID:HOST` | any |
//! | mutt_dotlock, Postfix | nothing | 0000 |
//! | Exim, Python's mailbox module | nothing | any other |

use crate::sys::os_str::OsStrExt;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::sys::process::Life;

/// The longest content of any dotlock: a pid and a host name, see limits.h.
pub(crate) const DOTLOCK_MAX: usize = 512;

/// The program that made a dotlock, as far as its content and mode show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DotlockKind {
    /// `0\n`: dotlockfile(1), all programs that use liblockfile, and this library.
    Liblockfile,
    /// `PID\n`: `dotlockfile -p`. It does not record the host of that process.
    LiblockfilePid(u32),
    /// `0`: procmail and its lockfile(1).
    Procmail,
    /// `PID:HOST`: Dovecot.
    Dovecot(u32, OsString),
    /// Empty, and not readable by any user: mutt_dotlock(1), Postfix.
    Sealed,
    /// Empty: Exim, Python's mailbox module.
    Empty,
}

impl DotlockKind {
    /// The kind of a dotlock with this content and mode; `None` if no program makes such a file.
    /// The mode matters only if the file is empty.
    ///
    /// ```
    /// use linklock::mailbox::DotlockKind;
    ///
    /// assert_eq!(DotlockKind::parse(b"4711\n", 0o644), Some(DotlockKind::LiblockfilePid(4711)));
    /// assert_eq!(DotlockKind::parse(b"save me", 0o644), None);
    /// ```
    #[must_use]
    pub fn parse(content: &[u8], permissions: u32) -> Option<DotlockKind> {
        match content {
            b"" if matches!(permissions & 0o777, 0) => return Some(DotlockKind::Sealed),
            b"" => return Some(DotlockKind::Empty),
            b"0" => return Some(DotlockKind::Procmail),
            b"0\n" => return Some(DotlockKind::Liblockfile),
            _ => {}
        }
        if let Some(line) = content.strip_suffix(b"\n") {
            return parse_pid(line).map(DotlockKind::LiblockfilePid);
        }
        let colon = content.iter().position(|byte| *byte == b':')?;
        let (pid, host) = (parse_pid(&content[..colon])?, &content[colon + 1..]);
        let is_name = |byte: &u8| byte.is_ascii_graphic() && *byte != b'/';
        let fits = !host.is_empty() && host.iter().all(is_name);
        fits.then(|| DotlockKind::Dovecot(pid, OsStr::from_bytes(host).to_owned()))
    }

    /// The process id in the content; `None` if there is none.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self {
            DotlockKind::LiblockfilePid(pid) | DotlockKind::Dovecot(pid, _) => Some(*pid),
            DotlockKind::Liblockfile
            | DotlockKind::Procmail
            | DotlockKind::Sealed
            | DotlockKind::Empty => None,
        }
    }

    /// The host in the content, by its own name for itself; `None` if there is none.
    #[must_use]
    pub fn host(&self) -> Option<&OsStr> {
        match self {
            DotlockKind::Dovecot(_, host) => Some(host),
            _ => None,
        }
    }
}

/// No mail program has the pid 0, and none writes leading zeroes.
fn parse_pid(digits: &[u8]) -> Option<u32> {
    let plain = digits.iter().all(u8::is_ascii_digit) && !digits.starts_with(b"0");
    let pid = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (plain && i32::try_from(pid).is_ok()).then_some(pid)
}

impl fmt::Display for DotlockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DotlockKind::Liblockfile => write!(f, "dotlockfile or one of its kind"),
            DotlockKind::LiblockfilePid(pid) => write!(f, "dotlockfile, process {pid}"),
            DotlockKind::Procmail => write!(f, "procmail or lockfile"),
            DotlockKind::Dovecot(pid, host) => {
                let host = host.to_string_lossy(); // graphic characters only, as parsed
                write!(f, "Dovecot, process {pid} on {host}")
            }
            DotlockKind::Sealed => write!(f, "mutt or Postfix"),
            DotlockKind::Empty => write!(f, "Exim, Python or one of their kind"),
        }
    }
}

/// Another program's dotlock on a mailbox, as it was when observed. A snapshot: no method blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dotlock {
    pub(crate) kind: DotlockKind,
    pub(crate) life: Life,
    pub(crate) changed_at: SystemTime,
    pub(crate) unchanged_for: Duration,
}

impl Dotlock {
    /// The program that made it.
    #[must_use]
    pub fn kind(&self) -> &DotlockKind {
        &self.kind
    }

    /// Whether the process that it names runs. [`Life::Unknown`] if it names none, or if its host
    /// is not provably this one.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// When it was made or last touched, in the file server's time: its ctime.
    #[must_use]
    pub fn changed_at(&self) -> SystemTime {
        self.changed_at
    }

    /// How long both the dotlock and the mailbox have been unchanged, as observed through this
    /// handle: zero at the first observation, whatever their dates are.
    #[must_use]
    pub fn unchanged_for(&self) -> Duration {
        self.unchanged_for
    }
}

impl fmt::Display for Dotlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a dotlock of {}", self.kind)?;
        match self.life {
            Life::Alive => write!(f, " (alive)")?,
            Life::Dead => write!(f, " (dead)")?,
            Life::Unknown => {}
        }
        match self.unchanged_for.as_secs() {
            0 => Ok(()),
            seconds => write!(f, ", seen unchanged for {seconds} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_program_is_recognized_by_its_dotlock() {
        let host = OsString::from("mail.example.org");
        for (content, mode, kind) in [
            (&b"0\n"[..], 0o644, DotlockKind::Liblockfile),
            (b"0\n", 0o600, DotlockKind::Liblockfile),
            (b"4711\n", 0o644, DotlockKind::LiblockfilePid(4711)),
            (b"0", 0o444, DotlockKind::Procmail),
            (b"4711:mail.example.org", 0o600, DotlockKind::Dovecot(4711, host)),
            (b"", 0, DotlockKind::Sealed),
            (b"", 0o600, DotlockKind::Empty),
            (b"", 0o644, DotlockKind::Empty),
        ] {
            assert_eq!(DotlockKind::parse(content, mode), Some(kind), "{content:?} {mode:o}");
        }
    }

    #[test]
    fn only_dovecots_dotlock_names_a_host() {
        for (content, pid, host) in [
            (&b"4711:mail"[..], Some(4711), Some(OsStr::new("mail"))),
            (b"4711\n", Some(4711), None),
            (b"0\n", None, None),
            (b"", None, None),
        ] {
            let kind = DotlockKind::parse(content, 0o600).unwrap();
            assert_eq!((kind.pid(), kind.host()), (pid, host), "{content:?}");
        }
    }

    #[test]
    fn a_content_that_no_program_writes_is_not_a_dotlock() {
        for content in [
            &b"save me"[..],
            b"\n",
            b"00\n",
            b"0 \n",
            b"-1\n",
            b"+1\n",
            b"01\n",
            b"4711",
            b"4711\n\n",
            b"4294967296\n",
            b"2147483648\n",
            b"4711:",
            b":host",
            b"0:host",
            b"4711:ho st",
            b"4711:host\n",
            b"4711:../../etc",
        ] {
            assert_eq!(DotlockKind::parse(content, 0o644), None, "{content:?}");
        }
    }

    proptest! {
        #[test]
        fn every_parsed_dotlock_prints_on_one_line(content: Vec<u8>, mode in 0..0o10_000_u32) {
            if let Some(kind) = DotlockKind::parse(&content, mode) {
                prop_assert!(!kind.to_string().contains(char::is_control));
            }
        }

        #[test]
        fn any_pid_and_host_are_parsed(pid in 1..=i32::MAX, host in "[a-zA-Z0-9.-]{1,64}") {
            let written = format!("{pid}:{host}");
            let kind = DotlockKind::parse(written.as_bytes(), 0o600);
            prop_assert_eq!(kind, Some(DotlockKind::Dovecot(pid.unsigned_abs(), host.into())));
        }
    }
}
