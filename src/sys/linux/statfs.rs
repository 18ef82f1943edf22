//! The kind of file system that a directory is on.

use std::io;
use std::path::Path;

use crate::sys::fs::{Mount, Statfs};

/// The flag of open(2) that bypasses the cache. Only Linux's NFS client is known to accept any
/// length and alignment with it.
pub(in crate::sys) const UNCACHED: i32 = libc::O_DIRECT;

/// What statfs(2) reports of a directory's file system.
pub(in crate::sys) fn statfs(dir: &Path) -> io::Result<Statfs> {
    // From linux/magic.h and from out-of-tree file systems. A type that is not listed counts as
    // unknown, which costs a little time but no safety.
    const NFS: i64 = 0x6969;
    const LOCAL: [i64; 11] = [
        0xEF53,      // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683E, // btrfs
        0x0102_1994, // tmpfs
        0x8584_58F6, // ramfs
        0x794C_7630, // overlayfs, whose upper layer can't be NFS
        0xF2F5_2010, // f2fs
        0x2FC1_2FC1, // zfs
        0xCA45_1A4E, // bcachefs
        0x3153_464A, // jfs
        0x5265_4973, // reiserfs
    ];
    let answer = nix::sys::statfs::statfs(dir)?;
    let kind = answer.filesystem_type().0;
    #[allow(clippy::unnecessary_cast)] // the type's width differs between C libraries
    let kind = (kind as i64) & 0xFFFF_FFFF;
    let mount = match kind {
        NFS => Mount::Nfs,
        kind if LOCAL.contains(&kind) && exports_anything() => Mount::Exported,
        kind if LOCAL.contains(&kind) => Mount::Local,
        _ => Mount::Other,
    };
    let name_max = usize::try_from(answer.maximum_name_length()).ok().filter(|most| *most > 0);
    Ok(Statfs { mount, name_max, is_append_only: false })
}

/// Whether this machine's kernel serves NFS, according to the table that exportfs(8) maintains,
/// which has a line for each export. Whether a directory is in one of them is not checked: bind
/// mounts and `crossmnt` make that hard to determine, and taking a directory for an exported one
/// costs no safety.
fn exports_anything() -> bool {
    let table = std::fs::read_to_string("/var/lib/nfs/etab").unwrap_or_default();
    table.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'))
}
