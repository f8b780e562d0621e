"""What a track's background and its participant's voice are like, learnt from a sample of the track.

A recording is taken as active above 35 % of the way, in decibels, from its quiet to its loud frames; that
threshold is looked for where the network hears speech, pauses included, and never under the background.

::

    loud   ──────────▂▇█▇▅▂───▃▇█▆▃──────────      95th percentile where there is speech
                    ▂      ▁▂▃     ▂
    35 %   ╌╌╌╌╌╌╌╌▂╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▁╌╌╌╌╌╌╌╌
    quiet  ▁▁▁▁▁▁▁▁                  ▁▁▁▁▁▁▁      3rd percentile of the same, or the background
"""

from dataclasses import dataclass, replace

import numpy as np

from recall_audio.core.speech.voice_frames import SMALLEST, Frames, closed, db, highest, near
from recall_audio.typing import BoolArray, Float32Array

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

    Somebody who only listens has frames too in which more is left than leaked, but hardly any of these: 0 to
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
