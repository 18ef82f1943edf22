"""Signals, forks, multiprocessing, exits and interpreters."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from linklock import Lock, NotLocked, _native

from .conftest import LIMIT, Other, until


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start another interpreter."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


WAIT = """
    import signal, sys, time, linklock, linklock.flufl
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lock = {lock}
    try:
        lock.lock()
    except KeyboardInterrupt:
        print(time.monotonic())
"""


WAIT_IN_LOOP = """
    import asyncio, signal, sys, time, linklock
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(linklock.Lock(sys.argv[1]).acquire())
    except KeyboardInterrupt:
        print(time.monotonic())
"""
WAITERS = {
    "linklock.Lock": WAIT.format(lock="linklock.Lock(sys.argv[1])"),
    "linklock.flufl.Lock": WAIT.format(lock="linklock.flufl.Lock(sys.argv[1])"),
    "a coroutine": WAIT_IN_LOOP,
}


@pytest.mark.parametrize("waiter", WAITERS)
def test_ctrl_c_ends_a_wait_and_leaves_nothing(path: Path, other: Other, waiter: str) -> None:
    taken = []
    for _ in range(3):  # on a busy machine, one of them in time will do
        waiting = python(WAITERS[waiter], path)
        until("it waits", lambda: len(Lock(path).waiters()) == 1)
        sent = time.monotonic()
        waiting.send_signal(signal.SIGINT)
        output, errors = waiting.communicate(timeout=LIMIT)
        assert errors == ""
        assert sorted(path.parent.iterdir())[0] == path
        assert len(list(path.parent.iterdir())) == 2
        taken.append(float(output) - sent)
    assert min(taken) < 0.2


def test_an_exception_of_a_signal_handler_ends_a_wait(path: Path, other: Other) -> None:
    def handler(number: int, frame: object) -> None:
        raise KeyError("alarm")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyError, match="alarm"):
            Lock(path).lock()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(list(path.parent.iterdir())) == 2


def test_a_forked_child_holds_nothing(path: Path) -> None:
    lock = Lock(path, timeout=60)
    lock.lock()
    lock.keep_alive()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with pytest.raises(NotLocked):
                lock.unlock()
            assert not lock.is_locked
            assert not lock.try_lock()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    lock.verify()

    child = os.fork()
    if child == 0:
        status = 1
        try:
            with lock:  # a handle of its own
                status = 0
        finally:
            os._exit(status)
    until("it waits", lambda: len(Lock(path).waiters()) == 1)
    lock.unlock()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_fork_while_a_thread_waits_leaves_the_handle_usable(path: Path, other: Other) -> None:
    lock = Lock(path, timeout=LIMIT)
    waiter = threading.Thread(target=lock.lock)
    waiter.start()
    until("it waits", lambda: len(Lock(path).waiters()) == 1)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert not lock.try_lock()
            with lock:
                status = 0
        finally:
            os._exit(status)
    until("both wait", lambda: len(Lock(path).waiters()) == 2)
    other.kill()  # the child has its standard input open, too
    waiter.join(LIMIT)
    lock.unlock()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_waits_at_exit_for_none_of_its_parents_threads(
    path: Path, other: Other
) -> None:
    waiter = threading.Thread(target=Lock(path).lock, args=(LIMIT,))
    waiter.start()
    until("it waits", lambda: len(Lock(path).waiters()) == 1)
    quick = 0
    for _ in range(3):  # on a busy machine, one of them in time will do
        child = os.fork()
        if child == 0:
            begun = time.monotonic()
            _native.release_all()
            os._exit(time.monotonic() - begun < 0.9)  # it gives such threads a second
        quick += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    other.end()
    waiter.join(LIMIT)
    assert quick > 0


def count(lock: Lock, counter: Path, times: int) -> None:
    for _ in range(times):
        with lock:
            counter.write_text(str(int(counter.read_text()) + 1))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_exclude_each_other(
    path: Path, tmp_path: Path, method: str
) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    context: Any = multiprocessing.get_context(method)
    lock = Lock(path, timeout=LIMIT)
    workers = [context.Process(target=count, args=(lock, counter, 25)) for _ in range(4)]
    with lock:  # which the children get as a handle that holds nothing
        for worker in workers:
            worker.start()
        until("they wait", lambda: len(lock.waiters()) == 4)
        assert counter.read_text() == "0"
    for worker in workers:
        worker.join(LIMIT)
        assert worker.exitcode == 0
    assert counter.read_text() == "100"


def leave_locked(path: Path) -> None:
    lock = Lock(path)
    lock.lock()
    lock.keep_alive(print)
    leave_locked.kept = lock  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_of_multiprocessing_releases_at_exit(path: Path, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    worker = context.Process(target=leave_locked, args=(path,))
    worker.start()
    worker.join(LIMIT)
    assert worker.exitcode == 0
    assert list(path.parent.iterdir()) == []


EXITS = {
    "in a module": "lock = linklock.Lock(path); lock.lock()",
    "in a cycle": "lock = linklock.Lock(path); lock.me = lock; lock.lock()",
    "kept alive": "lock = linklock.Lock(path, lifetime=0.5); lock.lock(); lock.keep_alive(print)",
    "by flufl's face": "lock = linklock.flufl.Lock(path); lock.lock()",
    "by an exception": "lock = linklock.Lock(path); lock.lock(); raise SystemExit(0)",
    "by a daemon thread": """
        import threading
        lock = linklock.Lock(path)
        holder = threading.Thread(target=lambda: (lock.lock(), time.sleep(1000)), daemon=True)
        holder.start()
        while not lock.is_locked: pass
    """,
    "after the locks were released": """
        import atexit
        def late():
            late.lock = linklock.Lock(path)
            late.lock.lock()
        atexit.register(late)  # called after what the first lock registers
        linklock.Lock(path)
    """,
    "by a daemon thread that locks too late": """
        import atexit, threading
        go = threading.Event()
        def hold():
            go.wait()
            lock = linklock.Lock(path)
            lock.lock()
            time.sleep(1000)
        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        def late():
            go.set()
            thread.join(0.5)
        atexit.register(late)  # called after what the first lock registers
        linklock.Lock(path)
    """,
    "by a daemon thread that tries too late": """
        import atexit, threading
        go = threading.Event()
        def hold():
            go.wait()
            lock = linklock.Lock(path)
            lock.try_lock()
            time.sleep(1000)
        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        def late():
            go.set()
            thread.join(0.5)
        atexit.register(late)
        linklock.Lock(path)
    """,
    "by a destructor": """
        class Last:
            Lock, path = linklock.Lock, path
            def __del__(self):
                self.lock = self.Lock(self.path)
                self.lock.lock()
        last = Last()
        linklock.Lock(path)
    """,
    "with a thread that waits": """
        import threading
        lock = linklock.Lock(path); lock.lock()
        threading.Thread(target=linklock.Lock(path).lock, daemon=True).start()
        while not lock.waiters(): pass
    """,
    "with a thread that waits for another": """
        import threading
        lock = linklock.Lock(path); lock.lock()
        waiter = threading.Thread(target=lock.lock, daemon=True)
        waiter.start()
        while sys._current_frames()[waiter.ident].f_code is not linklock.Lock.lock.__code__: pass
    """,
    "with a loop that waits": """
        import asyncio, logging
        logging.disable()  # asyncio says that a task was pending
        lock = linklock.Lock(path); lock.lock()
        loop = asyncio.new_event_loop()
        waiting = loop.create_task(linklock.Lock(path).acquire())
        async def begin():
            while not lock.waiters(): await asyncio.sleep(0.01)
        loop.run_until_complete(begin())
    """,
}


@pytest.mark.parametrize("how", EXITS)
def test_the_interpreters_exit_releases(path: Path, how: str) -> None:
    program = "import sys, time, linklock, linklock.flufl\npath = sys.argv[1]\n"
    ended = python(program + textwrap.dedent(EXITS[how]), path)
    output, errors = ended.communicate(timeout=LIMIT)
    assert (ended.returncode, output, errors) == (0, "", "")
    assert not path.exists()
    Lock(path).sweep()


def test_a_sub_interpreter_is_refused() -> None:
    pytest.importorskip("_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters")
    program = """
        import sys
        if sys.version_info < (3, 13):
            import _xxsubinterpreters as interpreters
        else:
            import _interpreters as interpreters
        import linklock
        inner = '''
        try:
            import linklock
        except ImportError:
            pass
        else:
            raise SystemError("it was imported")
        '''
        import textwrap
        failed = interpreters.run_string(interpreters.create(), textwrap.dedent(inner))
        assert not failed, failed
    """
    ended = python(program)
    _, errors = ended.communicate(timeout=LIMIT)
    assert (ended.returncode, errors) == (0, "")
