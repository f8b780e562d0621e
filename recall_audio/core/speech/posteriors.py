"""Keep each track's probability of own speech over the whole meeting, and decide on it.

A posterior is one byte for 20 ms: 1.4 MB for ten people in eight hours would be 14 MB. The decision is one
threshold; a track without surely own speech has none, so that chance adds up to nothing for who never speaks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.speech.filters import mean, near, runs
from recall_audio.core.speech.frames import FRAME_SAMPLES
from recall_audio.typing import BoolArray, ByteArray, Float32Array, Spans
from recall_audio.units import RATE_HZ

_SURE_FRAMES, _SURE = 25, 0.85  # half a second whose mean probability is at least this is surely own
_LEAST_SURE = 15  # frames, 0.3 s in the whole meeting
_HEARD_RUN = 15  # frames: leaked speech shorter than 0.3 s is not counted as heard
_PAUSE = 10  # frames bridged in what the detector hears
_UTTERANCE, _DOUBT = 10, 0.15  # frames, and the mean chance of a wrong decision from which it counts
_LEAK_REACH = 40  # frames, 0.8 s, within which a leak follows its source


@dataclass(slots=True)
class Posteriors:
    """What was found in every track, one byte for each frame of 20 ms.

    Attributes:
        n: frames of the meeting.
        own: by label, probability of own speech × 255; missing where a track never sounds like speech.
        heard: by label, the detector's probability × 255.
    """

    n: int
    own: dict[str, ByteArray] = field(default_factory=dict)
    heard: dict[str, ByteArray] = field(default_factory=dict)

    def put(self, label: str, first: int, own: Float32Array, heard: Float32Array) -> None:
        """Store a stretch of one track."""
        for kept, values in ((self.own, own), (self.heard, heard)):
            row = kept.setdefault(label, np.zeros(self.n, dtype=np.uint8))
            row[first : first + len(values)] = np.rint(values * 255).astype(np.uint8)

    def spans(self, label: str, threshold: float) -> Spans:
        """Return own speech of a track, pauses not bridged, in samples."""
        if label not in self.own or not self.is_sure(label):
            return sp.EMPTY
        return sp.from_mask(self.own[label] > threshold * 255, FRAME_SAMPLES)

    def is_sure(self, label: str) -> bool:
        """Return whether anything in a track is surely own speech."""
        sure = mean(self.own[label].astype(np.float32), _SURE_FRAMES) > _SURE * 255
        return int(np.count_nonzero(sure)) >= _LEAST_SURE

    def doubtful_s(self, label: str) -> float:
        """Return the expected seconds of whole utterances that are counted wrongly, or not counted.

        An utterance is a run of frames decided alike. Its edges are always in doubt, so that only those count
        whose mean probability is far from the decision.
        """
        row = self.own.get(label)
        if row is None:
            return 0.0
        probability = row.astype(np.float32) / np.float32(255)
        own, heard = probability > 0.5, self.heard[label] > 127
        wrong = _in_doubt(np.float32(1) - probability, own) + _in_doubt(probability, heard & ~own)
        return wrong * FRAME_SAMPLES / RATE_HZ

    def heard_spans(self, own: Mapping[str, Spans], threshold: float) -> dict[str, Spans]:
        """Return speech on each track, own or not: what the detector hears while another participant speaks.

        Args:
            own: own speech by label, in samples.
            threshold: the detector's.
        """
        masks = {label: sp.to_mask(spans, FRAME_SAMPLES, self.n) for label, spans in own.items()}
        speaking = (
            np.sum(list(masks.values()), axis=0, dtype=np.int16) if masks else np.zeros(self.n, np.int16)
        )
        found = {}
        for label, mask in masks.items():
            leaked = self._leaked(label, mask, speaking - mask > 0, threshold)
            found[label] = sp.union(own[label], sp.from_mask(leaked, FRAME_SAMPLES))
        return found

    def _leaked(self, label: str, own: BoolArray, others: BoolArray, threshold: float) -> BoolArray:
        if label not in self.heard:
            return np.zeros(self.n, dtype=np.bool_)
        heard = sp.bridge(sp.from_mask(self.heard[label] > threshold * 255, 1), _PAUSE)
        rest = sp.to_mask(heard, 1, self.n) & ~own & near(others, _LEAK_REACH)
        return sp.to_mask(sp.drop_short(sp.from_mask(rest, 1), _HEARD_RUN), 1, self.n)


def _in_doubt(wrong: Float32Array, mask: BoolArray) -> float:
    """Return the chance of being wrong, summed over the runs of a mask where its mean is high, in frames."""
    pieces = (wrong[start:end] for start, end in runs(mask) if end - start >= _UTTERANCE)
    return sum(float(piece.sum()) for piece in pieces if piece.mean() > _DOUBT)
