"""One file a participant, as long as the mix, at one loudness: ``stems/`` and ``stems.json``.

::

    parts ─► plan ─► render ─► measure ─► gain             first pass
                └──► render ─────────────► × ─► WAV ─► (FLAC, MP3, Opus)     second pass
                                                └────► (sum, multichannel file)

One participant after another. What is dear to render is kept on disk from the first pass to the second.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from recall_audio.core.stems.meters import EnergyMeter, PeakMeter, block_energies, gated_lufs
from recall_audio.core.stems.residual import check_residual, residual_findings
from recall_audio.errors import MachineError, UsageError
from recall_audio.files import temporary_beside
from recall_audio.media.encode import FFMPEG_HINT, SUFFIXES, encode, find_ffmpeg
from recall_audio.media.wav import StemWriter, read_block
from recall_audio.model.alignment import Track
from recall_audio.model.options import StemOptions
from recall_audio.model.outcome import CountCallback, Finding
from recall_audio.model.stems import Mixdown, Residual, Stem, StemsResult
from recall_audio.pipeline.stems.level import Levelled, Tick, blocks, level
from recall_audio.pipeline.stems.track_reader import Spool, StemSources, length_at, native_rate, opened
from recall_audio.typing import Float32Array, Spans
from recall_audio.units import db_to_gain

_AT_ONCE = 4_000_000
"""Samples of all channels together that are held at once."""


def write_sum(
    stems: Sequence[Path], target: StemWriter, n_samples: int, peak_dbtp: float, tick: Tick
) -> Mixdown:
    """Write the sum of stems of one rate, lowered where its true peak would pass `peak_dbtp`."""
    rate_hz = target.kind.rate_hz
    energy, peak = EnergyMeter(rate_hz), PeakMeter(rate_hz)
    for start, stop in blocks(n_samples, rate_hz):
        block = _sum(stems, start, stop, rate_hz)
        energy.add(block)
        peak.add(block)
        tick()
    gain_db = min(0.0, peak_dbtp - peak.dbtp)
    factor = np.float32(db_to_gain(gain_db))
    with target:
        for start, stop in blocks(n_samples, rate_hz):
            target.write(_sum(stems, start, stop, rate_hz) * factor)
            tick()
    lufs = gated_lufs(block_energies(energy.energies()), gain_db)
    file = f"{target.path.parent.name}/{target.path.name}"
    return Mixdown(file, gain_db, lufs, peak.dbtp + gain_db)


def write_poly(stems: Sequence[Path], target: StemWriter, n_samples: int, tick: Tick) -> str:
    """Write stems of one rate as the channels of one file, in order; gives its name."""
    rate_hz = target.kind.rate_hz
    size = max(_AT_ONCE // len(stems), rate_hz // 10)
    with target:
        for start, stop in blocks(n_samples, rate_hz):
            for a in range(start, stop, size):
                b = min(a + size, stop)
                target.write(np.stack([_stem(p, a, b, rate_hz) for p in stems], axis=1))
            tick()
    return f"{target.path.parent.name}/{target.path.name}"


def _sum(stems: Sequence[Path], start: int, stop: int, rate_hz: int) -> Float32Array:
    total = np.zeros(stop - start, dtype=np.float32)
    for path in stems:
        total += _stem(path, start, stop, rate_hz)
    return total


def _stem(path: Path, start: int, stop: int, rate_hz: int) -> Float32Array:
    return read_block(path, start / rate_hz, stop / rate_hz)[0]


_SHORT_LU = 3.0


def export_stems(
    tracks: Sequence[Track],
    speech: Mapping[str, Spans],
    n_samples: int,
    folder: Path,
    options: StemOptions | None = None,
    progress: CountCallback | None = None,
    sources: StemSources | None = None,
) -> StemsResult:
    """Write ``<folder>/<label>.wav`` for every track.

    Args:
        tracks: every participant's parts on the mix's clock; one without parts gets a silent stem.
        speech: label to speech on the mix's clock; without an entry, the whole track sets its gain.
        n_samples: length of the mix at 16 kHz; every stem's length.
        folder: where to write; made where it is not there.
        options: level, format, whom to write; defaults where None.
        progress: called with blocks done and blocks in all.
        sources: the mix and the files as downloaded; without them there is no residual check and no rate
            but 16 kHz.

    Returns:
        What was written; its ``to_json`` is ``stems.json``.

    Raises:
        UsageError: a label in ``options.speakers`` is nobody's; stems of several rates cannot be summed.
        ItemError: another rate is wanted, and a downloaded file is not there.
        MachineError: the disk is full; ``no_encoder``.
    """
    job = _Job(tracks, n_samples, folder, options or StemOptions(), sources or StemSources(), progress)
    stems, mixdown, poly = job.write(speech)
    residual = None if job.sources.mix is None else check_residual(tracks, job.sources.mix, job.tick)
    findings = (*_level_findings(stems, job.options), *(residual_findings(residual) if residual else ()))
    return StemsResult(tuple(stems), _plain(job.options), mixdown, poly, residual, findings)


def put_together(results: Sequence[StemsResult | Residual | None], options: StemOptions) -> StemsResult:
    """One result from those of single stems, and from what they leave of the mix."""
    several = [r for r in results if isinstance(r, StemsResult)]
    residual = next((r for r in results if isinstance(r, Residual)), None)
    findings = [f for r in several for f in r.findings]
    return StemsResult(
        stems=tuple(s for r in several for s in r.stems),
        parameters=_plain(options),
        residual=residual,
        findings=(*findings, *(residual_findings(residual) if residual else ())),
    )


class _Job:
    """One call of :func:`export_stems`."""

    def __init__(
        self,
        tracks: Sequence[Track],
        n_samples: int,
        folder: Path,
        options: StemOptions,
        sources: StemSources,
        progress: CountCallback | None,
    ) -> None:
        self.n_samples, self.folder, self.options = n_samples, folder, options
        self.sources = replace(sources, work=sources.work or folder)
        self.tracks = asked_for(tracks, options.speakers)
        native = options.rate_hz == 0
        self.rates = [native_rate(t, sources.originals) if native else options.rate_hz for t in self.tracks]
        self.together = (options.mixdown or options.poly) and bool(self.tracks)
        if self.together and len(set(self.rates)) > 1:
            raise UsageError(
                "Stems of several sample rates cannot be put together.", "Choose one: --rate 48000."
            )
        if options.format != "wav" and find_ffmpeg() is None:
            raise MachineError(
                f"{options.format.upper()} needs ffmpeg, and there is none.",
                FFMPEG_HINT,
                code="no_encoder",
            )
        n_blocks = len(list(blocks(n_samples, 16_000)))
        rounds = 2 * len(self.tracks) + 2 * options.mixdown + options.poly + (sources.mix is not None)
        self._done, self._total, self._progress = 0, rounds * n_blocks, progress

    def tick(self) -> None:
        """One block more is done."""
        self._done = min(self._done + 1, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)

    def write(self, speech: Mapping[str, Spans]) -> tuple[list[Stem], Mixdown | None, str | None]:
        """Every stem, then what is made of all of them."""
        stems, wavs = [], []
        with contextlib.ExitStack() as stack:
            for track, rate_hz in zip(self.tracks, self.rates, strict=True):
                wav = self.folder / f"{track.label}.wav"
                if self.options.format != "wav":
                    wav = temporary_beside(wav)
                    stack.callback(wav.unlink, missing_ok=True)
                stems.append(self._stem(track, speech.get(track.label), rate_hz, wav))
                wavs.append(wav)
                if self.options.format != "wav" and not self.together:
                    wav.unlink()
            return stems, *self._combined(wavs)

    def _stem(self, track: Track, speech: Spans | None, rate_hz: int, wav: Path) -> Stem:
        """Level one track, write it as a WAV file, and encode that where another format is wanted."""
        with (
            opened(track, speech, self.n_samples, rate_hz, self.sources) as voice,
            Spool(wav, self.options.bits) as spool,
        ):
            levelled = level(voice, spool, self.options, self.tick)
            with self._writer(wav, rate_hz) as stem:
                for start, stop in blocks(voice.n_samples, rate_hz):
                    stem.write(levelled.finish.read(start, stop))
                    self.tick()
        kind = self.options.format
        target = self.folder / f"{track.label}{SUFFIXES.get(kind, '.wav')}"
        if kind != "wav":
            encode(wav, target, kind)
        return _record(f"{self.folder.name}/{target.name}", levelled)

    def _combined(self, wavs: Sequence[Path]) -> tuple[Mixdown | None, str | None]:
        mixdown, poly = None, None
        if self.together:
            rate_hz = self.rates[0]
            n_samples = length_at(self.n_samples, rate_hz)
            if self.options.mixdown:
                target = self._writer(self.folder / "mixdown.wav", rate_hz)
                mixdown = write_sum(wavs, target, n_samples, self.options.peak_dbtp, self.tick)
            if self.options.poly:
                target = self._writer(self.folder / "poly.wav", rate_hz, len(self.tracks))
                poly = write_poly(wavs, target, n_samples, self.tick)
        return mixdown, poly

    def _writer(self, path: Path, rate_hz: int, n_channels: int = 1) -> StemWriter:
        return StemWriter(path, rate_hz, self.options.bits, n_channels)


def _plain(options: StemOptions) -> dict[str, Any]:
    return {**asdict(options), "speakers": list(options.speakers)}


def asked_for(tracks: Sequence[Track], speakers: Sequence[str]) -> list[Track]:
    """The tracks of the speakers that were named, all of them where none was.

    Raises:
        UsageError: somebody who was named is nobody's label.
    """
    missing = sorted(set(speakers) - {t.label for t in tracks})
    if missing:
        raise UsageError(
            f"No participant is called {', '.join(missing)}.",
            f"There are: {', '.join(t.label for t in tracks) or 'none'}.",
        )
    return [t for t in tracks if not speakers or t.label in speakers]


def _record(file: str, levelled: Levelled) -> Stem:
    voice, gain, before = levelled.finish.voice, levelled.gain, levelled.before
    return Stem(
        file=file,
        participant=voice.label,
        rate_hz=voice.rate_hz,
        n_samples=voice.n_samples,
        integrated_lufs_before=before.lufs(),
        integrated_lufs_after=levelled.lufs,
        speech_lufs_before=before.speech_lufs(),
        speech_lufs_after=levelled.speech_lufs,
        true_peak_dbtp_before=before.peak_dbtp,
        true_peak_dbtp_after=levelled.peak_dbtp,
        gain_db=gain.gain_db,
        gain_set_by=gain.set_by,
        measured_over=gain.measured_over,
        limited_db=levelled.limited_db,
        reason=gain.reason,
    )


def _level_findings(stems: Sequence[Stem], options: StemOptions) -> tuple[Finding, ...]:
    """Stems whose speech stayed well below the target, and why."""
    why = {
        "peak": f"its peaks reach the ceiling of {options.peak_dbtp:g} dBTP; `--limit` holds them instead",
        "cap": f"the gain is capped at {options.max_gain_db:g} dB",
    }
    return tuple(
        Finding(
            "stem_below_target",
            f"The stem is {short_lu:.1f} LU below the target of {options.lufs:g} LUFS: {why[s.gain_set_by]}.",
            s.participant,
            "note",
        )
        for s in stems
        if s.gain_set_by in why and options.normalize == "lufs"
        # A cap may leave it so quiet that nothing passes the gate.
        if (short_lu := options.lufs - max(s.reading, -70.0)) > _SHORT_LU
    )
