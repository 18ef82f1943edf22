# Over ext4, with a key in the kernel's key ring of this user; with $NAMES, names are encrypted too.
mkfs.ext4 -q disk && mount -o loop disk below && rmdir below/lost+found && modprobe ecryptfs || return
# Prints "Inserted auth tok with sig [...]" for the contents' key, and then for that of the names.
signatures=$(printf secret | ecryptfs-add-passphrase --fnek - | sed -n 's/.*sig \[\(.*\)\] .*/\1/p') || return
contents=${signatures%%[!0-9a-f]*} names=${signatures##*[!0-9a-f]}
mount -i -t ecryptfs -o "ecryptfs_sig=$contents,ecryptfs_cipher=aes,ecryptfs_key_bytes=16${NAMES:+,ecryptfs_fnek_sig=$names}" below mnt
