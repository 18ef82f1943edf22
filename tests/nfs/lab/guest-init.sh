#!/bin/sh
# A guest's first process, part 1: builds the root that guest-main.sh then works in.
#
# The kernel starts it on the host's own root, read-only. The guest gets that root back as an overlay: the host's
# programs at their usual paths, the unpacked packages above them, and whatever the guest writes in its own memory.
# LAB_PACKAGES and LAB_RUN are host directories, handed over on the kernel's command line.
bb=$LAB_PACKAGES/bin/busybox
guest=/dev/guest

$bb mount -t proc proc /proc
$bb insmod "$LAB_PACKAGES/lib/modules/$($bb uname -r)/kernel/fs/overlayfs/overlay.ko"
$bb mkdir $guest
$bb mount -t tmpfs guest $guest
$bb mkdir $guest/packages $guest/upper $guest/work $guest/root

# Mounted on its own, for the overlay refuses a layer that lies inside another one.
$bb mount -r -t hostfs -o "$LAB_PACKAGES" packages $guest/packages
$bb mount -t overlay -o "lowerdir=$guest/packages:/,upperdir=$guest/upper,workdir=$guest/work" root $guest/root
cd $guest/root || exec $bb poweroff -f
$bb mkdir -p host lab
$bb mount -t devtmpfs dev dev
$bb mount -t proc proc proc
$bb mount -t sysfs sys sys
# Jobs, their output and witnesses go through here. Synchronous: a line written is on the host, even if this kernel
# is killed at once.
$bb mount -t hostfs -o "sync,$LAB_RUN" lab lab

$bb pivot_root . host
exec $bb chroot . "${0%/*}/guest-main.sh" </dev/console >/dev/console 2>&1
