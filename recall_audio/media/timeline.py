"""Place frames by their timestamps.

What is lost leaves later audio in its place::

    timestamps   |--1--|--2--|     |--4--|--5--|      frame 3 was lost
    by counting  |--1--|--2--|--4--|--5--|            everything later is early
    here         |--1--|--2--|~~~~~|--4--|--5--|      silence in its place
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_HELD_S = 1.0
"""Seconds that frames without a timestamp are held for one that has one."""

RESTART_S = 1.0
"""Seconds; timestamps that go back by more begin a new count (a chained Ogg file)."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A frame in its place.

    Attributes:
        n_silence: samples of silence before it.
        n_skipped: samples at its beginning that are already there.
        item: the frame.
        restarted: the timestamps begin anew here.
    """

    n_silence: int
    n_skipped: int
    item: Any
    restarted: bool = False


@dataclass(slots=True)
class Timeline:
    """Places frames one after the other.

    All counts are samples of the source.

    Attributes:
        rate_hz: the source's sample rate.
        tolerance: smaller disagreements between timestamp and count are rounding, not loss.
        look_ahead: frames considered before a jump is accepted. Vorbis' timestamps are now and then late by
            a part of a block and right again at the next frame: the smallest jump is the true one.
        limit: a place beyond this comes from a broken timestamp and is not silence.
        count: samples placed so far, silence included.
    """

    rate_hz: int
    tolerance: int
    look_ahead: int
    limit: int
    count: int = 0
    _shift: int = 0
    _held: deque[tuple[int | None, int, Any]] = field(default_factory=deque)

    def follows(self, pts: int | None, n_samples: int) -> bool:
        """Place a frame that comes next, as nearly all do, or return False and place nothing."""
        if self._held or pts is None or abs(pts + self._shift - self.count) > self.tolerance:
            return False
        self.count += n_samples
        return True

    def place(self, pts: int | None, n_samples: int, item: Any) -> Iterator[Placed]:
        """Take a frame and yield the frames that can be placed now.

        Args:
            pts: its timestamp, samples; None where it has none.
            n_samples: its length.
            item: the frame.
        """
        if self.follows(pts, n_samples):
            yield Placed(0, 0, item)
            return
        self._held.append((pts, n_samples, item))
        n_known = sum(held_pts is not None for held_pts, _, _ in self._held)
        n_held = sum(n for _, n, _ in self._held)
        if n_known >= self.look_ahead or n_held > MAX_HELD_S * self.rate_hz:
            yield from self.flush()

    def flush(self) -> Iterator[Placed]:
        """Yield the frames that are held.

        Nothing more will be known about their places.
        """
        jump, restarted = self._jump(), False
        if jump < -RESTART_S * self.rate_hz or self.count + jump > self.limit:
            self._shift -= jump
            jump, restarted = 0, True
        n_silence = jump if jump > self.tolerance else 0
        n_overlap = -jump if jump < -self.tolerance else 0
        self.count += n_silence
        while self._held:
            _, n_samples, item = self._held.popleft()
            n_skipped = min(n_overlap, n_samples)
            n_overlap -= n_skipped
            self.count += n_samples - n_skipped
            yield Placed(n_silence, n_skipped, item, restarted)
            n_silence, restarted = 0, False

    def _jump(self) -> int:
        """Return by how many samples the held frames belong later than the count."""
        jumps, offset = [], self.count - self._shift
        for pts, n_samples, _ in self._held:
            if pts is not None:
                jumps.append(pts - offset)
            offset += n_samples
        return min(jumps, default=0)
