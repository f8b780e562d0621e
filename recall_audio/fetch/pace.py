"""How fast the API may be asked: the workspace's limits, and the hold that a 429 puts on everybody.

This is the seam: the fetcher only knows :class:`Pace`. :class:`InProcessPace` serves the threads of one
process; :class:`~recall_audio.fetch.shared_pace.SharedPace` those of all processes of a machine.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

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
