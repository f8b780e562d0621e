"""Write one stem a participant, as long as the mix and at one loudness.

::

    parts ─► plan ─► render ─► measure ─► gain             first pass
                └──► render ─────────────► × ─► WAV ─► (FLAC, MP3, Opus)     second pass
                                                └────► (sum, multichannel file)

One participant is written after another. What costs much to render is kept on disk from the first pass to the
second.
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
from recall_audio.pipeline.stems.level import LevelResult, OnBlock, blocks, level_track
from recall_audio.pipeline.stems.track_reader import (
    RenderCache,
    StemSources,
    length_at_rate,
    native_rate,
    open_track,
)
from recall_audio.typing import Float32Array, Spans
from recall_audio.units import RATE_HZ, db_to_gain

MOST_SAMPLES = 4_000_000
"""Samples of all channels together that are held at once: 16 MB."""

SHORT_LU = 3.0
"""A stem this far below the target is named in a finding."""

GATE_LUFS = -70.0
"""A stem that no block passes the gate of counts as this loud there."""


def write_sum(
    stems: Sequence[Path], target: StemWriter, n_samples: int, peak_dbtp: float, on_block: OnBlock
) -> Mixdown:
    """Write the sum of stems of one rate, lowered where its true peak would pass `peak_dbtp`."""
    rate_hz = target.kind.rate_hz
    energy, peak = EnergyMeter(rate_hz), PeakMeter(rate_hz)
    for start, stop in blocks(n_samples, rate_hz):
        block = _sum(stems, start, stop, rate_hz)
        energy.add(block)
        peak.add(block)
        on_block()
    gain_db = min(0.0, peak_dbtp - peak.dbtp)
    factor = np.float32(db_to_gain(gain_db))
    with target:
        for start, stop in blocks(n_samples, rate_hz):
            target.write(_sum(stems, start, stop, rate_hz) * factor)
            on_block()
    lufs = gated_lufs(block_energies(energy.energies()), gain_db)
    file = f"{target.path.parent.name}/{target.path.name}"
    return Mixdown(file, gain_db, lufs, peak.dbtp + gain_db)


def write_poly(stems: Sequence[Path], target: StemWriter, n_samples: int, on_block: OnBlock) -> str:
    """Write stems of one rate as the channels of one file, in order, and return its name."""
    rate_hz = target.kind.rate_hz
    size = max(MOST_SAMPLES // len(stems), rate_hz // 10)
    with target:
        for start, stop in blocks(n_samples, rate_hz):
            for first in range(start, stop, size):
                end = min(first + size, stop)
                target.write(np.stack([_read_stem(p, first, end, rate_hz) for p in stems], axis=1))
            on_block()
    return f"{target.path.parent.name}/{target.path.name}"


def _sum(stems: Sequence[Path], start: int, stop: int, rate_hz: int) -> Float32Array:
    """Return the sum of samples [start, stop) of all stems."""
    total = np.zeros(stop - start, dtype=np.float32)
    for path in stems:
        total += _read_stem(path, start, stop, rate_hz)
    return total


def _read_stem(path: Path, start: int, stop: int, rate_hz: int) -> Float32Array:
    """Return samples [start, stop) of a written stem."""
    return read_block(path, start / rate_hz, stop / rate_hz)[0]


def export_stems(
    tracks: Sequence[Track],
    speech: Mapping[str, Spans],
    n_samples: int,
    folder: Path,
    options: StemOptions | None = None,
    progress: CountCallback | None = None,
    sources: StemSources | None = None,
) -> StemsResult:
    """Write ``<folder>/<label>.wav`` for every track with speech of its own.

    Args:
        tracks: every participant's parts on the mix's clock.
        speech: label to speech on the mix's clock; without an entry, the whole track sets its gain. A track
            with an empty entry, or without parts, is silent: it has a record and no file, unless
            ``options.silent`` asks for it.
        n_samples: length of the mix at 16 kHz; every stem's length.
        folder: where to write; made if it is missing.
        options: level, format, which speakers to write; defaults where None.
        progress: called with blocks done and blocks in all.
        sources: the mix and the files as downloaded; without them there is no residual check and no rate
            but 16 kHz.

    Returns:
        What was written; its ``to_json`` is ``stems.json``.

    Raises:
        UsageError: a label in ``options.speakers`` is no participant's, or stems of several rates are to be
            summed.
        ItemError: another rate is wanted, and a downloaded file is missing.
        MachineError: the disk is full, or ffmpeg is needed and missing (``no_encoder``).
    """
    options, sources = options or StemOptions(), sources or StemSources()
    export = _Export(tracks, speech, n_samples, folder, options, sources, progress)
    stems, mixdown, poly = export.write()
    mix = export.sources.mix
    residual = None if mix is None else check_residual(tracks, mix, export.on_block)
    findings = (*_level_findings(stems, export.options), *(residual_findings(residual) if residual else ()))
    return StemsResult(tuple(stems), _plain(export.options), mixdown, poly, residual, findings)


def combine_results(
    results: Sequence[StemsResult | Residual | None], order: Sequence[str], options: StemOptions
) -> StemsResult:
    """Combine the results of single stems, and what they leave of the mix, to one.

    Args:
        results: in any order.
        order: the labels of all stems, in the recording's order.
        options: the options in force.
    """
    several = [r for r in results if isinstance(r, StemsResult)]
    residual = next((r for r in results if isinstance(r, Residual)), None)
    findings = [f for r in several for f in r.findings]
    by_label = {s.participant: s for r in several for s in r.stems}
    return StemsResult(
        stems=tuple(by_label[label] for label in order),
        parameters=_plain(options),
        residual=residual,
        findings=(*findings, *(residual_findings(residual) if residual else ())),
    )


def is_silent(track: Track, speech: Spans | None) -> bool:
    """Return whether a track holds no speech of its own."""
    return not track.parts or (speech is not None and len(speech) == 0)


class _Export:
    """One call of :func:`export_stems`."""

    def __init__(
        self,
        tracks: Sequence[Track],
        speech: Mapping[str, Spans],
        n_samples: int,
        folder: Path,
        options: StemOptions,
        sources: StemSources,
        progress: CountCallback | None,
    ) -> None:
        self.n_samples, self.folder, self.options = n_samples, folder, options
        self.sources = replace(sources, work=sources.work or folder)
        self.tracks = select_tracks(tracks, options.speakers)
        self.speech = speech
        self.written = [t for t in self.tracks if options.silent or not is_silent(t, speech.get(t.label))]
        native = options.rate_hz == 0
        self.rates = {
            t.label: native_rate(t, sources.files) if native else options.rate_hz for t in self.tracks
        }
        self.together = (options.mixdown or options.poly) and bool(self.written)
        if self.together and len({self.rates[t.label] for t in self.written}) > 1:
            raise UsageError(
                "Stems of several sample rates cannot be put together.", "Choose one: --rate 48000."
            )
        if options.format != "wav" and find_ffmpeg() is None:
            raise MachineError(
                f"{options.format.upper()} needs ffmpeg, and there is none.",
                FFMPEG_HINT,
                code="no_encoder",
            )
        n_blocks = len(list(blocks(n_samples, RATE_HZ)))
        n_passes = 2 * len(self.written) + 2 * options.mixdown + options.poly + (sources.mix is not None)
        self._done, self._total, self._progress = 0, n_passes * n_blocks, progress

    def on_block(self) -> None:
        """Count one block more as done."""
        self._done = min(self._done + 1, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)

    def write(self) -> tuple[list[Stem], Mixdown | None, str | None]:
        """Write every stem, then what is made of all of them."""
        stems, wavs = {t.label: self._unwritten(t) for t in self.tracks}, []
        with contextlib.ExitStack() as stack:
            for track in self.written:
                wav = self.folder / f"{track.label}.wav"
                if self.options.format != "wav":
                    wav = temporary_beside(wav)
                    stack.callback(wav.unlink, missing_ok=True)
                stems[track.label] = self._write_stem(track, wav)
                wavs.append(wav)
                if self.options.format != "wav" and not self.together:
                    wav.unlink()
            return list(stems.values()), *self._combined(wavs)

    def _unwritten(self, track: Track) -> Stem:
        """Return the record of a silent participant, for whom no file is written."""
        rate_hz = self.rates[track.label]
        why = "No speech of this participant was found in the track" if track.parts else "There is no track"
        return Stem(
            file=None,
            participant=track.label,
            rate_hz=rate_hz,
            n_samples=length_at_rate(self.n_samples, rate_hz),
            reason=f"{why}: no file is written without --silent-stems.",
        )

    def _write_stem(self, track: Track, wav: Path) -> Stem:
        """Level one track, write it as a WAV file, and encode that where another format is wanted."""
        speech, rate_hz = self.speech.get(track.label), self.rates[track.label]
        with (
            open_track(track, speech, self.n_samples, rate_hz, self.sources) as opened,
            RenderCache(wav, self.options.bits) as cache,
        ):
            result = level_track(opened, cache, self.options, self.on_block)
            with self._writer(wav, rate_hz) as stem:
                for start, stop in blocks(opened.n_samples, rate_hz):
                    stem.write(result.levelled.read(start, stop))
                    self.on_block()
        kind = self.options.format
        target = self.folder / f"{track.label}{SUFFIXES.get(kind, '.wav')}"
        if kind != "wav":
            encode(wav, target, kind)
        return _record(f"{self.folder.name}/{target.name}", result)

    def _combined(self, wavs: Sequence[Path]) -> tuple[Mixdown | None, str | None]:
        """Write the sum and the multichannel file, where they are wanted."""
        mixdown, poly = None, None
        if self.together:
            rate_hz = self.rates[self.written[0].label]
            n_samples = length_at_rate(self.n_samples, rate_hz)
            if self.options.mixdown:
                target = self._writer(self.folder / "mixdown.wav", rate_hz)
                mixdown = write_sum(wavs, target, n_samples, self.options.peak_dbtp, self.on_block)
            if self.options.poly:
                target = self._writer(self.folder / "poly.wav", rate_hz, len(self.written))
                poly = write_poly(wavs, target, n_samples, self.on_block)
        return mixdown, poly

    def _writer(self, path: Path, rate_hz: int, n_channels: int = 1) -> StemWriter:
        """Return a writer of one WAV file."""
        return StemWriter(path, rate_hz, self.options.bits, n_channels)


def _plain(options: StemOptions) -> dict[str, Any]:
    """Return options as ``stems.json`` has them."""
    return {**asdict(options), "speakers": list(options.speakers)}


def select_tracks(tracks: Sequence[Track], speakers: Sequence[str]) -> list[Track]:
    """Return the tracks of the speakers that were named, all of them where none was.

    Raises:
        UsageError: a name is no participant's label.
    """
    missing = sorted(set(speakers) - {t.label for t in tracks})
    if missing:
        raise UsageError(
            f"No participant is called {', '.join(missing)}.",
            f"There are: {', '.join(t.label for t in tracks) or 'none'}.",
        )
    return [t for t in tracks if not speakers or t.label in speakers]


def _record(file: str, result: LevelResult) -> Stem:
    """Return the entry of one stem in ``stems.json``."""
    track, gain, before = result.levelled.track, result.gain, result.before
    return Stem(
        file=file,
        participant=track.label,
        rate_hz=track.rate_hz,
        n_samples=track.n_samples,
        integrated_lufs_before=before.lufs(),
        integrated_lufs_after=result.lufs,
        speech_lufs_before=before.speech_lufs(),
        speech_lufs_after=result.speech_lufs,
        true_peak_dbtp_before=before.peak_dbtp,
        true_peak_dbtp_after=result.peak_dbtp,
        gain_db=gain.gain_db,
        gain_set_by=gain.set_by,
        measured_over=gain.measured_over,
        limited_db=result.limited_db,
        reason=gain.reason,
    )


def _level_findings(stems: Sequence[Stem], options: StemOptions) -> tuple[Finding, ...]:
    """Return a finding on each stem whose speech stayed well below the target."""
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
        if (short_lu := options.lufs - max(s.reading, GATE_LUFS)) > SHORT_LU
    )
