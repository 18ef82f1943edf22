# NFS 4.2 from a server that is an ordinary program, on the loopback interface. It needs file handles of a real disk.
mkfs.ext4 -q disk && modprobe loop && mount -o loop disk below && mkdir -p below/export /run/ganesha /var/lib/nfs || return
cat >ganesha.conf <<END
NFS_CORE_PARAM { Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false; Bind_addr = 127.0.0.1; }
NFSV4 { Graceless = true; RecoveryBackend = fs; RecoveryRoot = $PWD; }
EXPORT {
    Export_Id = 1;
    Path = $PWD/below/export;
    Pseudo = /export;
    Access_Type = RW;
    Squash = No_Root_Squash;
    SecType = sys;
    FSAL { Name = VFS; }
}
END
ganesha.nfsd -f "$PWD/ganesha.conf" -L "$PWD/ganesha.log" -p "$PWD/ganesha.pid" || return
tries=0
until mount -t nfs -o vers=4.2 127.0.0.1:/export mnt; do
    tries=$((tries + 1))
    [ $tries -lt 20 ] || { tail -n 5 ganesha.log; return 1; }
    sleep 0.5
done
