"""Measure voice features of every turn from a recording's stems.

Turns, speech and stems lie on one clock. Of each turn the stretches in which its speaker speaks alone are
read, one stem open at a time, one piece in memory at a time.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from recall_audio.core.spans import from_seconds, total
from recall_audio.core.voice import choose_pieces, clear_speech, measure_voice, widen
from recall_audio.errors import UsageError
from recall_audio.export.tables import cells_of, columns_of
from recall_audio.files import path_in
from recall_audio.media.decode import decode
from recall_audio.media.pcm_file import FULL_SCALE
from recall_audio.media.wav import read_block
from recall_audio.model.options import FeatureOptions
from recall_audio.model.turns import VOICE_FIGURES, Turn, TurnFeatures, VoiceFeatures
from recall_audio.pipeline.documents import need, read_documents
from recall_audio.pipeline.talk import remeasure_talk
from recall_audio.results.records import Table
from recall_audio.typing import Float32Array, Spans
from recall_audio.units import RATE_HZ, to_samples

Read = Callable[[int, int], Float32Array]
"""Reads samples of a stem at 16 kHz, from one sample of the mix's clock to another."""

LEAST_PITCH_RATIO = 2.0 ** (1 / 12)
"""Least ratio of the highest pitch looked for to the lowest: a semitone."""

NO_STEM = "no stem of this speaker was written"
_IN_PLACE = (".wav", ".flac")
"""Formats that are read at any place without decoding the whole file."""


def measure_features(
    folder: Path,
    options: FeatureOptions = FeatureOptions(),  # noqa: B008 - a frozen value
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[TurnFeatures, ...]:
    """Measure the voice of every turn of a processed recording, by start.

    Args:
        folder: the recording's folder.
        options: how much of a turn is analysed, and how.
        progress: callback with the turns done and their number.

    Raises:
        ItemError: the recording has no results, or a stem is missing.
        UsageError: the range of pitch is narrower than a semitone, or upside down.
    """
    low_hz, high_hz = options.f0_lowest_hz, options.f0_highest_hz
    if high_hz < low_hz * LEAST_PITCH_RATIO:
        raise UsageError(
            f"No pitch can be searched from {low_hz:g} to {high_hz:g} Hz: "
            "expected a lower frequency, then one that is higher by a semitone (6 %) or more.",
            "Correct --f0, for example --f0 60 500.",
        )
    documents = read_documents(folder)
    talk = remeasure_talk(documents)
    speech = {k: from_seconds(v) for k, v in need(documents, "segments")["speakers"].items()}
    stems = {s["participant"]: s for s in documents.get("stems", {}).get("stems", [])}
    found: list[TurnFeatures] = []
    for label, spoken in speech.items():
        turns = [t for t in talk.events.turns if t.speaker == label]
        others = widen((s for other, s in speech.items() if other != label), options.guard_s)
        stretches = [
            clear_speech(to_samples(t.start_s), to_samples(t.end_s), spoken, others, options) for t in turns
        ]
        measured = []
        for voice in _voices(stretches, stems.get(label), folder, options):
            measured.append(voice)
            progress(len(found) + len(measured), len(talk.events.turns))
        found += _against_own(turns, stretches, measured)
    return tuple(sorted(found, key=lambda t: (t.start_s, t.end_s, t.speaker)))


def features_table(found: Sequence[TurnFeatures]) -> Table:
    """Return a row a turn, with the reasons for empty figures in the last column."""
    columns = [*columns_of(TurnFeatures), *columns_of(VoiceFeatures)]
    rows = []
    for turn in found:
        cells = [*cells_of(turn), *cells_of(turn.voice)]
        rows.append([*cells[:-1], _reasons(turn.voice.reasons)])
    return columns, rows


def _reasons(reasons: Mapping[str, str]) -> str:
    """Return each reason once, after its figures, without them where it explains all."""
    by_reason: dict[str, list[str]] = {}
    for figure, why in reasons.items():
        by_reason.setdefault(why, []).append(figure)
    if [set(figures) for figures in by_reason.values()] == [set(VOICE_FIGURES)]:
        return next(iter(by_reason))
    return "; ".join(f"{', '.join(figures)}: {why}" for why, figures in by_reason.items())


def _against_own(
    turns: Sequence[Turn], stretches: Sequence[Spans], voices: Sequence[VoiceFeatures]
) -> list[TurnFeatures]:
    """Combine turns with their features, levels relative to the speaker's median."""
    levels = [v.level_dbfs for v in voices if v.level_dbfs is not None]
    own_median_dbfs = statistics.median(levels) if levels else None
    return [
        TurnFeatures(
            t.speaker,
            t.start_s,
            t.end_s,
            t.talk_s,
            total(s) / RATE_HZ,
            t.backchannel_candidate,
            v.against(own_median_dbfs),
        )
        for t, s, v in zip(turns, stretches, voices, strict=True)
    ]


def _voices(
    stretches: Sequence[Spans], stem: Mapping[str, Any] | None, folder: Path, options: FeatureOptions
) -> Iterator[VoiceFeatures]:
    """Yield the features of one speaker's turns."""
    if stem is None or stem["file"] is None:
        yield from (VoiceFeatures.missing(NO_STEM) for _ in stretches)
        return
    if not stretches:
        return
    with _opened(path_in(folder, stem["file"]), stem["rate_hz"]) as read:
        for rows in stretches:
            sound = (read(start, end) for start, end in choose_pieces(rows, options))
            yield measure_voice(sound, options, stem["gain_db"])


@contextmanager
def _opened(path: Path, rate_hz: int) -> Iterator[Read]:
    """Open a stem for reading at 16 kHz, in place or decoded once into a working file."""
    if rate_hz == RATE_HZ and path.suffix in _IN_PLACE:
        yield lambda start, end: read_block(path, start / RATE_HZ, end / RATE_HZ)[0]
        return
    with tempfile.TemporaryDirectory() as scratch:
        work = decode(path, Path(scratch) / "work").path
        yield lambda start, end: _from_work(work, start, end)


def _from_work(work: Path, start: int, end: int) -> Float32Array:
    samples = np.fromfile(work, dtype="<i2", count=end - start, offset=2 * start)
    return samples.astype(np.float32) / np.float32(FULL_SCALE)
