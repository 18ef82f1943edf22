//! The file system that a directory is on, and how it is mounted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc;

use super::finding::{Finding, Grade};

/// A line of /proc/self/mountinfo, see proc(5).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    point: PathBuf,
    kind: String,
    source: String,
    options: String,
}

pub(super) fn check(dir: &Path) -> Finding {
    let finding = |grade, text| Finding { check: "file system", grade, text };
    let found = fs::canonicalize(dir).and_then(|dir| {
        #[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)]
        // the width depends on the C library
        let dev = dir.metadata()?.dev() as libc::dev_t;
        let device = format!("{}:{}", libc::major(dev), libc::minor(dev));
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let mounts = table.lines().filter_map(parse).filter(|mount| dir.starts_with(&mount.point));
        // Another mount may hide it, or its device number may differ from the mount's, as on btrfs.
        Ok(mounts.max_by_key(|mount| (mount.device == device, mount.point.as_os_str().len())))
    });
    let mount = match found {
        Err(error) => return finding(Grade::Note, format!("unknown: {error}")),
        Ok(None) => return finding(Grade::Note, "unknown".to_owned()),
        Ok(Some(mount)) => mount,
    };
    let Mount { point, kind, source, options, .. } = &mount;
    let mounted = format!("{kind} from {source} on {} ({options})", point.display());
    match remark(&mount) {
        None => finding(Grade::Good, mounted),
        Some(remark) => finding(Grade::Note, format!("{mounted}: {remark}")),
    }
}

/// A mount point at or above the directory, listed in fstab(5), on which nothing is mounted: other
/// machines would not see changes made here.
pub(super) fn missing(dir: &Path) -> Option<Finding> {
    let dir = fs::canonicalize(dir).ok()?;
    let fstab = fs::read_to_string("/etc/fstab").ok()?;
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let point = not_mounted(&fstab, &table, &dir)?;
    let text = format!("/etc/fstab has an entry for {}, which is not mounted", point.display());
    Some(Finding { check: "mount point", grade: Grade::Bad, text })
}

fn not_mounted(fstab: &str, mountinfo: &str, dir: &Path) -> Option<PathBuf> {
    let mounted: Vec<_> = mountinfo.lines().filter_map(parse).map(|mount| mount.point).collect();
    let lines = fstab.lines().filter(|line| !line.trim_start().starts_with('#'));
    let points = lines.filter_map(|line| line.split_whitespace().nth(1));
    let mut points = points.map(|point| PathBuf::from(unescape(point)));
    points.find(|point| dir.starts_with(point) && !mounted.contains(point))
}

/// A remark about such a mount.
fn remark(mount: &Mount) -> Option<&'static str> {
    let has = |wanted| mount.options.split(',').any(|option| option == wanted);
    let is = |start| mount.kind.starts_with(start);
    if is("nfs") && (has("soft") || has("softerr")) {
        Some(
            "mounted soft: if the server does not answer for long, operations fail instead of waiting",
        )
    } else if is("tmpfs") || is("ramfs") {
        Some("in this machine's memory: no other machine shares it, and it is empty after a reboot")
    } else if is("overlay") {
        Some("an overlay: containers share it only by a volume or a bind mount")
    } else if (is("cifs") || is("smb3")) && !has("nolease") {
        Some(
            "mounted without `nolease`: a file that was used by its other name may be unreadable for a \
             second, which locks wait out; a server that emulates hard links may lose them when it restarts",
        )
    } else if is("fuse") || is("cifs") || is("smb3") || is("9p") || is("virtiofs") {
        Some(
            "a server that emulates hard links may lose them when it restarts: see the checks below",
        )
    } else {
        None
    }
}

fn parse(line: &str) -> Option<Mount> {
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
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_without_a_mount_is_found() {
        let fstab = "# a comment\nsrv:/x /mnt/a\\040b nfs rw 0 0\nnone none swap sw 0 0\n";
        let root = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n";
        let mounted = "36 35 98:0 / /mnt/a\\040b rw - nfs4 srv:/x rw\n";
        let dir = Path::new("/mnt/a b/locks");
        assert_eq!(not_mounted(fstab, root, dir), Some("/mnt/a b".into()));
        assert_eq!(not_mounted(fstab, &[root, mounted].concat(), dir), None);
        assert_eq!(not_mounted(fstab, root, Path::new("/mnt/other")), None);
    }

    #[test]
    fn a_mount_is_parsed() {
        let line =
            "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - nfs4 srv:/x rw,vers=4.2,soft";
        let mount = parse(line).unwrap();
        assert_eq!(mount.device, "98:0");
        assert_eq!(mount.point, Path::new("/mnt/a b"));
        assert_eq!((&*mount.kind, &*mount.source), ("nfs4", "srv:/x"));
        assert_eq!(mount.options, "rw,noatime,vers=4.2,soft");
        assert!(remark(&mount).unwrap().contains("soft"));
        let line = "37 35 0:50 / /smb rw - cifs //srv/x rw,vers=3.1.1";
        assert!(remark(&parse(line).unwrap()).unwrap().contains("nolease"));
        assert!(parse("nonsense").is_none());
    }
}
