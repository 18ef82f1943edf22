#!/usr/bin/env python3
"""Says which names are taken away in a directory, by unlink or rename, until a file or directory END is there.

    names.py DIRECTORY END

Runs in the server's guest, whose kernel sees all of it, by inotify(7). One line for each: REPORT taken NAME.
"""

import ctypes
import os
import select
import struct
import sys

IN_MOVED_FROM, IN_DELETE, IN_Q_OVERFLOW = 0x40, 0x200, 0x4000

directory, end = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
watch = libc.inotify_init1(os.O_NONBLOCK)
if libc.inotify_add_watch(watch, directory.encode(), IN_MOVED_FROM | IN_DELETE) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("REPORT ready", flush=True)
is_over = False
while not is_over:
    is_over = os.path.exists(end)  # before the last look
    while select.select([watch], [], [], 0 if is_over else 0.2)[0]:
        events = os.read(watch, 65536)
        while events:
            _watch, mask, _cookie, length = struct.unpack_from("iIII", events)
            assert not mask & IN_Q_OVERFLOW, "too many at once"
            print("REPORT taken", events[16:16 + length].rstrip(b"\0").decode(), flush=True)
            events = events[16 + length:]
