//! The file system that a directory is on, and how it is mounted.

use std::fs;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Grade};
use crate::mount_table::{self, Mount, unescape};
use crate::require_mount;

pub(super) fn check(dir: &Path) -> Finding {
    let finding = |grade, text| Finding { check: "file system", grade, text };
    let mount = match mount_table::of(dir) {
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
    let point = not_mounted(&fstab, &mount_table::all().ok()?, &dir)?;
    let text = format!("/etc/fstab has an entry for {}, which is not mounted", point.display());
    Some(Finding { check: "mount point", grade: Grade::Bad, text })
}

/// Whether the directory is on the file system that was meant.
pub(super) fn required(point: &Path, dir: &Path) -> Finding {
    let (grade, text) = match require_mount::why_not(point, dir) {
        None => (Grade::Good, format!("it is on the file system mounted on {}", point.display())),
        Some(why) => (Grade::Bad, why),
    };
    Finding { check: "required mount", grade, text }
}

fn not_mounted(fstab: &str, mounts: &[Mount], dir: &Path) -> Option<PathBuf> {
    let lines = fstab.lines().filter(|line| !line.trim_start().starts_with('#'));
    let points = lines.filter_map(|line| line.split_whitespace().nth(1));
    let mut points = points.map(|point| PathBuf::from(unescape(point)));
    points.find(|point| dir.starts_with(point) && !mounts.iter().any(|it| it.point == **point))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(lines: &[&str]) -> Vec<Mount> {
        lines.iter().filter_map(|line| mount_table::parse(line)).collect()
    }

    #[test]
    fn a_mount_point_without_a_mount_is_found() {
        let fstab = "# a comment\nsrv:/x /mnt/a\\040b nfs rw 0 0\nnone none swap sw 0 0\n";
        let root = "1 0 8:1 / / rw - ext4 /dev/sda1 rw";
        let mounted = "36 35 98:0 / /mnt/a\\040b rw - nfs4 srv:/x rw";
        let dir = Path::new("/mnt/a b/locks");
        assert_eq!(not_mounted(fstab, &mounts(&[root]), dir), Some("/mnt/a b".into()));
        assert_eq!(not_mounted(fstab, &mounts(&[root, mounted]), dir), None);
        assert_eq!(not_mounted(fstab, &mounts(&[root]), Path::new("/mnt/other")), None);
    }

    #[test]
    fn some_mounts_get_a_remark() {
        let remark = |line| remark(&mounts(&[line])[0]).unwrap();
        assert!(remark("36 35 98:0 / /mnt rw - nfs4 srv:/x rw,soft").contains("soft"));
        assert!(remark("37 35 0:50 / /smb rw - cifs //srv/x rw").contains("nolease"));
    }
}
