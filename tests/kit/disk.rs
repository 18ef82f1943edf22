//! Disks that lose power: images with a file system, of which a snapshot can be taken at any moment.
//!
//! An image is on an XFS of the test's own, which can copy a file in one step (FICLONE, see
//! ioctl_ficlonerange(2)), whatever is being written to it. All mounts are in the test's own mount
//! namespace, and end with it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system, and how it is used.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The command that makes it.
    make: &'static str,
    /// Its mount options, for one disk and the next. A commit interval of one second, where the
    /// file system has one, lets more happen in a short time.
    pub(crate) mount_options: &'static [&'static str],
}

pub(crate) const EXT4: Kind = Kind {
    name: "ext4",
    make: "mkfs.ext4 -q",
    // By default a file's size is written with its content; here it may be written before, and what
    // was never written reads as NULs.
    mount_options: &["commit=1", "commit=1,data=writeback,nodelalloc"],
};
/// Its log is written whenever another program syncs a file.
pub(crate) const XFS: Kind = Kind { name: "xfs", make: "mkfs.xfs -q", mount_options: &["nouuid"] };
pub(crate) const BTRFS: Kind =
    Kind { name: "btrfs", make: "mkfs.btrfs -q", mount_options: &["commit=1"] };

/// The contents of a test's directory: the disks, the one in use, and one that was mounted again.
const DISKS: &str = "disks";
const IN_USE: &str = "in use";
const BACK: &str = "back";

/// The shell script that prepares the test's directory. It tries everything that a test needs: a
/// failure here shows what this machine lacks.
pub(crate) fn preparation(kind: &Kind) -> String {
    format!(
        "cd \"$DIR\" && mkdir {DISKS} '{IN_USE}' {BACK} \
         && truncate -s 4G outer && mkfs.xfs -q -m reflink=1 outer && mount -o loop outer {DISKS} \
         && truncate -s {SIZE} {DISKS}/trial && {make} {DISKS}/trial >made \
         && cp --reflink=always {DISKS}/trial {DISKS}/copy \
         && mount -o loop {DISKS}/copy {BACK} && umount {BACK} && rm {DISKS}/copy {DISKS}/trial",
        make = kind.make,
    )
}

/// Room enough for each of these file systems. (The file is sparse.)
const SIZE: &str = "320M";

/// A disk.
#[derive(Debug)]
pub(crate) struct Disk<'a> {
    dir: &'a Path,
    kind: &'a Kind,
    options: String,
}

impl<'a> Disk<'a> {
    pub(crate) fn new(dir: &'a Path, kind: &'a Kind, options: &str) -> Disk<'a> {
        Disk { dir, kind, options: format!("loop,{options}") }
    }

    /// Makes its file system, and mounts it.
    pub(crate) fn make(&self) {
        run(Command::new("truncate").args(["-s", SIZE]).arg(self.image()));
        let mut make = self.kind.make.split(' ');
        run(Command::new(make.next().unwrap()).args(make).arg(self.image()));
        self.mount(&self.image(), &self.mounted());
    }

    /// Its mount point while it is in use.
    pub(crate) fn mounted(&self) -> PathBuf {
        self.dir.join(IN_USE)
    }

    /// Takes a snapshot of it.
    pub(crate) fn cut(&self, number: usize) {
        run(Command::new("cp").arg("--reflink=always").arg(self.image()).arg(self.copy(number)));
    }

    pub(crate) fn sync(&self) {
        run(Command::new("sync").arg("--file-system").arg(self.mounted()));
    }

    /// Takes it out of use.
    pub(crate) fn unmount(&self) {
        unmount(&self.mounted());
        std::fs::remove_file(self.image()).unwrap();
    }

    /// Mounts a snapshot, as the next boot does, and discards it after use.
    pub(crate) fn come_back(&self, number: usize, use_it: impl FnOnce(&Path)) {
        let (copy, back) = (self.copy(number), self.dir.join(BACK));
        self.mount(&copy, &back);
        use_it(&back);
        unmount(&back);
        std::fs::remove_file(copy).unwrap();
    }

    fn image(&self) -> PathBuf {
        self.dir.join(DISKS).join("disk")
    }

    fn copy(&self, number: usize) -> PathBuf {
        self.dir.join(DISKS).join(format!("cut-{number}"))
    }

    fn mount(&self, image: &Path, on: &Path) {
        run(Command::new("mount").args(["-o", &self.options]).arg(image).arg(on));
    }
}

/// This frees the loop device too.
fn unmount(path: &Path) {
    run(Command::new("umount").arg(path));
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}
