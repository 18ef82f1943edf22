#!/bin/sh
# A guest's first process, part 2: network, NFS server or client, and then the jobs that lab.sh sends.
#
# From the kernel's command line: LAB_VM (server, c1, c2, ...), LAB_CLIENTS (how many), LAB_FAULTS (a port, or empty),
# LAB_LOCKS (empty, unless NFSv3 is to have byte-range locks), LAB_LEASE (seconds of NFSv4 lease and grace).
# The network is a star. Client i is 10.99.i.2 and has a cable of its own to the server's 10.99.i.1; the server
# has the address 10.99.0.1 on all of them. It passes on what clients send each other.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

say() { echo "$LAB_VM $(cut -d' ' -f1 /proc/uptime): $*"; }

common() {
  busybox umount -l /host
  busybox mount -t tmpfs run /run
  mkdir -p /dev/shm /run/rpcbind /run/faults /nfs
  busybox mount -t tmpfs shm /dev/shm
  busybox mount -t tmpfs -o ro stub /nfs  # nothing must pass by accident where the mount is missing
  busybox hostname "$LAB_VM"
  echo "_rpc:x:991:65534::/run/rpcbind:/usr/sbin/nologin" >>/etc/passwd   # rpcbind gives up root for it
  { echo "127.0.0.1 localhost"; echo "10.99.0.1 server"
    for i in $(seq "$LAB_CLIENTS"); do echo "10.99.$i.2 c$i"; done; } >/etc/hosts
  busybox ip link set lo up
}

# Notifies the other side of an NFSv3 lock when this one has booted again.
statd() {
  mkdir -p /var/lib/nfs/sm /var/lib/nfs/sm.bak
  rpc.statd
}

server() {
  busybox ip addr add 10.99.0.1/32 dev lo
  for i in $(seq "$LAB_CLIENTS"); do
    busybox ip addr add "10.99.$i.1/24" dev "vec$((i - 1))"
    busybox ip link set "vec$((i - 1))" up
  done

  echo 1 >/proc/sys/net/ipv4/ip_forward

  # The exported directory is on a disk, because an overlay can't be exported, and so is the server's
  # record of its clients: both outlive a crash.
  busybox mount -t ext4 /dev/ubda /srv || say "no disk"
  setsid python3 "${0%/*}/disk.py" </dev/null >/run/disk.log 2>&1 &
  mkdir -p /srv/export /srv/state/nfsdcld /srv/state/rpc_pipefs
  chmod 777 /srv/export
  busybox mount --bind /srv/state /var/lib/nfs
  busybox mount -t rpc_pipefs rpc_pipefs /var/lib/nfs/rpc_pipefs
  busybox modprobe nfsd
  busybox mount -t nfsd nfsd /proc/fs/nfsd

  echo "/srv/export *(rw,sync,no_root_squash,no_subtree_check,fsid=0)" >/etc/exports
  echo "$LAB_LEASE" >/proc/fs/nfsd/nfsv4leasetime
  echo "$LAB_LEASE" >/proc/fs/nfsd/nfsv4gracetime
  echo 10 >/proc/sys/fs/nfs/nlm_grace_period   # of NFSv3's locks. While it lasts no delegation is given.
  rpcbind
  if [ -n "$LAB_LOCKS" ]; then statd; fi
  nfsdcld
  exportfs -ra
  rpc.nfsd 8
  rpc.mountd --port 20048
  if [ -n "$LAB_FAULTS" ]; then
    setsid python3 "${0%/*}/rpcproxy.py" "$LAB_FAULTS" </dev/null >/run/rpcproxy.log 2>&1 &
  fi
}

client() {
  i=${LAB_VM#c}
  busybox ip addr add "10.99.$i.2/24" dev vec0
  busybox ip link set vec0 up
  busybox ip route add 10.99.0.1/32 via "10.99.$i.1"
  busybox ip route add 10.99.0.0/16 via "10.99.$i.1"   # the other clients
  if [ -n "$LAB_LOCKS" ]; then rpcbind; statd; fi
}

# lab.sh writes a job's script to /lab/VM/jobs/ID.sh and its ID to the serial line. The exit status appears last.
run_jobs() {
  cd "/lab/$LAB_VM/jobs" || return
  export LAB_VM LAB_MNT=/nfs LAB_SHARED=/lab/shared
  stty -F /dev/ttyS0 raw -echo
  exec 3</dev/ttyS0
  : >ready
  say "ready"
  while read -r id <&3; do
    ( bash "./$id.sh" >"$id.out" 2>"$id.err" </dev/null 3<&-
      echo $? >"$id.rc.new"
      mv "$id.rc.new" "$id.rc" ) &
  done
}

common
case $LAB_VM in
  server) server ;;
  *) client ;;
esac
run_jobs
