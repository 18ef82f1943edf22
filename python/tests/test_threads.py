"""Threads that share a handle: one at a time, as with `threading.Lock`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import linklock
import linklock.flufl
from linklock import Lock

from .conftest import LIMIT, Other, until


class Call(threading.Thread):
    """A call in a thread of its own."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        super().__init__(daemon=True)
        self.call = (function, arguments)
        self.result: object = None
        self.raised: BaseException | None = None
        self.start()

    def run(self) -> None:
        function, arguments = self.call
        try:
            self.result = function(*arguments)
        except BaseException as error:
            self.raised = error

    def outcome(self) -> object:
        """Its result, once it has one."""
        self.join(LIMIT)
        assert not self.is_alive()
        if self.raised is not None:
            raise self.raised
        return self.result


def test_threads_that_share_a_handle_exclude_each_other(path: Path) -> None:
    lock = Lock(path, timeout=LIMIT)
    inside: list[int] = []

    def work(number: int) -> None:
        for _ in range(10):
            with lock:
                inside.append(number)
                assert inside == [number]
                time.sleep(0.0001)
                inside.remove(number)

    for call in [Call(work, number) for number in range(8)]:
        call.outcome()


def test_a_thread_waits_for_another_with_the_same_handle(path: Path) -> None:
    lock = Lock(path)
    lock.lock()
    waiter = Call(lock.lock)
    assert Call(lock.try_lock).outcome() is False
    with pytest.raises(linklock.TimedOut, match="another thread") as raised:
        Call(lock.lock, 0.01).outcome()
    assert raised.value.holder is not None
    assert raised.value.waited.total_seconds() >= 0.01
    assert waiter.is_alive()
    lock.unlock()
    waiter.outcome()
    assert lock.is_locked
    lock.unlock()  # by another thread than has locked it


def test_a_thread_that_would_wait_for_itself_gets_an_error(path: Path) -> None:
    lock = Lock(path)
    with lock:
        for acquire in (lock.lock, lock.try_lock):
            with pytest.raises(linklock.AlreadyLocked):
                acquire()
    with lock:
        pass


def test_a_loss_is_reported_to_the_thread_that_lost(path: Path) -> None:
    lock = Lock(path)
    lock.lock()
    waiter = Call(lock.lock)
    path.unlink()
    with pytest.raises(linklock.Lost):
        lock.unlock()  # not the lock of the waiter
    waiter.outcome()
    lock.verify()
    lock.unlock()


def test_a_waiter_for_another_thread_is_interrupted(path: Path) -> None:
    lock = Lock(path)
    Call(lock.lock).outcome()

    def handler(number: int, frame: object) -> None:
        raise KeyError("alarm")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyError, match="alarm"):
            lock.lock()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    lock.unlock()


def test_an_acquisition_that_fails_lets_the_next_thread_try(path: Path, other: Other) -> None:
    lock = Lock(path)
    waiter = Call(lock.lock, 0.2)
    until("it waits", lambda: len(Lock(path).waiters()) == 1)
    with pytest.raises(linklock.TimedOut):
        lock.lock(0.01)
    with pytest.raises(linklock.TimedOut):
        waiter.outcome()
    other.end()
    with lock:
        pass


def test_flufls_face_refuses_a_second_thread(path: Path, other: Other) -> None:
    lock = linklock.flufl.Lock(str(path))
    first = Call(lock.lock)
    until("it waits", lambda: len(Lock(path).waiters()) == 1)
    second = Call(lock.lock)
    other.end()
    first.outcome()
    for refused in (second, Call(lock.lock)):
        with pytest.raises(linklock.flufl.AlreadyLockedError):
            refused.outcome()
    lock.unlock()
