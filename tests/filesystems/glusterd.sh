# A server with three bricks, for this mount namespace alone.
for dir in /var/lib/glusterd /var/log/glusterfs /run; do
    mkdir -p $dir && mount -t tmpfs none $dir || return
done
printf '127.0.0.1 localhost server\n' >hosts && mount --bind hosts /etc/hosts || return
cat >glusterd.vol <<END
volume management
    type mgmt/glusterd
    option working-directory /var/lib/glusterd
    option transport-type socket
    option transport.socket.bind-address server
    option transport.address-family inet
    option ping-timeout 0
end-volume
END
glusterd --volfile "$PWD/glusterd.vol" || return
mkdir below/1 below/2 below/3
until gluster --mode=script volume create locks replica 3 \
    server:"$PWD/below/1" server:"$PWD/below/2" server:"$PWD/below/3" force; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || return
    sleep 0.5
done
gluster --mode=script volume set locks network.ping-timeout 5
gluster --mode=script volume start locks
