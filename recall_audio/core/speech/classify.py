"""Which frames are a participant's own speech.

Two judges, either of whom suffices. One weighs all the evidence at once (the network, levels against
background and voice, what is left against what leaked) by a logistic regression. The other goes by the level
alone, near what the network calls speech and where nothing much leaked: it finds the edges and the faint ends
of words that the network leaves out. Breath and lips within an utterance are added to what they found.
"""

from collections.abc import Sequence

import numpy as np

from recall_audio.core.speech.voice_frames import Frames, db, highest, smooth
from recall_audio.core.speech.voice_model import Voice, is_own, level_db, within_reach
from recall_audio.typing import BoolArray, Float32Array

REACH = 70
"""Frames, 0.7 s, from what the network thinks might be speech, past which nothing is looked at."""

_MAYBE = 0.3
_LIKELY = 0.6
_CLEAR_DB = 3.0

# Fitted by logistic regression on frames of lab meetings: clean, noisy and with leakage of -32 to -8 dB.
# Left-out speakers are decided as well as the ones fitted to. Fitted anew, with ten features more and with
# boosted trees, it was no better on left-out speakers.
WEIGHTS: tuple[float, ...] = (
    0.34, 0.39, 0.86, 0.53, 0.11, -0.01, 0.03, 0.70, 0.74, -0.27, 0.97, 1.36, 1.51, 0.04, 0.75,
)  # fmt: skip


def own_speech(f: Frames, voice: Voice, thresholds: Sequence[float]) -> list[BoolArray]:
    """Frames of the participant's own speech, before pauses are bridged, under each threshold.

    A threshold moves both judges alike, from where they stand at 0.5.
    """
    own, leaked = f.own, f.leaked
    mine = is_own(own, leaked, voice.noise)
    maybe = (highest(f.probability, REACH) > _MAYBE) & f.present
    score = smooth(features(f, voice) @ np.array(WEIGHTS, dtype=np.float32), 5)
    clear = db(own.sum(axis=1) / (leaked.sum(axis=1) + 0.3 * voice.noise.sum())) > _CLEAR_DB
    levels = [level_db(own, leaked, voice.noise, rule.bands) for rule in voice.rules]
    decided = []
    for threshold in thresholds:
        likely = min(max(_LIKELY + threshold - 0.5, 0.05), 0.95)
        weighed = maybe & (score > np.log(likely / (1 - likely)))
        found = np.asarray(weighed | (_by_level(f, voice, levels, mine, threshold) & clear))
        puffs = (f.puffs > voice.puff) & within_reach(found)
        decided.append(np.asarray(found | (puffs & f.present)))
    return decided


def _by_level(
    f: Frames, voice: Voice, levels: Sequence[Float32Array], mine: BoolArray, threshold: float
) -> BoolArray:
    sure = (f.probability >= threshold) & mine
    reached = within_reach(sure & f.present)
    found = np.zeros(len(sure), dtype=np.bool_)
    for rule, level in zip(voice.rules, levels, strict=True):
        found |= ((level > rule.level_db) & reached & mine) | (sure & (level > rule.surely_db))
    return np.asarray(found & f.present)


def features(f: Frames, voice: Voice) -> Float32Array:
    """What the regression sees of each frame, shape (n, 15), each of the order of 1."""
    p = np.clip(f.probability, 0.003, 0.997)
    own, leaked = f.own, f.leaked
    mine = is_own(own, leaked, voice.noise)
    likely_own = np.where(mine, f.probability, 0).astype(np.float32)
    columns = [
        np.ones(len(p), dtype=np.float32),
        *_levels(own, leaked, voice),
        np.log(p / (1 - p)) / 3,
        np.log(np.clip(smooth(f.probability, 15), 0.003, 1)),
        highest(likely_own, 25),
        highest(likely_own, REACH),
        smooth(mine.astype(np.float32), 25),
    ]
    columns += [np.minimum(columns[1], 0), np.minimum(columns[2], 0)]
    return np.stack(columns, axis=1).astype(np.float32)


def _levels(own: Float32Array, leaked: Float32Array, voice: Voice) -> list[Float32Array]:
    """The features that are levels: left against leaked, against the voice's own loudness, and background."""
    noise, high = voice.noise, voice.noise_high
    total, leak = float(noise.sum()), leaked.sum(axis=1)
    left = np.maximum(own - 1.5 * noise, 0).sum(axis=1)
    ratio = np.clip(db((left + 1e-3 * total) / (leak + 1e-3 * total)), -20, 20) / 10
    weight = db(np.clip(voice.loud / high, 1.2, 1e9))
    by_band = np.clip(db((np.maximum(own - high, 0) + 0.1 * high) / (leaked + 0.1 * high)), -15, 15)
    banded = (by_band * weight).sum(axis=1) / weight.sum() / 10
    clean = np.maximum(own - noise - 0.5 * leaked, 0).sum(axis=1)
    level = np.clip(db(clean / voice.loud_sum + 1e-6), -45, 0) / 10
    above = np.clip(db(own / (high + 0.3 * leaked)), 0, 15).mean(axis=1) / 5
    shape = np.clip(db(np.maximum(own - high - 0.3 * leaked, 1e-12) / voice.loud), -40, 0).mean(axis=1) / 10
    leak_level = np.clip(db((leak + 1e-12) / voice.loud_sum), -50, 5) / 10
    return [ratio, banded, level, np.minimum(level, -2.5), above, shape, leak_level]
