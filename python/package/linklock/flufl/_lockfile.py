"""flufl.lock's `Lock`, on linklock.

Acquiring, refreshing, releasing and taking over are linklock's. What flufl.lock reads from the
lock file for its caller (`details`, `state`, `expiration`) is read here, by the same functions of
`os` and with the same errors, since programs and their tests replace these.
"""

from __future__ import annotations

import enum
import errno
import functools
import logging
import os
import random
import socket
import sys
import time
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Literal, TypeVar, Union

from linklock import _errors
from linklock._native import Handle

Interval = Union[timedelta, int]
Self = TypeVar("Self", bound="Lock")

DEFAULT_LOCK_LIFETIME = timedelta(seconds=15)
CLOCK_SLOP = timedelta(seconds=10)
MAXINT = sys.maxsize
SEP = "|"
# The lock file is gone, in the words of a local file system and of NFS.
ERRORS = (errno.ENOENT, errno.ESTALE)
# A lock file has two names while it is held: its own and its claim's.
LINKS = 2
# How often to try again when the file system does not know the claim.
ATTEMPTS = 5
# A wait calls back ten times a second, and is reported every ten seconds.
REPORT_EVERY = 100

_os_link = os.link

log = logging.getLogger("flufl.lock")
log.addHandler(logging.NullHandler())


class LockError(Exception):
    """What all exceptions of this module derive from."""


class AlreadyLockedError(LockError):
    """This object holds the lock already."""


class NotLockedError(LockError):
    """This object does not hold the lock."""


class TimeOutError(LockError):
    """The lock was still held when the time was up."""


class LockState(enum.Enum):
    """What can be inferred about a lock without holding it."""

    unlocked = 1
    """There is no lock file."""
    ours = 2
    """This process holds the lock, and its lifetime has not ended."""
    ours_expired = 3
    """This process holds the lock, and its lifetime has ended: another may break it."""
    stale = 4
    """The holder ran on this host, and there is no process with its pid."""
    theirs_expired = 5
    """Another process of this host holds the lock, and its lifetime has ended."""
    unknown = 6
    """The holder is on another host, or runs, or the lock file cannot be understood."""


class Lock:
    """A lock file with a lifetime, in a directory that all contenders share.

    :param lockfile: The path of the lock file. It must not contain the separator.
    :param lifetime: How long the lock is held at most before others may break it: a timedelta or a
        number of seconds. 15 seconds by default.
    :param separator: The character between the parts of a claim file's name.
    :param default_timeout: How long `lock` waits by default. None: for ever.
    """

    keep_claim: bool = False
    """Whether to keep the claim, a small file beside the lock file, until the object is gone: for a
    lock that is taken again and again. flufl.lock has nothing of the kind. Set it on an object, a
    subclass or this class."""

    def __init__(
        self,
        lockfile: str,
        lifetime: Interval | None = None,
        separator: str = SEP,
        default_timeout: Interval | None = None,
    ) -> None:
        self._hostname = _full_host_name()
        self._default_timeout = default_timeout
        self._lockfile = lockfile
        self._lifetime = DEFAULT_LOCK_LIFETIME
        if lifetime is not None:
            self.lifetime = _interval(lifetime)
        self._separator = separator
        self._retry_errnos: list[int] = []
        self._chosen_claimfile: str
        self._own_claimfile()

    # Acquiring and releasing

    def lock(self, timeout: Interval | None = None) -> None:
        """Acquire the lock. Wait until it is free, or for about `timeout`.

        :raises AlreadyLockedError: if this object holds it.
        :raises TimeOutError: if it is still held when the time is up.
        """
        limit = self._default_timeout if timeout is None else timeout
        deadline = None if limit is None else time.monotonic() + _interval(limit).total_seconds()
        self._refuse_if_held()
        native = self._handle()
        log.debug("laying claim: %s", self._lockfile)
        self._reports = 0
        attempts = 1
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                native.lock(left, self._report_waiting)
                break
            except _errors.AlreadyLocked as error:
                raise AlreadyLockedError(str(error)) from None
            except _errors.TimedOut as error:
                log.error("timed out")
                raise TimeOutError(f"Could not acquire the lock: {error}") from None
            except (_errors.FileError, _errors.UnsupportedFileSystem) as error:
                # The file system did not know the claim: a stale cache, which does not last.
                if error.errno not in ERRORS or attempts == ATTEMPTS:
                    raise _os_error(error) from error
                attempts += 1
                self._sleep()
        log.debug("got the lock: %s", self._lockfile)

    def unlock(self, *, unconditionally: bool = False) -> None:
        """Release the lock.

        :param unconditionally: Accept that this object does not hold it.
        :raises NotLockedError: if this object does not hold it, or has lost it.
        """
        try:
            if self._native is None:
                raise _errors.NotLocked
            self._native.unlock()
        except _errors.NotLocked:
            if not unconditionally:
                raise NotLockedError("Already unlocked") from None
            _unless_gone(os.unlink, self._own_claimfile())
        except (_errors.Lost, _errors.Expired) as error:
            if not unconditionally:
                raise NotLockedError(f"Already unlocked: {error}") from None
        except _errors.FileError as error:
            raise _os_error(error) from error
        log.debug("unlocked: %s", self._lockfile)

    def refresh(self, lifetime: Interval | None = None, *, unconditionally: bool = False) -> None:
        """Let the lifetime begin again.

        :param lifetime: A new lifetime, which later refreshes keep to.
        :param unconditionally: Accept that this object does not hold the lock.
        :raises NotLockedError: if this object does not hold the lock, or has lost it.
        """
        if lifetime is not None:
            self.lifetime = _interval(lifetime)
        if not self.is_locked and not unconditionally:
            raise NotLockedError(f"{self!r}: {self._read()}")

    @property
    def is_locked(self) -> bool:
        """Whether this object holds the lock. If it does, this refreshes the lock."""
        try:
            self._touch()
        except PermissionError:
            log.error("No permission to refresh the log")
            return False
        return self._is_locked_no_refresh()

    def __enter__(self: Self) -> Self:
        self.lock()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> Literal[False]:
        self.unlock()
        return False

    # Looking at it

    @property
    def details(self) -> tuple[str, int, str]:
        """The holder's host name and process id, and the lock file, as the lock file says.

        :raises NotLockedError: if there is no lock file, or it says nothing of the kind.
        """
        try:
            with open(self._lockfile) as file:
                content = file.read()
        except OSError as error:
            if error.errno in ERRORS:
                raise NotLockedError("Details are unavailable") from error
            raise
        holder = self._parse(content)
        if holder is None:
            raise NotLockedError("Details are unavailable")
        return holder

    @property
    def state(self) -> LockState:
        """What can be inferred about the lock."""
        try:
            with open(self._lockfile) as file:
                content = file.read()
        except FileNotFoundError:
            return LockState.unlocked
        holder = self._parse(content)
        if holder is None or holder[0] != self._hostname:
            return LockState.unknown
        pid = holder[1]
        if pid != os.getpid() and not _exists(pid):
            return LockState.stale
        is_expired = self.expiration < self._now()
        if pid == os.getpid():
            return LockState.ours_expired if is_expired else LockState.ours
        return LockState.theirs_expired if is_expired else LockState.unknown

    @property
    def expiration(self) -> datetime:
        """When the lifetime of the lock ends, this object's or another's."""
        return datetime.fromtimestamp(os.stat(self._lockfile).st_mtime)

    @property
    def hostname(self) -> str:
        """This host's name, as `details` has it."""
        return self._hostname

    @property
    def lockfile(self) -> str:
        """The path of the lock file."""
        return self._lockfile

    @property
    def claimfile(self) -> str:
        """The path of the claim file: while the lock is held, what the lock file says."""
        return self._claimfile

    @property
    def lifetime(self) -> timedelta:
        """How long the lock is held at most before others may break it."""
        return self._lifetime

    @lifetime.setter
    def lifetime(self, lifetime: Interval) -> None:
        self._lifetime = _interval(lifetime)

    @property
    def retry_errnos(self) -> list[int]:
        """The errors of reading the lock file that are waited out."""
        return list(self._retry_errnos)

    @retry_errnos.setter
    def retry_errnos(self, errnos: list[int]) -> None:
        self._retry_errnos = list(errnos)

    @retry_errnos.deleter
    def retry_errnos(self) -> None:
        self._retry_errnos = []

    def __repr__(self) -> str:
        state = "locked" if self._is_locked_no_refresh() else "unlocked"
        name = type(self).__name__
        return (
            f"<{name} {self._lockfile} [{state}: {self._lifetime}] "
            f"pid={os.getpid()} at {id(self):#x}>"
        )

    def __getstate__(self) -> dict[str, object]:
        """Leave out what holds the lock: a copy, or an unpickled lock, holds nothing."""
        state = {
            name: value for name, value in vars(self).items() if not name.startswith("_native")
        }
        state["_chosen_claimfile"] = self._new_claimfile()
        state["_pid"] = None
        return state

    # What subclasses and tests of flufl.lock replace

    def _now(self) -> datetime:
        """Return the time by which `state` judges. Leases are measured in the server's time."""
        return datetime.now()

    def _sleep(self) -> None:
        """Pause before the lock file is read again."""
        time.sleep(random.uniform(0.01, 0.1))

    def _set_claimfile(self) -> None:
        """Choose the claim file's name until the lock is held, which gives it its own."""
        self._claimfile = self._new_claimfile()

    def _read(self) -> str | None:
        """Return the content of the lock file, or None if there is none."""
        while True:
            try:
                with open(self._lockfile) as file:
                    return file.read()
            except OSError as error:
                if error.errno in ERRORS:
                    return None
                if error.errno not in self._retry_errnos:
                    raise
                self._sleep()

    def _touch(self, filename: str | None = None) -> None:
        """Let the lifetime begin again: of this lock, or of a file."""
        if filename is None and self._is_held:
            self._refresh()
        else:
            ends = (self._now() + self._lifetime).timestamp()
            _unless_gone(os.utime, filename or self._own_claimfile(), (ends, ends))

    @property
    def _releasetime(self) -> datetime | int:
        """When the lifetime ends, or -1 if there is no lock file."""
        try:
            return self.expiration
        except OSError as error:
            if error.errno in ERRORS:
                return -1
            raise

    @property
    def _linkcount(self) -> int:
        """How many names the lock file has, or -1 if there is none."""
        try:
            return os.stat(self._lockfile).st_nlink
        except OSError as error:
            if error.errno in ERRORS:
                return -1
            raise

    def _is_locked_no_refresh(self) -> bool:
        if self._linkcount != LINKS or self._read() != self._claimfile:
            return False
        return self._is_held

    # The native handle

    _pid: int | None = None
    _native: Handle | None = None
    _native_for: tuple[object, ...] | None = None

    @property
    def _claimfile(self) -> str:
        """The claim file by which the lock is held, or else the one that was chosen."""
        claim = None if self._native is None else self._native.claim_path
        return self._chosen_claimfile if claim is None else claim

    @_claimfile.setter
    def _claimfile(self, claimfile: str) -> None:
        self._chosen_claimfile = claimfile

    @property
    def _is_held(self) -> bool:
        return self._native is not None and self._native.is_held

    def _handle(self) -> Handle:
        """Return a handle for what the attributes say now; subclasses set them as they like."""
        link = None if os.link is _os_link else _link  # a program's, or a test's
        made_for = (
            self._lockfile,
            self._lifetime,
            self._separator,
            self._hostname,
            CLOCK_SLOP,
            tuple(self._retry_errnos),
            self.keep_claim,
            link,
        )
        if self._native is None or self._native_for != made_for:
            self._native = Handle(
                self._lockfile,
                lifetime=self._lifetime.total_seconds(),
                separator=self._separator,
                host_name=self._hostname,
                stale="expired-or-dead",
                clock_slop=CLOCK_SLOP.total_seconds(),
                polling=(0.001, 1.0),
                retry_errnos=self._retry_errnos,
                keep_claim=self.keep_claim,
                fencing=False,
                link=link,
            )
            self._native_for = made_for
        return self._native

    def _own_claimfile(self) -> str:
        """Return the claim file of this process: a forked child must not touch its parent's."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._set_claimfile()
        return self._claimfile

    def _new_claimfile(self) -> str:
        number = str(random.randrange(MAXINT))
        parts = (os.fspath(self._lockfile), self._hostname, str(os.getpid()), number)
        return self._separator.join(parts)

    def _refuse_if_held(self) -> None:
        if not self._is_held:
            return
        self._refresh()  # which may find it lost
        if self._is_held:
            log.debug("already locked: %s", self._lockfile)
            raise AlreadyLockedError("We already had the lock")

    def _refresh(self) -> None:
        """Refresh the lock that is held; afterwards it may be found lost."""
        assert self._native is not None
        try:
            self._native.refresh(self._lifetime.total_seconds())
        except _errors.NotLocked:
            pass
        except (_errors.Lost, _errors.Expired):
            with suppress(_errors.LockError):
                self._native.unlock()
        except _errors.FileError as error:
            raise _os_error(error) from error

    # What flufl.lock logs and checks while it waits

    _reports = 0

    def _report_waiting(self) -> None:
        if self._is_held:  # acquired by another thread since, which flufl.lock refuses too
            raise AlreadyLockedError("We already had the lock")
        calls, self._reports = self._reports, self._reports + 1
        if calls % REPORT_EVERY == 0:
            links = self._linkcount
            if links not in (LINKS, -1):
                log.error("unexpected linkcount: %s", links)
            ends = self._releasetime
            if isinstance(ends, datetime) and ends + CLOCK_SLOP < self._now():
                self._report_expired()
            else:
                log.debug("waiting for claim: %s", self._lockfile)

    def _report_expired(self) -> None:
        try:
            _ = self.details
        except NotLockedError:
            log.error("lockfile exists but isn't safe to break: %s", self._lockfile)
        else:
            log.error("lifetime has expired, breaking")

    def _parse(self, content: str) -> tuple[str, int, str] | None:
        """Take a lock file's content apart: host name, process id and lock file."""
        try:
            lockfile, hostname, pid, _ = content.strip().split(self._separator)
            return hostname, int(pid), lockfile
        except ValueError:
            return None


def _interval(interval: Interval) -> timedelta:
    return interval if isinstance(interval, timedelta) else timedelta(seconds=interval)


@functools.lru_cache(maxsize=1)
def _full_host_name() -> str:
    """Return the host's full name. A look-up, which may take seconds: done once in a process."""
    return socket.getfqdn()


def _link(claimfile: str, lockfile: str) -> None:
    os.link(claimfile, lockfile)


def _os_error(error: _errors.FileError | _errors.UnsupportedFileSystem) -> OSError:
    """Make the error that a function of `os` would raise: a FileNotFoundError, for instance."""
    return OSError(error.errno or errno.EOPNOTSUPP, str(error), error.path)


def _unless_gone(function: object, path: str, *arguments: object) -> None:
    """Call a function of `os`, which need not find the file."""
    assert callable(function)
    try:
        function(path, *arguments)
    except OSError as error:
        if error.errno not in ERRORS:
            raise


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except (ProcessLookupError, OverflowError):
        return False
    return not _is_thread(pid)


def _is_thread(pid: int) -> bool:
    """Whether it is the number of a thread, which kill(2) takes for its process's."""
    try:
        with open(f"/proc/{pid}/status") as status:
            groups = [line.split()[1] for line in status if line.startswith("Tgid:")]
    except OSError:
        return False
    return groups != [str(pid)]
