#!/bin/bash
# Unpacks what the lab's guests run, once, into the directory $1: a User-Mode Linux kernel, the NFS tools
# and their libraries, as Debian ships them. Nothing is installed and no root is needed.
set -eu

PACKAGES=(
  user-mode-linux                              # the kernel, an ordinary program, with its modules
  busybox-static                               # works before the guest has a root of its own
  nfs-kernel-server nfs-common rpcbind         # rpc.nfsd, mountd, nfsdcld, mount.nfs
  libtirpc3 libtirpc-common libwrap0 libnsl2   # ... and the libraries that a plain Debian lacks
  libevent-core-2.1-7 libsqlite3-0 libkeyutils1
  libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0
)

target=$1
[ ! -e "$target" ] || exit 0
mkdir -p "${target%/*}"
exec 9>"$target.lock"
flock 9                                        # labs that start together wait for one download
[ ! -e "$target" ] || exit 0

work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/debs" "$work/root" "$work/root/usr" "$work/root/usr/"{bin,sbin,lib,lib64}
cd "$work/debs"
apt-get -qq -o APT::Sandbox::User=root download "${PACKAGES[@]}" >&2 ||
  { echo "cannot download the Debian 12 packages (do apt's lists need \"apt-get update\"?)" >&2; exit 1; }

# The tree is laid over the host's root in every guest, so it has Debian's merged /usr too.
for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$work/root/$dir"; done
for deb in *.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/root" --keep-directory-symlink --no-same-owner
done
chmod -R u-s,g-s "$work/root"                  # mount.nfs is setuid, and its owner is now the user that unpacked it
ln -s uml/modules "$work/root/usr/lib/modules" # where modprobe looks,
ln -sf ../bin/busybox "$work/root/usr/sbin/modprobe"  # and the modprobe that the kernel calls
mv "$work/root" "$target"
