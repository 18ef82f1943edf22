# Kills one of GlusterFS's three bricks, starts it again, and waits until it is healed.
kill -9 "$(cat /run/gluster/vols/locks/*-below-$((TURN % 3 + 1)).pid)" && sleep 1
gluster --mode=script volume start locks force || exit
until [ "$(gluster volume heal locks info | grep -c '^Number of entries: 0$')" = 3 ]; do
    tries=$((tries + 1))
    [ $tries -lt 120 ] || exit
    sleep 0.5
done
