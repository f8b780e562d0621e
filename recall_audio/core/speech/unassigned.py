"""Find speech of the mix that is on no participant's track."""

from collections.abc import Mapping

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.speech.filters import near
from recall_audio.core.speech.frames import FRAME_SAMPLES
from recall_audio.core.speech.on_mix import on_mix
from recall_audio.core.speech.ownership import Stretch
from recall_audio.model.alignment import PlacedPart, Track
from recall_audio.model.speech import PartEvidence
from recall_audio.typing import BoolArray, ByteArray, Spans
from recall_audio.units import RATE_HZ

_VOICE = 0.6  # detector probability in the mix
_LEFT = 0.5  # of what is left of the mix, that it holds a voice
_MAYBE_OWN = 0.25
_REACH = 15  # frames, 0.3 s, about possible own speech
_BRIDGE, _SHORTEST = 3 * RATE_HZ // 10, RATE_HZ // 2
_LEFT_SHARE = 0.3  # of a stretch, in which something is left of the mix


def mark_left(left: ByteArray, stretch: Stretch, inner: slice) -> None:
    """Mark the frames in which the mix holds a voice beyond the tracks, or no track is looked at.

    Args:
        left: shape (frames of the meeting,), written to.
        stretch: the tracks.
        inner: the stretch's frames that count.
    """
    here = slice(stretch.first + inner.start, stretch.first + inner.stop)
    if stretch.mix is None:
        left[here] = 255
        return
    sounding = np.any([e.frames.candidate for e in stretch.evidence], axis=0)
    found = np.where(sounding, stretch.mix.rest.probability * 255, 255)
    left[here] = np.rint(found[inner]).astype(np.uint8)


def unassigned_speech(
    mix: PlacedPart, heard: Mapping[str, PartEvidence], own: Mapping[str, ByteArray], left: ByteArray
) -> Spans:
    """Return speech of the mix that no track holds, in samples.

    Args:
        mix: the mix.
        heard: what the detector found, by part id, the mix's among it.
        own: probability of own speech × 255 of every track, shapes (n,).
        left: from :func:`mark_left`, shape (n,).
    """
    n = len(left)
    _, quantised, _ = on_mix(Track("mix", (mix,)), heard, 0, 2 * n)
    voice = quantised.reshape(n, 2).max(axis=1) > _VOICE * 255
    taken: BoolArray = np.zeros(n, dtype=np.bool_)
    for row in own.values():
        taken |= row > _MAYBE_OWN * 255
    free = sp.from_mask(voice & ~near(taken, _REACH), FRAME_SAMPLES)
    whole = sp.drop_short(sp.bridge(free, _BRIDGE), _SHORTEST)
    summed = np.r_[0, np.cumsum(left > _LEFT * 255)]
    at = np.minimum(whole // FRAME_SAMPLES, n)
    share = (summed[at[:, 1]] - summed[at[:, 0]]) / np.maximum(at[:, 1] - at[:, 0], 1)
    return np.asarray(whole[share > _LEFT_SHARE])
