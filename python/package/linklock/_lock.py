"""The lock: a handle that holds the lock between `lock` and `unlock`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from linklock._native import Handle
from linklock._words import Holder, Interval, State, seconds

if TYPE_CHECKING:
    import asyncio

__all__ = ["Lock"]

DEFAULT_LIFETIME = 15
DEFAULT_CLOCK_SLOP = 10
DEFAULT_POLLING = (0.001, 1.0)


class Lock:
    """A lock that any program on any machine with the same directory can take.

    An object is a handle, and handles are independent of each other, in one process too. Threads
    and tasks that share a handle exclude each other as with `threading.Lock`: one of them acquires
    and holds the lock at a time, the others wait for it in no particular order, and any of them
    may release it. With a handle of its own for each, they are served in the order of arrival.

    A forked child inherits the handle, but not the lock. A handle that is copied or pickled gives
    one with the same options that holds nothing.

    The lock is released by `unlock`, at the end of a `with` block, when the object is deleted and
    when the interpreter exits. If the process is killed, the next contender takes the lock over.

    >>> lock = linklock.Lock("/shared/report.lock", lifetime=60, timeout=10)
    >>> with lock:
    ...     print(lock.is_locked, lock.path.name)
    True report.lock
    >>> lock.is_locked
    False

    :param path: The lock file, in a directory that all contenders share. A relative path is made
        absolute now.
    :param lifetime: The length of a lease: how long the holder may be out of touch before others
        may take the lock. Renew it with `refresh` or `keep_alive`.
    :param timeout: How long `lock`, `acquire` and `with` wait. None: until the lock is free.
    :param separator: The character between the parts of a claim's name. All users of a lock must
        choose the same.
    :param host_name: This host's name in claims, in place of what gethostname(2) returns.
    :param stale: When another process's lock may be taken over: "expired-or-dead", "expired"
        (flufl.lock's rule) or "never".
    :param clock_slop: How long an expired lease is still respected.
    :param polling: The first and the longest pause of a waiter that polls.
    :param retry_errnos: Errors of reading the lock file that a waiter waits out.
    :param keep_claim: Keep the claim, a small file beside the lock file, until the handle is gone:
        for a lock that is taken again and again.
    :param fencing: Number the acquisitions: see `token`.
    :raises Invalid: if the path or an option is invalid.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        lifetime: Interval = DEFAULT_LIFETIME,
        timeout: Interval | None = None,
        separator: str = "|",
        host_name: str | None = None,
        stale: str = "expired-or-dead",
        clock_slop: Interval = DEFAULT_CLOCK_SLOP,
        polling: tuple[Interval, Interval] = DEFAULT_POLLING,
        retry_errnos: Iterable[int] = (),
        keep_claim: bool = False,
        fencing: bool = False,
    ) -> None:
        first, longest = polling
        self._options: dict[str, Any] = {
            "lifetime": seconds(lifetime),
            "separator": separator,
            "host_name": host_name,
            "stale": stale,
            "clock_slop": seconds(clock_slop),
            "polling": (seconds(first), seconds(longest)),
            "retry_errnos": list(retry_errnos),
            "keep_claim": keep_claim,
            "fencing": fencing,
        }
        self._timeout = None if timeout is None else seconds(timeout)
        self._handle = Handle(path, link=None, **self._options)

    # Acquiring and releasing

    def lock(self, timeout: Interval | None = None) -> None:
        """Acquire the lock. Wait until it is free, or for `timeout` if that or a default is set.

        A wait ends at once when the lock is released on this host; a timeout and a signal (Ctrl-C)
        end it within 0.1 s. In no case is anything left behind.

        >>> lock = linklock.Lock("/shared/report.lock")
        >>> lock.lock()
        >>> try:
        ...     linklock.Lock("/shared/report.lock").lock(timeout=0.01)
        ... except linklock.TimedOut as error:
        ...     print(error.holder.pid == os.getpid())
        True
        >>> lock.unlock()

        :raises TimedOut: with the holder.
        :raises AlreadyLocked: if this thread holds the lock through this object.
        :raises FileError: if a file operation failed.
        """
        self._handle.lock(self._limit(timeout))

    def try_lock(self) -> bool:
        """Acquire the lock if it is free. Return whether it is now held by this object.

        >>> lock = linklock.Lock("/shared/report.lock")
        >>> if lock.try_lock():
        ...     print("locked")
        ...     lock.unlock()
        locked

        :raises AlreadyLocked: if this thread holds the lock through this object.
        :raises FileError: if a file operation failed.
        """
        return self._handle.try_lock()

    def unlock(self) -> None:
        """Release the lock. Whatever the outcome, this object does not hold it any more.

        >>> lock = linklock.Lock("/shared/report.lock")
        >>> lock.lock()
        >>> lock.unlock()
        >>> lock.unlock()
        Traceback (most recent call last):
        ...
        linklock.NotLocked: lock ... is not held by this handle

        :raises Lost: if the lock was another process's by now: what it guards may have changed.
        :raises NotLocked: if this object does not hold the lock.
        :raises FileError: if a file operation failed; the lock then ends with its lease.
        """
        self._handle.unlock()

    def __enter__(self) -> Lock:
        self._handle.lock(self._timeout)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._handle.unlock()

    # In a coroutine

    async def acquire(self, timeout: Interval | None = None) -> None:
        """Acquire the lock, like `lock`, without blocking the event loop or holding a thread.

        If it is cancelled, the wait ends and nothing is left behind, a moment later.

        >>> async def main():
        ...     lock = linklock.Lock("/shared/report.lock")
        ...     await lock.acquire()
        ...     try:
        ...         print(lock.is_locked)
        ...     finally:
        ...         await lock.release()
        >>> asyncio.run(main())
        True

        :raises TimedOut: with the holder.
        :raises AlreadyLocked: if this task, or its thread, holds the lock through this object.
        :raises FileError: if a file operation failed.
        """
        settled, task, done = _future()
        acquisition = self._handle.acquire(self._limit(timeout), task, done)
        try:
            await settled
        except Exception:
            raise
        except BaseException:  # it is cancelled
            acquisition.cancel()
            raise

    async def release(self) -> None:
        """Release the lock, like `unlock`, without blocking the event loop.

        If it is cancelled, the lock is released nevertheless.

        >>> async def main():
        ...     async with linklock.Lock("/shared/report.lock") as lock:  # releases at its end
        ...         print(lock.is_locked)
        >>> asyncio.run(main())
        True

        :raises Lost: if the lock was another process's by now: what it guards may have changed.
        :raises NotLocked: if this object does not hold the lock.
        :raises FileError: if a file operation failed; the lock then ends with its lease.
        """
        settled, _, done = _future()
        self._handle.release(done)
        await settled

    async def __aenter__(self) -> Lock:
        await self.acquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.release()

    # While it is held

    def refresh(self, lifetime: Interval | None = None) -> None:
        """Extend the lease to a whole lifetime from now; with `lifetime`, to a new one.

        >>> with linklock.Lock("/shared/report.lock", lifetime=10) as lock:
        ...     lock.refresh()
        ...     lock.refresh(timedelta(hours=1))
        ...     print(lock.remaining > timedelta(minutes=59))
        True

        :raises Lost: if the lock is no longer ours.
        :raises NotLocked: if this object does not hold the lock.
        :raises FileError: if a file operation failed; try again while the lease runs.
        """
        self._handle.refresh(None if lifetime is None else seconds(lifetime))

    def keep_alive(self, on_lost: Callable[[Exception], object] | None = None) -> None:
        """Refresh the lock three times in each lifetime, in another thread, until it is released.

        If the lock is lost nevertheless, `on_lost` is called once with the reason, on that thread:
        it should stop the work at once. An exception that it raises goes to `sys.unraisablehook`.
        In asyncio, pass on to the loop with `loop.call_soon_threadsafe`.

        >>> stop = threading.Event()
        >>> with linklock.Lock("/shared/report.lock") as lock:
        ...     lock.keep_alive(lambda why: stop.set())
        ...     while not stop.is_set():
        ...         break  # a piece of the work

        :raises NotLocked: if this object does not hold the lock.
        """
        self._handle.keep_alive(on_lost)

    def verify(self) -> None:
        """Check that the lock is ours and its lease runs, without extending the lease.

        >>> with linklock.Lock("/shared/report.lock") as lock:
        ...     lock.verify()  # before a step that cannot be undone

        :raises Lost: if the lock is no longer ours.
        :raises Expired: if the lease has ended.
        :raises NotLocked: if this object does not hold the lock.
        """
        self._handle.verify()

    @property
    def is_locked(self) -> bool:
        """Whether this object holds the lock, as far as it knows without asking the server."""
        return self._handle.is_held

    @property
    def remaining(self) -> timedelta:
        """How much longer the lease runs; zero if the lock is not held."""
        return self._handle.remaining

    @property
    def token(self) -> int | None:
        """The number of this acquisition, higher than all earlier ones; None without `fencing`.

        >>> lock = linklock.Lock("/shared/report.lock", fencing=True)
        >>> with lock:
        ...     first = lock.token
        >>> with lock:
        ...     lock.token > first
        True
        """
        return self._handle.token

    @property
    def claim_path(self) -> Path | None:
        """The claim that the lock file is a hard link to; None if the lock is not held."""
        claim = self._handle.claim_path
        return None if claim is None else Path(claim)

    # Looking at it

    @property
    def path(self) -> Path:
        """The lock file."""
        return self._handle.path

    def holder(self) -> Holder | None:
        """Return the process that holds the lock; None if the lock is free.

        >>> with linklock.Lock("/shared/report.lock"):
        ...     holder = linklock.Lock("/shared/report.lock").holder()
        >>> (holder.pid == os.getpid(), holder.is_alive, holder.format)
        (True, True, 'linklock')

        :raises Held: if the file of that name is not a lock.
        """
        return self._handle.holder()

    def state(self) -> State:
        """Return what can be inferred about the lock.

        >>> linklock.Lock("/shared/report.lock").state()
        <State.UNLOCKED: 'unlocked'>
        """
        return State(self._handle.state())

    def expires_at(self) -> datetime | None:
        """Return when the holder's lease ends, in the file server's time; None if it is free."""
        return self._handle.expires_at()

    def waiters(self) -> list[Holder]:
        """Return the processes that wait for the lock.

        >>> linklock.Lock("/shared/report.lock").waiters()
        []
        """
        return self._handle.waiters()

    def sweep(self) -> list[Path]:
        """Remove what dead processes left beside the lock file, and return the paths.

        A handle does so by itself before it first acquires the lock.

        >>> linklock.Lock("/shared/report.lock").sweep()
        []
        """
        return self._handle.sweep()

    # The object

    def _limit(self, timeout: Interval | None) -> float | None:
        return self._timeout if timeout is None else seconds(timeout)

    def __repr__(self) -> str:
        return f"<linklock.Lock {str(self.path)!r} {'locked' if self.is_locked else 'unlocked'}>"

    def __reduce__(self) -> tuple[object, ...]:
        return _make, (type(self), str(self.path), self._options, self._timeout)


def _make(kind: type[Lock], path: str, options: dict[str, Any], timeout: float | None) -> Lock:
    return kind(path, timeout=timeout, **options)


def _future() -> tuple[
    asyncio.Future[None], asyncio.Task[Any] | None, Callable[[Exception | None], object]
]:
    """Make a future for this task, and the function by which another thread settles it."""
    import asyncio  # not before it is used: it takes megabytes

    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def done(error: Exception | None) -> None:
        loop.call_soon_threadsafe(settle, error)

    return future, asyncio.current_task(loop), done
