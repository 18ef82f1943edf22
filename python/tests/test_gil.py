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


@pytest.mark.parametrize("call", BLOCKING)
def test_other_threads_run_meanwhile(tmp_path: Path, call: str) -> None:
    strace = shutil.which("strace")
    if strace is None:
        assert "CI" not in os.environ
        pytest.skip("skipped: no strace, which delays system calls")
    path = tmp_path / "the.lock"
    calls = "statx,newfstatat,link,linkat,unlink,unlinkat,openat,rename,statfs"
    delayed = [f"--trace={calls}", f"--inject={calls}:delay_enter={DELAY}"]
    of_the_lock = [f"--trace-path={path}", f"--trace-path={tmp_path}"]
    before, then = BLOCKING[call]
    program = textwrap.dedent(PROGRAM).format(before=before, call=then)
    command = [strace, "-f", "-qq", "-o", os.devnull, *delayed, *of_the_lock]
    ran = subprocess.run(
        [*command, sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert int(ran.stdout) >= 3, "no other thread ran while a system call took 0.2 s"
