"""Decoded audio as the steps see it: 16 kHz mono int16 arrays, usually memory-mapped files."""

from dataclasses import dataclass

from recall_audio.model.timemap import TimeMap
from recall_audio.typing import Samples


@dataclass(frozen=True, slots=True, eq=False)
class PartAudio:
    """One decoded part before it is placed.

    Attributes:
        part_id: which part.
        participant_id: whose.
        nominal_start_s: what the API said, seconds on the recording's clock.
        samples: shape (n,), int16, 16 kHz; read in blocks, never copied whole.
    """

    part_id: str
    participant_id: int
    nominal_start_s: float
    samples: Samples


@dataclass(frozen=True, slots=True, eq=False)
class PlacedPart:
    """One decoded part and its place on the mix's clock.

    Attributes:
        part_id: which part.
        samples: shape (n,), int16, 16 kHz; read in blocks, never copied whole.
        time_map: its local seconds to the mix's.
    """

    part_id: str
    samples: Samples
    time_map: TimeMap


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """All parts of one participant.

    Attributes:
        label: the participant's label (``speakers.json``).
        parts: placed parts in order of time; empty for a participant without audio.
    """

    label: str
    parts: tuple[PlacedPart, ...]
