"""`await lock.acquire()`: no thread for each waiter, and nothing is left when it is cancelled."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import linklock
from linklock import Lock

from .conftest import LIMIT, Other


async def until(what: str, is_so: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not is_so():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), LIMIT)


def test_tasks_exclude_each_other(path: Path) -> None:
    inside = 0

    async def work() -> None:
        nonlocal inside
        async with Lock(path):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.001)
            inside -= 1

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(20)))

    asyncio.run(main())


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_many_waiters_need_no_threads_of_their_own(path: Path) -> None:
    async def main() -> None:
        holder = Lock(path, lifetime=3600)
        await holder.acquire()
        waiters = [asyncio.ensure_future(Lock(path).acquire()) for _ in range(100)]
        await until("all wait", lambda: len(holder.waiters()) == 100)
        assert threads() < 50  # the pool's, at most 32, and some of Python's
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        await until("all are gone", lambda: holder.waiters() == [])
        await holder.release()

    asyncio.run(main())


def test_a_timeout_names_the_holder(path: Path, other: Other) -> None:
    async def main() -> None:
        with pytest.raises(linklock.TimedOut) as raised:
            await Lock(path, timeout=0.05).acquire()
        assert raised.value.holder is not None
        assert raised.value.holder.pid == other.pid
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Lock(path).acquire(), 0.05)
        await until("its claim is gone", lambda: len(os.listdir(path.parent)) == 2)

    asyncio.run(main())


def test_the_loop_runs_while_a_task_waits(path: Path, other: Other) -> None:
    async def main() -> None:
        waiter = asyncio.ensure_future(Lock(path).acquire())
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert not waiter.done()
        other.end()
        await asyncio.wait_for(waiter, LIMIT)

    asyncio.run(main())


def test_a_cancelled_acquisition_leaves_the_lock_free(path: Path) -> None:
    async def main() -> None:
        for delay in range(30):
            lock = Lock(path)
            task = asyncio.ensure_future(lock.acquire())
            await asyncio.sleep(delay / 20_000)
            task.cancel()
            try:
                await task
                await lock.release()
            except asyncio.CancelledError:
                await until("it is free", lambda: not path.exists())
                assert not lock.is_locked
            async with Lock(path, timeout=LIMIT):
                pass

    asyncio.run(main())


def test_errors_reach_the_coroutine(path: Path) -> None:
    async def main() -> None:
        lock = Lock(path)
        with pytest.raises(linklock.NotLocked):
            await lock.release()
        async with lock:
            with pytest.raises(linklock.AlreadyLocked):
                await lock.acquire()
        with pytest.raises(linklock.Lost):
            async with lock:
                path.unlink()

    asyncio.run(main())


def test_tasks_that_share_a_handle_wait_for_each_other(path: Path) -> None:
    async def main() -> None:
        lock = Lock(path, timeout=LIMIT)
        inside = 0

        async def work() -> None:
            nonlocal inside
            async with lock:
                inside += 1
                assert inside == 1
                await asyncio.sleep(0.001)
                inside -= 1

        await asyncio.gather(*(work() for _ in range(20)))
        async with lock:
            with pytest.raises(linklock.TimedOut, match="another thread or task"):
                await asyncio.ensure_future(lock.acquire(0.01))
            waiter = asyncio.ensure_future(lock.acquire())
            await asyncio.sleep(0.001)
            waiter.cancel()
            await asyncio.gather(waiter, return_exceptions=True)
            waiter = asyncio.ensure_future(lock.acquire())
            await asyncio.sleep(0.001)
            assert not waiter.done()
        await waiter
        await lock.release()

    asyncio.run(main())


def test_a_task_waits_for_a_thread_with_the_same_handle(path: Path) -> None:
    async def main() -> None:
        lock = Lock(path)
        await asyncio.get_running_loop().run_in_executor(None, lock.lock)
        waiter = asyncio.ensure_future(lock.acquire())
        await asyncio.sleep(0.001)
        assert not waiter.done()
        lock.unlock()
        await asyncio.wait_for(waiter, LIMIT)
        await lock.release()

    asyncio.run(main())


def test_a_loop_in_another_thread_can_use_locks(path: Path) -> None:
    async def main() -> None:
        async with Lock(path):
            assert Lock(path).try_lock() is False

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(LIMIT)
    assert failed == []


def test_a_forked_child_has_a_runtime_of_its_own(path: Path) -> None:
    async def hold() -> None:
        async with Lock(path, timeout=LIMIT):
            pass

    asyncio.run(hold())
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(hold())
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
