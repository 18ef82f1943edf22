"""Fixtures: a directory for locks, and other processes that hold them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LIMIT = 60.0
"""Seconds that nothing takes, however busy the machine is."""

HOLD = """
import sys, linklock
lock = linklock.Lock(sys.argv[1])
lock.lock()
print("held", flush=True)
sys.stdin.read()
"""


def until(what: str, is_so: Callable[[], bool]) -> None:
    """Wait for a condition."""
    ends = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < ends, f"not within {LIMIT} s: {what}"
        time.sleep(0.005)


class Other:
    """Another process, which holds the lock until its input ends or it is killed."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    @property
    def pid(self) -> int:
        return self.process.pid

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(LIMIT)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Yield the path of a lock. Nothing may be left beside it at the end."""
    directory = tmp_path / "locks"
    directory.mkdir()
    yield directory / "the.lock"
    until("nothing is left", lambda: list(directory.iterdir()) == [])


@pytest.fixture
def other(path: Path) -> Iterator[Other]:
    """Yield another process that holds the lock."""
    holder = Other(path)
    yield holder
    if holder.process.poll() is None:
        holder.end()
