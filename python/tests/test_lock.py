"""`linklock.Lock`: what each method promises."""

from __future__ import annotations

import copy
import os
import pickle
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import linklock
from linklock import Lock, State

from .conftest import Other, until


def test_a_lock_is_held_inside_a_with_block_and_nothing_is_left(path: Path) -> None:
    lock = Lock(path)
    with lock as entered:
        assert entered is lock
        assert lock.is_locked
        assert path.exists()
        assert lock.state() is State.OURS
        assert Lock(path).try_lock() is False
        lock.verify()
    assert not lock.is_locked
    assert lock.state() is State.UNLOCKED
    assert lock.holder() is None
    assert lock.expires_at() is None


def test_the_holder_is_shown(path: Path, other: Other) -> None:
    holder = Lock(path).holder()
    assert holder is not None
    assert holder.pid == other.pid
    assert holder.format == "linklock"
    assert holder.is_alive is True
    assert not holder.is_expired
    assert holder.remaining <= timedelta(seconds=15)
    assert holder.refreshed_at < holder.expires_at
    assert abs(holder.refreshed_at - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert Path(holder.claim_path).parent == path.parent
    assert f"process {other.pid} on " in str(holder)


@pytest.mark.parametrize("timeout", [0, 0.02, 0.3, timedelta(milliseconds=200)])
def test_a_timeout_names_the_holder(path: Path, other: Other, timeout: float | timedelta) -> None:
    for wait in (
        lambda: Lock(path).lock(timeout),
        lambda: Lock(path, timeout=timeout).lock(),
        lambda: Lock(path, timeout=timeout).__enter__(),
    ):
        with pytest.raises(linklock.TimedOut) as raised:
            wait()
        error = raised.value
        assert isinstance(error, TimeoutError)
        assert error.holder is not None
        assert error.holder.pid == other.pid
        assert error.path == str(path)
        length = timeout if isinstance(timeout, timedelta) else timedelta(seconds=timeout)
        assert error.waited >= length - timedelta(milliseconds=50)  # by another clock
        assert str(other.pid) in str(error)


def test_a_waiter_gets_the_lock_when_it_is_released(path: Path, other: Other) -> None:
    lock = Lock(path)
    waiter = threading.Thread(target=lock.lock)
    waiter.start()
    until("it waits", lambda: len(Lock(path).waiters()) == 1)
    other.end()
    waiter.join()
    assert lock.is_locked
    lock.unlock()


def test_a_dead_holders_lock_is_taken_over(path: Path, other: Other) -> None:
    other.kill()
    with Lock(path, timeout=60):
        pass
    Lock(path).sweep()


def test_the_lock_of_an_object_that_is_gone_is_released(path: Path) -> None:
    lock = Lock(path)
    lock.lock()
    del lock
    assert Lock(path).try_lock()


def test_locking_twice_is_an_error(path: Path) -> None:
    lock = Lock(path)
    with lock:
        with pytest.raises(linklock.AlreadyLocked):
            lock.lock()
        with pytest.raises(linklock.AlreadyLocked):
            lock.try_lock()


def test_what_needs_the_lock_says_so_when_it_is_not_held(path: Path) -> None:
    lock = Lock(path)
    for method in (lock.unlock, lock.refresh, lock.verify, lock.keep_alive):
        with pytest.raises(linklock.NotLocked) as raised:
            method()
        assert raised.value.path == str(path)
    assert lock.remaining == timedelta()
    assert lock.claim_path is None
    assert lock.token is None


def test_a_lost_lock_is_reported(path: Path) -> None:
    lock = Lock(path)
    with pytest.raises(linklock.Lost), lock:
        path.unlink()
        with pytest.raises(linklock.Lost):
            lock.verify()
    with lock:
        pass


def test_a_refresh_extends_the_lease(path: Path) -> None:
    lock = Lock(path, lifetime=timedelta(seconds=30))
    with lock:
        assert timedelta(seconds=20) < lock.remaining <= timedelta(seconds=30)
        lock.refresh(3600)
        assert lock.remaining > timedelta(minutes=59)
        expires_at = lock.expires_at()
        assert expires_at is not None
        assert expires_at > datetime.now(timezone.utc) + timedelta(minutes=50)
        lock.refresh()


def test_a_lock_is_kept_alive(path: Path) -> None:
    with Lock(path, lifetime=1) as lock:
        lock.keep_alive()
        first = lock.expires_at()
        until("it is refreshed twice", lambda: (lock.expires_at() or first) != first)
        second = lock.expires_at()
        until("it is refreshed twice", lambda: (lock.expires_at() or second) != second)
        lock.verify()


def test_a_loss_is_reported_to_the_program(path: Path) -> None:
    lock = Lock(path, lifetime=0.5)
    lock.lock()
    reasons: list[Exception] = []
    lock.keep_alive(reasons.append)
    path.unlink()
    until("on_lost is called", lambda: reasons != [])
    assert isinstance(reasons[0], linklock.Lost)
    with pytest.raises(linklock.Lost):
        lock.unlock()


def test_an_exception_of_the_callback_is_not_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: raised.append(args.exc_value))

    def on_lost(why: Exception) -> None:
        raise KeyError(str(why))

    lock = Lock(path, lifetime=0.5)
    lock.lock()
    lock.keep_alive(on_lost)
    path.unlink()
    until("it is reported", lambda: raised != [])
    assert isinstance(raised[0], KeyError)
    with pytest.raises(linklock.Lost):
        lock.unlock()


def test_each_acquisition_has_a_higher_token(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "the.lock", fencing=True)
    tokens = []
    for _ in range(3):
        with lock:
            tokens.append(lock.token)
    assert tokens == sorted(tokens, key=lambda token: token or 0)
    assert None not in tokens
    assert len(set(tokens)) == 3


def test_a_kept_claim_goes_with_the_handle(path: Path) -> None:
    lock = Lock(path, keep_claim=True)
    with lock:
        claim = lock.claim_path
    assert claim is not None
    assert claim.exists()
    with lock:
        assert lock.claim_path == claim
    del lock
    assert not claim.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"lifetime": 0},
        {"lifetime": -1},
        {"lifetime": float("nan")},
        {"lifetime": timedelta(days=40_000)},
        {"stale": "always"},
        {"separator": "a"},
    ],
)
def test_invalid_options_are_refused(path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Lock(path, **options)  # type: ignore[arg-type]


def test_an_invalid_path_is_refused() -> None:
    with pytest.raises(linklock.Invalid):
        Lock("/")


def test_a_failed_file_operation_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(linklock.FileError) as raised:
        Lock(tmp_path / "missing" / "the.lock").lock()
    assert isinstance(raised.value, OSError)
    assert raised.value.errno == 2
    assert raised.value.filename.startswith(str(tmp_path))


def test_a_file_that_is_no_lock_is_left_alone(path: Path) -> None:
    path.write_text("save me")
    assert not Lock(path).try_lock()
    with pytest.raises(linklock.Held):
        Lock(path).holder()
    assert path.read_text() == "save me"
    path.unlink()


def test_a_copy_has_the_options_and_holds_nothing(path: Path) -> None:
    lock = Lock(path, lifetime=77, timeout=0)
    with lock:
        for other in (copy.copy(lock), pickle.loads(pickle.dumps(lock))):
            assert not other.is_locked
            assert other.path == path
            with pytest.raises(linklock.TimedOut):
                other.lock()
    with copy.deepcopy(lock) as other:
        assert other.remaining > timedelta(seconds=50)


def test_a_relative_path_is_made_absolute_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    lock = Lock(path.name)
    monkeypatch.chdir("/")
    with lock:
        assert path.exists()
    assert lock.path == path


def test_other_threads_run_while_one_waits(path: Path, other: Other) -> None:
    waiter = threading.Thread(target=lambda: Lock(path).lock())
    waiter.start()
    until("it waits", lambda: len(Lock(path).waiters()) == 1)
    began = time.perf_counter()
    sum(range(10_000))
    assert time.perf_counter() - began < 60
    other.end()
    waiter.join()


def test_the_name_of_the_host_can_be_set(path: Path) -> None:
    with Lock(path, host_name="mars"):
        holder = Lock(path).holder()
        assert holder is not None
        assert holder.host == "mars"
        assert os.listdir(path.parent)[0].count("|") in (0, 3)


def test_the_repr_says_which_lock_and_whether_it_is_held(path: Path) -> None:
    lock = Lock(path)
    assert repr(lock) == f"<linklock.Lock {str(path)!r} unlocked>"
    with lock:
        assert repr(lock) == f"<linklock.Lock {str(path)!r} locked>"
