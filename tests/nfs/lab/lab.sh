#!/bin/bash
# A real NFS server and real NFS clients on one machine, each with a kernel of its own (User-Mode Linux: an ordinary
# program, so neither root nor virtualisation is needed). ../README.md explains more, "lab.sh help" lists the commands.
set -eu
PATH=$PATH:/usr/sbin:/sbin          # mkfs.ext4
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PACKAGES=${NFSLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/linklock-nfslab}/debian12
FAULT_PORT=2050

usage() {
  cat <<'END'
lab.sh setup                         fetch and unpack the guests' packages (up does it too)
lab.sh up [-n CLIENTS] [-v VERSIONS] [-s SECONDS] [-o MOUNT_OPTIONS] [-f] [-l]
                                     boot a server and clients c1, c2, ... and mount the export;
                                     -v: 3, 4.0, 4.1 or 4.2, or a list as 3,4.2, whose last is for all that follow;
                                     -s: the server's NFSv4 lease and grace (10; the kernel's default is 90);
                                     -f: allow "fault"; -l: byte-range locks over NFSv3, by rpc.statd
lab.sh exec [-t SECONDS] VM CMD...   run a program of this machine in a guest; output and exit status come back
                                     (124: no end in time, 125: the guest died)
lab.sh par [-t SECONDS] CMD...       ... in every client at once; {} becomes the client's name
lab.sh crash|start|restart VM        kill a guest as by a power cut, boot it, or both
lab.sh drcflush                      restart nfsd: its reply cache and its sessions are gone
lab.sh freeze|thaw VM                stop a guest's time, and let it go on
lab.sh skew VM SECONDS               move a guest's wall clock
lab.sh mute|unmute CLIENT            the server's packets to this client are lost; the client's still arrive
lab.sh part|join                     the clients can't reach each other, or can again; the server reaches all
lab.sh fault OP ACTION CLIENT        a fault for the client's next request OP; see rpcproxy.py
lab.sh faults                        the faults that nothing has met yet
lab.sh stats CLIENT                  requests since the mount, by operation
lab.sh delegations CLIENT [FILE...]  how many delegations the server has given it (NFSv4), of these files or of all
lab.sh fill | empty                  fill the server's disk to the last block, and make room again
lab.sh shared                        the directory that guests see as LAB_SHARED
lab.sh log VM                        a guest's console
lab.sh down                          kill the guests, remove all traces

NFSLAB_NAME   which lab, if several run at once (default: hand)
NFSLAB_OWNER  a process; when it ends the lab goes down by itself
NFSLAB_TTL    seconds after which it does in any case (default: 3600)
NFSLAB_CACHE  where the packages are kept (default: ~/.cache/linklock-nfslab)
In a guest, jobs see LAB_VM, LAB_MNT (the mount) and LAB_SHARED (a directory of the host that all guests share).
END
}

die() { echo "$*" >&2; exit 1; }

# One directory holds everything about a running lab, the guests' memory included. That is mapped executable, so noexec
# won't do. /dev/shm is fastest, but containers often have a tiny one.
state_dir() {
  local name=linklock-nfslab-$UID-${NFSLAB_NAME:-hand} dir
  for dir in /dev/shm "${TMPDIR:-/tmp}"; do
    [ ! -e "$dir/$name" ] || break        # it is up already
    [ -w "$dir" ] && [ "$(df -k --output=avail "$dir" | tail -1)" -gt 1000000 ] &&
      ! findmnt -no OPTIONS -T "$dir" | grep -qw noexec && break
  done || die "neither /dev/shm nor ${TMPDIR:-/tmp} has 1 GB to spare and lets programs run"
  echo "$dir/$name"
}

check_host() {
  local tool
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the guests need Linux on x86_64, not $(uname -sm)"
  for tool in apt-get dpkg-deb flock mkfs.ext4 setsid /usr/bin/python3; do
    command -v $tool >/dev/null || die "$tool is missing"
  done
  [[ "$HERE$PACKAGES$RUN" != *[[:space:]]* ]] || die "a kernel's command line can't carry paths with spaces"
}

# ---- guests ----------------------------------------------------------------------------------------------------

clients() { seq -f 'c%g' "$CLIENTS"; }

# Neither a zombie nor another process that has reused the pid. While it begins a program, a process has no command
# line at all.
alive() {
  local pid
  pid=$(cat "$RUN/$1/pid" 2>/dev/null) || return
  while [ -e "/proc/$pid/exe" ]; do
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") in
      *"uml_dir=$RUN/umid/"*) return 0 ;;
      ?*) return 1 ;;
    esac
  done 2>/dev/null
  return 1
}

# To the kernel's own process. The guest's processes are its traced children: a signal from outside would upset it.
signal() { ! alive "$2" || kill "-$1" "$(cat "$RUN/$2/pid")"; }

kill_guest() {
  ! alive "$1" || kill -KILL -- "-$(cat "$RUN/$1/pid")"   # the children too: together they are a process group
  while alive "$1"; do sleep 0.02; done
}

# A cable is a pair of UDP ports of this machine: LOCAL REMOTE INTERFACE MAC.
cable() {
  echo "vec$3:transport=l2tpv3,udp=1,src=127.0.0.1,dst=127.0.0.1,srcport=$1,dstport=$2,rx_session=1,tx_session=1,mac=$4"
}

cables() {
  local i
  if [ "$1" = server ]; then
    for ((i = 1; i <= CLIENTS; i++)); do
      cable $((PORT + 2 * i)) $((PORT + 2 * i + 1)) $((i - 1)) "$(printf '52:54:00:00:00:%02x' "$i")"
    done
  else
    i=${1#c}
    cable $((PORT + 2 * i + 1)) $((PORT + 2 * i)) 0 "$(printf '52:54:00:00:01:%02x' "$i")"
  fi
}

boot() {
  local vm=$1 dir=$RUN/$1 disk=()
  [ "$vm" != server ] || disk=("ubd0=$RUN/disk")
  rm -rf "$dir/jobs" "$dir/line" "$RUN/umid/$vm"
  mkdir -p "$dir/jobs"
  mkfifo "$dir/line"
  # The serial line's input is a pipe that never ends, because the guest holds both its ends.
  TMPDIR=$RUN setsid "$PACKAGES/usr/bin/linux.uml" mem=128M quiet umid="$vm" uml_dir="$RUN/umid/" \
    root=/dev/root rootfstype=hostfs rootflags=/ ro init="$HERE/guest-init.sh" \
    con=null con0=null,fd:1 ssl=null ssl0=fd:8,fd:9 "${disk[@]}" $(cables "$vm") \
    LAB_PACKAGES="$PACKAGES" LAB_RUN="$RUN" LAB_VM="$vm" LAB_CLIENTS="$CLIENTS" LAB_FAULTS="$FAULTS" LAB_LOCKS="$LOCKS" \
    LAB_LEASE="$LEASE" \
    8<>"$dir/line" 9>/dev/null </dev/null >>"$dir/log" 2>&1 &
  echo $! >"$dir/pid"
  disown                                  # no word from bash when it is killed
  until alive "$vm" || ! kill -0 $! 2>/dev/null; do sleep 0.01; done   # it is still this shell for an instant
}

ready() {
  local end=$((SECONDS + 120))
  until [ -e "$RUN/$1/jobs/ready" ]; do
    alive "$1" && [ $SECONDS -lt $end ] || die "$1 doesn't come up; its last words: $(tail -n 1 "$RUN/$1/log")"
    sleep 0.05
  done
}

# The version that a client mounts: its own in the list, or the list's last.
version_of() {
  local versions i=${1#c}
  IFS=, read -ra versions <<<"$VERSIONS"
  echo "${versions[$((i <= ${#versions[@]} ? i - 1 : -1))]}"
}

mount_export() {
  local version options path=/
  version=$(version_of "$1")
  options="vers=$version,proto=tcp"
  if [ "$version" = 3 ]; then path=/srv/export; fi
  if [ "$version$LOCKS" = 3 ]; then options+=,nolock; fi
  if [ -n "$FAULTS" ]; then options+=,port=$FAULTS; fi
  if [ -n "$MOUNT" ]; then options+=,$MOUNT; fi
  run_in "$1" 120 mount.nfs "10.99.0.1:$path" /nfs -o "$options" || die "$1 can't mount -o $options"
}

start() {
  boot "$1"
  ready "$1"
  [ "$1" = server ] || mount_export "$1"
}

# run_in VM SECONDS CMD...
run_in() {
  local vm=$1 end=$((SECONDS + $2)) id=$BASHPID-$RANDOM jobs=$RUN/$1/jobs status
  shift 2
  echo "exec ${*@Q}" >"$jobs/$id.sh"
  echo "$id" 1<>"$RUN/$vm/line"           # <>: never blocks, even if the guest is dead
  until [ -e "$jobs/$id.rc" ]; do
    if ! alive "$vm"; then status=125; break; fi
    if [ $SECONDS -ge $end ]; then status=124; break; fi
    sleep 0.03
  done
  cat "$jobs/$id.out" 2>/dev/null || true
  cat "$jobs/$id.err" >&2 2>/dev/null || true
  return "${status:-$(cat "$jobs/$id.rc")}"
}

# ---- the lab ---------------------------------------------------------------------------------------------------

free_ports() {   # below the range from which Linux serves those who don't care
  local base i
  while base=$((10000 + RANDOM % 20000)); do
    for ((i = 2; i <= 2 * CLIENTS + 1; i++)); do
      grep -qi ":$(printf %04X $((base + i))) " /proc/net/udp && continue 2
    done
    echo $base
    return
  done
}

up() {
  local option vm pid pids=()
  CLIENTS=2 VERSIONS=4.2 LEASE=10 MOUNT= FAULTS= LOCKS=
  while getopts n:v:s:o:fl option; do
    case $option in
      n) CLIENTS=$OPTARG ;;
      v) VERSIONS=$OPTARG ;;
      s) LEASE=$OPTARG ;;
      o) MOUNT=$OPTARG ;;
      f) FAULTS=$FAULT_PORT ;;
      l) LOCKS=yes ;;
      *) exit 2 ;;
    esac
  done
  check_host
  "$HERE/setup.sh" "$PACKAGES"
  down
  mkdir -p "$RUN/umid" "$RUN/shared"
  trap down EXIT                          # until it has come up
  PORT=$(free_ports)
  declare -p CLIENTS VERSIONS LEASE MOUNT FAULTS LOCKS PORT >"$RUN/config"
  truncate -s 256M "$RUN/disk"
  mkfs.ext4 -q -E lazy_itable_init=1 "$RUN/disk"

  for vm in server $(clients); do boot "$vm"; done
  for vm in server $(clients); do ready "$vm"; done
  for vm in $(clients); do mount_export "$vm" & pids+=($!); done
  for pid in "${pids[@]}"; do wait "$pid"; done
  trap - EXIT
  watch_over </dev/null >/dev/null 2>&1 &
}

# Takes the lab down when its owner is gone or its time is over; ends with the lab, which it knows by the directory.
watch_over() {
  trap '' INT HUP TERM               # sent to all who belong to the owner's terminal, or by timeout(1)
  cd "$RUN"
  while [ . -ef "$RUN" ]; do
    if [ $SECONDS -ge "${NFSLAB_TTL:-3600}" ] || ! [ -d "/proc/${NFSLAB_OWNER:-self}" ]; then down; fi
    sleep 1
  done
}

down() {
  local pid
  for pid in "$RUN"/*/pid; do
    [ ! -e "$pid" ] || kill_guest "$(basename "${pid%/pid}")"
  done
  rm -rf "$RUN"
}

par() {
  local vm pid pids=() status=0
  for vm in $(clients); do
    ( set -o pipefail; run_in "$vm" "$SECS" "${@//\{\}/$vm}" 2>&1 | sed "s/^/$vm: /" ) &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
  return $status
}

stats() {
  run_in "$1" 60 busybox awk '
    /^device/ { nfs = / fstype nfs/ }
    nfs && $1 ~ /^[A-Z0-9_]+:$/ && $2 > 0 { sub(":", "", $1); print $1, $2 }' /proc/self/mountstats
}

# According to the server itself. (Behind the proxy, addresses begin differently.)
delegations() {
  run_in server 60 sh -c 'cd /srv/export; client=$1 pattern=; shift
    for name; do pattern="$pattern|:$(stat -c %i "$name")\""; done
    cd /proc/fs/nfsd/clients
    for id in *; do
      grep -q "^address: \"[0-9]*\.[0-9]*\.$client\.2:" "$id/info" && cat "$id/states"
    done 2>/dev/null | grep "type: deleg" | grep -cE "${pattern#|}"; true' sh "${1#c}" "${@:2}"
}

# Inodes are left, but no block. The directory itself has room for more names.
fill() {
  run_in server 120 sh -c 'mkdir -p /srv/fill; cd /srv/fill; i=0
    for size in 100000 10000 1000 100 10 1; do
      while fallocate -l ${size}k $size.$((i += 1)) 2>/dev/null; do :; done
    done
    ! dd if=/dev/zero of=last bs=1k count=1 2>/dev/null'
}

empty() { run_in server 60 rm -r /srv/fill; }

command=${1:-help}
shift || true
RUN=$(state_dir)
SECS=600
case $command in
  setup | up | down | help) ;;
  *) [ -e "$RUN/config" ] || die "no lab is up"
     . "$RUN/config" ;;
esac
if [ "${1:-}" = -t ]; then SECS=$2; shift 2; fi

case $command in
  setup) check_host; "$HERE/setup.sh" "$PACKAGES" ;;
  up | par | start | stats | delegations | fill | empty | down) "$command" "$@" ;;
  exec) vm=$1; shift; run_in "$vm" "$SECS" "$@" ;;
  crash) kill_guest "$1" ;;
  restart) kill_guest "$1"; start "$1" ;;
  drcflush) run_in server 60 sh -c 'rpc.nfsd 0; rpc.nfsd 8' ;;
  freeze) signal STOP "$1" ;;
  thaw) signal CONT "$1" ;;
  skew) run_in "$1" 60 date -s "$2 seconds" >/dev/null ;;
  mute) run_in server 60 busybox ip route add blackhole "10.99.${1#c}.2" ;;
  unmute) run_in server 60 busybox ip route del blackhole "10.99.${1#c}.2" ;;
  part) run_in server 60 sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward' ;;
  join) run_in server 60 sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' ;;
  fault) [ -n "$FAULTS" ] || die "this lab is up without -f"
         run_in server 60 touch "/run/faults/$1 $2 $3 $$" ;;
  faults) run_in server 60 ls /run/faults ;;
  shared) echo "$RUN/shared" ;;
  log) cat "$RUN/$1/log" ;;
  *) usage ;;
esac
