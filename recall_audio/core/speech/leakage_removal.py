"""A few minutes of all tracks at once: who speaks, what leaked where, and what is left of each track.

Paths are learnt anew for every era, because people move and volumes change; within an era the gain of each
path follows in ten-second windows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.speech.classify import REACH
from recall_audio.core.speech.frames import SMOOTH, Frames, band_power, highest, near, smooth
from recall_audio.core.speech.leakage_paths import (
    Path,
    Way,
    gains,
    gather,
    learnt_from,
    n_windows,
    predict,
    share,
    solve,
    thinned,
    told,
    usable,
)
from recall_audio.core.speech.on_mix import HALF_RATE_HZ, LOWEST_DB, on_mix, read_half
from recall_audio.model.alignment import Track
from recall_audio.model.speech import PartEvidence
from recall_audio.typing import BoolArray, Float32Array, IntArray
from recall_audio.units import FRAME_SAMPLES

_MAYBE = 0.3
_OFTEN, _FEWEST_SUSPECTS = 0.25, 6
_PEAK_DB, _FAINT_PEAK_DB, _FEW_SOURCES = 24.0, 20.0, 4
_WINDOWS_TO_LOOK, _WINDOWS_TO_LEARN = 40, 250


@dataclass(frozen=True, slots=True, eq=False)
class Era:
    """A few minutes of the meeting.

    Attributes:
        first: first frame of 10 ms on the mix's clock.
        tracks: by label.
        probability: by label, shape (n,), the network's, 0 to 1.
        power: by label, shape (n,), power of each frame, full scale 1.
        present: by label, shape (n,), where there is sound at all.
    """

    first: int
    tracks: Mapping[str, Track]
    probability: Mapping[str, Float32Array]
    power: Mapping[str, Float32Array]
    present: Mapping[str, BoolArray]

    @property
    def n_frames(self) -> int:
        """Frames of 10 ms."""
        return len(next(iter(self.present.values()))) if self.present else 0

    @property
    def n_windows(self) -> int:
        """Windows in which paths are looked for."""
        return n_windows(self.n_frames * HALF_RATE_HZ // 100)

    def signal(self, label: str) -> Float32Array:
        """A track on the mix's clock at 8 kHz, full scale 1."""
        return read_half(self.tracks[label], self.first * FRAME_SAMPLES, self.n_frames * FRAME_SAMPLES)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One path as it was in one era.

    Attributes:
        source: label.
        listener: label.
        path: the path.
        gain: factor on the path's gain in each ten-second window of the era, NaN where unknown.
        alike: correlation of prediction and track in each window.
        gain_db: level in the listener's track of what leaks, against the source's own, by the path alone.
    """

    source: str
    listener: str
    path: Path
    gain: Float32Array
    alike: Float32Array
    gain_db: float


def load(tracks: Sequence[Track], evidence: Mapping[str, PartEvidence], first: int, n: int) -> Era:
    """Frames ``first`` to ``first + n`` of all tracks."""
    probability, power, present = {}, {}, {}
    for track in tracks:
        level, p, there = on_mix(track, evidence, first, n)
        probability[track.label] = p.astype(np.float32) / np.float32(255)
        power[track.label] = (10 ** ((level.astype(np.float32) / 2 + LOWEST_DB) / 10)).astype(np.float32)
        present[track.label] = np.asarray(there & (level > 0))
    return Era(first, {t.label: t for t in tracks}, probability, power, present)


def loudest_speaks(era: Era, threshold: float) -> dict[str, BoolArray]:
    """Frames in which each track speaks and is clearly stronger than every other above its background.

    A voice is stronger in its own track than where it leaks to; how loud people are does not matter.
    """
    above = {k: power_above_background(era, k) for k in era.power}
    speaking = {}
    for k, a in above.items():
        others = [b for j, b in above.items() if j != k]
        rival = np.max(others, axis=0) if others else np.zeros_like(a)
        speaking[k] = (era.probability[k] >= threshold) & (a > 1.6 * rival)
    return speaking


def power_above_background(era: Era, label: str) -> Float32Array:
    """Smoothed power of a track over the 90th percentile of its background, shape (n,)."""
    power = era.power[label]
    quiet = era.present[label] & (highest(era.probability[label], 50) < 0.2)
    floor = np.percentile(power[quiet], 90) if np.count_nonzero(quiet) >= 100 else power.min()
    return smooth(np.maximum(power - floor, 0).astype(np.float32), 15)


def suspects(era: Era, speaking: Mapping[str, BoolArray]) -> dict[str, tuple[IntArray, IntArray]]:
    """By listener, windows in which others speak and the listener does not, and those with a voice."""
    found = {}
    for k, p in era.probability.items():
        windows = usable(speaking, k, era.n_windows)
        voiced = share(p >= _MAYBE, era.n_windows)
        found[k] = windows, windows[voiced[windows] > 0.25]
    return found


def look(
    era: Era, speaking: Mapping[str, BoolArray], signals: "Signals", barred: set[tuple[str, str]]
) -> dict[str, list[str]]:
    """Whose voice is heard in whose track: by listener, its sources. Cheap where nothing leaks.

    Where a voice is heard in a quarter of the time in which only others speak, theirs leak; it was 0 to 18 %
    in meetings without any. Where it is heard in less, the path itself has to show.
    """
    talkers = [k for k, m in speaking.items() if np.count_nonzero(m) >= 100]
    found = {}
    for k, (windows, voiced) in suspects(era, speaking).items():
        sources = [j for j in talkers if j != k and (j, k) not in barred]
        sums = None
        if len(voiced) >= _FEWEST_SUSPECTS:
            sums = gather(signals, k, sources, thinned(voiced, _WINDOWS_TO_LOOK), speaking)
        if sums is not None:
            peaks_db = {j: path.peak_db for j, path in zip(sources, solve(sums), strict=True)}
            if len(voiced) > _OFTEN * len(windows) or max(peaks_db.values()) >= _PEAK_DB:
                # Where one voice leaks, the fainter ones count too: unexplained, they would bend its path.
                found[k] = _strongest(peaks_db)
    return found


def _strongest(peaks_db: Mapping[str, float]) -> list[str]:
    """Sources whose path is seen, and the few next to them that may not be."""
    ranked = sorted(peaks_db, key=lambda j: -peaks_db[j])
    return [j for i, j in enumerate(ranked) if i < _FEW_SOURCES or peaks_db[j] >= _FAINT_PEAK_DB]


class Signals(dict[str, Float32Array]):
    """An era's tracks at 8 kHz by label, each read when it is first wanted."""

    def __init__(self, era: Era) -> None:
        super().__init__()
        self._era = era

    def __missing__(self, label: str) -> Float32Array:
        self[label] = self._era.signal(label)
        return self[label]


def clean(
    era: Era, speaking: Mapping[str, BoolArray], sources: Mapping[str, Sequence[str]], signals: Signals
) -> tuple[dict[str, Frames], list[Seen]]:
    """Every track's frames with what leaked from `sources` taken out, and the paths it took."""
    ways: dict[str, list[Way]] = {}
    seen: list[Seen] = []
    for k, others in sources.items():
        windows = learnt_from(speaking, k, others, era.n_windows, _WINDOWS_TO_LEARN)
        sums = gather(signals, k, others, windows, speaking)
        if sums is not None:
            paths = solve(sums)
            gain, (gain_db, alike) = gains(sums, paths), told(sums, paths)
            ways[k] = [
                Way(j, path, gain[:, i]) for i, (j, path) in enumerate(zip(others, paths, strict=True))
            ]
            known = np.where(sums.spoke > 0, gain, np.nan)
            seen += [
                Seen(j, k, paths[i], known[:, i], alike[:, i], float(gain_db[i]))
                for i, j in enumerate(others)
            ]
    leaked = predict(signals, ways)
    return {k: _frames(era, k, signals[k], leaked.get(k)) for k in era.tracks}, seen


def _wanted(era: Era, label: str) -> BoolArray:
    """Frames worth a spectrum: near what may be speech, and of the rest 0.4 s of every 1.6 s."""
    rest = np.arange(era.n_frames) // 40 % 4 == 0
    return np.asarray(near(era.probability[label] > _MAYBE, REACH + 2 * SMOOTH) | rest)


def _frames(era: Era, label: str, signal: Float32Array, leak: Float32Array | None = None) -> Frames:
    wanted = _wanted(era, label)
    present = era.present[label] & ~near(~wanted, SMOOTH // 2)
    if leak is None:
        heard, below = (smooth(x) for x in band_power(signal, wanted))
        return Frames(era.probability[label], present, heard, heard, np.zeros_like(heard), below)
    heard, _ = band_power(signal, wanted)
    own, below = band_power(signal - leak, wanted)
    leaked, _ = band_power(leak, wanted)
    own = np.minimum(own, 2 * heard)
    return Frames(era.probability[label], present, smooth(heard), smooth(own), smooth(leaked), smooth(below))
