#!/bin/bash
# Unpacks Debian's kernel for a guest of QEMU's, once, into the directory $1, with an initrd that qemu-init.sh is the
# first process of. Nothing is installed and no root is needed. "lab.sh setup" must have been run, for its busybox.
set -eu

target=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
busybox=${target%/*}/debian12/bin/busybox
[ ! -e "$target" ] || exit 0
exec 9>"$target.lock"
flock 9
[ ! -e "$target" ] || exit 0

work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
image=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-6[^ ]*\)$/\1/p')
apt-get -qq -o APT::Sandbox::User=root download "$image" >&2 ||
  { echo "cannot download $image (do apt's lists need \"apt-get update\"?)" >&2; exit 1; }
mkdir -p root/usr/sbin initrd/bin initrd/modules
dpkg-deb --fsys-tarfile ./*.deb | tar -x -C root --exclude './usr/share/*' --no-same-owner
mv root/lib root/usr/lib                       # as in Debian's merged /usr, over which it is laid
ln -s usr/lib root/lib
version=$(ls root/lib/modules)
"$busybox" depmod -b root "$version"
cp "$busybox" root/usr/sbin/modprobe           # the modprobe that the kernel calls

for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci netfs fscache 9pnet \
    9pnet_virtio 9p overlay; do
  find root/lib/modules/ -name "$module.ko" -exec cp {} initrd/modules \;
  echo "$module"
done >initrd/modules/list
cp "$busybox" initrd/bin/busybox
cp "$here/qemu-init.sh" initrd/init
(cd initrd && find . | "$busybox" cpio -o -H newc) >root/initrd
mv root "$target"
