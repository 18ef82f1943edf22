"""The exceptions, with what is known about the lock in their attributes."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Optional

from linklock._words import Holder

__all__ = [
    "AlreadyLocked",
    "Expired",
    "FileError",
    "Held",
    "Invalid",
    "LockError",
    "Lost",
    "NotLocked",
    "TimedOut",
    "UnsupportedFileSystem",
]


class LockError(Exception):
    """What all exceptions of this package derive from."""

    path: str = ""
    """The lock file or, for a `FileError`, the file on which the operation failed."""

    holder: Optional[Holder] = None
    """The holder that is in the way or has taken the lock, if that is known."""

    @classmethod
    def _from_native(
        cls,
        message: str,
        path: os.PathLike[str],
        holder: Holder | None,
        waited: timedelta | None,
        errno: int | None,
    ) -> LockError:
        made = cls(message)
        made.path = os.fspath(path)
        made.holder = holder
        return made


class Held(LockError):
    """The lock is held, and the method does not wait for it."""


class TimedOut(LockError, TimeoutError):
    """The lock was still held when the time was up."""

    waited: timedelta = timedelta()
    """How long the caller has waited."""

    @classmethod
    def _from_native(
        cls,
        message: str,
        path: os.PathLike[str],
        holder: Holder | None,
        waited: timedelta | None,
        errno: int | None,
    ) -> LockError:
        made = super()._from_native(message, path, holder, waited, errno)
        assert isinstance(made, TimedOut)
        made.waited = waited or timedelta()
        return made


class AlreadyLocked(LockError):
    """This thread or task holds the lock already, through this object: it would wait for itself."""


class NotLocked(LockError):
    """This object does not hold the lock: it has not locked it, or has released it."""


class Lost(LockError):
    """The lock is another process's by now: its lease had ended, or its file was removed.

    What the lock guards may have been changed.
    """


class Expired(LockError):
    """The lease has ended, but no other process was seen to take the lock.

    A refresh may still save it.
    """


class Invalid(LockError, ValueError):
    """The path or an option is invalid."""


class UnsupportedFileSystem(LockError):
    """The file system lacks something that a lock needs: hard links, for instance."""

    errno: Optional[int] = None
    """The system's error, if it returned one."""

    @classmethod
    def _from_native(
        cls,
        message: str,
        path: os.PathLike[str],
        holder: Holder | None,
        waited: timedelta | None,
        errno: int | None,
    ) -> LockError:
        made = super()._from_native(message, path, holder, waited, errno)
        assert isinstance(made, UnsupportedFileSystem)
        made.errno = errno
        return made


class FileError(LockError, OSError):
    """A file operation failed. `errno` and `filename` say how and on which file."""

    @classmethod
    def _from_native(
        cls,
        message: str,
        path: os.PathLike[str],
        holder: Holder | None,
        waited: timedelta | None,
        errno: int | None,
    ) -> LockError:
        made = super()._from_native(message, path, holder, waited, errno)
        assert isinstance(made, FileError)
        made.errno = errno
        made.filename = made.path
        return made
