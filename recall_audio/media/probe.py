"""Open media files safely: only the file itself, only as the kind that its bytes are."""

import contextlib
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from recall_audio.errors import ItemError
from recall_audio.model.containers import identify, is_text, mpeg_frame, read_head
from recall_audio.model.outcome import Finding
from recall_audio.units import RATE_HZ

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a file that could not be decoded and is silent in the working file.

    Attributes:
        local_s: its start, seconds on the file's own clock.
        length_s: its length, seconds; 0 where the length of missing audio is unknown.
        what: ``missing`` (the timestamps jump), ``undecodable`` (frames that no decoder takes),
            ``unreadable`` (nothing after it can be read).
    """

    local_s: float
    length_s: float
    what: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file declares about itself.

    Attributes:
        container: ``mp3``, ``ogg``, ``wav``, ``flac``, ``mp4`` or ``raw``.
        codec: the decoder's name, e.g. ``opus``; ``pcm_s16le`` for headerless audio.
        rate_hz: sample rate of the source.
        channels: channels of the source.
        duration_s: length by the file's own header or size, seconds, or None.
        encoder_delay_known: the encoder's padding before the first sample is known and skipped. False for
            an MP3 without a LAME tag and for AAC without an edit list: those are late in every decoder.
    """

    container: str
    codec: str
    rate_hz: int
    channels: int
    duration_s: float | None
    encoder_delay_known: bool


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded file.

    Attributes:
        path: the working file: headerless 16-bit little-endian mono PCM.
        n_samples: its length, at `rate_hz`.
        rate_hz: sample rate of the working file.
        source: what the decoded file declares.
        damage: stretches that are silent because they could not be decoded, in order.
        findings: warnings and notes about the file.
        decoded_s: seconds that the decoder gave.
        inserted_s: seconds of silence put in where audio is missing.
        undecoded_s: seconds past the longest length that were not decoded, None where no header tells.
    """

    path: Path
    n_samples: int
    rate_hz: int
    source: Probe
    damage: tuple[Damage, ...] = ()
    findings: tuple[Finding, ...] = ()
    decoded_s: float = 0.0
    inserted_s: float = 0.0
    undecoded_s: float | None = 0.0

    @property
    def duration_s(self) -> float:
        """Return the length of the working file in seconds."""
        return self.n_samples / self.rate_hz

    @property
    def dropped_s(self) -> float | None:
        """Return the seconds that were left out beyond the longest length; None where it is unknown.

        What is kept, and these, are all that was decoded or would have been, and what was put in.
        """
        if self.undecoded_s is None:
            return None
        return self.decoded_s + self.undecoded_s + self.inserted_s - self.duration_s

    @property
    def encoder_delay_known(self) -> bool:
        """Return whether the encoder's delay is known, see :class:`Probe`."""
        return self.source.encoder_delay_known


DEMUXERS = {"mp3": "mp3", "ogg": "ogg", "wav": "wav", "flac": "flac", "mp4": "mov"}
"""Container to FFmpeg's demuxer: the whitelist."""

CODECS = ("mp1", "mp2", "mp3", "opus", "libopus", "vorbis", "flac", "aac", "alac", "speex", "pcm_", "adpcm_")
"""Beginnings of the names of decoders that may run."""

RATES_HZ = range(4_000, 768_001)
"""Sample rates that a recording can have."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The bytes of a file that are opened as one.

    Attributes:
        start: the first.
        stop: after the last; None for the file's end.
        head: bytes that stand in for what was left out before `start`.
    """

    start: int = 0
    stop: int | None = None
    head: bytes = b""


WHOLE = Extent()
"""All bytes of a file."""

MOST_LINKS = 1000
"""Links of a chained Ogg file that are opened one by one; more of them come from an attack."""

_BUFFER_BYTES = 1 << 18
_OGG_HEADERS = (b"OpusHead", b"\x01vorbis")
_HINT = "Fetch it again. If that does not help, the recording service stored something other than audio."


def decoder_version() -> str:
    """Return name and version of the library that decodes."""
    import av

    return f"PyAV {av.__version__}"


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return read_head(stream)[0]


def not_audio(path: Path, what: str) -> ItemError:
    """Return the error for a file that is not audio of a supported kind."""
    return ItemError(f"{path.name} {what}; nothing was decoded.", _HINT, code="not_audio")


def container_of(path: Path, declared_format: str | None, declared_s: float | None = None) -> str:
    """Return the container by the file's bytes.

    It is ``raw`` only where they fit no container, and `declared_format` is raw or the size is that of
    headerless samples of the declared length.

    Raises:
        ItemError: ``not_audio``: text, an empty file, or bytes of no known kind.
    """
    with path.open("rb") as stream:
        head, _ = read_head(stream)
    found = identify(head, path.stat().st_size, declared_format, declared_s)
    if found is not None:
        return found
    if is_text(head):
        raise not_audio(path, "is text (a web page, a playlist or an error message), not audio")
    if not head:
        raise not_audio(path, "is empty")
    raise not_audio(path, "is neither MP3, Ogg, WAV, FLAC nor MP4, and was not declared as raw audio")


def links(path: Path, container: str) -> list[Extent]:
    """Return the extents of a file that are to be opened one after the other.

    A chained Ogg file holds several streams, each with its own clock and perhaps its own codec, which the
    demuxer cannot follow. A link begins with pages marked as the beginning of a stream (RFC 3533, 4 and 6).
    """
    if container == "wav":
        return [_wav_extent(path)]
    with path.open("rb") as stream:
        begin = read_head(stream)[1]
    if container != "ogg":
        return [Extent(begin)]
    starts, group_end = [begin], begin
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for page in re.finditer(rb"OggS\0[\x02\x06]", data):
            at = page.start()
            if at != group_end and at > begin:
                starts.append(at)
            segments = data[at + 27 : at + 27 + data[at + 26]] if at + 26 < len(data) else b""
            group_end = at + 27 + len(segments) + sum(segments)
            if len(starts) == MOST_LINKS:
                break
    return [Extent(a, b) for a, b in zip(starts, [*starts[1:], None], strict=True)]


_MOST_CHUNKS = 1000
"""Chunks of a WAV file that are looked at for its samples."""


_CHUNKS = (b"data", b"fmt ", b"fact", b"LIST", b"bext", b"iXML", b"JUNK", b"PEAK", b"cue ", b"smpl", b"id3 ")
"""Names by which the chunk after one without a pad byte is known."""


def _wav_extent(path: Path) -> Extent:
    """Return the extent of a WAV file; behind a chunk that lacks its pad byte the demuxer finds nothing.

    ::

        RIFF size WAVE  fmt  16 ...  LIST 5 abcde[0]  data size samples      [0]: the pad byte of an odd chunk
    """
    form, at, lacks_pad = b"", 12, False
    with path.open("rb") as stream:
        for _ in range(_MOST_CHUNKS):
            stream.seek(at)
            name, size = stream.read(4), int.from_bytes(stream.read(4), "little")
            if name == b"data" or not size:
                break
            if name == b"fmt ":
                form = name + size.to_bytes(4, "little") + stream.read(min(size, 64)) + b"\0" * (size % 2)
            end = at + 8 + size
            stream.seek(end)
            unpadded = bool(size % 2) and stream.read(4) in _CHUNKS
            at = end + (size % 2) * (not unpadded)
            lacks_pad |= unpadded
    if not (lacks_pad and form and name == b"data"):
        return WHOLE
    return Extent(at, None, b"RIFF\xff\xff\xff\xffWAVE" + form)


class _Window:
    """The bytes of one extent as a stream of their own."""

    def __init__(self, stream: IO[bytes], extent: Extent) -> None:
        self._stream, self._head, self._start = stream, extent.head, extent.start
        end = stream.seek(0, 2)
        stop = end if extent.stop is None else extent.stop
        self._size, self._at = len(extent.head) + max(stop - extent.start, 0), 0

    def read(self, n_bytes: int = -1) -> bytes:
        """Return up to `n_bytes` bytes from the position on."""
        n_head = len(self._head)
        left = max(self._size - self._at, 0)
        wanted = left if n_bytes < 0 else min(n_bytes, left)
        if self._at < n_head:
            found = self._head[self._at : self._at + wanted]
        else:
            self._stream.seek(self._start + self._at - n_head)
            found = self._stream.read(wanted)
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position, as a file does."""
        self._at = max((0, self._at, self._size)[whence] + offset, 0)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at


def _refuse(*_: Any) -> NoReturn:
    raise PermissionError("a media file may not open another one")


def _is_one_frame(path: Path) -> bool:
    """Return whether an MP3 holds one frame at most, and perhaps a tag behind it."""
    head = _head(path)
    frame = mpeg_frame(head)
    return frame is not None and mpeg_frame(head[frame[0] :]) is None


@contextlib.contextmanager
def open_audio(
    path: Path, container: str, extent: Extent = WHOLE
) -> Iterator[tuple["InputContainer", "AudioStream"]]:
    """Open a file and yield the container and its best audio stream.

    FFmpeg gets an open stream of the bytes of `extent`, never a name: it knows no folder, the demuxer is the
    one that fits the bytes, and a request for any other file or URL is refused.

    Raises:
        ItemError: ``not_audio``: it cannot be opened, or has no audio stream that may be decoded.
        EOFError: an Ogg file with its headers and no audio, as of a participant who never spoke, or an MP3 of
            one frame, which gives no sound without the next one.
    """
    import av
    from av.audio.stream import AudioStream

    av.logging.set_level(None)
    options = {"protocol_whitelist": "file", "enable_drefs": "0"} if container == "mp4" else {}
    with path.open("rb") as stream, contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(
                av.open(
                    stream if extent == WHOLE else _Window(stream, extent),
                    mode="r",
                    format=DEMUXERS[container],
                    options=options,
                    buffer_size=_BUFFER_BYTES,
                    io_open=_refuse,
                )
            )
        except av.error.EOFError:
            if container == "ogg" and any(mark in _head(path) for mark in _OGG_HEADERS):
                raise EOFError from None
            raise not_audio(path, f"begins like {container} and ends there") from None
        except (av.error.FFmpegError, PermissionError, ValueError):
            if container == "mp3" and _is_one_frame(path):
                raise EOFError from None
            raise not_audio(path, f"begins like {container} but cannot be opened as that") from None
        audio = source.streams.best("audio")
        # A stream that FFmpeg has no decoder for has no codec context, whatever the type says.
        context = audio.codec_context if isinstance(audio, AudioStream) else None
        if not isinstance(audio, AudioStream) or context is None or not context.name.startswith(CODECS):
            raise not_audio(path, "has no audio that can be decoded")
        rate_hz = audio.codec_context.sample_rate
        if rate_hz not in RATES_HZ:
            raise not_audio(path, f"claims a sample rate of {rate_hz} Hz")
        audio.codec_context.thread_count = 1
        yield source, audio


_LENGTH_TAGS = (b"Xing", b"Info", b"VBRI")
"""Marks of the frame at an MP3's beginning that holds the number of its frames."""


def describe_stream(audio: "AudioStream", container: str, *, has_length_tag: bool = True) -> Probe:
    """Return what an open audio stream declares.

    The delay of AAC is known from its first packet only. `has_length_tag` is what the function of that name
    says.
    """
    context = audio.codec_context
    duration_s = None
    if audio.duration is not None and audio.time_base is not None:
        duration_s = float(audio.duration * audio.time_base)
    delay_known = True
    if context.name.startswith("mp3"):
        # The demuxer moves the start by what the tag says is to be skipped (528 + 1 + encoder delay).
        delay_known = bool(audio.start_time)
        if not has_length_tag:
            duration_s = None  # the demuxer's guess from the first frames' bit rate
    return Probe(container, context.name, context.sample_rate, context.channels, duration_s, delay_known)


def has_length_tag(path: Path) -> bool:
    """Return whether an MP3 says how long it is: bit rates that vary tell nothing."""
    head = _head(path)
    return any(mark in head for mark in _LENGTH_TAGS)


def start_time_s(audio: "AudioStream") -> Fraction:
    """Return the timestamp of the file's time 0, the first sample of the recording, in seconds.

    What stands before it (encoder delay, pre-skip, an edit list) is skipped by demuxer and decoder. A
    first timestamp later than 0 is not silence: local time begins with the first sample, also in an Ogg
    stream cut out of a longer one, or in an MP4 with a late start.
    """
    if audio.start_time is None or audio.time_base is None:
        return Fraction(0)
    return Fraction(audio.start_time) * audio.time_base


def probe(path: Path, declared_format: str | None = None, declared_s: float | None = None) -> Probe:
    """Read what a file declares about itself, without decoding it.

    Raises:
        ItemError: ``not_audio``.
    """
    container = container_of(path, declared_format, declared_s)
    if container == "raw":
        return raw_probe(path)
    try:
        with open_audio(path, container, links(path, container)[0]) as (_, audio):
            return describe_stream(audio, container, has_length_tag=has_length_tag(path))
    except EOFError:
        return empty_probe(container)


def raw_probe(path: Path) -> Probe:
    """Return the format of headerless audio: 16-bit little-endian mono at 16 kHz."""
    return Probe("raw", "pcm_s16le", RATE_HZ, 1, path.stat().st_size // 2 / RATE_HZ, True)


def empty_probe(container: str) -> Probe:
    """Return the format of a container with its headers and no audio."""
    return Probe(container, "", RATE_HZ, 1, 0.0, True)
