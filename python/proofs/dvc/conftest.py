"""DVC's own fixtures; its tests use the lock that it makes of flufl.lock, not its default one."""

from dvc import lock as dvc_lock
from dvc.testing.fixtures import *  # noqa: F403

dvc_lock.Lock = dvc_lock.HardlinkLock
