"""The workspace's limits, held by all processes of this user on this machine together.

Calls are counted in one SQLite file for each key, under a file lock: without the lock more calls go through
than there may be. A 429's hold lies beside it. Where neither can be kept (no home, a full disk), each process
keeps the limits for itself.
"""

import contextlib
import hashlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, Protocol, cast

from recall_audio.files import state_folder

CallKind = Literal["list", "retrieve", "create"]

PER_MINUTE: dict[CallKind, int] = {"list": 55, "retrieve": 270, "create": 55}
"""Calls a minute that are made of each kind; the workspace's own limits are 60, 300 and 60."""

MINUTE_S = 60.5
"""What counts as a minute here: calls may be under way for some time, one longer than the other."""


class Pace(Protocol):
    """When the next call may be made. The caller does the waiting, so that it can be stopped."""

    def before(self, kind: CallKind) -> float:
        """Seconds to wait before asking again here; 0: the call is counted and may be made now."""

    def hold_until(self, at: float) -> None:
        """Let nobody ask before `at`, seconds since the epoch; a later hold stands."""


class InProcessPace:
    """A sliding minute for each kind of call, shared by the threads of one process."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._held_until = 0.0
        self._made: dict[CallKind, deque[float]] = {k: deque(maxlen=n) for k, n in PER_MINUTE.items()}

    def before(self, kind: CallKind) -> float:
        """Seconds to wait before asking again here; 0: the call is counted and may be made now."""
        with self._lock:
            now, made = self._now(), self._made[kind]
            free_at = made[0] + MINUTE_S if len(made) == made.maxlen else 0.0
            wait_s = max(free_at, self._held_until) - now
            if wait_s <= 0.0:
                made.append(now)
            return min(max(wait_s, 0.0), MINUTE_S)

    def hold_until(self, at: float) -> None:
        """Let nobody ask before `at`, seconds since the epoch; a later hold stands."""
        with self._lock:
            self._held_until = max(self._held_until, at)


_LONGEST_HOLD_S = 600.0
# A hold further ahead is none: the clock was set back.
_AHEAD_MS = 1000
_Failures = (OSError, sqlite3.Error)


class SharedPace:
    """Limits and holds that lie in a folder.

    Args:
        folder: made where it is not there; whoever uses the same one shares the limits.
        now: seconds since the epoch.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        from filelock import FileLock
        from pyrate_limiter import Rate, SQLiteBucket

        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._now, self._held, self._lock = now, folder / "held_until", FileLock(folder / "held_until.lock")
        self._alone = InProcessPace(now)
        self._buckets: dict[CallKind, SQLiteBucket] = {
            kind: SQLiteBucket.init_from_file(
                [Rate(n, round(1000 * MINUTE_S))],
                table=f"calls_{kind}",
                db_path=str(folder / "calls.sqlite"),
                use_file_lock=True,
            )
            for kind, n in PER_MINUTE.items()
        }

    def before(self, kind: CallKind) -> float:
        """Seconds to wait before asking again here; 0: the call is counted and may be made now."""
        held_s = self._held_until() - self._now()
        if 0.0 < held_s < _LONGEST_HOLD_S:
            return min(held_s, MINUTE_S)
        try:
            return self._wait_s(kind)
        except _Failures:
            return self._alone.before(kind)

    def _wait_s(self, kind: CallKind) -> float:
        from pyrate_limiter import RateItem

        bucket, now_ms = self._buckets[kind], int(self._now() * 1000)
        latest = bucket.peek(0)
        if latest is not None and latest.timestamp > now_ms + _AHEAD_MS:
            bucket.flush()  # the clock was set back: counts of the future hold nobody
        item = RateItem(kind, now_ms)
        if bucket.put(item):
            bucket.leak(now_ms)
            return 0.0
        return min(max(cast(int, bucket.waiting(item)), 1) / 1000.0, MINUTE_S)

    def hold_until(self, at: float) -> None:
        """Let nobody ask before `at`, seconds since the epoch; a later hold stands."""
        self._alone.hold_until(at)
        with contextlib.suppress(OSError), self._lock:
            if at > self._held_until():
                self._held.write_text(f"{at:.3f}", "ascii")

    def _held_until(self) -> float:
        try:
            return float(self._held.read_text("ascii"))
        except (OSError, ValueError):
            return 0.0  # none yet, or being written this very moment


def pace_of(key: str) -> Pace:
    """The pace of everybody on this machine who asks with this key."""
    digest = hashlib.sha256(b"pace of " + key.encode()).hexdigest()[:16]
    return _opened(state_folder() / "limits" / digest)


@cache
def _opened(folder: Path) -> Pace:
    try:
        return SharedPace(folder)
    except _Failures:
        return InProcessPace()
