"""Where decoded frames go: by their timestamps, so that what is lost leaves later audio in its place.

::

    timestamps   |--1--|--2--|     |--4--|--5--|      frame 3 was lost
    by counting  |--1--|--2--|--4--|--5--|            everything later is early
    here         |--1--|--2--|~~~~~|--4--|--5--|      silence in its place
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_HELD_S = 1.0
"""Frames without a timestamp are held up to this long for one that has one."""

RESTART_S = 1.0
"""Timestamps that go back by more than this begin a new count (a chained Ogg file)."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One frame in its place.

    Attributes:
        silence: samples of silence before it.
        skip: samples at its beginning that are already there.
        item: the frame.
        restarted: the timestamps begin anew here.
    """

    silence: int
    skip: int
    item: Any
    restarted: bool = False


@dataclass(slots=True)
class Timeline:
    """Puts frames one after the other, all counts in samples of the source.

    Attributes:
        rate_hz: the source's sample rate.
        tolerance: smaller disagreements between timestamp and count are rounding, not loss.
        look_ahead: frames looked at before a jump is believed. Vorbis' timestamps are now and then late by
            a part of a block and right again at the next frame: the least jump is the true one.
        limit: a place beyond this is a broken timestamp, not silence.
        count: samples placed so far, silence included.
    """

    rate_hz: int
    tolerance: int
    look_ahead: int
    limit: int
    count: int = 0
    _shift: int = 0
    _held: deque[tuple[int | None, int, Any]] = field(default_factory=deque)

    def follows(self, at: int | None, n: int) -> bool:
        """Place a frame that simply comes next, as nearly all do; False, and nothing done, otherwise."""
        if self._held or at is None or abs(at + self._shift - self.count) > self.tolerance:
            return False
        self.count += n
        return True

    def place(self, at: int | None, n: int, item: Any) -> Iterator[Placed]:
        """Frames that can be placed now that one of `n` samples with timestamp `at` has come."""
        if self.follows(at, n):
            yield Placed(0, 0, item)
            return
        self._held.append((at, n, item))
        known = sum(at is not None for at, _, _ in self._held)
        held = sum(n for _, n, _ in self._held)
        if known >= self.look_ahead or held > MAX_HELD_S * self.rate_hz:
            yield from self.flush()

    def flush(self) -> Iterator[Placed]:
        """Place the frames that are held: nothing more will be known about them."""
        jump, restarted = self._jump(), False
        if jump < -RESTART_S * self.rate_hz or self.count + jump > self.limit:
            self._shift -= jump
            jump, restarted = 0, True
        silence = jump if jump > self.tolerance else 0
        overlap = -jump if jump < -self.tolerance else 0
        self.count += silence
        while self._held:
            _, n, item = self._held.popleft()
            skip = min(overlap, n)
            overlap -= skip
            self.count += n - skip
            yield Placed(silence, skip, item, restarted)
            silence, restarted = 0, False

    def _jump(self) -> int:
        """By how many samples the held frames belong later than the count says."""
        jumps, offset = [], self.count - self._shift
        for at, n, _ in self._held:
            if at is not None:
                jumps.append(at - offset)
            offset += n
        return min(jumps, default=0)
