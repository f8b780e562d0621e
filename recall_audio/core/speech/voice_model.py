"""What a track's background and its participant's voice are like, learnt from a sample of the track.

A recording is taken as active above 35 % of the way, in decibels, from its quiet to its loud frames; that
threshold is looked for where the network hears speech, pauses included, and never under the background.

::

    loud   ──────────▂▇█▇▅▂───▃▇█▆▃──────────      95th percentile where there is speech
                    ▂      ▁▂▃     ▂
    35 %   ╌╌╌╌╌╌╌╌▂╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▁╌╌╌╌╌╌╌╌
    quiet  ▁▁▁▁▁▁▁▁                  ▁▁▁▁▁▁▁      3rd percentile of the same, or the background
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recall_audio.core import spans as sp
from recall_audio.core.speech.frames import near
from recall_audio.core.transforms import rfft, sliding_highest, sliding_mean
from recall_audio.typing import BoolArray, Float32Array

LOWEST_HZ, HIGHEST_HZ = 100.0, 4000.0
SMALLEST = 1e-12
"""The least power that a band holds: −120 dB full scale, so that logarithms stay finite."""

_BIN_HZ = 50
_HOP = 80
_FRAMES_AT_ONCE = 1000


def _edges_hz(n_bands: int) -> Float32Array:
    """Edges of bands of equal width in mel (O'Shaughnessy 1987: 2595·log10(1 + f/700))."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    return np.asarray(700 * (10 ** (np.linspace(low, high, n_bands + 1) / 2595) - 1))


N_BANDS = 16


def _matrix() -> Float32Array:
    """Which of the 81 bins of 50 Hz belong to which band: shape (81, 17), the last for what lies below."""
    bins_hz = np.arange(81) * _BIN_HZ
    at = np.searchsorted(_edges_hz(N_BANDS), bins_hz, side="right") - 1
    at[at < 0] = N_BANDS
    columns = np.arange(N_BANDS + 1)
    return np.asarray((at[:, None] == columns) & (bins_hz < HIGHEST_HZ)[:, None], dtype=np.float32)


_BANDS = _matrix()


def band_power(x: Float32Array, wanted: BoolArray | None = None) -> tuple[Float32Array, Float32Array]:
    """Power in each band of each 10 ms frame, and below them.

    Args:
        x: float32 samples at 8 kHz, full scale 1; the last frame may be cut short.
        wanted: shape (n_frames,): other frames are left at :data:`SMALLEST`. None: all.

    Returns:
        shapes (``ceil(len(x) / 80)``, 16) and (n,), at least :data:`SMALLEST`.
    """
    n = -(-len(x) // _HOP)
    padded = np.zeros((n + 2) * _HOP, dtype=np.float32)
    padded[_HOP // 2 : _HOP // 2 + len(x)] = x
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * _HOP)[::_HOP][:n]
    window = np.hanning(2 * _HOP + 1)[:-1].astype(np.float32)
    power, below = np.full((n, N_BANDS), SMALLEST, dtype=np.float32), np.full(n, SMALLEST, dtype=np.float32)
    rows = np.arange(n) if wanted is None else np.flatnonzero(wanted[:n])
    # A sine of amplitude 1 in one band gives its power, 1/2, times the window's 3/2: a constant, left in.
    scale = np.float32(1.0 / (0.375 * _HOP * _HOP))
    for i in range(0, len(rows), _FRAMES_AT_ONCE):
        at = rows[i : i + _FRAMES_AT_ONCE]
        spectrum = rfft(frames[at] * window, axis=1)
        found = (spectrum.real**2 + spectrum.imag**2) @ _BANDS * scale + SMALLEST
        power[at], below[at] = found[:, :N_BANDS], found[:, N_BANDS]
    return power, below


SMOOTH = 9
"""Frames over which band powers are averaged: 90 ms, about a syllable's nucleus."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """A stretch of one track, one row each 10 ms; powers are running means over 90 ms.

    Attributes:
        probability: shape (n,), the network's, 0 to 1.
        present: shape (n,), whether the track has a part there that is not digital silence.
        heard: shape (n, 16), band powers of what the track holds.
        own: shape (n, 16), band powers of what is left when others' leaked voices are subtracted.
        leaked: shape (n, 16), band powers of the leaked voices as predicted.
        puffs: shape (n,), power below those bands, what leaked subtracted: breath and lips at the microphone.
    """

    probability: Float32Array
    present: BoolArray
    heard: Float32Array
    own: Float32Array
    leaked: Float32Array
    puffs: Float32Array

    def without_leakage(self) -> "Frames":
        """The same as if nothing had leaked."""
        return replace(self, own=self.heard, leaked=np.zeros_like(self.leaked))


def joined(several: list[Frames]) -> Frames:
    """Stretches one after the other."""
    if len(several) == 1:
        return several[0]
    columns = ([getattr(f, field.name) for f in several] for field in fields(Frames))
    return Frames(*(np.concatenate(column) for column in columns))


def smooth(x: Float32Array, width: int = SMOOTH) -> Float32Array:
    """Running mean along time."""
    return sliding_mean(x, width)


def highest(x: Float32Array, reach: int) -> Float32Array:
    """The highest value within `reach` frames each way."""
    return sliding_highest(x, 2 * reach + 1)


def closed(mask: BoolArray, gap: int) -> BoolArray:
    """`mask` with gaps of up to `gap` frames closed."""
    return sp.to_mask(sp.bridge(sp.from_mask(mask, 1), gap), 1, len(mask))


def db(power: npt.NDArray[np.floating[Any]] | float) -> Float32Array:
    """Decibels of a power."""
    return np.asarray(10 * np.log10(power), dtype=np.float32)


HULL_GAP = 120
"""Frames of pause, 1.2 s, across which speech is one utterance: its pauses show the recording's quiet."""

_GOOD_DB = 25.0
_FEWEST_GOOD = 5
_FEWEST_VOICED = 30
_MUCH_MORE, _OVER_NOISE = 8.0, 2.0  # powers: 9 dB and 3 dB
_QUIETEST_DB = -60.0
_PUFF_UNDER, _PUFF_ABOVE = 0.004, 2.0  # powers: 24 dB under the voice, 3 dB over the background's highest


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A level from which frames are active, in some of the bands.

    Attributes:
        bands: shape (16,), which bands are summed.
        level_db: the threshold.
        surely_db: what the network calls speech is active from here already.
    """

    bands: BoolArray
    level_db: float
    surely_db: float


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """A track's background and its participant's voice.

    Attributes:
        noise: shape (16,), mean power of the background in each band.
        noise_high: shape (16,), 95th percentile of the background's smoothed power.
        loud: shape (16,), 95th percentile of the voice's smoothed power.
        loud_sum: the same of the sum over the bands.
        rules: thresholds in the bands where voice and background are far apart, and in all.
        puff: power below the bands, from which it is the participant's breath or lips.
        n_voiced: frames of voice that this was learnt from.
    """

    noise: Float32Array
    noise_high: Float32Array
    loud: Float32Array
    loud_sum: float
    rules: tuple[Rule, ...]
    puff: float = np.inf
    n_voiced: int = 0


def learn(f: Frames, threshold: float) -> Voice | None:
    """Voice and background of the track that `f` samples; None where it holds no voice of its own."""
    heard, own, leaked = f.heard, f.own, f.leaked
    quiet = background(f)
    if not np.any(quiet):
        return None
    noise = np.maximum(np.mean(heard[quiet], axis=0), SMALLEST)
    noise_high = np.maximum(np.percentile(heard[quiet], 95, axis=0).astype(np.float32), SMALLEST)
    voiced = (f.probability >= threshold) & is_surely_own(own, leaked, noise) & f.present
    if np.count_nonzero(voiced) < _FEWEST_VOICED:
        return None
    loud = np.percentile(own[voiced], 95, axis=0).astype(np.float32)
    # A gated track has digital silence for a background: there is none so quiet in a real room.
    least = loud * np.float32(10 ** (_QUIETEST_DB / 10))
    noise, noise_high = np.maximum(noise, least), np.maximum(noise_high, least)
    loud_sum = float(np.percentile(own[voiced].sum(axis=1), 95))
    ratio = db(loud / noise_high)
    good = ratio > min(_GOOD_DB, float(np.sort(ratio)[-_FEWEST_GOOD]) - 1e-3)
    voice = Voice(noise, noise_high, loud, loud_sum, ())
    rules = (
        _rule(voice, f, (voiced, quiet), good, (0.35, 1.0)),
        _rule(voice, f, (voiced, quiet), np.ones_like(good), (0.40, 3.0)),
    )
    return replace(voice, rules=rules, puff=_puff(f, quiet, loud_sum), n_voiced=int(np.count_nonzero(voiced)))


def _puff(f: Frames, quiet: BoolArray, loud_sum: float) -> float:
    """The threshold below the bands: as far under the voice as its own faint ends, and over the background.

    In an utterance a breath or lips at the microphone are louder there than speech itself, and a clean
    recording's activity, by which talk is measured, has them.
    """
    below = f.puffs[quiet]
    floor = float(below.mean()) + _PUFF_ABOVE * max(float(np.percentile(below, 97) - below.mean()), 0.0)
    return max(loud_sum * _PUFF_UNDER, floor)


def background(f: Frames) -> BoolArray:
    """Frames of a track without any voice near them; where it is always speaking, the least likely speech."""
    quiet = f.present & (highest(f.probability, 50) < 0.2)
    if np.count_nonzero(quiet) >= 200 or not np.any(f.present):
        return quiet
    low = np.percentile(f.probability[f.present], 10)
    return np.asarray(f.present & (f.probability <= low))


def is_own(own: Float32Array, leaked: Float32Array, noise: Float32Array) -> BoolArray:
    """Frames in which more is left than leaked, or in which nothing worth speaking of leaked."""
    left = np.maximum(own - 1.5 * noise, 0).sum(axis=1)
    leak = leaked.sum(axis=1)
    return np.asarray((left > leak) | (leak < 0.3 * noise.sum()))


def is_surely_own(own: Float32Array, leaked: Float32Array, noise: Float32Array) -> BoolArray:
    """Frames in which much more is left than leaked, and than the background: from these a voice is learnt.

    A listener has frames too in which more is left than leaked, but hardly any of these: 0 to
    30 in five minutes where others' voices leaked at −8 to −32 dB, thousands where the participant spoke.
    """
    total = noise.sum()
    left = np.maximum(own - 1.5 * noise, 0).sum(axis=1)
    return np.asarray((left > _MUCH_MORE * leaked.sum(axis=1)) & (left > _OVER_NOISE * total))


def level_db(own: Float32Array, leaked: Float32Array, noise: Float32Array, bands: BoolArray) -> Float32Array:
    """Level of the participant's own sound over some bands, background and leftover leakage taken off."""
    clean = np.maximum(own - noise - 0.5 * leaked, 0)[:, bands].sum(axis=1)
    return db(clean + 10 * SMALLEST)


def _rule(
    voice: Voice,
    f: Frames,
    masks: tuple[BoolArray, BoolArray],
    bands: BoolArray,
    settings: tuple[float, float],
) -> Rule:
    """The threshold in `bands`; `settings`: the part of the way, the least distance to the background."""
    (voiced, quiet), (part, above_db) = masks, settings
    own, leaked = f.own, f.leaked
    level = level_db(own, leaked, voice.noise, bands)
    loud = float(np.percentile(level[voiced], 95))
    hull = closed(voiced, HULL_GAP) & f.present
    clear = hull & (leaked.sum(axis=1) < voice.noise.sum())
    low = float(np.percentile(level[clear if np.count_nonzero(clear) >= 200 else hull], 3))
    low = max(low, loud + _QUIETEST_DB)
    rest = level_db(f.heard, np.zeros_like(leaked), voice.noise, bands)
    floor = float(np.percentile(rest[quiet], 95)) + above_db
    threshold = max(low + part * (loud - low), floor)
    return Rule(bands, threshold, min(threshold, loud - 20))


def within_reach(voiced: BoolArray, reach: int = 50) -> BoolArray:
    """Frames of an utterance, or within half a second of one."""
    return closed(voiced, HULL_GAP) | near(voiced, reach)
