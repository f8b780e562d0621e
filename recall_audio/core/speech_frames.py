"""The frames a decision is made on, and the small filters along time that it uses."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recall_audio.core import spans as sp
from recall_audio.model.detector import FloatArray

Mask = npt.NDArray[np.bool_]

EDGE_SAMPLES = 480

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

    probability: FloatArray
    present: Mask
    heard: FloatArray
    own: FloatArray
    leaked: FloatArray
    puffs: FloatArray

    def without_leakage(self) -> "Frames":
        """The same as if nothing had leaked."""
        return replace(self, own=self.heard, leaked=np.zeros_like(self.leaked))


def joined(several: list[Frames]) -> Frames:
    """Stretches one after the other."""
    if len(several) == 1:
        return several[0]
    columns = ([getattr(f, field.name) for f in several] for field in fields(Frames))
    return Frames(*(np.concatenate(column) for column in columns))


def smooth(x: FloatArray, width: int = SMOOTH) -> FloatArray:
    """Running mean along time."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(x, width, axis=0, mode="nearest"), dtype=np.float32)


def highest(x: FloatArray, reach: int) -> FloatArray:
    """The highest value within `reach` frames each way."""
    from scipy.ndimage import maximum_filter1d

    return np.asarray(maximum_filter1d(x, 2 * reach + 1, mode="nearest"), dtype=np.float32)


def near(mask: Mask, reach: int) -> Mask:
    """Frames within `reach` frames of a true one."""
    return np.asarray(highest(mask.astype(np.float32), reach) > 0.5)


def closed(mask: Mask, gap: int) -> Mask:
    """`mask` with gaps of up to `gap` frames closed."""
    return sp.to_mask(sp.bridge(sp.from_mask(mask, 1), gap), 1, len(mask))


def finished(found: sp.Spans, bridge: int, shortest: int) -> sp.Spans:
    """Spans of speech as they are published, from those of the decision; all in samples.

    Pauses of up to `bridge` are bridged, then edges set right, then what is under `shortest` dropped. The
    decision sees levels through a window of 90 ms, by which speech begins 30 ms early and ends as late
    (measured, medians of 4,000 stretches).
    """
    whole = sp.bridge(found, bridge)
    trimmed = whole + np.array([EDGE_SAMPLES, -EDGE_SAMPLES]) if len(whole) else whole
    return sp.drop_short(trimmed[trimmed[:, 0] < trimmed[:, 1]], shortest)


def db(power: npt.NDArray[np.floating[Any]] | float) -> FloatArray:
    """Decibels of a power."""
    return np.asarray(10 * np.log10(power), dtype=np.float32)
