"""Chunks by which editors place a WAV on their timeline: ``bext`` (EBU Tech 3285) and ``iXML``."""

import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

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


_ORIGINATOR = "recall-audio"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when a file's first sample was recorded.

    Attributes:
        description: what is in the file.
        reference: an id of the recording.
        started_at: time of day of the first sample; None where unknown, which places it at midnight.
    """

    description: str
    reference: str
    started_at: datetime | None = None

    def samples_since_midnight(self, rate_hz: int) -> int:
        """bext's TimeReference."""
        if self.started_at is None:
            return 0
        at = self.started_at
        since = at - at.replace(hour=0, minute=0, second=0, microsecond=0)
        return since // timedelta(microseconds=1) * rate_hz // 1_000_000


def bext(origin: Origin, kind: WavFormat) -> Chunk:
    """Broadcast extension, version 1: 602 bytes of fixed fields, then the coding history."""
    at = origin.started_at
    width = {1: "mono", 2: "stereo"}.get(kind.n_channels, "multitrack")
    bits = 8 * kind.sample_bytes
    history = f"A=PCM,F={kind.rate_hz},W={bits},M={width},T={_ORIGINATOR}\r\n".encode("ascii")
    body = struct.pack(
        "<256s32s32s10s8sQH64s190s",
        _ascii(origin.description, 256),
        _ascii(_ORIGINATOR, 32),
        _ascii(origin.reference, 32),
        at.strftime("%Y-%m-%d").encode() if at else b"",
        at.strftime("%H:%M:%S").encode() if at else b"",
        origin.samples_since_midnight(kind.rate_hz),
        1,
        b"",
        b"",
    )
    return b"bext", _even(body + history, b"\0")


def ixml(origin: Origin, kind: WavFormat, names: Sequence[str]) -> Chunk:
    """Track names and the time of the first sample, which several editors read before bext.

    Args:
        origin: where and when.
        kind: rate and width.
        names: one a channel, as people write them.
    """
    at = origin.samples_since_midnight(kind.rate_hz)
    tracks = "".join(
        f"<TRACK><CHANNEL_INDEX>{i}</CHANNEL_INDEX><INTERLEAVE_INDEX>{i}</INTERLEAVE_INDEX>"
        f"<NAME>{_xml(name)}</NAME></TRACK>"
        for i, name in enumerate(names, 1)
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<BWFXML><IXML_VERSION>1.61</IXML_VERSION>'
        f"<PROJECT>{_xml(origin.reference)}</PROJECT><NOTE>{_xml(origin.description)}</NOTE>"
        f"<SPEED><FILE_SAMPLE_RATE>{kind.rate_hz}</FILE_SAMPLE_RATE>"
        f"<AUDIO_BIT_DEPTH>{8 * kind.sample_bytes}</AUDIO_BIT_DEPTH>"
        f"<TIMESTAMP_SAMPLE_RATE>{kind.rate_hz}</TIMESTAMP_SAMPLE_RATE>"
        f"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>{at >> 32}</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>"
        f"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>{at & 0xFFFFFFFF}</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>"
        f"</SPEED><TRACK_LIST><TRACK_COUNT>{len(names)}</TRACK_COUNT>{tracks}</TRACK_LIST></BWFXML>\n"
    )
    return b"iXML", _even(text.encode("utf-8"), b"\n")


def _even(body: bytes, filler: bytes) -> bytes:
    """A body of even length: libsndfile forgets the pad byte of an odd one in RF64, and finds no samples."""
    return body + filler * (len(body) % 2)


def _ascii(text: str, size: int) -> bytes:
    """bext holds ASCII: letters lose their accents, what has no letter in ASCII becomes ``?``."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if c.isprintable() else " " for c in plain).encode("ascii", "replace")[:size]


def _xml(text: str) -> str:
    """Text as XML 1.0 may hold it."""
    return escape("".join(c if c.isprintable() else " " for c in text))
