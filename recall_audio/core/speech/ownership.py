"""Decide, for a stretch of all tracks, how likely each frame is its participant's own speech."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.speech.context import context
from recall_audio.core.speech.features import Evidence, gather
from recall_audio.core.speech.frames import TrackFrames, read_track
from recall_audio.core.speech.mixed import MixFrames, read_mix
from recall_audio.model.alignment import Track
from recall_audio.model.ownership import OwnershipModel
from recall_audio.model.speech import PartEvidence
from recall_audio.typing import Float32Array, Samples

_COPY = 0.97  # correlation of two patterns: the same recording, coded twice
_FEWEST_TO_COMPARE = 100


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Some minutes of every track in which there may be speech, n frames of 20 ms.

    Attributes:
        first: first frame on the mix's clock.
        evidence: of each such track.
        mix: the mix, whole and less the tracks; None without a mix.
        copies: tracks that hold the same sound as an earlier one at the same moments; they own nothing.
    """

    first: int
    evidence: tuple[Evidence, ...]
    mix: MixFrames | None
    copies: tuple[TrackFrames, ...] = ()

    @property
    def labels(self) -> list[str]:
        """Labels of the tracks that are looked at."""
        return [e.frames.label for e in self.evidence]


def read_stretch(
    tracks: Sequence[Track],
    heard: Mapping[str, PartEvidence],
    frames: tuple[int, int],
    mix: Samples | None,
) -> Stretch:
    """Return the evidence of frames ``[start, end)`` of all tracks.

    Args:
        tracks: all participants.
        heard: what the detector found in each part, by part id.
        frames: start and end, in frames of 20 ms.
        mix: shape (any,), int16, 16 kHz; None where there is none.
    """
    first, n = frames[0], frames[1] - frames[0]
    read = (read_track(track, heard, first, n) for track in tracks)
    sounding = [t for t in read if t is not None]
    mixed = read_mix(mix, sounding, first, n) if mix is not None and sounding else None
    sounding, copies = _without_copies(sounding)
    evidence = tuple(gather(sounding, k, mixed) for k in range(len(sounding)))
    return Stretch(first, evidence, mixed, tuple(copies))


def _without_copies(tracks: Sequence[TrackFrames]) -> tuple[list[TrackFrames], list[TrackFrames]]:
    """Return the tracks, and apart from them those that hold the sound of an earlier one at the same time."""
    kept: list[TrackFrames] = []
    copies: list[TrackFrames] = []
    for track in tracks:
        same = any(_is_copy(track, other) for other in kept)
        (copies if same else kept).append(track)
    return kept, copies


def _is_copy(a: TrackFrames, b: TrackFrames) -> bool:
    either = (a.probability > 0.5) | (b.probability > 0.5)
    if np.count_nonzero(either) < _FEWEST_TO_COMPARE:
        return False
    one, other = a.pattern[either], b.pattern[either]
    scale = np.sqrt(np.sum(one * one) * np.sum(other * other))
    return bool(np.sum(one * other) > _COPY * scale)


def own_speech(stretch: Stretch, model: OwnershipModel) -> list[Float32Array]:
    """Return the probability of own speech of each track's frames, shapes (n,); 0 outside of candidates."""
    guesses = [_spread(e, model.guess(e.features)) for e in stretch.evidence]
    further = context(stretch.evidence, guesses) if guesses else []
    decided = (model.decide(e.features, c) for e, c in zip(stretch.evidence, further, strict=True))
    return [_spread(e, p) for e, p in zip(stretch.evidence, decided, strict=True)]


def _spread(evidence: Evidence, values: Float32Array) -> Float32Array:
    """Return values of the candidate frames at their places, 0 elsewhere."""
    found = np.zeros(evidence.frames.n, dtype=np.float32)
    found[evidence.rows] = values
    return found
