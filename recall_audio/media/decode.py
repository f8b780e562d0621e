"""Any audio file to a working file: mono 16-bit PCM at one rate, every sample in its place.

::

    bytes ─► demuxer ─► decoder ─► timeline ─► mean of channels ─► soxr ─► int16 on disk
                                   (gaps become silence)

About one second at a time: no file is held whole, whatever it claims to be.
"""

import math
from pathlib import Path

import numpy as np

from recall_audio.media.frames import FrameReader
from recall_audio.media.pcm_file import FULL_SCALE, WorkFull, WorkWriter
from recall_audio.media.probe import (
    Damage,
    Decoded,
    Probe,
    container_of,
    describe,
    empty_probe,
    not_audio,
    opened,
    raw_probe,
)
from recall_audio.model.options import DecodeOptions
from recall_audio.model.outcome import Finding
from recall_audio.units import RATE_HZ

_DEFAULTS = DecodeOptions()


def decode(
    path: Path,
    work: Path,
    declared_format: str | None = None,
    declared_s: float | None = None,
    options: DecodeOptions = _DEFAULTS,
) -> Decoded:
    """Decode `path` into the working file `work`, which appears when it is whole.

    Args:
        path: MP3, Ogg (Opus, Vorbis), MP4/M4A, WAV, FLAC or headerless PCM; its bytes decide which.
        work: the file to write; :func:`recall_audio.media.pcm_file.open_work` reads it.
        declared_format: what the API called it; ``raw`` allows bytes without a header.
        declared_s: the length the API declared; the decoding stops a little after it.
        options: rate of the working file, and the limits.

    Returns:
        Where it is, how long, and what was odd. A file with headers and no audio gives 0 samples.

    Raises:
        ItemError: ``not_audio``: not a kind of audio that is read here, or nothing in it can be decoded.
        MachineError: no room on the disk.
    """
    container = container_of(path, declared_format)
    limit_s = options.longest_s if declared_s is None else cap(declared_s, options)
    writer = WorkWriter(work, options.rate_hz, math.ceil(limit_s * options.rate_hz))
    if container == "raw":
        return _raw(path, writer, limit_s)
    return _packed(path, container, writer, limit_s)


def cap(declared_s: float, options: DecodeOptions) -> float:
    """Seconds after which decoding stops: a small file can claim days."""
    return min(max(declared_s, 0.0) * options.cap_factor + options.cap_more_s, options.longest_s)


def check_duration(decoded_s: float, declared_s: float | None) -> Finding | None:
    """Compare what was decoded with what was declared, both in seconds.

    Returns:
        ``duration_mismatch`` (a warning) where more than 2 s + 1 % of it are missing: the file was cut
        or damaged. ``duration_differs`` (a note) where it is more than 0.25 s + 0.1 % off, which the
        API's own rounding and pauses account for. None where it agrees or nothing was declared.
    """
    if declared_s is None or not math.isfinite(declared_s):
        return None
    short_s = declared_s - decoded_s
    facts = f"{decoded_s:.2f} s could be decoded, {declared_s:.2f} s were declared"
    if short_s > 2.0 + 0.01 * declared_s:
        return Finding("duration_mismatch", f"Only {facts}: the file is cut short or damaged.")
    if abs(short_s) > 0.25 + 0.001 * declared_s:
        return Finding("duration_differs", f"The length differs: {facts}.", severity="note")
    return None


def _packed(path: Path, container: str, writer: WorkWriter, limit_s: float) -> Decoded:
    """Decode a file in a container."""
    try:
        with opened(path, container) as (source, audio), writer:
            reader = FrameReader(source, audio, writer, limit_s)
            found = describe(audio, container)
            capped = reader.run()
            if reader.n_failed and not reader.n_frames:
                raise not_audio(path, f"begins like {container}, but no frame of it can be decoded")
            if reader.first_pts is not None and found.codec.startswith("aac"):
                found = _with_delay(found, known=reader.first_pts < 0)
    except EOFError:
        with writer:
            found, capped, reader = empty_probe(container), False, None
    damage = tuple(reader.damage) if reader else ()
    findings = [*_length_findings(writer, found, capped), *_damage_finding(damage)]
    return Decoded(writer.path, writer.n_samples, writer.rate_hz, found, damage, tuple(findings))


def _with_delay(found: Probe, *, known: bool) -> Probe:
    return Probe(found.container, found.codec, found.rate_hz, found.channels, found.duration_s, known)


def _length_findings(writer: WorkWriter, found: Probe, capped: bool) -> list[Finding]:
    """What the working file's length says about the file."""
    duration_s = writer.n_samples / writer.rate_hz
    if capped:
        text = f"Decoding stopped after {duration_s:.1f} s: the file goes on far past its declared length."
        return [Finding("too_long", text)]
    if writer.n_samples == 0:
        return [Finding("empty_audio", "The file holds no audio.", severity="note")]
    if found.duration_s is not None and found.duration_s - duration_s > 0.25 + 0.001 * found.duration_s:
        text = f"The file's own header says {found.duration_s:.2f} s, and {duration_s:.2f} s are there."
        return [Finding("cut_short", text)]
    return []


def _damage_finding(damage: tuple[Damage, ...]) -> list[Finding]:
    if not damage:
        return []
    total_s = sum(d.length_s for d in damage)
    first = f"the first at {damage[0].local_s:.2f} s"
    text = f"{len(damage)} damaged places, {first}, {total_s:.2f} s in all, are silent in the result."
    return [Finding("damaged_audio", text)]


def _raw(path: Path, writer: WorkWriter, limit_s: float) -> Decoded:
    """Headerless PCM: 16-bit little-endian, mono, 16 kHz."""
    found, left, findings = raw_probe(path), path.stat().st_size // 2, []
    capped = False
    with path.open("rb") as stream, writer:
        writer.source_rate(RATE_HZ)
        try:
            while left and (block := stream.read(2 * min(left, RATE_HZ))):
                samples = np.frombuffer(block[: len(block) // 2 * 2], dtype="<i2")
                left -= len(samples)
                writer.push(samples.astype(np.float32) / np.float32(FULL_SCALE))
            writer.drain()
        except WorkFull:
            capped = bool(left)
    if path.stat().st_size % 2:
        findings.append(Finding("odd_byte", "Half a sample at the end was left out.", severity="note"))
    findings += _length_findings(writer, found, capped)
    return Decoded(writer.path, writer.n_samples, writer.rate_hz, found, (), tuple(findings))
