//! The system's table of mounts: what is mounted where.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc;

/// A line of /proc/self/mountinfo, see proc(5).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) device: String,
    pub(crate) point: PathBuf,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) options: String,
}

/// All mounts that this process sees, in the order in which they were made. Fails where the system has
/// no such table.
pub(crate) fn all() -> io::Result<Vec<Mount>> {
    let table = fs::read("/proc/self/mountinfo")?;
    Ok(String::from_utf8_lossy(&table).lines().filter_map(parse).collect())
}

/// The mount that this directory is on, which has its last component looked up first, so that an
/// automounter mounts it.
pub(crate) fn of(dir: &Path) -> io::Result<Option<Mount>> {
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)] // as wide as C has it
    let dev = dir.join(".").metadata()?.dev() as libc::dev_t;
    let device = format!("{}:{}", libc::major(dev), libc::minor(dev));
    let dir = fs::canonicalize(dir)?;
    let mounts = all()?.into_iter().filter(|mount| dir.starts_with(&mount.point));
    // Another mount may hide it, or its device number may differ from the mount's, as on btrfs. Of two
    // at one place the later hides the earlier.
    Ok(mounts.max_by_key(|mount| (mount.device == device, mount.point.as_os_str().len())))
}

pub(crate) fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (device, _root) = (left.next()?, left.next()?);
    let (point, options) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, source, special) = (right.next()?, right.next()?, right.next()?);
    let mut all: Vec<_> = options.split(',').collect();
    all.extend(special.split(',').filter(|option| !options.split(',').any(|has| has == *option)));
    Some(Mount {
        device: device.to_owned(),
        point: unescape(point).into(),
        kind: kind.to_owned(),
        source: unescape(source),
        options: all.join(","),
    })
}

/// The table writes blanks and similar characters in octal.
pub(crate) fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_parsed() {
        let line =
            "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - nfs4 srv:/x rw,vers=4.2,soft";
        let mount = parse(line).unwrap();
        assert_eq!(mount.device, "98:0");
        assert_eq!(mount.point, Path::new("/mnt/a b"));
        assert_eq!((&*mount.kind, &*mount.source), ("nfs4", "srv:/x"));
        assert_eq!(mount.options, "rw,noatime,vers=4.2,soft");
        assert!(parse("nonsense").is_none());
    }
}
