# Samba on the loopback interface, with one share and one user, mounted with $OPTIONS.
mkdir samba && cat >smb.conf <<END || return
[global]
bind interfaces only = yes
interfaces = lo
private dir = $PWD/samba
lock directory = $PWD/samba
state directory = $PWD/samba
cache directory = $PWD/samba
pid directory = $PWD/samba
ncalrpc dir = $PWD/samba
log file = $PWD/samba/log
disable spoolss = yes
[locks]
path = $PWD/below
read only = no
END
printf 'secret\nsecret\n' | smbpasswd -c "$PWD/smb.conf" -a -s root && smbd -D -s "$PWD/smb.conf" || return
modprobe cifs
tries=0
until mount -t cifs -o "$OPTIONS,username=root,password=secret" //127.0.0.1/locks mnt; do
    tries=$((tries + 1))
    [ $tries -lt 20 ] || return
    sleep 0.2
done
