//! Locks in other programs' formats, recognized by their content.
//!
//! They are only shown, and only decide whether waiting is useful, because any user may write any
//! content.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use linklock::mailbox::DotlockKind;

use crate::walk::start_of;

/// The longest content in any of these formats is a path, or a pid, a host name and a number or two.
const LONGEST: u64 = 4096;

/// A lock of another format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) format: &'static str,
    pub(crate) pid: Option<u32>,
    pub(crate) host: Option<String>,
    /// Another name of the lock file.
    pub(crate) claim: Option<PathBuf>,
}

impl Foreign {
    /// The format and the holder of the file's lock, if the format is known.
    pub(crate) fn read(path: &Path, meta: &Metadata) -> Option<Foreign> {
        if !meta.is_file() || meta.len() > LONGEST {
            return None;
        }
        if meta.len() == 0 {
            return Foreign::parse(b"", meta.mode()); // mutt's cannot be opened
        }
        let content = start_of(path, LONGEST).ok()?;
        Foreign::parse(&content, meta.mode()).or_else(|| Foreign::of_dvc(path, meta, &content))
    }

    /// A lock of flufl.lock as DVC uses it: the name of the claim is a hash, and its directory any. If
    /// that directory has moved, the claim may be beside the lock file. The inode proves it.
    fn of_dvc(lock: &Path, meta: &Metadata, content: &[u8]) -> Option<Foreign> {
        let claim = Path::new(OsStr::from_bytes(content));
        let name = claim.file_name()?;
        let hash = name.to_str()?.strip_suffix(".lock")?;
        if hash.len() != 32 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let is_same = |path: &PathBuf| {
            let other = path.symlink_metadata();
            other.is_ok_and(|other| (other.dev(), other.ino()) == (meta.dev(), meta.ino()))
        };
        let claim = [claim.to_owned(), lock.with_file_name(name)].into_iter().find(is_same);
        Some(Foreign { format: "dvc", pid: None, host: None, claim })
    }

    fn parse(content: &[u8], mode: u32) -> Option<Foreign> {
        if let Some(kind) = DotlockKind::parse(content, mode) {
            return Some(Foreign {
                format: dotlock_format(&kind)?,
                pid: kind.pid(),
                host: kind.host().map(|host| host.to_string_lossy().into_owned()),
                claim: None,
            });
        }
        let mut lines = std::str::from_utf8(content).ok()?.split_terminator('\n');
        let (pid, host) = (number(lines.next()?)?, lines.next()?.to_owned());
        Some(Foreign { format: "filelock", pid: Some(pid), host: Some(host), claim: None })
    }
}

/// The name of a dotlock's format.
pub(crate) fn dotlock_format(kind: &DotlockKind) -> Option<&'static str> {
    match kind {
        DotlockKind::Liblockfile | DotlockKind::LiblockfilePid(_) => Some("dotlockfile"),
        DotlockKind::Procmail => Some("procmail"),
        DotlockKind::Dovecot(..) => Some("dovecot"),
        DotlockKind::Sealed => Some("mutt_dotlock"), // Postfix creates the same, but not for long
        DotlockKind::Empty => Some("empty"),
        _ => None,
    }
}

fn number(text: &str) -> Option<u32> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_recognized_by_its_content() {
        let known = [
            ("0", "procmail", None, None),
            ("0\n", "dotlockfile", None, None),
            ("4711\n", "dotlockfile", Some(4711), None),
            ("4711:mail.example", "dovecot", Some(4711), Some("mail.example")),
            ("4711\nhost\n8159403\n", "filelock", Some(4711), Some("host")),
        ];
        for (content, format, pid, host) in known {
            let host = host.map(str::to_owned);
            let foreign = Foreign { format, pid, host, claim: None };
            assert_eq!(Foreign::parse(content.as_bytes(), 0o644), Some(foreign), "{content:?}");
        }
        for content in ["save me", "-1\n", "4711", ":host", "4711:", "1: 2", "x\ny\n", "+5\n"] {
            assert_eq!(Foreign::parse(content.as_bytes(), 0o644), None, "{content:?}");
        }
    }
}
