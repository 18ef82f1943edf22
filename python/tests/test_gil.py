"""Whatever may block lets the other threads of Python run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .conftest import LIMIT

# Each makes system calls that name the lock file or its directory.
BLOCKING = {
    "lock": ("", "lock.lock()"),
    "lock with a timeout": ("", "lock.lock(0.01)"),
    "try_lock": ("", "lock.try_lock()"),
    "acquire": ("", "asyncio.run(lock.acquire())"),
    "release": ("lock.lock()", "asyncio.run(lock.release())"),
    "unlock": ("lock.lock()", "lock.unlock()"),
    "refresh": ("lock.lock()", "lock.refresh()"),
    "verify": ("lock.lock()", "lock.verify()"),
    "del": ("lock.lock()", "del lock"),
    "holder": ("", "lock.holder()"),
    "state": ("", "lock.state()"),
    "expires_at": ("", "lock.expires_at()"),
    "waiters": ("", "lock.waiters()"),
    "sweep": ("", "lock.sweep()"),
}
DELAY = 200_000
ENOUGH = 3
PROGRAM = """
    import asyncio, os, sys, threading, time, linklock
    ticks = 0
    def tick():
        global ticks
        while True:
            time.sleep(0.001)
            ticks += 1
    lock = linklock.Lock(sys.argv[1])
    {before}
    threading.Thread(target=tick, daemon=True).start()
    while ticks == 0: pass
    ticks = 0
    {call}
    print(ticks)
    sys.stdout.flush()
    os._exit(0)
"""


def ticks(directory: Path, before: str, call: str) -> int:
    """How often another thread ran during a call in which system calls take 0.2 s each."""
    strace = shutil.which("strace")
    if strace is None:
        assert "CI" not in os.environ
        pytest.skip("skipped: no strace, which delays system calls")
    path = directory / "the.lock"
    calls = "statx,newfstatat,link,linkat,unlink,unlinkat,openat,rename,statfs"
    delayed = [f"--trace={calls}", f"--inject={calls}:delay_enter={DELAY}"]
    of_the_lock = [f"--trace-path={path}", f"--trace-path={directory}"]
    program = textwrap.dedent(PROGRAM).format(before=before, call=call)
    command = [strace, "-f", "-qq", "-o", os.devnull, *delayed, *of_the_lock]
    ran = subprocess.run(
        [*command, sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return int(ran.stdout)


@pytest.mark.parametrize("call", BLOCKING)
def test_other_threads_run_meanwhile(tmp_path: Path, call: str) -> None:
    assert ticks(tmp_path, *BLOCKING[call]) >= ENOUGH


def test_a_call_that_keeps_other_threads_waiting_is_found(tmp_path: Path) -> None:
    before = "import ctypes; unlink = ctypes.PyDLL(None).unlink; path = sys.argv[1].encode()"
    assert ticks(tmp_path, before, "unlink(path)") < ENOUGH
