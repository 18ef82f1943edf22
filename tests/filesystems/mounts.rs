//! How each file system is mounted: by a shell script, in a directory of its own that has `below`, a
//! directory, `disk`, a sparse file, and `mnt`, where it is to be mounted.

use crate::kit::this_test;
use crate::scene::{self, Mount};

/// Each name is that of a row in docs/filesystems.md. They are mounted by this machine's kernel, or by a
/// guest's.
macro_rules! mounts {
    ($names:ident, $try:ident: $($test:ident $name:literal $set_up:literal $(meanwhile $nemesis:literal)?;)*) => {
        pub(crate) const $names: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                let nemesis = None$(.or(Some($nemesis)))?;
                scene::$try(this_test!(), &Mount { name: $name, set_up: $set_up, nemesis });
            }
        )*
    };
}

mounts! { NAMES, try_mount:
    ext4 "ext4"
        "mkfs.ext4 -q disk && mount -o loop disk mnt && rmdir mnt/lost+found";
    ext4_with_small_inodes "ext4, 128-byte inodes"
        "mkfs.ext4 -q -I 128 disk && mount -o loop disk mnt && rmdir mnt/lost+found";
    xfs "xfs"
        "mkfs.xfs -q disk && mount -o loop disk mnt";
    btrfs "btrfs"
        "mkfs.btrfs -q disk && mount -o loop disk mnt";
    tmpfs "tmpfs"
        "mount -t tmpfs none mnt";
    overlay "overlay"
        "mkdir lower work && mount -t overlay -o lowerdir=lower,upperdir=below,workdir=work none mnt";
    bindfs "bindfs"
        "bindfs below mnt";
    encfs "encfs"
        "encfs --standard --extpass='echo secret' \"$PWD/below\" \"$PWD/mnt\"";
    gocryptfs "gocryptfs"
        "gocryptfs -q -init -extpass 'echo secret' below && gocryptfs -q -extpass 'echo secret' below mnt";
    gocryptfs_with_short_names "gocryptfs, short names"
        "gocryptfs -q -init -longnames=false -extpass 'echo secret' below && gocryptfs -q -extpass 'echo secret' below mnt";
    mergerfs "mergerfs"
        "mkdir other && mergerfs below:other mnt";
    mergerfs_with_inodes "mergerfs, `use_ino`"
        "mkdir other && mergerfs -o use_ino below:other mnt";
    unionfs_fuse "unionfs-fuse"
        "mkdir other && unionfs-fuse -o cow below=RW:other=RO mnt";
    unionfs_fuse_with_inodes "unionfs-fuse, `use_ino`"
        "mkdir other && unionfs-fuse -o cow,use_ino below=RW:other=RO mnt";
    fuse_overlayfs "fuse-overlayfs"
        "mkdir lower work && fuse-overlayfs -o lowerdir=lower,upperdir=below,workdir=work mnt";
    fuse2fs "fuse2fs"
        "mkfs.ext4 -q disk && fuse2fs -o hard_remove disk mnt && rmdir mnt/lost+found";
    ntfs_3g "ntfs-3g"
        "mkfs.ntfs -q -F -f disk && ntfs-3g disk mnt";
    exfat_fuse "exfat-fuse"
        "mkfs.exfat disk && loop=$(losetup -f --show disk) && mount.exfat-fuse $loop mnt && losetup -d $loop";
    sshfs "sshfs"
        ". \"$SCRIPTS/sshd.sh\" && sshfs -F \"$PWD/ssh_config\" server:\"$PWD/below\" mnt";
    rclone "rclone mount"
        "rclone --config '' mount --daemon --vfs-cache-mode writes \"$PWD/below\" mnt";
    glusterfs "glusterfs"
        ". \"$SCRIPTS/glusterd.sh\" && mount -t glusterfs server:/locks mnt"
        meanwhile ". \"$SCRIPTS/brick.sh\"";
    an_append_only_directory "an append-only directory"
        "mkfs.ext4 -q disk && mount -o loop disk mnt && rmdir mnt/lost+found && chattr +a mnt";
}

mounts! { GUESTS, try_in_lab_guest:
    vfat "vfat"
        "modprobe vfat && mkfs.vfat disk && mount -o loop disk mnt";
    f2fs "f2fs"
        "modprobe f2fs && mkfs.f2fs disk && mount -t f2fs -o loop disk mnt";
    cifs "SMB"
        "OPTIONS=rw && . \"$SCRIPTS/smbd.sh\"";
    cifs_without_leases "SMB, `nolease`"
        "OPTIONS=nolease && . \"$SCRIPTS/smbd.sh\"";
    cifs_without_inode_numbers "SMB, `noserverino`"
        "OPTIONS=noserverino && . \"$SCRIPTS/smbd.sh\"";
    nfs_ganesha "NFS 4.2, nfs-ganesha"
        ". \"$SCRIPTS/ganesha.sh\"";
    ecryptfs "eCryptfs"
        ". \"$SCRIPTS/ecryptfs.sh\"";
    ecryptfs_with_encrypted_names "eCryptfs, encrypted names"
        "NAMES=yes && . \"$SCRIPTS/ecryptfs.sh\"";
    diod "9p, diod"
        ". \"$SCRIPTS/diod.sh\"";
}

mounts! { QEMU_GUESTS, try_in_qemu_guest:
    qemu_9p "9p, QEMU"
        "mount -t 9p -o trans=virtio,version=9p2000.L locks mnt";
    virtiofs "virtiofs"
        "mount -t virtiofs locks mnt";
    casefold "ext4, casefold"
        "mkfs.ext4 -q -O casefold disk && mount -o loop disk mnt && rmdir mnt/lost+found && chattr +F mnt";
    exfat "exfat"
        "mkfs.exfat disk && mount -t exfat -o loop disk mnt";
}
