"""Check who speaks when, and convert it to samples, for every figure about talk."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recall_audio.core.spans import EMPTY, clip, from_seconds, union
from recall_audio.errors import UsageError
from recall_audio.model.options import TalkOptions
from recall_audio.typing import IntArray, Spans
from recall_audio.units import RATE_HZ

Rows = Sequence[Sequence[float]]
"""``[[start_s, end_s], ...]``, as ``segments.json`` holds them."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Speech and presence of every participant, within the meeting.

    Attributes:
        duration: samples of the meeting.
        speech: label to spans, everyone present, silent people too.
        presence: label to spans; None where it is not known.
        starts: label to the moments at which a recording of theirs starts.
        ends: label to the moments at which one ends.
        uncertainty_s: label to the alignment's uncertainty (infinite where unknown); None: all exact.
    """

    duration: int
    speech: Mapping[str, Spans]
    presence: Mapping[str, Spans | None]
    starts: Mapping[str, IntArray]
    ends: Mapping[str, IntArray]
    uncertainty_s: Mapping[str, float] | None

    def pair_uncertainty_s(self, a: str, b: str) -> float:
        """Return the 95 % half width of an offset between two speakers.

        The two errors are independent, so their squares add.
        """
        if self.uncertainty_s is None:
            return 0.0
        return math.hypot(self.uncertainty_s[a], self.uncertainty_s[b])


@dataclass(frozen=True, slots=True)
class AnnotationContext:
    """What is known besides the speech itself, each part of it optional.

    Attributes:
        presence: label to ``[[start_s, end_s], ...]`` in which they were present (parts, or join and leave
            events).
        cuts_s: label to further moments at which a recording of theirs starts or stops: parts' edges.
        uncertainty_ms: label to the alignment's uncertainty, None where it is not known; None: all exact.
    """

    presence: Mapping[str, Rows] | None = None
    cuts_s: Mapping[str, Sequence[float]] | None = None
    uncertainty_ms: Mapping[str, float | None] | None = None


def make_annotation(
    segments: Mapping[str, Rows], duration_s: float, context: AnnotationContext | None = None
) -> Annotation:
    """Check segments, convert them to samples, and cut off what lies outside the meeting.

    Speech outside a participant's known presence proves that they were present, and is added to it. Everyone
    named in the presence is a participant, silent where they have no segments.

    Raises:
        UsageError: a time is not a finite number, a row ends before it starts, or the duration is negative.
    """
    given = context or AnnotationContext()
    duration = _samples([duration_s], "the duration")[0]
    if duration < 0:
        raise UsageError(f"The duration is {duration_s} s; expected 0 or more.")
    known = given.presence or {}
    labels = [*segments, *(label for label in known if label not in segments)]
    speech = {label: inside(segments.get(label, ()), duration, label) for label in labels}
    presence = {
        label: union(inside(known[label], duration, label), speech[label]) if label in known else None
        for label in labels
    }
    starts, ends = {}, {}
    for label in labels:
        cuts = np.array(_samples((given.cuts_s or {}).get(label, ()), label), dtype=np.int64)
        known_presence = presence[label]
        present = EMPTY if known_presence is None else known_presence
        starts[label] = np.unique(np.r_[0, present[:, 0], cuts])
        ends[label] = np.unique(np.r_[duration, present[:, 1], cuts])
    uncertainty_s = None
    if given.uncertainty_ms is not None:
        uncertainty_s = {label: _uncertainty_s(given.uncertainty_ms.get(label)) for label in labels}
    return Annotation(duration, speech, presence, starts, ends, uncertainty_s)


def inside(rows: Rows, duration: int, label: str) -> Spans:
    """Return rows of seconds as spans within ``[0, duration)``.

    Raises:
        UsageError: a time is not a finite number or a row ends before it starts.
    """
    for row in rows:
        if len(row) != 2 or not (math.isfinite(row[0]) and row[0] <= row[1] < math.inf):
            raise UsageError(
                f"A segment of {label} is {list(row)}; expected [start_s, end_s], finite, in order."
            )
    return clip(from_seconds(rows), 0, duration)


def to_s(n_samples: int) -> float:
    """Return the seconds of a count of samples, unrounded (at most seven decimals)."""
    return int(n_samples) / RATE_HZ


def parameters(options: TalkOptions) -> dict[str, Any]:
    """Return the options' names and values, as they are stamped into results."""
    return {name: getattr(options, name) for name in TalkOptions.__slots__}


def _samples(times_s: Sequence[float], label: str) -> list[int]:
    if not all(math.isfinite(t) for t in times_s):
        raise UsageError(f"A time of {label} is not a finite number.")
    return [round(t * RATE_HZ) for t in times_s]


def _uncertainty_s(uncertainty_ms: float | None) -> float:
    return math.inf if uncertainty_ms is None else uncertainty_ms / 1000.0
