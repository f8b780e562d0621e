"""Decode any audio file to a working file: mono 16-bit PCM at one rate.

::

    bytes ─► demuxer ─► decoder ─► timeline ─► mean of channels ─► soxr ─► int16 on disk ─► high pass
                                   (gaps become silence)                              (where it is needed)

Every sample is in its place, and about one second is in memory at a time, however long a file claims to be.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from recall_audio.errors import ItemError
from recall_audio.media import opus
from recall_audio.media.frames import FrameReader, Heard, float_scale
from recall_audio.media.pcm_file import FULL_SCALE, WorkFull, WorkWriter
from recall_audio.media.probe import (
    Decoded,
    Extent,
    Probe,
    container_of,
    describe_stream,
    empty_probe,
    has_length_tag,
    links,
    not_audio,
    open_audio,
    raw_probe,
)
from recall_audio.model.containers import RAW_NAMES
from recall_audio.model.options import DecodeOptions
from recall_audio.model.outcome import Finding
from recall_audio.units import RATE_HZ

_DEFAULTS = DecodeOptions()
_MISMATCH_S, _MISMATCH_SHARE = 2.0, 0.01
"""Seconds and share of the declared length; a file that is shorter by more was cut or damaged."""

_ROUNDING_S, _ROUNDING_SHARE = 0.25, 0.001
"""Seconds and share of a declared length that its rounding explains."""


_LARGE_OFFSET = 0.01
"""Offset or level below 20 Hz, full scale 1, that a note names: -40 dB, near the level of quiet speech."""


def decode(
    path: Path,
    work: Path,
    declared_format: str | None = None,
    declared_s: float | None = None,
    options: DecodeOptions = _DEFAULTS,
) -> Decoded:
    """Decode `path` into the working file `work`, which appears once it is complete.

    Args:
        path: MP3, Ogg (Opus, Vorbis), MP4/M4A, WAV, FLAC or headerless PCM; its bytes decide which.
        work: the file to write; :func:`recall_audio.media.pcm_file.open_work` reads it.
        declared_format: what the API called it; ``raw`` allows bytes without a header.
        declared_s: the length the API declared, seconds; decoding stops a little after it.
        options: rate of the working file, and the limits.

    Returns:
        The working file, its length and its findings. A file with headers and no audio gives 0 samples.

    Raises:
        ItemError: ``not_audio``: not a supported kind of audio, or nothing in it can be decoded.
        MachineError: no space on the disk.
    """
    container = container_of(path, declared_format, declared_s)
    limit_s = options.longest_s if declared_s is None else longest_decoded_s(declared_s, options)
    writer = WorkWriter(work, options.rate_hz, math.ceil(limit_s * options.rate_hz))
    if container == "raw":
        return _raw(path, writer, declared_format)
    if container == "ogg" and (decoded := _whole_opus(path, work, options, limit_s)) is not None:
        return decoded
    return _packed(path, container, writer, limit_s)


def longest_decoded_s(declared_s: float, options: DecodeOptions) -> float:
    """Return the seconds after which decoding stops, because a small file can claim days."""
    return min(max(declared_s, 0.0) * options.cap_factor + options.cap_more_s, options.longest_s)


def check_duration(decoded_s: float, declared_s: float | None) -> Finding | None:
    """Compare the decoded length with the declared one, both in seconds.

    Returns:
        ``duration_mismatch`` (a warning) where more than 2 s + 1 % are missing: the file was cut or
        damaged. ``duration_differs`` (a note) where it differs by more than 0.25 s + 0.1 %, which the
        API's own rounding and pauses explain. None where it agrees or nothing was declared.
    """
    if declared_s is None or not math.isfinite(declared_s):
        return None
    short_s = declared_s - decoded_s
    facts = f"{decoded_s:.2f} s could be decoded, {declared_s:.2f} s were declared"
    if short_s > _MISMATCH_S + _MISMATCH_SHARE * declared_s:
        return Finding("duration_mismatch", f"Only {facts}: the file is cut short or damaged.")
    if abs(short_s) > _ROUNDING_S + _ROUNDING_SHARE * declared_s:
        return Finding("duration_differs", f"The length differs: {facts}.", severity="note")
    return None


def _packed(path: Path, container: str, writer: WorkWriter, limit_s: float) -> Decoded:
    """Decode a file in a container, link by link."""
    found, heard, capped = None, Heard(), False
    with writer:
        extents = links(path, container)
        for extent in extents:
            left_s = limit_s - writer.position_s
            probed, capped = _link(path, container, extent, writer, left_s, heard)
            found = _joined(found, probed)
            if capped:
                break
        if found is None or (heard.n_failed and not heard.n_frames):
            raise not_audio(path, f"begins like {container}, but no frame of it can be decoded")
    undecoded_s: float | None = 0.0
    if capped:
        is_known = found.duration_s is not None and extent is extents[-1]
        undecoded_s = (
            max((found.duration_s or 0.0) - heard.decoded_s - heard.inserted_s, 0.0) if is_known else None
        )
    decoded = Decoded(
        writer.path,
        writer.n_samples,
        writer.rate_hz,
        found,
        tuple(heard.damage),
        decoded_s=heard.decoded_s,
        inserted_s=heard.inserted_s,
        undecoded_s=undecoded_s,
    )
    findings = [*_length_findings(decoded, capped), *_findings_of(heard), *_low_finding(writer)]
    return replace(decoded, findings=tuple(findings))


def _whole_opus(path: Path, work: Path, options: DecodeOptions, limit_s: float) -> Decoded | None:
    """Decode a whole Opus file at the working rate; return None where that is not possible."""
    if options.rate_hz != opus.RATE_HZ or not opus.is_installed():
        return None
    whole = opus.whole_opus(path)
    if whole is None or whole.n_samples > limit_s * opus.RATE_HZ:
        return None
    with open_audio(path, "ogg") as (_source, audio):
        found = describe_stream(audio, "ogg")
    try:
        with WorkWriter(work, opus.RATE_HZ, whole.n_samples + 1) as writer:
            writer.source_rate(opus.RATE_HZ)
            for block in opus.decode_whole(path, whole):
                writer.push(block)
            writer.drain()
    except ValueError:
        return None  # a packet that only PyAV gets over
    decoded = Decoded(writer.path, writer.n_samples, writer.rate_hz, found, decoded_s=writer.position_s)
    findings = (*_length_findings(decoded, capped=False), *_low_finding(writer))
    return replace(decoded, findings=findings)


def _joined(found: Probe | None, following: Probe | None) -> Probe | None:
    """Return what two links declare together: the first one's format, and both lengths."""
    if found is None or following is None:
        return found or following
    first = found if found.codec else following
    known = found.duration_s is not None and following.duration_s is not None
    return replace(
        first, duration_s=(found.duration_s or 0.0) + (following.duration_s or 0.0) if known else None
    )


def _link(
    path: Path, container: str, extent: Extent, writer: WorkWriter, limit_s: float, heard: Heard
) -> tuple[Probe | None, bool]:
    """Decode one link and return what it declares, and whether the writer is full."""
    try:
        if container == "wav":
            heard.mixdown.scale = _float_scale(path, extent)
        with open_audio(path, container, extent) as (source, audio):
            reader = FrameReader(source, audio, writer, limit_s, heard)
            found = describe_stream(audio, container, has_length_tag=has_length_tag(path))
            capped = reader.run()
            if reader.first_pts is not None and found.codec.startswith("aac"):
                found = replace(found, encoder_delay_known=reader.first_pts < 0)
            return found, capped
    except EOFError:
        return empty_probe(container), False
    except (ValueError, LookupError, NotImplementedError):  # FFmpeg's own errors among them
        failure = not_audio(path, f"begins like {container} and holds what cannot be decoded")
    except ItemError as error:
        failure = error
    if extent.stop is None and not extent.start:
        raise failure
    heard.note(writer.position_s, 0.0, "unreadable")
    return None, False


def _float_scale(path: Path, extent: Extent) -> float:
    """Return the full scale of a WAV file's samples, 1 unless they are floats in an integer's scale."""
    with open_audio(path, "wav", extent) as (source, audio):
        is_float = audio.codec_context.name.startswith("pcm_f")
        return float_scale(source, audio) if is_float else 1.0


def _length_findings(decoded: Decoded, capped: bool) -> list[Finding]:
    """Return findings about the working file's length."""
    duration_s, declared_s = decoded.duration_s, decoded.source.duration_s
    if capped:
        left_out = "how much is left out is unknown, because its header does not say how long it is"
        if decoded.dropped_s is not None:
            left_out = f"{decoded.dropped_s:.1f} s are left out"
        text = f"Decoding stopped after {duration_s:.1f} s: the file is far longer than declared; {left_out}."
        return [Finding("too_long", text)]
    if decoded.n_samples == 0:
        return [Finding("empty_audio", "The file holds no audio.", severity="note")]
    # Ogg has no length but the time of its last page, and one page's time is not believed.
    if declared_s is not None and decoded.source.container != "ogg" and _is_short(duration_s, declared_s):
        text = f"The file's own header says {declared_s:.2f} s, and {duration_s:.2f} s are there."
        return [Finding("cut_short", text)]
    return []


def _is_short(decoded_s: float, declared_s: float) -> bool:
    return declared_s - decoded_s > _ROUNDING_S + _ROUNDING_SHARE * declared_s


def _findings_of(heard: Heard) -> list[Finding]:
    """Return findings about damage, timestamps and channels."""
    findings = []
    if heard.damage:
        total_s, first_s = sum(d.length_s for d in heard.damage), heard.damage[0].local_s
        text = f"{len(heard.damage)} damaged places, the first at {first_s:.2f} s, "
        text += f"{total_s:.2f} s in all, are silent in the result."
        if total_s == 0.0:
            text = f"What should follow at {first_s:.2f} s cannot be read, and how long it is is unknown."
        findings.append(Finding("damaged_audio", text))
    notes = {
        "timestamps_ignored": heard.outlier_s
        and f"The timestamps of {heard.outlier_s:.2f} s contradict those around them and were not believed.",
        "timestamps_back": heard.back_s
        and f"Its timestamps go back by {heard.back_s:.2f} s in all: 0.00 s were dropped, every sample is "
        "kept, and what follows lies later than they say.",
        "timestamps_restart": heard.n_restarts
        and f"Its timestamps begin anew {heard.n_restarts} times: it was read on without a gap.",
        "float_scale": heard.mixdown.scale != 1.0
        and f"Its floats are in an integer's scale: {heard.mixdown.scale:.0f} was taken for full scale.",
        "opposite_channels": heard.mixdown.is_opposite
        and "Its channels are each other's opposites: one was turned over, so that they do not cancel.",
    }
    return findings + [Finding(code, text, severity="note") for code, text in notes.items() if text]


def _low_finding(writer: WorkWriter) -> list[Finding]:
    """Return a note where what was taken out below 20 Hz is large."""
    low = writer.low
    if not low.is_high or max(abs(low.offset), low.rms) < _LARGE_OFFSET:
        return []
    text = (
        f"A constant offset of {low.offset:.3f} of full scale, and what else lies below 20 Hz "
        f"({low.rms:.3f} in all), was taken out of this track before anything was measured."
    )
    return [Finding("offset_removed", text, severity="note")]


def _raw(path: Path, writer: WorkWriter, declared_format: str | None) -> Decoded:
    """Decode headerless PCM: 16-bit little-endian, mono, 16 kHz."""
    found, n_left, findings = raw_probe(path), path.stat().st_size // 2, []
    capped = False
    with path.open("rb") as stream, writer:
        writer.source_rate(RATE_HZ)
        try:
            while n_left and (block := stream.read(2 * min(n_left, RATE_HZ))):
                samples = np.frombuffer(block[: len(block) // 2 * 2], dtype="<i2")
                n_left -= len(samples)
                writer.push(samples.astype(np.float32) / np.float32(FULL_SCALE))
            writer.drain()
        except WorkFull:
            capped = bool(n_left)
    if path.stat().st_size and (declared_format or "").lower() not in RAW_NAMES:
        text = f"It was declared {declared_format} and holds headerless samples of the declared length."
        findings.append(Finding("raw_undeclared", text, severity="note"))
    if path.stat().st_size % 2:
        findings.append(Finding("odd_byte", "Half a sample at the end was left out.", severity="note"))
    decoded = Decoded(
        writer.path,
        writer.n_samples,
        writer.rate_hz,
        found,
        decoded_s=writer.position_s,
        undecoded_s=n_left / RATE_HZ,
    )
    findings += [*_length_findings(decoded, capped), *_low_finding(writer)]
    return replace(decoded, findings=tuple(findings))
