"""Read the mix as frames, whole and less all tracks: what is left holds the voices that have no track.

In the whole mix a sound lies where its owner's track has it, and before or after that where it leaked to.
Powers of tracks are subtracted band by band. A track's gain in the mix is the median ratio where the track is
9 dB over all others together, for each 10 s. Both are sources that tracks are compared with, no listeners.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.speech.frames import (
    FRAME_SAMPLES,
    N_BANDS,
    SMALLEST_POWER,
    TrackFrames,
    band_power,
    decibels,
    make_frames,
)
from recall_audio.core.speech.on_mix import read_half
from recall_audio.core.transforms import sliding_mean
from recall_audio.model.alignment import PlacedPart, TimeMap, Track
from recall_audio.typing import BoolArray, Float32Array, Samples
from recall_audio.units import RATE_HZ

LABEL = "(mix)"

_OVERSUBTRACTION = 1.6  # of the power predicted: gains and codecs are not exact
_CLEAR_RATIO, _CLEAR_OVER_FLOOR = 8.0, 10.0
_BLOCK, _REACH, _FEWEST_CELLS = 250, 125, 100  # 5 s with 2.5 s on both sides
_GAIN_MEAN_FRAMES = 101
_LEAST_OF_MIX = 1e-4  # −40 dB under the loud frames of the mix nothing left over counts
_VOICE_LOW_DB, _VOICE_RANGE_DB = 2.0, 4.0  # mean level over the floor that counts as a voice


@dataclass(frozen=True, slots=True, eq=False)
class MixFrames:
    """The mix as sources that tracks are compared with, n frames of 20 ms.

    Attributes:
        whole: the mix; its probability is the highest of all tracks'.
        rest: the mix less all tracks; its probability is guessed from the level.
    """

    whole: TrackFrames
    rest: TrackFrames


def read_mix(mix: Samples, tracks: Sequence[TrackFrames], first: int, n: int) -> MixFrames:
    """Return the frames of the mix.

    Args:
        mix: shape (any,), int16, 16 kHz.
        tracks: the same frames of every track that holds a voice.
        first: first frame of 20 ms.
        n: number of frames.
    """
    sounding = np.asarray(np.any([t.candidate for t in tracks], axis=0))
    mix_power = band_power(_read(mix, first, n), sounding)
    powers = [np.asarray(10 ** (t.bands_db / 10), dtype=np.float32) for t in tracks]
    left = np.full_like(mix_power, SMALLEST_POWER)
    left[:, :N_BANDS] = _subtract(mix_power[:, :N_BANDS], powers, tracks)
    loud = np.percentile(mix_power[sounding], 98, axis=0).astype(np.float32)
    quiet = np.percentile(left[sounding], 10, axis=0).astype(np.float32)
    floor = np.maximum(2 * quiet, loud * np.float32(_LEAST_OF_MIX))
    over_db = np.clip(decibels(left[:, :N_BANDS]) - decibels(floor[:N_BANDS]), 0, 15).mean(axis=1)
    voice = np.clip((sliding_mean(over_db, 9) - _VOICE_LOW_DB) / _VOICE_RANGE_DB, 0, 1).astype(np.float32)
    full_db = decibels(left[:, :N_BANDS].sum(axis=1))
    always = np.ones(n, dtype=np.bool_)
    rest = make_frames(LABEL, left, (floor, floor), (voice, full_db), always)
    likely = np.max([t.probability for t in tracks], axis=0)
    return MixFrames(_whole(mix_power, sounding, likely), rest)


def _whole(power: Float32Array, sounding: BoolArray, likely: Float32Array) -> TrackFrames:
    background = np.percentile(power[sounding], 10, axis=0).astype(np.float32)
    loud = np.percentile(power[sounding], 98, axis=0).astype(np.float32)
    floor = np.maximum(2 * background, loud * np.float32(_LEAST_OF_MIX / 100))
    power[~sounding] = background
    full_db = decibels(power[:, :N_BANDS].sum(axis=1))
    return make_frames(LABEL, power, (background, floor), (likely, full_db), np.ones_like(sounding))


def _read(mix: Samples, first: int, n: int) -> Float32Array:
    part = PlacedPart("mix", mix, TimeMap.straight(0.0, len(mix) / RATE_HZ))
    return read_half(Track(LABEL, (part,)), first * FRAME_SAMPLES, n * FRAME_SAMPLES)


def _subtract(
    mix: Float32Array, powers: Sequence[Float32Array], tracks: Sequence[TrackFrames]
) -> Float32Array:
    total = np.sum(powers, axis=0)
    predicted = np.zeros_like(mix)
    for power, track in zip(powers, tracks, strict=True):
        over = 10 ** (track.floor_db[:N_BANDS] / 10) * _CLEAR_OVER_FLOOR
        clear = (power > _CLEAR_RATIO * (total - power + SMALLEST_POWER)) & (power > over)
        predicted += _gain(mix / (power + SMALLEST_POWER), clear)[:, None] * power
    return np.maximum(mix - np.float32(_OVERSUBTRACTION) * predicted, np.float32(SMALLEST_POWER))


def _gain(ratio: Float32Array, clear: BoolArray) -> Float32Array:
    """Return a track's power gain in the mix, shape (n,): medians of blocks, smoothed; 1 where unknown."""
    starts = range(0, len(ratio), _BLOCK)
    found = np.full(len(starts), np.nan, dtype=np.float32)
    for k, start in enumerate(starts):
        here = slice(max(0, start - _REACH), start + _BLOCK + _REACH)
        values = ratio[here][clear[here]]
        if len(values) > _FEWEST_CELLS:
            found[k] = np.median(values)
    known = found[~np.isnan(found)]
    filled = np.where(np.isnan(found), np.median(known) if len(known) else np.float32(1), found)
    return sliding_mean(np.repeat(filled, _BLOCK)[: len(ratio)].astype(np.float32), _GAIN_MEAN_FRAMES)
