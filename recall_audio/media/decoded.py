"""What decoding and probing a file find out, as values."""

from dataclasses import dataclass
from pathlib import Path

from recall_audio.model.warnings import Finding


@dataclass(frozen=True, slots=True)
class Damage:
    """One stretch of a file that could not be decoded; it is silent in the working file.

    Attributes:
        local_s: where it begins, seconds on the file's own clock.
        length_s: how long it is; 0 where audio is missing and nothing says how much.
        what: ``missing`` (the timestamps jump), ``undecodable`` (frames that no decoder takes),
            ``restarted`` (the timestamps begin anew), ``unreadable`` (nothing after it can be read).
    """

    local_s: float
    length_s: float
    what: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file says about itself, without decoding it.

    Attributes:
        container: ``mp3``, ``ogg``, ``wav``, ``flac``, ``mp4`` or ``raw``.
        codec: the decoder's name, e.g. ``opus``; ``pcm_s16le`` for headerless audio.
        rate_hz: sample rate of the source.
        channels: channels of the source.
        duration_s: length by the file's own header or size; None where it names none.
        encoder_delay_known: what the encoder put before the first sample is known and skipped. False for
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
        source: what was decoded.
        damage: stretches that are silent because they could not be decoded, in order.
        findings: what a reader should know, in sentences.
    """

    path: Path
    n_samples: int
    rate_hz: int
    source: Probe
    damage: tuple[Damage, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length of the working file in seconds."""
        return self.n_samples / self.rate_hz

    @property
    def encoder_delay_known(self) -> bool:
        """See :class:`Probe`."""
        return self.source.encoder_delay_known
