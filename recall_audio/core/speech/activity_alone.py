"""Decide the activity of a track that hears nobody else.

Its sounds need no owner to be found. Their edges and faint ends are found by levels, against the voice learnt
from the track and against its background, within 1.5 s of what the networks call own speech.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.speech.classify import REACH, own_speech
from recall_audio.core.speech.features import Evidence
from recall_audio.core.speech.filters import near
from recall_audio.core.speech.frames import FRAME_SAMPLES
from recall_audio.core.speech.on_mix import on_mix, read_half
from recall_audio.core.speech.voice_frames import SMOOTH, Frames, band_power, smooth
from recall_audio.core.speech.voice_model import learn
from recall_audio.model.alignment import Track
from recall_audio.model.speech import PartEvidence
from recall_audio.typing import BoolArray, Float32Array

_MAYBE = 0.3
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
    own: Float32Array, track: Track, evidence: Mapping[str, PartEvidence], first: int
) -> Float32Array:
    """Return the probability of own speech of a track that hears nobody else, decided by levels near it.

    Args:
        own: shape (n,), probability of own speech.
        track: the track.
        evidence: what the detector found, by part id.
        first: first frame of 20 ms.
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
    return np.where(near(mine, _REACH_FRAMES), decided, own).astype(np.float32)


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
