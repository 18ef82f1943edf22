"""The exit of a process, which releases its locks."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any

from linklock import _native

LAST = -100
"""After multiprocessing has joined the children, which may still work under a lock."""


os.register_at_fork(after_in_child=_native.forget_other_threads)


def register() -> None:
    """Have the locks released when the process exits: once in each process."""
    atexit.register(_native.release_all)
    # A forked child of multiprocessing runs this in place of atexit, on some versions of Python.
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _native.release_all, exitpriority=LAST)
