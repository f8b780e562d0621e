"""Who speaks when: what each part says by itself, joined across tracks."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recall_audio.core import spans as sp
from recall_audio.core.speech_evidence import LOWEST_DB, noise_floor, part_evidence, unpack_levels
from recall_audio.model.detector import HOP_SAMPLES, Detector, FloatArray
from recall_audio.model.options import SpeechOptions
from recall_audio.model.speech import PartEvidence, SpeechResult
from recall_audio.model.tracks import Track
from recall_audio.units import FRAME_SAMPLES, RATE_HZ, to_samples


def find_speech(
    tracks: Sequence[Track],
    duration_s: float,
    detector: Detector,
    options: SpeechOptions,
    progress: Callable[[int, int], None] | None = None,
) -> SpeechResult:
    """Each participant's own speech.

    Args:
        tracks: every participant, silent ones too; labels differ.
        duration_s: the mix's length: nothing is found past it.
        detector: the voice detector.
        options: what counts as speech.
        progress: called with (parts heard, parts in all).

    Returns:
        segments, raw segments and leakage; every label is there, with no spans where nothing was said.
    """
    parts = [p for t in tracks for p in t.parts]
    evidence: dict[str, PartEvidence] = {}
    for i, part in enumerate(parts):
        evidence[part.part_id] = part_evidence(part.part_id, part.samples, detector)
        if progress is not None:
            progress(i + 1, len(parts))
    return join_speech(tracks, evidence, duration_s, options)


def join_speech(
    tracks: Sequence[Track],
    evidence: Mapping[str, PartEvidence],
    duration_s: float,
    options: SpeechOptions,
) -> SpeechResult:
    """The same from evidence found before, by part id (for parts heard in processes of their own)."""
    end = to_samples(duration_s)
    raw = {}
    for track in tracks:
        level, probability = _on_mix(track, evidence, end)
        mask = _speech_mask(level, probability, options)
        raw[track.label] = sp.clip(_tidy(sp.from_mask(mask, FRAME_SAMPLES), options), 0, end)
    return SpeechResult(segments=raw, raw=raw, options=options)


def _on_mix(track: Track, evidence: Mapping[str, PartEvidence], end: int) -> tuple[FloatArray, FloatArray]:
    """A track's levels (dB) and probabilities for each 10 ms of the mix; silence where it has no part."""
    n = -(-end // FRAME_SAMPLES)
    level = np.full(n, LOWEST_DB, dtype=np.float32)
    probability = np.zeros(n, dtype=np.float32)
    for part in track.parts:
        e = evidence[part.part_id]
        local_s = part.time_map.to_local((np.arange(n) + 0.5) * FRAME_SAMPLES / RATE_HZ)
        at = np.floor(np.nan_to_num(local_s, nan=-1.0) * RATE_HZ).astype(np.int64)
        inside = (at >= 0) & (at < len(e.level) * FRAME_SAMPLES)
        level[inside] = unpack_levels(e)[at[inside] // FRAME_SAMPLES]
        probability[inside] = e.probability[at[inside] // HOP_SAMPLES] / np.float32(255)
    return level, probability


def _speech_mask(level: FloatArray, probability: FloatArray, options: SpeechOptions) -> npt.NDArray[np.bool_]:
    return (probability >= options.threshold) & (level > noise_floor(level))


def _tidy(a: sp.Spans, options: SpeechOptions) -> sp.Spans:
    """Pauses bridged, then what is too short dropped (metrics.md)."""
    return sp.drop_short(sp.bridge(a, to_samples(options.bridge_s)), to_samples(options.shortest_s))
