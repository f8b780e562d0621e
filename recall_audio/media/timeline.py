"""Place frames on one clock: the count of samples, and the timestamps where many of them agree.

What is lost leaves later audio in its place::

    timestamps   |--1--|--2--|     |--4--|--5--|      frame 3 was lost
    by counting  |--1--|--2--|--4--|--5--|            everything later is early
    here         |--1--|--2--|~~~~~|--4--|--5--|      silence in its place

A timestamp is a claim. Frames that disagree with the count are held until the count is confirmed or a few
seconds agree on another clock:

* one page late or at time 0, and the next as expected: the page's timestamps are wrong, nothing moves;
* all later frames late: audio is missing, and silence takes its place;
* all later frames early: nothing is known to be there twice, so every sample is kept and the clock is moved.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from recall_audio.typing import FloatArray

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

HELD_S = 11.0
"""Seconds of frames that may disagree with the count before another clock is believed: twice the longest page
of an Ogg file, 255 packets of 20 ms (RFC 3533, 6), so that a page is outvoted."""

UNTIMED_S = 1.0
"""Seconds that frames without any timestamp are held for one that has one."""

RESTART_S = 1.0
"""Seconds; timestamps that go back by more begin a new count."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A frame in its place.

    Attributes:
        n_silence: samples of silence before it.
        item: the frame.
        n_back: samples by which the timestamps go back here for good.
    """

    n_silence: int
    item: Any
    n_back: int = 0


@dataclass(slots=True)
class Timeline:
    """Places frames one after the other.

    All counts are samples of the source.

    Attributes:
        rate_hz: the source's sample rate.
        tolerance: smaller disagreements between timestamp and count are rounding, not loss.
        limit: a place beyond this comes from a broken timestamp and is not silence.
        count: samples placed so far, silence included.
        n_outliers: samples whose timestamps were not believed.
    """

    rate_hz: int
    tolerance: int
    limit: int
    count: int = 0
    n_outliers: int = 0
    _shift: int = 0
    _n_held: int = 0
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
            yield Placed(0, item)
            return
        agrees = pts is not None and abs(pts + self._shift - self.count - self._n_held) <= self.tolerance
        self._held.append((pts, n_samples, item))
        self._n_held += n_samples
        if agrees:
            yield from self._continue(len(self._held))
            return
        while self._n_held > (HELD_S if self._is_timed() else UNTIMED_S) * self.rate_hz:
            yield from self._decide()

    def flush(self) -> Iterator[Placed]:
        """Yield the frames that are held: nothing more will be known about their places."""
        while self._held:
            yield from self._decide()

    def _is_timed(self) -> bool:
        return any(pts is not None for pts, _, _ in self._held)

    def _continue(self, n_frames: int) -> Iterator[Placed]:
        """Yield the first held frames as they follow the count."""
        for _ in range(n_frames):
            pts, n_samples, item = self._held.popleft()
            if pts is not None and abs(pts + self._shift - self.count) > self.tolerance:
                self.n_outliers += n_samples
            self.count += n_samples
            self._n_held -= n_samples
            yield Placed(0, item)

    def _decide(self) -> Iterator[Placed]:
        """Yield held frames up to where the count holds again, once the clock there is decided."""
        jumps = self._jumps()
        agreeing = np.flatnonzero(np.abs(jumps) <= self.tolerance)
        if len(agreeing) or np.all(np.isnan(jumps)):
            yield from self._continue(int(agreeing[0]) + 1 if len(agreeing) else len(jumps))
            return
        jump = self._believed(jumps)
        n_back = 0
        if jump < 0 or self.count + jump > self.limit:
            self._shift -= jump
            jump, n_back = 0, -jump
        self.count += jump
        first = next(self._continue(1))
        yield Placed(jump, first.item, n_back)

    def _jumps(self) -> FloatArray:
        """Return by how many samples each held frame belongs later than the count; NaN where unknown."""
        length = np.array([n for _, n, _ in self._held], dtype=np.float64)
        pts = np.array([np.nan if pts is None else pts for pts, _, _ in self._held], dtype=np.float64)
        return np.asarray(pts + self._shift - self.count - np.cumsum(length) + length)

    def _believed(self, jumps: FloatArray) -> int:
        """Return the jump before the first held frame: what most of the held samples agree on.

        A second jump among them moves the later ones farther; the first frames' smaller jump is then theirs.
        """
        length = np.array([n for _, n, _ in self._held], dtype=np.float64)
        known = np.flatnonzero(~np.isnan(jumps))
        near = np.abs(jumps[known][:, None] - jumps[known][None, :]) <= self.tolerance
        first, most = jumps[known[0]], int(np.argmax(near @ length[known]))
        is_first_of_two = 0.0 < first / jumps[known[most]] < 1.0 and not near[0, most]
        first_group = near[0] if is_first_of_two else near[most]
        # The upper of two middle ones would differ from a timestamp by a part of a frame.
        return int(np.sort(jumps[known][first_group])[(np.count_nonzero(first_group) - 1) // 2])


class LostFrames:
    """Counts bytes to find by how many frames the demuxer's count is behind.

    Attributes:
        shift: frames to add to the timestamps of later frames.
    """

    def __init__(self) -> None:
        self.shift = 0
        self._usual = 0
        self._good_bytes = self._n_good = 0
        self._damaged_bytes = self._counted = 0

    def failed(self, packet: "Packet[AudioStream]") -> None:
        """Count a packet that the decoder refused.

        The demuxer counted one frame for it.
        """
        self._damaged_bytes += packet.size
        self._counted += 1

    def decoded(self, packet: "Packet[AudioStream]") -> None:
        """Count a packet that gave a frame.

        Zeros before it are damage: ``|0000 damage|frame|``.
        """
        size = packet.size
        if abs(size - self._usual) > 1:  # padding makes a byte of difference; no need to look closer
            self._usual = len(bytes(memoryview(packet)).lstrip(b"\0"))
            self._damaged_bytes += size - self._usual
            size = self._usual
        if self._damaged_bytes:
            self._settle()
        self._good_bytes += size
        self._n_good += 1

    def _settle(self) -> None:
        """Convert the bytes of damage that has ended into frames."""
        if self._n_good:
            self.shift += round(self._damaged_bytes * self._n_good / self._good_bytes) - self._counted
        self._damaged_bytes = self._counted = 0
