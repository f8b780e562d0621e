"""Recognise a file's container by its first bytes, whatever its name or declared format."""

import re
from collections.abc import Callable
from typing import IO

HEAD_BYTES = 65_536
"""Bytes of a file's beginning that :func:`recognise` can use."""

CONTAINERS = ("mp3", "ogg", "wav", "flac", "mp4")
"""Every container that :func:`recognise` knows."""

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"styp", b"wide", b"free", b"skip")
_CHAIN_FRAMES = 4  # four headers that agree and follow each other: chance finds that once in 2^50 bytes
_TEXT_BYTES = 1024
_ID3V1_BYTES = 128

# ISO 11172-3 and 13818-3, bit rates in kb/s by index 1-14 (0 is free format, 15 forbidden).
_KBPS = {
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_HZ = (44_100, 48_000, 32_000)


RAW_NAMES = ("raw", "pcm", "s16le")
"""What headerless samples are declared as."""

RAW_BYTES_A_SECOND = 32_000
"""16-bit mono samples at 16 kHz."""

EMPTY_S = 0.05
"""Declared seconds up to which a file of no bytes is all there is."""

_SAME_S, _SAME_SHARE = 0.01, 0.0005
"""Seconds and share by which a size may differ from a declared length that it stands for."""


def read_head(stream: IO[bytes]) -> tuple[bytes, int]:
    """Return a file's first :data:`HEAD_BYTES` bytes for :func:`identify`, and where they begin.

    Zeros before them are skipped where they fill all of it: some recorders reserve room that nothing came to.
    """
    at, head = 0, stream.read(HEAD_BYTES)
    while head and not any(head):
        at, head = at + len(head), stream.read(HEAD_BYTES)
    if at == 0 or not head:
        stream.seek(0)
        return stream.read(HEAD_BYTES), 0
    at += len(head) - len(head.lstrip(b"\0"))
    stream.seek(at)
    return stream.read(HEAD_BYTES), at


_OTHERS = (b"FORM", b"caff", b".snd", b"riff", b"\x1aE\xdf\xa3", b"0&\xb2u", b"#!AMR", b"MThd", b"wvpk")
"""Beginnings of files of other kinds (AIFF, CAF, AU, Wave64, Matroska, ASF, ...): no headerless samples."""


def identify(head: bytes, n_bytes: int, declared: str | None, declared_s: float | None) -> str | None:
    """Return the container of a file, ``raw`` for headerless samples, or None where it is not audio.

    Args:
        head: its first bytes, as :func:`read_head` gives them.
        n_bytes: its size.
        declared: what it is declared as; the bytes decide where they fit a container.
        declared_s: its declared length, seconds.
    """
    found = recognise(head)
    if found is not None:
        return found
    if is_text(head) or head.startswith(_OTHERS):
        return None
    if (declared or "").lower() in RAW_NAMES:
        return "raw"
    if declared_s is None:
        return None
    if not head:
        return "raw" if declared_s <= EMPTY_S else None
    off_s = abs(n_bytes / RAW_BYTES_A_SECOND - declared_s)
    return "raw" if off_s <= max(_SAME_S, _SAME_SHARE * declared_s) else None


def recognise(head: bytes) -> str | None:
    """Return the container of a file that begins with `head`, or None.

    The result is one of :data:`CONTAINERS`, and None for everything else, headerless PCM included. It never
    raises.
    Pass up to :data:`HEAD_BYTES`, so that an MP3 cut out of a stream, which begins inside a frame, is found.
    """
    if head[:3] == b"ID3":
        return _after_id3(head)
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] in _MP4_BOXES and (head[:4] == b"\0\0\0\1" or int.from_bytes(head[:4], "big") >= 8):
        return "mp4"
    return "mp3" if _mpeg_chain(head) else None


def is_text(head: bytes) -> bool:
    """Return whether a file that begins with `head` is text (HTML, XML, JSON, a playlist, SDP).

    Headerless PCM is never text: a thousand bytes without one control character would be a signal that stays
    above a quarter of full scale. An empty head is not text.
    """
    start = head[:_TEXT_BYTES]
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if start.startswith(mark):
            # Samples −2 and −257 begin like this too, and nearly any sample is some character: but markup,
            # playlists and messages hold ASCII, of which samples are next to nothing.
            text = start[2:].decode(encoding, "ignore")
            return _printable(text) and 4 * sum(c < "\x7f" for c in text) > len(text)
    start = start.removeprefix(b"\xef\xbb\xbf")
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3 or len(head) <= len(start):  # not just cut inside a character
            return False
        text = start[: error.start].decode("utf-8")
    return _printable(text)


def _printable(text: str) -> bool:
    return bool(text) and all(c >= " " and not "\x7f" <= c <= "\x9f" for c in text if c not in "\t\r\n\f")


def _after_id3(head: bytes) -> str:
    """Return the container behind an ID3v2 tag: nearly always MP3, rarely FLAC."""
    if len(head) < 10:
        return "mp3"
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    after = 10 + size + (10 if head[5] & 0x10 else 0)
    return "flac" if head[after : after + 4] == b"fLaC" else "mp3"


def _mpeg_chain(head: bytes) -> bool:
    """Return whether frames of MPEG audio follow each other somewhere in `head`.

    ::

        head   ..|FF Fx ........|FF Fx ........|FF Fx ........|FF Fx ....
                 └─ its length ─┘ same version, layer and rate
    """
    n_audio = len(_without_tags(head))
    for found in _MPEG_HEADER.finditer(head):
        frames, end = _frames_from(head, found.start())
        # A file of a few frames is one too, if it begins and ends with them.
        if frames >= _CHAIN_FRAMES or (found.start() == 0 and frames >= 1 and end == n_audio):
            return True
    return False


def _one_of(allowed: Callable[[int], bool]) -> bytes:
    """Return a regular expression of the bytes that are allowed."""
    return b"[" + b"".join(re.escape(bytes([b])) for b in range(256) if allowed(b)) + b"]"


_MPEG_HEADER = re.compile(
    b"(?=\xff"
    + _one_of(lambda b: b & 0xE0 == 0xE0 and b >> 3 & 3 != 1 and b >> 1 & 3 in (1, 2))
    + _one_of(lambda b: b >> 4 not in (0, 15) and b >> 2 & 3 != 3)
    + b")",
    re.DOTALL,
)
"""Every place at which :func:`mpeg_frame` may find a header."""


def _without_tags(head: bytes) -> bytes:
    """Return a short file without the tags at its end: ID3v1 (128 bytes), APE (its footer holds its size)."""
    if head[-_ID3V1_BYTES : -_ID3V1_BYTES + 3] == b"TAG":
        head = head[:-_ID3V1_BYTES]
    if head[-32:-24] == b"APETAGEX":
        has_header = 32 * (head[-9] >> 7)  # the highest bit of the flags, little-endian
        head = head[: -int.from_bytes(head[-20:-16], "little") - has_header]
    return head


def _frames_from(head: bytes, offset: int) -> tuple[int, int]:
    """Return how many agreeing frames start at `offset`, up to enough, and where they end."""
    frames, kind = 0, None
    while frames < _CHAIN_FRAMES:
        frame = mpeg_frame(head[offset : offset + 4])
        if frame is None or (kind is not None and frame[1] != kind):
            break
        n_bytes, kind = frame
        offset, frames = offset + n_bytes, frames + 1
    return frames, offset


def mpeg_frame(header: bytes) -> tuple[int, tuple[int, int, int]] | None:
    """Return the length of an MPEG audio frame and the fields that a file's frames share.

    Returns:
        ``(n_bytes, (version bits, layer, rate in Hz))``, or None where this is no header of layer II or III.

    ::

        AAAAAAAA AAABBCCD EEEEFFGH ........   A sync, B version, C layer, D no CRC,
                                              E bit rate, F sample rate, G padding
    """
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version_bits, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_index, hz_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version_bits == 1 or layer not in (2, 3) or rate_index in (0, 15) or hz_index == 3:
        return None
    low = version_bits != 3  # MPEG-2 and 2.5: half and quarter rates
    hz = _MPEG_HZ[hz_index] >> {3: 0, 2: 1, 0: 2}[version_bits]
    slots = 72 if low and layer == 3 else 144
    n_bytes = slots * 1000 * _KBPS[2 if low else 1, layer][rate_index - 1] // hz + padding
    return n_bytes, (version_bits, layer, hz)
