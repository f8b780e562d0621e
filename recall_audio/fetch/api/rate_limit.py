"""Keep the workspace's rate limits, shared by all processes of one user on one machine.

pyrate-limiter counts calls in one SQLite file for each key, under a file lock: without the lock more calls
pass than are allowed. The end of a hold that a 429 demands lies beside it in a file of its own. Where no
file can be kept (no home, a full disk), each process counts in memory.
"""

import contextlib
import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from recall_audio.files import state_folder

if TYPE_CHECKING:
    from pyrate_limiter import AbstractBucket, Rate

CallKind = Literal["list", "retrieve", "create"]

PER_MINUTE: dict[CallKind, int] = {"list": 55, "retrieve": 270, "create": 55}
"""Calls a minute that are made of each kind; the workspace's own limits are 60, 300 and 60."""

MINUTE_S = 60.5
"""Seconds that count as a minute: one call may be under way for longer than another."""

_LONGEST_HOLD_S = 600.0
"""Seconds; a hold that ends later than this is none: the clock was set back."""

_CLOCK_TOLERANCE_MS = 1000
"""Milliseconds by which a counted call may lie in the future; beyond it the clock was set back."""

_FILE_FAILURES = (OSError, sqlite3.Error)


class RateLimit:
    """Limits and holds, in memory or in a folder.

    The caller waits, so that the wait can be cancelled.

    Args:
        folder: created if missing; all processes that use it share the limits. None counts in memory.
        now: seconds since the epoch.

    Raises:
        OSError, sqlite3.Error: nothing can be kept in the folder.
    """

    def __init__(self, folder: Path | None = None, now: Callable[[], float] = time.time) -> None:
        from pyrate_limiter import InMemoryBucket

        self._now = now
        self._lock = threading.Lock()
        self._held_until = 0.0
        self._buckets: Mapping[CallKind, AbstractBucket] = {
            kind: InMemoryBucket([rate]) for kind, rate in _rates().items()
        }
        self._shared = None if folder is None else _SharedCounts(folder)

    def acquire(self, kind: CallKind) -> float:
        """Count a call that may be made now and return 0, or return the seconds until the next try."""
        now = self._now()
        held_s = self._hold_end() - now
        if 0.0 < held_s < _LONGEST_HOLD_S:
            return min(held_s, MINUTE_S)
        with self._lock:
            if self._shared is not None:
                with contextlib.suppress(*_FILE_FAILURES):
                    return _acquire(self._shared.buckets[kind], kind, now)
            return _acquire(self._buckets[kind], kind, now)

    def hold_until(self, end: float) -> None:
        """Hold the calls of all processes until `end`, seconds since the epoch.

        A later hold stays.
        """
        with self._lock:
            self._held_until = max(self._held_until, end)
        if self._shared is not None:
            self._shared.hold_until(end)

    def _hold_end(self) -> float:
        shared = 0.0 if self._shared is None else self._shared.held_until()
        return max(self._held_until, shared)


class _SharedCounts:
    """Counts and the end of a hold in a folder."""

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock
        from pyrate_limiter import SQLiteBucket

        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file, self._lock = folder / "held_until", FileLock(folder / "held_until.lock")
        self.buckets: Mapping[CallKind, AbstractBucket] = {
            kind: SQLiteBucket.init_from_file(
                [rate],
                table=f"calls_{kind}",
                db_path=str(folder / "calls.sqlite"),
                use_file_lock=True,
            )
            for kind, rate in _rates().items()
        }

    def held_until(self) -> float:
        """Return the end of the hold, seconds since the epoch, 0 where there is none."""
        try:
            return float(self._file.read_text("ascii"))
        except (OSError, ValueError):
            return 0.0  # none yet, or being written at this moment

    def hold_until(self, end: float) -> None:
        """Write the end of a hold unless a later one is there, or the file cannot be written."""
        with contextlib.suppress(OSError), self._lock:
            if end > self.held_until():
                self._file.write_text(f"{end:.3f}", "ascii")


def _rates() -> dict[CallKind, "Rate"]:
    from pyrate_limiter import Rate

    return {kind: Rate(n_calls, round(1000 * MINUTE_S)) for kind, n_calls in PER_MINUTE.items()}


def _acquire(bucket: "AbstractBucket", kind: CallKind, now: float) -> float:
    """Count a call in a bucket and return 0, or return the seconds until it has room."""
    from pyrate_limiter import RateItem

    now_ms = int(now * 1000)
    latest = cast("RateItem | None", bucket.peek(0))
    if latest is not None and latest.timestamp > now_ms + _CLOCK_TOLERANCE_MS:
        bucket.flush()  # the clock was set back: calls counted in the future must not block
    item = RateItem(kind, now_ms)
    if bucket.put(item):
        bucket.leak(now_ms)
        return 0.0
    return min(max(cast(int, bucket.waiting(item)), 1) / 1000.0, MINUTE_S)


def shared_rate_limit(key: str) -> RateLimit:
    """Return the limits of all processes of this user on this machine that use `key`."""
    digest = hashlib.sha256(b"pace of " + key.encode()).hexdigest()[:16]
    return _opened(state_folder() / "limits" / digest)


@cache
def _opened(folder: Path) -> RateLimit:
    try:
        return RateLimit(folder)
    except _FILE_FAILURES:
        return RateLimit()
