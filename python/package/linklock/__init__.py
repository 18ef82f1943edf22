"""A file lock for programs on many machines that needs nothing but a directory they share.

>>> import linklock
>>> lock = linklock.Lock("/shared/report.lock", timeout=60)
>>> with lock:  # waits until the lock is free
...     lock.keep_alive(lambda why: print("stop:", why))
...     print("working")
working

The directory may be local or on NFS, clocks may disagree, and any process may die: its lock is
taken over. In a coroutine, `async with lock` waits without a thread.

`linklock.flufl` is flufl.lock 10's own API on this lock.
"""

from linklock import _native
from linklock._errors import (
    AlreadyLocked,
    Expired,
    FileError,
    Held,
    Invalid,
    LockError,
    Lost,
    NotLocked,
    TimedOut,
    UnsupportedFileSystem,
)
from linklock._lock import Lock
from linklock._words import Holder, State

_native.refuse_other_interpreters()

__all__ = [
    "AlreadyLocked",
    "Expired",
    "FileError",
    "Held",
    "Holder",
    "Invalid",
    "Lock",
    "LockError",
    "Lost",
    "NotLocked",
    "State",
    "TimedOut",
    "UnsupportedFileSystem",
]

for _name in __all__:  # as tracebacks and help show them
    globals()[_name].__module__ = __name__
del _name
