#!/bin/bash
# Runs a command in a guest of the NFS lab, whose kernel has file systems that few machines have: guest.sh [NAME=VALUE]... COMMAND...
set -u
lab=$(dirname "${BASH_SOURCE[0]}")/../nfs/lab/lab.sh
export NFSLAB_NAME=filesystems-$$ NFSLAB_OWNER=$$
"$lab" up -n 1 -v 4.2 >&2 || exit 77
"$lab" exec -t 300 c1 env "$@"
status=$?
"$lab" down >&2
exit $status
