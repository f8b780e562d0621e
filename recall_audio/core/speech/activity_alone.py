"""Decide the activity of a track that hears no other participant.

Its sounds need no owner to be found. Their edges and faint ends are found by levels, against the voice learnt
from the track and against its background, within 1.5 s of what the networks call own speech.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.speech.features import Evidence
from recall_audio.core.speech.frames import FRAME_SAMPLES, near
from recall_audio.core.speech.on_mix import on_mix, read_half
from recall_audio.core.speech.voice_model import (
    SMOOTH,
    Frames,
    Voice,
    band_power,
    db,
    highest,
    is_own,
    learn,
    level_db,
    smooth,
    within_reach,
)
from recall_audio.model.alignment import Track
from recall_audio.model.speech import PartEvidence
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


_HEARD = 0.5
_LAG_FRAMES = 40  # 0.8 s, within which a leak follows its source
_ALIKE = 0.35  # likeness of a leak; unrelated voices stay below
_LEAKED_SHARE = 0.03  # of others' speech that the detector hears in a track: below, nothing leaks into it
_OWN = 0.5
_REACH_FRAMES = 75  # 1.5 s about own speech
_SURE_OWN, _SURE_OTHER = 0.75, 0.25
_DETECTED = 0.5  # detector probability
_PAUSE_FRAMES, _EDGE_FRAMES = 20, 3  # of 10 ms


def hears_others(own: Sequence[Float32Array], evidence: Sequence[Evidence], k: int) -> bool:
    """Return whether others' voices are heard in track `k`, by a first decision.

    Args:
        own: probability of own speech of every track, shapes (n,).
        evidence: every track's.
        k: the track.
    """
    alike = np.zeros(evidence[k].frames.n, dtype=np.bool_)
    others = np.zeros_like(alike)
    for j, pair in evidence[k].pairs.items():
        speaking = near(own[j] > _OWN, _LAG_FRAMES)
        others |= speaking
        alike |= speaking & (pair[:, 0] > _ALIKE)
    silent = own[k] < _SURE_OTHER
    leaked = alike & silent & (evidence[k].frames.probability > _HEARD)
    return int(np.count_nonzero(leaked)) > _LEAKED_SHARE * int(np.count_nonzero(others & silent))


def with_activity(
    own: Float32Array, track: Track, evidence: Mapping[str, PartEvidence], first: int, free: BoolArray
) -> Float32Array:
    """Return the probability of own speech by levels, for a track that hears no other.

    Args:
        own: shape (n,), probability of own speech.
        track: the track.
        evidence: what the detector found, by part id.
        first: first frame of 20 ms.
        free: shape (n,), frames to decide anew: those in which no other participant speaks.
    """
    mine = own > _OWN
    if not mine.any():
        return own
    frames = _read(track, evidence, 2 * first, 2 * len(own))
    voice = learn(frames, _DETECTED)
    if voice is None:
        return own
    active = _trimmed(own_speech(frames, voice, (_DETECTED,))[0]).reshape(-1, 2).mean(axis=1) >= 0.5
    decided = np.where(active, np.maximum(own, _SURE_OWN), np.minimum(own, _SURE_OTHER))
    return np.where(free & near(mine, _REACH_FRAMES), decided, own).astype(np.float32)


def _trimmed(active: BoolArray) -> BoolArray:
    """Return frames of 10 ms with short pauses closed and 30 ms taken off both ends of each stretch.

    Levels are seen through a window of 90 ms, by which speech begins 30 ms early and ends as late (measured,
    medians of 4,000 stretches).
    """
    whole = sp.bridge(sp.from_mask(active, 1), _PAUSE_FRAMES)
    shorter = whole + np.array([_EDGE_FRAMES, -_EDGE_FRAMES]) if len(whole) else whole
    return sp.to_mask(shorter[shorter[:, 0] < shorter[:, 1]], 1, len(active))


def _read(track: Track, evidence: Mapping[str, PartEvidence], first: int, n: int) -> Frames:
    """Return frames of 10 ms of a track."""
    level, quantised, there = on_mix(track, evidence, first, n)
    probability = quantised.astype(np.float32) / np.float32(255)
    rest = np.arange(n) // 40 % 4 == 0
    wanted = np.asarray(near(probability > _MAYBE, REACH + 2 * SMOOTH) | rest)
    present = there & (level > 0) & ~near(~wanted, SMOOTH // 2)
    signal = read_half(track, first * FRAME_SAMPLES // 2, n * FRAME_SAMPLES // 2)
    heard, below = (smooth(x) for x in band_power(signal, wanted))
    return Frames(probability, present, heard, heard, np.zeros_like(heard), below)
