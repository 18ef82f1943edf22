"""`linklock.flufl`: what flufl.lock's own tests do not ask."""

from __future__ import annotations

import copy
import logging
import os
import pickle
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import linklock
from linklock import flufl
from linklock.flufl import _lockfile

from .conftest import Other, until


def test_it_is_linklock_that_locks(path: Path) -> None:
    with flufl.Lock(str(path)) as lock:
        holder = linklock.Lock(path).holder()
        assert holder is not None
        assert holder.format == "linklock"
        assert str(holder.claim_path) == lock.claimfile
        assert not linklock.Lock(path, host_name=lock.hostname).try_lock()
        assert lock.details == (lock.hostname, os.getpid(), str(path))


def test_a_lock_that_is_lost_is_not_locked_and_can_be_locked_again(path: Path) -> None:
    lock = flufl.Lock(str(path))
    for lose in (lock.unlock, lock.refresh):
        lock.lock()
        path.unlink()
        with pytest.raises(flufl.NotLockedError):
            lose()
    lock.lock()
    path.unlink()
    assert not lock.is_locked
    lock.lock()
    path.unlink()
    lock.unlock(unconditionally=True)
    lock.lock()
    lock.unlock()


def test_a_locked_lock_cannot_be_locked(path: Path) -> None:
    with flufl.Lock(str(path)) as lock:
        for _ in range(2):
            with pytest.raises(flufl.AlreadyLockedError, match=r"^We already had the lock$"):
                lock.lock()
            assert lock.is_locked


def test_errors_of_the_file_system_are_those_of_os(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        flufl.Lock(str(tmp_path / "missing" / "the.lock")).lock()


def test_what_is_logged(path: Path, caplog: pytest.LogCaptureFixture, other: Other) -> None:
    caplog.set_level(logging.DEBUG, logger="flufl.lock")
    lock = flufl.Lock(str(path))
    with pytest.raises(flufl.TimeOutError, match=r"^Could not acquire the lock: .*process"):
        lock.lock(timeout=0)
    other.end()
    with lock:
        pass
    assert caplog.messages == [
        f"laying claim: {path}",
        f"waiting for claim: {path}",
        "timed out",
        f"laying claim: {path}",
        f"got the lock: {path}",
        f"unlocked: {path}",
    ]


def test_a_timeout_may_be_a_timedelta_and_the_default_one(path: Path, other: Other) -> None:
    for lock in (
        flufl.Lock(str(path), default_timeout=timedelta(milliseconds=10)),
        flufl.Lock(str(path), None, flufl.SEP, 0),
    ):
        with pytest.raises(flufl.TimeOutError):
            lock.lock()


def test_a_copy_holds_nothing(path: Path) -> None:
    with flufl.Lock(str(path), 77) as lock:
        for other in (copy.copy(lock), pickle.loads(pickle.dumps(lock))):
            assert not other.is_locked
            assert other.lifetime == timedelta(seconds=77)
            assert other.claimfile != lock.claimfile
            with pytest.raises(flufl.NotLockedError):
                other.unlock()
        assert lock.is_locked


def test_a_forked_child_holds_nothing(path: Path) -> None:
    with flufl.Lock(str(path)) as lock:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert not lock.is_locked
                with pytest.raises(flufl.NotLockedError):
                    lock.unlock()
                lock.unlock(unconditionally=True)
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert Path(lock.claimfile).exists()
        assert lock.is_locked


class Subclass(flufl.Lock):
    """As programs make them, which set the attributes by themselves."""

    ahead = timedelta()

    def __init__(self, lockfile: str) -> None:
        super().__init__(lockfile)
        self._hostname = "mars"
        self._lifetime = timedelta(days=365)
        self._separator = "+"
        self._set_claimfile()

    def _now(self) -> datetime:
        return super()._now() + self.ahead


def test_a_subclass_may_set_what_flufl_lets_it(path: Path) -> None:
    with Subclass(str(path)) as lock:
        assert lock.details == ("mars", os.getpid(), str(path))
        assert lock.claimfile.startswith(f"{path}+mars+{os.getpid()}+")
        assert lock.expiration > datetime.now() + timedelta(days=364)
        states = [lock.state]
        lock.ahead = timedelta(days=366)
        states.append(lock.state)
        assert states == [flufl.LockState.ours, flufl.LockState.ours_expired]


def test_a_lifetime_that_is_changed_counts_at_the_next_lock(path: Path) -> None:
    lock = flufl.Lock(str(path))
    for days in (1, 2):
        lock.lifetime = timedelta(days=days)
        with lock:
            left = lock.expiration - datetime.now()
            assert abs(left - timedelta(days=days)) < timedelta(minutes=1)


def test_a_claim_may_be_kept(path: Path) -> None:
    lock = flufl.Lock(str(path))
    lock.keep_claim = True
    claims = set()
    for _ in range(3):
        with lock:
            claims.add(lock.claimfile)
        assert not path.exists()
        assert not lock.is_locked
    (claim,) = claims
    assert list(path.parent.iterdir()) == [Path(claim)]
    lock.unlock(unconditionally=True)
    lock.keep_claim = False
    with lock:
        assert lock.claimfile != claim
    assert list(path.parent.iterdir()) == []


def test_an_expired_lock_of_a_stranger_is_broken_and_that_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    claim = path.parent / "the.lock|mars|4711|8150815"
    claim.write_text(str(claim))
    os.utime(claim, (0, 0))
    os.link(claim, path)
    with flufl.Lock(str(path)):
        assert not claim.exists()
    claim.write_text("save me")
    os.rename(claim, path)
    os.utime(path, (0, 0))
    with pytest.raises(flufl.TimeOutError):
        flufl.Lock(str(path)).lock(0)
    assert path.read_text() == "save me"
    assert f"lockfile exists but isn't safe to break: {path}" in caplog.messages
    path.unlink()


def test_a_wait_ends_when_the_lock_is_released(path: Path, other: Other) -> None:
    other.end()
    with flufl.Lock(str(path)):
        until("it is there", path.exists)


def test_the_names_of_the_module_are_flufls() -> None:
    assert timedelta(seconds=10) == _lockfile.CLOCK_SLOP
    assert flufl.SEP == "|"
    assert [state.value for state in flufl.LockState] == [1, 2, 3, 4, 5, 6]
    for error in (flufl.AlreadyLockedError, flufl.NotLockedError, flufl.TimeOutError):
        assert issubclass(error, flufl.LockError)
