#!/usr/bin/env python3
"""Reports each name that is removed from a directory, by unlink or rename: REPORT NAME.

    names.py DIRECTORY BEGUN OVER

Runs in the server's guest, whose kernel sees all removals, by inotify(7). It makes a directory BEGUN when it watches,
and ends when a directory OVER exists.
"""

import ctypes
import os
import select
import struct
import sys

IN_MOVED_FROM, IN_DELETE, IN_Q_OVERFLOW = 0x40, 0x200, 0x4000

directory, begun, over = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
watch = libc.inotify_init1(os.O_NONBLOCK)
if libc.inotify_add_watch(watch, directory.encode(), IN_MOVED_FROM | IN_DELETE) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.mkdir(begun)
is_over = False
while not is_over:
    is_over = os.path.exists(over)  # before the last look
    while select.select([watch], [], [], 0 if is_over else 0.2)[0]:
        events = os.read(watch, 65536)
        while events:
            _watch, mask, _cookie, length = struct.unpack_from("iIII", events)
            assert not mask & IN_Q_OVERFLOW, "too many at once"
            print("REPORT", events[16:16 + length].rstrip(b"\0").decode(), flush=True)
            events = events[16 + length:]
