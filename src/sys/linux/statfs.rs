//! The kind of file system that a directory is on.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::mount_table;
use crate::sys::fs::{Mount, Statfs};

/// The flag of open(2) that bypasses the cache. Only Linux's NFS client is known to accept any
/// length and alignment with it.
pub(in crate::sys) const UNCACHED: i32 = libc::O_DIRECT;

/// What statfs(2) reports of a directory's file system.
pub(in crate::sys) fn statfs(dir: &Path) -> io::Result<Statfs> {
    const NFS: i64 = 0x6969; // from linux/magic.h, as all of these
    let answer = nix::sys::statfs::statfs(dir)?;
    let kind = answer.filesystem_type().0;
    #[allow(clippy::unnecessary_cast)] // the type's width differs between C libraries
    let kind = (kind as i64) & 0xFFFF_FFFF;
    let mount = match kind {
        NFS => Mount::Nfs,
        kind if !is_local(kind, dir) => Mount::Other,
        _ if exports_anything() => Mount::Exported,
        _ => Mount::Local,
    };
    let name_max = usize::try_from(answer.maximum_name_length()).ok().filter(|most| *most > 0);
    Ok(Statfs { mount, name_max, is_append_only: false })
}

/// Whether a file system of this type is this machine's own. A type that is not listed counts as
/// unknown, which costs a little time but no safety.
///
/// The type alone is no proof: 9p passes on what its server says, and QEMU's says what the host has.
fn is_local(kind: i64, dir: &Path) -> bool {
    const ON_DEVICES: [(i64, &[&str]); 5] = [
        (0xEF53, &["ext2", "ext3", "ext4"]),
        (0x5846_5342, &["xfs"]),
        (0xF2F5_2010, &["f2fs"]),
        (0x3153_464A, &["jfs"]),
        (0x5265_4973, &["reiserfs"]),
    ];
    const OTHERS: [(i64, &[&str]); 6] = [
        (0x9123_683E, &["btrfs"]),
        (0x0102_1994, &["tmpfs", "rootfs", "devtmpfs"]),
        (0x8584_58F6, &["ramfs", "rootfs", "devtmpfs"]),
        (0x794C_7630, &["overlay"]), // whose upper layer can't be NFS
        (0x2FC1_2FC1, &["zfs"]),
        (0xCA45_1A4E, &["bcachefs"]),
    ];
    let names = |types: &[(i64, &'static [&'static str])]| {
        types.iter().find(|(other, _)| *other == kind).map(|(_, names)| *names)
    };
    match (names(&ON_DEVICES), names(&OTHERS)) {
        (Some(names), _) => has_device(dir).unwrap_or_else(|_| is_mounted_as(names, dir)),
        (None, Some(names)) => is_mounted_as(names, dir),
        (None, None) => false,
    }
}

fn has_device(dir: &Path) -> io::Result<bool> {
    Ok(libc::major(dir.metadata()?.dev()) != 0)
}

/// Whether the mount table has one of these types too, if it can be read.
fn is_mounted_as(names: &[&str], dir: &Path) -> bool {
    mount_table::kind(dir).is_none_or(|kind| names.contains(&&*kind))
}

/// Whether this machine's kernel serves NFS, according to the table that exportfs(8) maintains,
/// which has a line for each export. Whether a directory is in one of them is not checked: bind
/// mounts and `crossmnt` make that hard to determine, and taking a directory for an exported one
/// costs no safety.
fn exports_anything() -> bool {
    let table = std::fs::read_to_string("/var/lib/nfs/etab").unwrap_or_default();
    table.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_a_server_passes_on_is_not_this_machines() {
        // /proc has no device, and is no tmpfs.
        for kind in [0xEF53, 0x0102_1994, 0x9123_683E] {
            assert!(!is_local(kind, Path::new("/proc/self")), "{kind:x}");
        }
        let dir = tempfile::tempdir().unwrap();
        let mount = statfs(dir.path()).unwrap().mount;
        assert!(matches!(mount, Mount::Local | Mount::Exported), "{mount:?}");
    }
}
