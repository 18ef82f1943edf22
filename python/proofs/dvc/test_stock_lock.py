"""DVC with the stock flufl.lock, which keeps its claim under an MD5 name in another directory.

linklock respects such a lock, and DVC respects linklock's.
"""

from __future__ import annotations

from pathlib import Path

import flufl.lock
import pytest
from dvc.lock import LockError, make_lock

import linklock
import linklock.flufl


def test_they_respect_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "linklock" not in (flufl.lock.__file__ or "")
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.01)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = tmp_path / "lock"
    dvcs = make_lock(str(path), tmp_dir=str(elsewhere), hardlink_lock=True)
    ours = linklock.Lock(path)
    with dvcs:
        (claim,) = elsewhere.iterdir()
        assert claim.samefile(path)
        assert not ours.try_lock()
        assert ours.state() is linklock.State.UNKNOWN
        with pytest.raises(linklock.flufl.TimeOutError):
            linklock.flufl.Lock(str(path)).lock(timeout=0)
        assert dvcs.is_locked
    with ours, pytest.raises(LockError):
        dvcs.lock()
    with dvcs:
        pass
    assert list(tmp_path.rglob("*")) == [elsewhere]
