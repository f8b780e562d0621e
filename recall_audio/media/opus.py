"""Decode whole Ogg/Opus files at 16 kHz, where the package for it is installed.

Opus codes bands: a decoder that is asked for 16 kHz leaves the upper ones out, and nothing is resampled after
it. That is half the CPU of decoding at 48 kHz. PyAV cannot ask for it; sphn (extra ``quick``) can, and knows
nothing of damage. So a file comes here only if every page of it is whole, in order and without a gap.
"""

import contextlib
import importlib.util
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recall_audio.typing import Float32Array

RATE_HZ = 16_000
"""The rate that is decoded to."""

_TICKS = 3
"""Ticks of Opus' clock, 48 kHz, a sample."""

_AT_ONCE_TICKS = 48_000
"""Ticks given to the decoder at once, and a page more: it refuses more than six seconds."""

_HEADER = 27  # bytes of a page before its table of lengths, RFC 3533
_IS_CONTINUED, _IS_FIRST, _IS_LAST = 1, 2, 4
_NO_PACKET_ENDS = -1
_MOST_TICKS = 5760  # 120 ms, the longest packet: RFC 6716, section 3.2.5
_OPUS_HEAD, _OPUS_TAGS = b"OpusHead", b"OpusTags"

_FRAME_TICKS = [
    *(t for _ in range(3) for t in (480, 960, 1920, 2880)),
    *(t for _ in range(2) for t in (480, 960)),
    *(t for _ in range(4) for t in (120, 240, 480, 960)),
]
"""Ticks of a frame by the first five bits of a packet: RFC 6716, table 2."""

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the other order: Ogg's checksum is zlib's, mirrored."""


@dataclass(frozen=True, slots=True)
class WholeOpus:
    """A file in which nothing is missing.

    Attributes:
        n_skipped: samples at 16 kHz before the first that counts.
        n_samples: samples that count.
        chunks: bytes of each run of pages that the decoder gets at once.
    """

    n_skipped: int
    n_samples: int
    chunks: tuple[int, ...]


def is_installed() -> bool:
    """Return whether the decoder's package is there."""
    return importlib.util.find_spec("sphn") is not None


def whole_opus(path: Path) -> WholeOpus | None:
    """Return the length of an Ogg/Opus file that is whole; None for any other file.

    Whole is: one link, one mono stream without gain; pages with right checksums in an unbroken count; and
    timestamps that are, page for page, the sum of the packets' lengths (RFC 3533, RFC 7845).
    """
    with path.open("rb") as stream, contextlib.suppress(_NotWholeError, IndexError):
        return _read(_Pages(stream.read))
    return None


def decode_whole(path: Path, whole: WholeOpus) -> Iterator[Float32Array]:
    """Yield the samples of a whole file in blocks, float32, full scale ±1.

    Raises:
        ValueError: a packet cannot be decoded, or not all samples came.
    """
    import sphn

    reader, n_left, n_skip = sphn.OpusStreamReader(RATE_HZ), whole.n_samples, whole.n_skipped
    with path.open("rb") as stream:
        for n_bytes in whole.chunks:
            try:
                decoded = reader.append_bytes(stream.read(n_bytes))
            except BaseException as error:
                if type(error).__name__ != "PanicException":  # Rust's, which is no Exception
                    raise
                raise ValueError(str(error)) from None
            if decoded is None:
                continue
            block = np.asarray(decoded, dtype=np.float32).ravel()
            block, n_skip = block[n_skip:], max(n_skip - len(block), 0)
            yield block[:n_left]
            n_left -= len(block[:n_left])
    if n_left:
        raise ValueError(f"{n_left} samples of {path.name} did not come")


class _NotWholeError(Exception):
    """The file has to be decoded by what can read damaged ones."""


@dataclass(frozen=True, slots=True)
class _Page:
    """One page: bytes, flags, timestamp, the packets that end on it, and whether the last one goes on."""

    n_bytes: int
    flags: int
    ticks: int
    packets: list[bytes]
    goes_on: bool


class _Pages:
    """Reads pages one by one, and packets across them."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self._serial, self._count, self._begun = read, b"", 0, b""

    def __iter__(self) -> Iterator[_Page]:
        while header := self._read(_HEADER):
            if len(header) < _HEADER or header[:5] != b"OggS\0":
                raise _NotWholeError
            lengths = self._exactly(header[26])
            yield self._page(header, lengths, self._exactly(sum(lengths)))

    def _exactly(self, n: int) -> bytes:
        found = self._read(n)
        if len(found) < n:
            raise _NotWholeError
        return found

    def _page(self, header: bytes, lengths: bytes, body: bytes) -> _Page:
        """Return a page after its checks."""
        flags, serial, count = header[5], header[14:18], int.from_bytes(header[18:22], "little")
        self._serial = self._serial or serial
        is_next = serial == self._serial and count == self._count
        if (
            not is_next
            or bool(flags & _IS_CONTINUED) != bool(self._begun)
            or not _is_intact(header, lengths, body)
        ):
            raise _NotWholeError
        self._count += 1
        packets, start, end = [], 0, 0
        for length in lengths:
            end += length
            if length < 255:
                packets.append(self._begun + body[start:end])
                self._begun, start = b"", end
        self._begun += body[start:]
        ticks = int.from_bytes(header[6:14], "little", signed=True)
        n_bytes = len(header) + len(lengths) + len(body)
        return _Page(n_bytes, flags, ticks, packets, bool(lengths) and lengths[-1] == 255)


def _is_intact(header: bytes, lengths: bytes, body: bytes) -> bool:
    """Return whether a page's checksum is right: polynomial 0x04C11DB7 from 0, RFC 3533."""
    mirrored = (header[:22] + b"\0\0\0\0" + header[26:] + lengths + body).translate(_REVERSED)
    value = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return header[22:26] == value.to_bytes(4, "big").translate(_REVERSED)


def _read(pages: _Pages) -> WholeOpus:
    """Return the length of a whole file.

    Raises:
        _NotWholeError: it is none.
        IndexError: a packet is shorter than its own header.
    """
    following = iter(pages)
    first = next(following, None)
    n_skipped = _skipped(first)
    clock, chunks, last_cut = _Clock(), [first.n_bytes if first else 0], 0
    for page in following:
        clock.advance(page)
        if clock.ticks - last_cut > _AT_ONCE_TICKS:
            chunks.append(0)
            last_cut = clock.ticks
        chunks[-1] += page.n_bytes
    if not clock.is_over or clock.position <= n_skipped:
        raise _NotWholeError
    return WholeOpus(n_skipped // _TICKS, (clock.position - n_skipped) // _TICKS, tuple(chunks))


class _Clock:
    """Counts the ticks of packets and compares them with the pages' timestamps.

    Attributes:
        ticks: of all packets so far.
        position: the last timestamp.
        is_over: the last page has come.
    """

    def __init__(self) -> None:
        self.ticks, self.position, self.is_over, self._in_tags = 0, 0, False, True

    def advance(self, page: _Page) -> None:
        """Take the next page."""
        if self.is_over or page.flags & _IS_FIRST:
            raise _NotWholeError  # a second link
        packets = page.packets
        if self._in_tags and packets:
            if not packets[0].startswith(_OPUS_TAGS) or len(packets) > 1 or page.goes_on:
                raise _NotWholeError
            self._in_tags, packets = False, []
        self.is_over = bool(page.flags & _IS_LAST)
        self.ticks += sum(map(_packet_ticks, packets))
        if packets:
            is_cut = self.is_over and self.position <= page.ticks < self.ticks  # the end of the last packet
            if page.ticks != self.ticks and not is_cut:
                raise _NotWholeError
            self.position = page.ticks
        elif page.ticks not in (self.position, _NO_PACKET_ENDS):
            raise _NotWholeError


def _skipped(page: _Page | None) -> int:
    """Return the ticks before the first sample that counts, by a stream's first page (RFC 7845, 5.1)."""
    if page is None or not page.flags & _IS_FIRST or len(page.packets) != 1:
        raise _NotWholeError
    head = page.packets[0]
    n_channels, gain, family = head[9], head[16:18], head[18]
    n_skipped = int.from_bytes(head[10:12], "little")
    if not head.startswith(_OPUS_HEAD) or head[8] > 15 or n_channels != 1 or any(gain) or family:
        raise _NotWholeError
    if n_skipped % _TICKS:
        raise _NotWholeError  # its first sample lies between two at 16 kHz
    return n_skipped


def _packet_ticks(packet: bytes) -> int:
    """Return the length of a packet: RFC 6716, section 3.1."""
    kind = packet[0]
    n_frames = (1, 2, 2)[kind & 3] if kind & 3 < 3 else packet[1] & 63
    ticks = n_frames * _FRAME_TICKS[kind >> 3]
    if not 0 < ticks <= _MOST_TICKS:
        raise _NotWholeError
    return ticks
