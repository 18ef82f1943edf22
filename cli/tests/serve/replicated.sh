# A volume of GlusterFS with three replicas, mounted twice, as if on two machines. Nothing may be answered
# from a cache, since each server must see at once what the other one did.
mkdir below a b && mount -t tmpfs none below && ip link set lo up || return
. "$FILESYSTEMS/glusterd.sh" || return
for cache in io-cache open-behind quick-read read-ahead readdir-ahead stat-prefetch write-behind; do
    gluster --mode=script volume set locks performance.$cache off || return
done
for dir in a b; do
    mount -t glusterfs -o attribute-timeout=0,entry-timeout=0 server:/locks "$PWD/$dir" || return
done
