"""DVC's own fixtures; its tests use the lock that it makes of flufl.lock, not its default one.

Two of these tests ask of an unlock what only DVC's default lock does, which is not made of
flufl.lock. They must fail, with flufl.lock as with linklock, by the error of flufl.lock's that is
named here. `test_hardlink_lock.py` has the same steps, with that error.
"""

import os

import flufl.lock
import pytest
from dvc import lock as dvc_lock
from dvc.testing.fixtures import *  # noqa: F403


class Lock(dvc_lock.HardlinkLock):
    """As DVC makes it, by the name of its file: the tests have other kinds of path."""

    def __init__(self, lockfile, **options):
        super().__init__(os.fspath(lockfile), **options)


dvc_lock.Lock = Lock

OF_THE_DEFAULT_LOCK = {
    "test_unlock_unlocked_raises": "an unlock of an unlocked lock raises DVC's own exception",
    "test_unlock_lock_failed": "an unlock after a lock that has failed is no error",
}


def pytest_collection_modifyitems(items):
    for item in items:
        reason = OF_THE_DEFAULT_LOCK.get(item.name)
        if reason is not None:
            error = flufl.lock.NotLockedError
            item.add_marker(pytest.mark.xfail(reason=reason, raises=error, strict=True))
