"""Find speech with the networks that come with the package."""

from collections.abc import Callable, Mapping, Sequence
from typing import IO

import numpy as np

from recall_audio.core.speech.evidence import part_evidence
from recall_audio.core.speech.find import join_speech
from recall_audio.detector.ownership import load_ownership
from recall_audio.model.alignment import PlacedPart, Track
from recall_audio.model.options import SpeechOptions
from recall_audio.model.speech import Detector, PartEvidence, SpeechResult
from recall_audio.typing import ByteArray


def find_speech(
    tracks: Sequence[Track],
    duration_s: float,
    detector: Detector,
    options: SpeechOptions,
    progress: Callable[[int, int], None] | None = None,
    mix: PlacedPart | None = None,
) -> SpeechResult:
    """Return each participant's own speech.

    Args:
        tracks: every participant, silent ones too; labels differ.
        duration_s: the mix's length; nothing is found past it.
        detector: the voice detector.
        options: what counts as speech.
        progress: called with (parts heard, parts in all).
        mix: the mixed recording on its own clock; with it, voices that have no track are found, and kept out
            of others' speech.

    Returns:
        segments, raw segments and leakage; every label is there, with no spans where nothing was said.
    """
    parts = [p for t in tracks for p in t.parts] + ([mix] if mix is not None else [])
    evidence: dict[str, PartEvidence] = {}
    for i, part in enumerate(parts):
        evidence[part.part_id] = part_evidence(part.part_id, part.samples, detector)
        if progress is not None:
            progress(i + 1, len(parts))
    return join_speech(tracks, evidence, duration_s, options, load_ownership(), mix)


def write_posteriors(stream: IO[bytes], posteriors: Mapping[str, ByteArray]) -> None:
    """Write the probability of own speech of each track, × 255, for each 20 ms.

    Args:
        stream: gets an ``.npz`` of ``labels``, shape (tracks,), ``own``, shape (tracks, n), and ``frame_s``.
        posteriors: label to shape (n,).
    """
    rows = list(posteriors.values())
    own = np.stack(rows) if rows else np.zeros((0, 0), dtype=np.uint8)
    np.savez_compressed(
        stream, labels=np.array(list(posteriors), dtype=np.str_), own=own, frame_s=np.float64(0.02)
    )
