# A server of 9p on the loopback interface, with its files on ext4.
mkfs.ext4 -q disk && mount -o loop disk below && rmdir below/lost+found || return
diod --no-auth --export="$PWD/below" --listen=127.0.0.1:5640 --logdest="$PWD/diod.log" || return
modprobe 9pnet_fd && modprobe 9p || return
tries=0
until mount -t 9p -o "trans=tcp,port=5640,uname=root,access=user,aname=$PWD/below" 127.0.0.1 mnt; do
    tries=$((tries + 1))
    [ $tries -lt 20 ] || { tail -n 5 diod.log; return 1; }
    sleep 0.2
done
