"""flufl.lock 10's API on linklock: `import linklock.flufl as flufl_lock`.

The names, defaults, exceptions and log lines are flufl.lock's; the files and the protocol are
linklock's, so a lock is never broken while it is held. What differs is listed in the README.

>>> import linklock.flufl as flufl_lock
>>> with flufl_lock.Lock("/shared/report.lock", lifetime=60) as lock:
...     print(lock.state)
LockState.ours
"""

from linklock.flufl._lockfile import (
    SEP,
    AlreadyLockedError,
    Lock,
    LockError,
    LockState,
    NotLockedError,
    TimeOutError,
)

__version__ = "10.0.0"

__all__ = [
    "SEP",
    "AlreadyLockedError",
    "Lock",
    "LockError",
    "LockState",
    "NotLockedError",
    "TimeOutError",
]
