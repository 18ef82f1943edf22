//! Locks of other programs' formats, told by what is in the file.
//!
//! They are told for people to know, and decide nothing: anybody may write anything.

use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The longest content that any of them writes is a pid, a host name and a number or two.
const LONGEST: usize = 512;
const PERMISSIONS: u32 = 0o777;

/// A lock of another format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) format: &'static str,
    pub(crate) pid: Option<u32>,
    pub(crate) host: Option<String>,
}

impl Foreign {
    /// What the file is, if it is known.
    pub(crate) fn read(path: &Path, meta: &Metadata) -> Option<Foreign> {
        if !meta.is_file() || meta.len() > LONGEST as u64 {
            return None;
        }
        if meta.len() == 0 {
            // Postfix makes the same, but not for long.
            let format = if meta.mode() & PERMISSIONS == 0 { "mutt_dotlock" } else { "empty" };
            return Some(Foreign { format, pid: None, host: None });
        }
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        let mut content = String::new();
        file.take(LONGEST as u64).read_to_string(&mut content).ok()?;
        Foreign::parse(&content)
    }

    fn parse(content: &str) -> Option<Foreign> {
        let known = |format, pid, host: Option<&str>| {
            let host = host.map(str::to_owned);
            Some(Foreign { format, pid, host })
        };
        if content == "0" {
            return known("procmail", None, None);
        }
        if let Some((pid, host)) = content.split_once(':') {
            let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace());
            return known("dovecot", Some(number(pid)?), Some(host)).filter(|_| is_host);
        }
        match *content.split_terminator('\n').collect::<Vec<_>>() {
            ["0"] => known("dotlockfile", None, None),
            [pid] if content.ends_with('\n') => known("dotlockfile", Some(number(pid)?), None),
            [pid, host, ..] => known("filelock", Some(number(pid)?), Some(host)),
            _ => None,
        }
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
    fn each_format_is_told_by_its_content() {
        let known = [
            ("0", "procmail", None, None),
            ("0\n", "dotlockfile", None, None),
            ("4711\n", "dotlockfile", Some(4711), None),
            ("4711:mail.example", "dovecot", Some(4711), Some("mail.example")),
            ("4711\nhost\n8159403\n", "filelock", Some(4711), Some("host")),
        ];
        for (content, format, pid, host) in known {
            let host = host.map(str::to_owned);
            assert_eq!(Foreign::parse(content), Some(Foreign { format, pid, host }), "{content:?}");
        }
        for content in ["save me", "-1\n", "4711", ":host", "4711:", "1: 2", "x\ny\n", "+5\n"] {
            assert_eq!(Foreign::parse(content), None, "{content:?}");
        }
    }
}
