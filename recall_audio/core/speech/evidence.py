"""What one part says about speech by itself: a level every 10 ms, a speech probability every 32 ms.

::

    level         ▁▁▁▁▁▂▆▇▆▇▃▁▁▁▁▁▁▁▁▁▁▁▁▁▁▂▇▁▁▁▁
    asked             |------------|       |-----|      stretches above the noise floor, with a margin
    probability   0000.01.9.9.9.9.1.00000000.01.1.00

Only stretches that rise above the part's own noise floor are put to the network; and where that floor itself
rises and falls, a sample of 3 s in every 24 tells first how loud a stretch must become to hold a voice. What
comes out is small (8.2 MB for 8 hours), so parts can be heard in processes of their own.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from recall_audio.core import spans as sp
from recall_audio.core.transforms import sliding_highest, sliding_mean
from recall_audio.model.speech import HOP_SAMPLES, Detector, PartEvidence
from recall_audio.typing import Float32Array, Samples, Spans
from recall_audio.units import FRAME_SAMPLES, RATE_HZ

LOWEST_DB = -120.0
_BLOCK_FRAMES = 1000  # 10 s of samples at a time: 0.6 MB as float32, which stays near the processor

_TARGET_DB = -20.0  # where the 95th percentile of the asked frames' levels is put before the network hears
_MOST_GAIN_DB = 50.0
_ASK_ABOVE_DB = 3.0
_MARGIN = RATE_HZ * 3 // 10
_LONGEST = HOP_SAMPLES * 625  # 20 s: longer stretches are cut, so that a batch has many of one length
_WARM_UP = HOP_SAMPLES * 32  # 1 s heard again before a cut, for the network's memory
_GROUP = 32

_WORTH_A_SAMPLE = 60 * RATE_HZ
_SAMPLE, _SAMPLE_EVERY = 3 * RATE_HZ, 24 * RATE_HZ
_VOICE, _FEWEST_VOICED, _NUCLEUS, _SAFETY_DB = 77, 50, 25, 10.0


def part_evidence(
    part_id: str, samples: Samples, detector: Detector, where: Spans | None = None
) -> PartEvidence:
    """Levels and speech probabilities of one part, on its own clock.

    Args:
        part_id: handed through.
        samples: shape (n,), int16, 16 kHz, any length.
        detector: the network.
        where: stretches that are asked about, in samples; None for all.

    Returns:
        ``n // 160`` levels and ``ceil(n / 512)`` probabilities, quantised.
    """
    level_db = levels(samples)
    asked = worth_asking(level_db)
    if where is not None:
        asked = sp.intersect(asked, sp.union(where + np.array([-_MARGIN, _MARGIN])))
    heard = _Hearing(samples, detector, _gain_db(level_db, asked))
    if where is None and sp.total(asked) > _WORTH_A_SAMPLE:
        heard.listen(sp.intersect(asked, _sample(len(samples))))
        asked = sp.intersect(asked, _loud_enough(level_db, heard.probability))
    heard.listen(asked)
    quantised = np.clip(np.rint((level_db - LOWEST_DB) * 2), 0, 255).astype(np.uint8)
    return PartEvidence(part_id, quantised, heard.probability)


class _Hearing:
    """What the network said of one part so far, × 255; 0 where it was not asked."""

    def __init__(self, samples: Samples, detector: Detector, gain_db: float) -> None:
        self.probability = np.zeros(-(-len(samples) // HOP_SAMPLES), dtype=np.uint8)
        self._samples, self._detector = samples, detector
        self._scale = np.float32(10 ** (gain_db / 20) / 32768)

    def listen(self, asked: Spans) -> None:
        """Put stretches to the network."""
        pieces = list(_pieces(asked, len(self._samples)))
        for i in range(0, len(pieces), _GROUP):
            group = pieces[i : i + _GROUP]
            heard = [np.asarray(self._samples[w:e], dtype=np.float32) * self._scale for w, _, e in group]
            for (w, s, _), p in zip(group, self._detector.probabilities(heard), strict=True):
                at = s // HOP_SAMPLES
                kept = np.rint(p[(s - w) // HOP_SAMPLES :] * 255).astype(np.uint8)
                self.probability[at : at + len(kept)] = kept[: len(self.probability) - at]


def _sample(n_samples: int) -> Spans:
    """3 s of every 24, in samples."""
    starts = np.arange(0, n_samples, _SAMPLE_EVERY, dtype=np.int64)
    return sp.clip(np.stack([starts, starts + _SAMPLE], axis=1), 0, n_samples)


def _loud_enough(level_db: Float32Array, probability: npt.NDArray[np.uint8]) -> Spans:
    """Stretches that become nearly as loud as those with a voice, by what the network said of a sample.

    A word has a nucleus within a quarter of a second, so the loudest moment about a frame counts. 10 dB under
    the 5th percentile of what held a voice kept 99.9 % of the speech of lab meetings and left half of their
    sound unasked. Where the sample holds too little voice to tell, all is asked.
    """
    if not len(level_db):
        return sp.EMPTY
    power = sliding_mean(np.power(np.float32(10), level_db / 10, dtype=np.float32), 5)
    peak_db = 10 * np.log10(sliding_highest(np.maximum(power, 1e-12), 2 * _NUCLEUS + 1))
    at = (np.arange(len(level_db)) * FRAME_SAMPLES + FRAME_SAMPLES // 2) // HOP_SAMPLES
    voiced = probability[at] >= _VOICE
    if np.count_nonzero(voiced) < _FEWEST_VOICED:
        return np.array([[0, len(level_db) * FRAME_SAMPLES]])
    loud = peak_db > np.percentile(peak_db[voiced], 5) - _SAFETY_DB
    return sp.union(sp.from_mask(loud, FRAME_SAMPLES) + np.array([-_MARGIN, _MARGIN]))


def levels(samples: Samples) -> Float32Array:
    """Level of each 10 ms frame in dB full scale, not under −120; a rest shorter than a frame is left out."""
    n = len(samples) // FRAME_SAMPLES
    out = np.empty(n, dtype=np.float32)
    for i in range(0, n, _BLOCK_FRAMES):
        k = min(n, i + _BLOCK_FRAMES)
        x = np.asarray(samples[i * FRAME_SAMPLES : k * FRAME_SAMPLES], dtype=np.float32)
        x = x.reshape(k - i, FRAME_SAMPLES)
        out[i:k] = np.einsum("ij,ij->i", x, x) / (FRAME_SAMPLES * 32768.0**2)
    return np.asarray(10 * np.log10(np.maximum(out, 1e-12)), dtype=np.float32)


def noise_floor(level_db: Float32Array) -> float:
    """Level of the part's background: the 10th percentile of what is not digital silence, dB."""
    sound = level_db[level_db > -100]
    return float(np.percentile(sound, 10)) if len(sound) else LOWEST_DB


def worth_asking(level_db: Float32Array) -> Spans:
    """Stretches, in samples, that rise above the noise floor, with a margin on both sides."""
    mask = level_db > max(noise_floor(level_db) + _ASK_ABOVE_DB, -90.0)
    a = sp.drop_short(sp.bridge(sp.from_mask(mask, FRAME_SAMPLES), FRAME_SAMPLES * 3), FRAME_SAMPLES * 3)
    return sp.union(a + np.array([-_MARGIN, _MARGIN]))


def _gain_db(level_db: Float32Array, asked: Spans) -> float:
    mask = sp.to_mask(asked, FRAME_SAMPLES, len(level_db)) & (level_db > -100)
    if not np.any(mask):
        return 0.0
    return min(_TARGET_DB - float(np.percentile(level_db[mask], 95)), _MOST_GAIN_DB)


def _pieces(asked: Spans, n_samples: int) -> Iterator[tuple[int, int, int]]:
    """``warm-up start, start, end`` of what the network hears at a time, starts on its 32 ms grid."""
    reached = 0
    for a, b in asked:
        start = max(reached, int(a) // HOP_SAMPLES * HOP_SAMPLES, 0)
        end = min(int(b), n_samples)
        for s in range(start, end, _LONGEST):
            yield max(0, s - _WARM_UP) if s > start else s, s, min(s + _LONGEST, end)
            reached = min(s + _LONGEST, end) // HOP_SAMPLES * HOP_SAMPLES + HOP_SAMPLES


def unpack_levels(evidence: PartEvidence) -> Float32Array:
    """Levels in dB full scale again, to half a decibel."""
    return np.asarray(evidence.level / 2 + LOWEST_DB, dtype=np.float32)
