# Kills one of GlusterFS's three bricks, starts it again, and lets it be healed.
kill -9 "$(cat /run/gluster/vols/locks/*-below-1.pid)" && sleep 1
gluster --mode=script volume start locks force && sleep 2
