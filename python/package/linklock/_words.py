"""The words that every part of the package uses: a holder, a state, a length of time."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional, Union

__all__ = ["Holder", "Interval", "State", "seconds"]

Interval = Union[int, float, timedelta]
"""A length of time: a number of seconds, or a timedelta."""


@dataclass(frozen=True)
class Holder:
    """The process that held the lock, or waited for it, when that was observed."""

    host: str
    """The host that it runs on, by its own name for itself."""
    pid: int
    """Its process id, on its own host."""
    claim_path: os.PathLike[str]
    """Its claim, a file beside the lock file."""
    format: str
    """The program whose format the claim has: `"linklock"` or `"flufl.lock"`."""
    is_alive: Optional[bool]
    """Whether its process runs; None if this host cannot tell."""
    expires_at: datetime
    """When its lease ends, in the file server's time."""
    refreshed_at: datetime
    """When it last took or refreshed the lock, in the file server's time."""
    idle: timedelta
    """How long it had not refreshed the lock."""
    remaining: timedelta
    """How much longer its lease ran; zero if it had ended."""
    is_expired: bool
    """Whether its lease had ended."""
    description: str
    """All this in a few words, for a message."""

    def __str__(self) -> str:
        return self.description


class State(enum.Enum):
    """What can be inferred about a lock without holding it."""

    UNLOCKED = "unlocked"
    """There is no lock file."""
    OURS = "ours"
    """This process holds it, and its lease runs."""
    OURS_EXPIRED = "ours_expired"
    """This process holds it, but its lease has ended: another process may take it."""
    STALE = "stale"
    """Its holder is provably dead."""
    THEIRS_EXPIRED = "theirs_expired"
    """Another process holds it, and its lease has ended."""
    UNKNOWN = "unknown"
    """Another process holds it, or the file of that name is not a lock."""


def seconds(interval: Interval) -> float:
    """The length of time in seconds."""
    length = interval.total_seconds() if isinstance(interval, timedelta) else float(interval)
    if not length >= 0:
        raise ValueError(f"a length of time must not be negative: {interval!r}")
    return length
