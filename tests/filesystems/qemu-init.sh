#!/bin/busybox sh
# The first process of a guest of QEMU's: builds the root, runs one job, and ends.
#
# The guest's root is this machine's, read-only, below the kernel's modules and the guest's own memory.
busybox mkdir -p /proc /host /kernel /guest /root
busybox hostname guest
busybox mount -t proc proc /proc
while read -r module; do
  [ ! -e "/modules/$module.ko" ] || busybox insmod "/modules/$module.ko"
done </modules/list
share="busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144"
$share,ro,cache=loose host /host
$share,ro,cache=loose kernel /kernel
busybox mount -t tmpfs guest /guest
busybox mkdir /guest/upper /guest/work
busybox mount -t overlay -o lowerdir=/kernel:/host,upperdir=/guest/upper,workdir=/guest/work root /root
cd /root || exec busybox reboot -f
for place in dev proc sys run job; do busybox mkdir -p $place; done
busybox mount -t devtmpfs dev dev
busybox mkdir -p dev/shm
busybox mount -t tmpfs shm dev/shm
busybox mount -t proc proc proc
busybox mount -t sysfs sys sys
busybox mount -t tmpfs run run
$share job job
cat >/root/run/main <<'END'
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
ip link set lo up
bash /job/job.sh >/job/out 2>/job/err </dev/null
echo $? >/job/status.new
mv /job/status.new /job/status
sync
echo b >/proc/sysrq-trigger
END
exec busybox switch_root /root /bin/bash /run/main
