"""One WAV a participant, as long as the mix, at one loudness: ``stems/`` and ``stems.json``.

::

    parts ─► plan ─► render ─► measure ─► gain           first pass
                └──► render ─────────────► × ─► WAV      second pass

Rendering twice is cheaper than keeping hours of floats.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from recall_audio.core.gain import Gain, Level, choose_gain
from recall_audio.core.spans import Spans
from recall_audio.errors import UsageError
from recall_audio.media.wav import StemWriter
from recall_audio.model.options import StemOptions
from recall_audio.model.stems import Stem, StemsResult
from recall_audio.model.tracks import Track
from recall_audio.units import db_to_gain
from recall_audio.workflow.voices import Tick, Voice, blocks, measure, voice_of


def export_stems(
    tracks: Sequence[Track],
    speech: Mapping[str, Spans],
    n_samples: int,
    folder: Path,
    options: StemOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> StemsResult:
    """Write ``<folder>/<label>.wav`` for every track.

    Args:
        tracks: every participant's parts on the mix's clock; one without parts gets a silent stem.
        speech: label to speech on the mix's clock; without an entry, the whole track sets its gain.
        n_samples: length of the mix at 16 kHz; every stem's length.
        folder: where to write; made where it is not there.
        options: level, format, whom to write; defaults where None.
        progress: called with blocks done and blocks in all.

    Raises:
        UsageError: a label in ``options.speakers`` is nobody's.
        MachineError: the disk is full.
    """
    options = options or StemOptions()
    chosen = _choose(tracks, options.speakers)
    voices = [voice_of(t, speech.get(t.label), n_samples) for t in chosen]
    tick = _ticker(2 * sum(len(list(blocks(v.n_samples, v.rate_hz))) for v in voices), progress)
    written = []
    for voice in voices:
        level = measure(voice, tick)
        gain = choose_gain(level, options)
        path = folder / f"{voice.label}.wav"
        _write(path, voice, gain, options, tick)
        written.append(_record(f"{folder.name}/{path.name}", voice, level, gain))
    return StemsResult(tuple(written), _parameters(options))


def _choose(tracks: Sequence[Track], speakers: Sequence[str]) -> list[Track]:
    missing = sorted(set(speakers) - {t.label for t in tracks})
    if missing:
        raise UsageError(
            f"No participant is called {', '.join(missing)}.",
            f"There are: {', '.join(t.label for t in tracks) or 'none'}.",
        )
    return [t for t in tracks if not speakers or t.label in speakers]


def _ticker(total: int, progress: Callable[[int, int], None] | None) -> Tick:
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return tick


def _write(path: Path, voice: Voice, gain: Gain, options: StemOptions, tick: Tick) -> None:
    factor = np.float32(db_to_gain(gain.gain_db))
    with StemWriter(path, voice.rate_hz, options.bits) as stem:
        for start, stop in blocks(voice.n_samples, voice.rate_hz):
            stem.write(voice.read(start, stop) * factor)
            tick()


def _record(file: str, voice: Voice, level: Level, gain: Gain) -> Stem:
    return Stem(
        file=file,
        participant=voice.label,
        rate_hz=voice.rate_hz,
        n_samples=voice.n_samples,
        integrated_lufs_before=level.lufs(),
        integrated_lufs_after=level.lufs(gain.gain_db),
        speech_lufs_before=level.speech_lufs(),
        speech_lufs_after=level.speech_lufs(gain.gain_db),
        true_peak_dbtp_before=level.peak_dbtp,
        true_peak_dbtp_after=level.peak_dbtp + gain.gain_db,
        gain_db=gain.gain_db,
        gain_set_by=gain.set_by,
        measured_over=gain.measured_over,
        reason=gain.reason,
    )


def _parameters(options: StemOptions) -> dict[str, Any]:
    return {**asdict(options), "speakers": list(options.speakers)}
