"""What DVC's tests do not try of its lock on linklock: claims, other users, and its unlock."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import flufl.lock
import pytest
from dvc.lock import HardlinkLock, LockError, make_lock

import linklock

HOLD = """
import sys
from dvc.lock import make_lock
lock = make_lock(sys.argv[1], tmp_dir=sys.argv[2], hardlink_lock=True)
lock.lock()
print("held", flush=True)
sys.stdin.read()
lock.unlock()
"""


def test_it_is_linklocks(tmp_path: Path) -> None:
    lock = make_lock(str(tmp_path / "lock"), tmp_dir=str(tmp_path), hardlink_lock=True)
    assert isinstance(lock, HardlinkLock)
    with lock:
        holder = linklock.Lock(tmp_path / "lock").holder()
        assert holder is not None
        assert holder.format == "linklock"
        assert holder.remaining > timedelta(days=364)
        assert lock.is_locked
        assert lock.claimfile == str(holder.claim_path)
    assert list(tmp_path.iterdir()) == []


def test_it_excludes_another_process_and_is_released_by_its_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.2)
    path = str(tmp_path / "lock")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, path, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    lock = make_lock(path, tmp_dir=str(tmp_path), hardlink_lock=True)
    with pytest.raises(LockError):
        lock.lock()
    other.kill()
    other.communicate()
    lock = make_lock(path, tmp_dir=str(tmp_path), hardlink_lock=True, wait=True)
    with lock:  # not in a year, but now
        pass


def test_an_unlock_of_an_unlocked_lock_is_flufl_locks_error(tmp_path: Path) -> None:
    lock = HardlinkLock(str(tmp_path / "lock"), tmp_dir=str(tmp_path))
    with pytest.raises(flufl.lock.NotLockedError):
        lock.unlock()


def test_a_lock_that_another_has_meanwhile_stays_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.01)
    lock, other = (HardlinkLock(str(tmp_path / "lock"), tmp_dir=str(tmp_path)) for _ in range(2))
    lock.lock()
    lock.unlock()
    with other:
        with pytest.raises(LockError):
            lock.lock()
        with pytest.raises(flufl.lock.NotLockedError):
            lock.unlock()
        assert other.is_locked
