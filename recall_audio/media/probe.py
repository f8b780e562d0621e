"""Open media files safely: only the file itself, only as the kind that its bytes are."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from recall_audio.errors import ItemError
from recall_audio.model.containers import HEAD_BYTES, is_text, recognise
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
            ``restarted`` (the timestamps begin anew), ``unreadable`` (nothing after it can be read).
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
    """

    path: Path
    n_samples: int
    rate_hz: int
    source: Probe
    damage: tuple[Damage, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def duration_s(self) -> float:
        """Return the length of the working file in seconds."""
        return self.n_samples / self.rate_hz

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

_BUFFER_BYTES = 1 << 18
_OGG_HEADERS = (b"OpusHead", b"\x01vorbis")
_HINT = "Fetch it again. If that does not help, the recording service stored something other than audio."


def decoder_version() -> str:
    """Return name and version of the library that decodes."""
    import av

    return f"PyAV {av.__version__}"


def read_head(path: Path) -> bytes:
    """Read the file's first bytes, enough for :func:`recall_audio.model.containers.recognise`."""
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def not_audio(path: Path, what: str) -> ItemError:
    """Return the error for a file that is not audio of a supported kind."""
    return ItemError(f"{path.name} {what}; nothing was decoded.", _HINT, code="not_audio")


def container_of(path: Path, declared_format: str | None) -> str:
    """Return the container by the file's bytes.

    It is ``raw`` only where they fit no container and `declared_format` is raw.

    Raises:
        ItemError: ``not_audio``: text, an empty file, or bytes of no known kind.
    """
    head = read_head(path)
    found = recognise(head)
    if found is not None:
        return found
    if is_text(head):
        raise not_audio(path, "is text (a web page, a playlist or an error message), not audio")
    if (declared_format or "").lower() in ("raw", "pcm", "s16le"):
        return "raw"
    if not head:
        raise not_audio(path, "is empty")
    raise not_audio(path, "is neither MP3, Ogg, WAV, FLAC nor MP4, and was not declared as raw audio")


def _refuse(*_: Any) -> NoReturn:
    raise PermissionError("a media file may not open another one")


@contextlib.contextmanager
def open_audio(path: Path, container: str) -> Iterator[tuple["InputContainer", "AudioStream"]]:
    """Open a file and yield the container and its best audio stream.

    FFmpeg gets an open stream of bytes, never a name: it knows no folder, the demuxer is the one that fits
    the bytes, and a request for any other file or URL is refused.

    Raises:
        ItemError: ``not_audio``: it cannot be opened, or has no audio stream that may be decoded.
        EOFError: an Ogg file with its headers and no audio, as of a participant who never spoke.
    """
    import av
    from av.audio.stream import AudioStream

    av.logging.set_level(None)
    options = {"protocol_whitelist": "file", "enable_drefs": "0"} if container == "mp4" else {}
    with path.open("rb") as stream, contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(
                av.open(
                    stream,
                    mode="r",
                    format=DEMUXERS[container],
                    options=options,
                    buffer_size=_BUFFER_BYTES,
                    io_open=_refuse,
                )
            )
        except av.error.EOFError:
            if container == "ogg" and any(mark in read_head(path) for mark in _OGG_HEADERS):
                raise EOFError from None
            raise not_audio(path, f"begins like {container} and ends there") from None
        except (av.error.FFmpegError, PermissionError, ValueError):
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


def describe_stream(audio: "AudioStream", container: str) -> Probe:
    """Return what an open audio stream declares.

    The delay of AAC is known from its first packet only.
    """
    context = audio.codec_context
    duration_s = None
    if audio.duration is not None and audio.time_base is not None:
        duration_s = float(audio.duration * audio.time_base)
    delay_known = True
    if context.name.startswith("mp3"):
        # The demuxer moves the start by what the tag says is to be skipped (528 + 1 + encoder delay).
        delay_known = bool(audio.start_time)
    return Probe(container, context.name, context.sample_rate, context.channels, duration_s, delay_known)


def start_time_s(audio: "AudioStream") -> Fraction:
    """Return the timestamp of the file's time 0, the first sample of the recording, in seconds.

    What stands before it (encoder delay, pre-skip, an edit list) is skipped by demuxer and decoder. A
    first timestamp later than 0 is not silence: local time begins with the first sample, also in an Ogg
    stream cut out of a longer one, or in an MP4 with a late start.
    """
    if audio.start_time is None or audio.time_base is None:
        return Fraction(0)
    return Fraction(audio.start_time) * audio.time_base


def probe(path: Path, declared_format: str | None = None) -> Probe:
    """Read what a file declares about itself, without decoding it.

    Raises:
        ItemError: ``not_audio``.
    """
    container = container_of(path, declared_format)
    if container == "raw":
        return raw_probe(path)
    try:
        with open_audio(path, container) as (_, audio):
            return describe_stream(audio, container)
    except EOFError:
        return empty_probe(container)


def raw_probe(path: Path) -> Probe:
    """Return the format of headerless audio: 16-bit little-endian mono at 16 kHz."""
    return Probe("raw", "pcm_s16le", RATE_HZ, 1, path.stat().st_size // 2 / RATE_HZ, True)


def empty_probe(container: str) -> Probe:
    """Return the format of a container with its headers and no audio."""
    return Probe(container, "", RATE_HZ, 1, 0.0, True)
