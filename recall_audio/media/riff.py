"""The header of a WAV file, plain or RF64, as bytes.

The writer makes its own header because libsndfile's is not the same twice (a float file's PEAK chunk holds
the time of day), and takes no chunk of ours; a re-run must give the same bytes. Layout, by
EBU Tech 3306 (RF64), where the first chunk keeps the place for 64-bit sizes::

    RIFF size WAVE │ JUNK 28 bytes │ further chunks │ fmt  │ fact (float) │ data size │ samples │ pad
    RF64  -1  WAVE │ ds64 sizes    │      ...                             │ data  -1  │
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

PLAIN_LIMIT = 0xFFFF_FFFF
"""Bytes that a plain WAV can count."""

Chunk = tuple[bytes, bytes]
"""A four-letter name and a body, such as ``(b"bext", ...)``."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # KSDATAFORMAT_SUBTYPE_*, after the format tag


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What the samples of a WAV file are.

    Attributes:
        rate_hz: sample rate.
        bits: ``16`` and ``24``: integers; ``32f``: floats, full scale ±1.
        n_channels: channels, interleaved.
    """

    rate_hz: int
    bits: str = "16"
    n_channels: int = 1

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of one channel."""
        return {"16": 2, "24": 3, "32f": 4}[self.bits]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one moment of all channels."""
        return self.sample_bytes * self.n_channels


def chunk(name: bytes, body: bytes) -> bytes:
    """One RIFF chunk, padded to an even length."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def header(kind: WavFormat, n_data: int, chunks: Sequence[Chunk] = ()) -> bytes:
    """Everything before the samples, for `n_data` bytes of them; its length does not depend on `n_data`."""
    middle = b"".join(chunk(name, body) for name, body in chunks) + _format(kind)
    n_frames = n_data // kind.frame_bytes
    if kind.bits == "32f":
        middle += chunk(b"fact", struct.pack("<I", min(n_frames, PLAIN_LIMIT)))
    n_riff = 4 + 36 + len(middle) + 8 + n_data + n_data % 2
    if n_riff <= PLAIN_LIMIT:
        start = b"RIFF" + struct.pack("<I", n_riff) + b"WAVE" + chunk(b"JUNK", bytes(28))
        return start + middle + b"data" + struct.pack("<I", n_data)
    sizes = struct.pack("<QQQI", n_riff, n_data, n_frames, 0)
    start = b"RF64" + struct.pack("<I", PLAIN_LIMIT) + b"WAVE" + chunk(b"ds64", sizes)
    return start + middle + b"data" + struct.pack("<I", PLAIN_LIMIT)


def _format(kind: WavFormat) -> bytes:
    """The ``fmt`` chunk; extensible from three channels on, which are then at no place in particular."""
    tag = _FLOAT if kind.bits == "32f" else _PCM
    wide = kind.n_channels > 2
    bits = 8 * kind.sample_bytes
    body = struct.pack(
        "<HHIIHH",
        _EXTENSIBLE if wide else tag,
        kind.n_channels,
        kind.rate_hz,
        kind.rate_hz * kind.frame_bytes,
        kind.frame_bytes,
        bits,
    )
    if wide:
        body += struct.pack("<HHIH", 22, bits, 0, tag) + _GUID_TAIL
    elif tag == _FLOAT:
        body += struct.pack("<H", 0)
    return chunk(b"fmt ", body)
