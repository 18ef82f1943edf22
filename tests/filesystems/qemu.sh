#!/bin/bash
# Runs a command in a guest of QEMU's: qemu.sh [NAME=VALUE]... COMMAND...
#
# Debian's own kernel has file systems that neither this machine's nor the NFS lab's has. The processors are emulated,
# so that any machine will do. The guest sees this machine's files, and writes to its own memory. A directory of this
# machine can be mounted there by the tag "locks": by 9p, from QEMU itself, and by virtiofs, from virtiofsd.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${NFSLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/linklock-nfslab}
lab=$here/../nfs/lab
no() { echo "$*" >&2; exit 77; }
[ -x /usr/lib/qemu/virtiofsd ] && command -v qemu-system-x86_64 >/dev/null || no "qemu-system-x86 is not installed"
"$lab/lab.sh" setup >&2 && "$here/qemu-kernel.sh" "$cache/kernel12" >&2 || no "the guest's packages are missing"

run=$(mktemp -d) || exit 77
trap 'kill $daemon 2>/dev/null; rm -rf "$run"' EXIT
mkdir "$run/job" "$run/locks"
echo "exec env ${*@Q}" >"$run/job/job.sh"
/usr/lib/qemu/virtiofsd --socket-path="$run/socket" -o source="$run/locks" -o sandbox=chroot >"$run/virtiofsd.log" 2>&1 &
daemon=$!
for ((i = 0; i < 100; i++)); do [ ! -S "$run/socket" ] || break; sleep 0.05; done

# shared DIRECTORY TAG [OPTIONS]
shared() { echo -fsdev "local,id=$2,path=$1,security_model=none,multidevs=remap$3" -device "virtio-9p-pci,fsdev=$2,mount_tag=$2"; }
timeout 500 qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -nodefaults -nographic -no-reboot \
    -machine q35,memory-backend=memory -m 1G -object memory-backend-memfd,id=memory,size=1G,share=on \
    -kernel "$cache"/kernel12/boot/vmlinuz-* -initrd "$cache/kernel12/initrd" -append "console=ttyS0 quiet panic=-1" \
    -serial "file:$run/console" \
    $(shared / host ,readonly=on) $(shared "$cache/kernel12" kernel ,readonly=on) \
    $(shared "$run/job" job "") $(shared "$run/locks" locks "") \
    -chardev "socket,id=virtiofs,path=$run/socket" -device vhost-user-fs-pci,chardev=virtiofs,tag=locks >&2
cat "$run/job/out" 2>/dev/null
cat "$run/job/err" >&2 2>/dev/null
[ -e "$run/job/status" ] || { tail -n 40 "$run/console" >&2; no "the guest has not come to an end"; }
exit "$(cat "$run/job/status")"
