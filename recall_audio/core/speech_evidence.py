"""What one part says about speech by itself: a level every 10 ms, a speech probability every 32 ms.

::

    level         ▁▁▁▁▁▂▆▇▆▇▃▁▁▁▁▁▁▁▁▁▁▁▁▁▁▂▇▁▁▁▁
    asked             |------------|       |-----|      stretches above the noise floor, with a margin
    probability   0000.01.9.9.9.9.1.00000000.01.1.00

Only stretches that rise above the part's own noise floor are put to the network. What comes out is small
(8.2 MB for 8 hours), so parts can be heard in processes of their own.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from recall_audio.core import spans as sp
from recall_audio.model.detector import HOP_SAMPLES, Detector, FloatArray
from recall_audio.model.speech import PartEvidence, Spans
from recall_audio.model.tracks import Samples
from recall_audio.units import FRAME_SAMPLES, RATE_HZ

LOWEST_DB = -120.0
_BLOCK_FRAMES = 30_000  # 5 min of samples at a time: 10 MB as float32

_TARGET_DB = -20.0  # where the 95th percentile of the asked frames' levels is put before the network hears
_MOST_GAIN_DB = 50.0
_ASK_ABOVE_DB = 3.0
_MARGIN = RATE_HZ * 3 // 10
_LONGEST = HOP_SAMPLES * 625  # 20 s: longer stretches are cut, so that a batch has many of one length
_WARM_UP = HOP_SAMPLES * 32  # 1 s heard again before a cut, for the network's memory
_GROUP = 32


def part_evidence(part_id: str, samples: Samples, detector: Detector) -> PartEvidence:
    """Levels and speech probabilities of one part, on its own clock.

    Args:
        part_id: handed through.
        samples: shape (n,), int16, 16 kHz, any length.
        detector: the network.

    Returns:
        ``n // 160`` levels and ``ceil(n / 512)`` probabilities, quantised.
    """
    level_db = levels(samples)
    asked = worth_asking(level_db)
    gain_db = _gain_db(level_db, asked)
    probability = np.zeros(-(-len(samples) // HOP_SAMPLES), dtype=np.uint8)
    pieces = list(_pieces(asked, len(samples)))
    for i in range(0, len(pieces), _GROUP):
        group = pieces[i : i + _GROUP]
        scale = 10 ** (gain_db / 20) / 32768
        heard = [np.asarray(samples[w:e], dtype=np.float32) * np.float32(scale) for w, _, e in group]
        for (w, s, _), p in zip(group, detector.probabilities(heard), strict=True):
            skip = (s - w) // HOP_SAMPLES
            at = s // HOP_SAMPLES
            kept = np.rint(p[skip:] * 255).astype(np.uint8)
            probability[at : at + len(kept)] = kept[: len(probability) - at]
    quantised = np.clip(np.rint((level_db - LOWEST_DB) * 2), 0, 255).astype(np.uint8)
    return PartEvidence(part_id, quantised, probability)


def levels(samples: Samples) -> FloatArray:
    """Level of each 10 ms frame in dB full scale, not under −120; a rest shorter than a frame is left out."""
    n = len(samples) // FRAME_SAMPLES
    out = np.empty(n, dtype=np.float32)
    for i in range(0, n, _BLOCK_FRAMES):
        k = min(n, i + _BLOCK_FRAMES)
        x = np.asarray(samples[i * FRAME_SAMPLES : k * FRAME_SAMPLES], dtype=np.float32)
        x = x.reshape(k - i, FRAME_SAMPLES)
        out[i:k] = np.einsum("ij,ij->i", x, x) / (FRAME_SAMPLES * 32768.0**2)
    return np.asarray(10 * np.log10(np.maximum(out, 1e-12)), dtype=np.float32)


def noise_floor(level_db: FloatArray) -> float:
    """Level of the part's background: the 10th percentile of what is not digital silence, dB."""
    sound = level_db[level_db > -100]
    return float(np.percentile(sound, 10)) if len(sound) else LOWEST_DB


def worth_asking(level_db: FloatArray) -> Spans:
    """Stretches, in samples, that rise above the noise floor, with a margin on both sides."""
    mask = level_db > max(noise_floor(level_db) + _ASK_ABOVE_DB, -90.0)
    a = sp.drop_short(sp.bridge(sp.from_mask(mask, FRAME_SAMPLES), FRAME_SAMPLES * 3), FRAME_SAMPLES * 3)
    return sp.union(a + np.array([-_MARGIN, _MARGIN]))


def _gain_db(level_db: FloatArray, asked: Spans) -> float:
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


def unpack_levels(evidence: PartEvidence) -> npt.NDArray[np.float32]:
    """Levels in dB full scale again, to half a decibel."""
    return np.asarray(evidence.level / 2 + LOWEST_DB, dtype=np.float32)
