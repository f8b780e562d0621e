"""A few minutes of all tracks at once: who speaks, what leaked where, and what is left of each track.

Paths are learnt anew for every era, because people move and volumes change; within an era the gain of each
path follows in ten-second windows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_audio.core.leakage_paths import HOP, WINDOW, Path, find_paths, learnt_from, share, thinned, usable
from recall_audio.core.leakage_predict import Predictor, joint_gains, scaled, window_gains
from recall_audio.core.speech_bands import band_power
from recall_audio.core.speech_decide import REACH
from recall_audio.core.speech_frames import SMOOTH, Frames, Mask, highest, near, smooth
from recall_audio.core.speech_placed import LOWEST_DB, on_mix, read
from recall_audio.model.detector import FloatArray
from recall_audio.model.speech import PartEvidence
from recall_audio.model.tracks import Track
from recall_audio.units import FRAME_SAMPLES

GAIN_FRAMES = 1000
"""Frames of a gain window: ten seconds."""

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
    probability: Mapping[str, FloatArray]
    power: Mapping[str, FloatArray]
    present: Mapping[str, Mask]

    @property
    def n_frames(self) -> int:
        """Frames of 10 ms."""
        return len(next(iter(self.present.values()))) if self.present else 0

    def signal(self, label: str) -> npt.NDArray[np.int16]:
        """A track's samples on the mix's clock."""
        x = read(self.tracks[label], self.first * FRAME_SAMPLES, self.n_frames * FRAME_SAMPLES)
        return np.clip(np.rint(x * 32768), -32768, 32767).astype(np.int16)


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
    gain: FloatArray
    alike: FloatArray
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


def loudest_speaks(era: Era, threshold: float) -> dict[str, Mask]:
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


def power_above_background(era: Era, label: str) -> FloatArray:
    """Smoothed power of a track over the 90th percentile of its background, shape (n,)."""
    power = era.power[label]
    quiet = era.present[label] & (highest(era.probability[label], 50) < 0.2)
    floor = np.percentile(power[quiet], 90) if np.count_nonzero(quiet) >= 100 else power.min()
    return smooth(np.maximum(power - floor, 0).astype(np.float32), 15)


def suspects(
    era: Era, speaking: Mapping[str, Mask]
) -> dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """By listener, windows in which others speak and the listener does not, and those with a voice."""
    found = {}
    n_samples = era.n_frames * FRAME_SAMPLES
    for k, p in era.probability.items():
        windows = usable(speaking, k, n_samples)
        voiced = share(p >= _MAYBE, (n_samples - WINDOW) // HOP + 1 if n_samples >= WINDOW else 0)
        found[k] = windows, (windows[voiced[windows] > 0.25] if len(windows) else windows)
    return found


def look(
    era: Era,
    speaking: Mapping[str, Mask],
    signals: dict[str, npt.NDArray[np.int16]],
    barred: set[tuple[str, str]],
) -> dict[str, list[str]]:
    """Whose voice is heard in whose track: by listener, its sources. Cheap where nothing leaks.

    Where a voice is heard in a quarter of the time in which only others speak, theirs leak; it was 0 to 18 %
    in meetings without any. Where it is heard in less, the path itself has to show.
    """
    found = {k: w for k, w in suspects(era, speaking).items() if len(w[1]) >= _FEWEST_SUSPECTS}
    talkers = [k for k, m in speaking.items() if np.count_nonzero(m) >= 100]
    sources = {k: [j for j in talkers if j != k and (j, k) not in barred] for k in found}
    sources = {k: several for k, several in sources.items() if several}
    for k in {*sources, *(j for several in sources.values() for j in several)}:
        if k not in signals:
            signals[k] = era.signal(k)
    windows = {k: thinned(found[k][1], _WINDOWS_TO_LOOK) for k in sources}
    paths = find_paths(signals, windows, sources)
    leaky = {k for k in sources if len(found[k][1]) > _OFTEN * len(found[k][0])}
    leaky |= {i for (_, i), path in paths.items() if path.peak_db >= _PEAK_DB}
    # Where one voice leaks, the fainter ones count too: unexplained, they would bend its path.
    return {k: _strongest(k, several, paths) for k, several in sources.items() if k in leaky}


def _strongest(listener: str, sources: Sequence[str], paths: Mapping[tuple[str, str], Path]) -> list[str]:
    """Sources whose path is seen, and the few next to them that may not be."""
    ranked = sorted(sources, key=lambda j: -paths[j, listener].peak_db)
    return [
        j for i, j in enumerate(ranked) if i < _FEW_SOURCES or paths[j, listener].peak_db >= _FAINT_PEAK_DB
    ]


def clean(
    era: Era,
    speaking: Mapping[str, Mask],
    sources: Mapping[str, Sequence[str]],
    signals: Mapping[str, npt.NDArray[np.int16]],
    labels: Sequence[str],
) -> tuple[dict[str, Frames], list[Seen]]:
    """Frames of `labels` with what leaked from `sources` taken out, and the paths it took."""
    n_samples = era.n_frames * FRAME_SAMPLES
    windows = {k: learnt_from(speaking, k, j, n_samples, _WINDOWS_TO_LEARN) for k, j in sources.items()}
    paths = find_paths(signals, windows, sources)
    heard = {i for _, i in paths if i in labels}
    predictors = {k: Predictor(signals[k]) for k in sorted(heard | {j for j, i in paths if i in heard})}
    frames, seen = {}, []
    for k in labels:
        if k not in heard:
            frames[k] = untouched(era, k, signals.get(k))
            continue
        plain = predictors[k].unchanged()
        own = {j: predictors[j].along(paths[j, k]) for j, i in paths if i == k}
        gains = joint_gains(plain, list(own.values()), ~speaking[k], GAIN_FRAMES)
        leak = np.zeros_like(plain)
        for (j, y), gain in zip(own.items(), gains, strict=True):
            leak += scaled(y, gain, GAIN_FRAMES)
            seen.append(_seen(j, k, paths[j, k], (plain, y, predictors[j].unchanged()), speaking[j]))
        frames[k] = _frames(era, k, plain, leak)
    return frames, seen


def _seen(
    source: str, listener: str, path: Path, signals: tuple[FloatArray, FloatArray, FloatArray], speaking: Mask
) -> Seen:
    """What is told of a path; `signals`: the listener's track, the source as predicted there, the source."""
    plain, predicted, own = signals
    gain, alike = window_gains(plain, predicted, speaking, GAIN_FRAMES)
    level = _power(predicted, speaking) / max(_power(own, speaking), 1e-15)
    return Seen(source, listener, path, gain, alike, float(10 * np.log10(level + 1e-12)))


def _power(x: FloatArray, speaking: Mask) -> float:
    n = min(len(speaking), len(x) // 80)
    y = x[: n * 80].reshape(n, 80)[speaking[:n]]
    return float(np.mean(y**2)) if len(y) else 0.0


def _wanted(era: Era, label: str) -> Mask:
    """Frames worth a spectrum: near what may be speech, and of the rest 0.4 s of every 1.6 s."""
    rest = np.arange(era.n_frames) // 40 % 4 == 0
    return np.asarray(near(era.probability[label] > _MAYBE, REACH + 2 * SMOOTH) | rest)


def _frames(era: Era, label: str, plain: FloatArray, leak: FloatArray) -> Frames:
    wanted = _wanted(era, label)
    (heard, _), (own, below), (leaked, _) = (band_power(x, 8000, wanted) for x in (plain, plain - leak, leak))
    present = era.present[label] & ~near(~wanted, SMOOTH // 2)
    return Frames(era.probability[label], present, heard, np.minimum(own, 2 * heard), leaked, below)


def untouched(era: Era, label: str, signal: npt.NDArray[np.int16] | None = None) -> Frames:
    """Frames of a track into which nothing leaks."""
    wanted = _wanted(era, label)
    if signal is None:
        x = read(era.tracks[label], era.first * FRAME_SAMPLES, era.n_frames * FRAME_SAMPLES)
    else:
        x = signal.astype(np.float32) / np.float32(32768)
    heard, below = band_power(x, wanted=wanted)
    present = era.present[label] & ~near(~wanted, SMOOTH // 2)
    return Frames(era.probability[label], present, heard, heard, np.zeros_like(heard), below)
