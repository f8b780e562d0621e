"""Find units and turns, and how the floor goes from one speaker to the next.

::

    A   |-------|   |----|                       |---|         A's gap at x is no pause: B speaks
    B         |--x-----|       |---|
    C            |-|                    |----|                 C is nested: it never has the floor
    floor   A > B >    A    >  B    >   C     >  A
    FTO      −0.5  −1.4   +1.0    +0.8     +0.4                start of the next − end of the previous

The floor belongs to the speaker whose unit ends last of all that have started. A unit that ends no later
than one which started before it is nested and takes nothing. So each silence lies between two holders: a
pause where they are one speaker, a gap where they are two.

References: M. Heldner & J. Edlund, Pauses, gaps and overlaps in conversations, J. Phonetics 38, 2010 (units,
pauses, gaps, offsets, here for N speakers); G. Cooney & A. Reece, NaturalTurn, 2024 (joining of turns);
E. Ekstedt & G. Skantze, Voice Activity Projection, Interspeech 2022 (backchannels).
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from recall_audio.core.activity import covered
from recall_audio.core.spans import EMPTY, bridge, intersect, subtract, union
from recall_audio.core.talk.annotation import Annotation, to_s
from recall_audio.model.figures import Distribution
from recall_audio.model.options import TalkOptions
from recall_audio.model.turns import Transition, Turn
from recall_audio.typing import BoolArray, IntArray, Spans
from recall_audio.units import to_samples

LeftOut = Literal["", "cut", "uncertain", "lead", "window"]


@dataclass(frozen=True, slots=True)
class Unit:
    """One inter-pausal unit: a speaker's speech bounded by their own silence.

    Attributes:
        start: samples.
        end: samples.
        speaker: label.
        backchannel: a backchannel candidate.
    """

    start: int
    end: int
    speaker: str
    backchannel: bool


@dataclass(frozen=True, slots=True)
class FloorStep:
    """One step of the floor, from one holder to the next.

    Attributes:
        before: who held it; more than one only where units are exactly equal.
        after: who holds it next.
        start: start of the holder's unit.
        end: its end.
        next_start: start of the next holder's unit.
        left_out: why the offset does not count; empty where it does.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    start: int
    end: int
    next_start: int
    left_out: LeftOut

    @property
    def switch(self) -> bool:
        """Return whether the floor went to another speaker."""
        return not set(self.before) & set(self.after)

    @property
    def offset(self) -> int:
        """Return the samples from one unit's end to the next one's start, negative for overlap."""
        return self.next_start - self.end


def find_units(annotation: Annotation, options: TalkOptions) -> list[Unit]:
    """Find every speaker's inter-pausal units, by start and then the longer first."""
    gap = to_samples(options.ipu_gap_s)
    joined = {label: bridge(spans, gap) for label, spans in annotation.speech.items() if len(spans)}
    units = []
    for label, spans in joined.items():
        others = union(*(s for other, s in joined.items() if other != label))
        heard = covered(others, spans[:, 1]) > covered(others, spans[:, 0])
        candidates = heard & _short_and_alone(spans, annotation, label, options)
        rows = zip(spans.tolist(), candidates.tolist(), strict=True)
        units += [Unit(start, end, label, candidate) for (start, end), candidate in rows]
    return sorted(units, key=lambda u: (u.start, -u.end, u.speaker))


def _short_and_alone(spans: Spans, annotation: Annotation, label: str, options: TalkOptions) -> BoolArray:
    """Return which units are short, with enough recorded silence of their own on both sides."""
    silence, longest = to_samples(options.backchannel_silence_s), to_samples(options.backchannel_longest_s)
    start, end = spans[:, 0], spans[:, 1]
    opened, closed = annotation.starts[label], annotation.ends[label]
    # The latest thing before, the earliest after: own speech, or the edge of what was recorded.
    before = np.maximum(np.r_[0, end[:-1]], opened[np.searchsorted(opened, start, side="right") - 1])
    after = np.minimum(
        np.r_[start[1:], annotation.duration], closed[np.searchsorted(closed, end, side="left")]
    )
    alone = (start - before >= silence) & (after - end >= silence)
    return np.asarray(alone & (end - start <= longest))


def floor_steps(units: Sequence[Unit], annotation: Annotation, options: TalkOptions) -> list[FloorStep]:
    """Return how the floor went from holder to holder, pauses of one holder included."""
    holders: list[tuple[int, int, tuple[str, ...]]] = []
    for unit in units:
        if holders and (unit.start, unit.end) == holders[-1][:2]:
            holders[-1] = (unit.start, unit.end, (*holders[-1][2], unit.speaker))
        elif not holders or unit.end > holders[-1][1]:
            holders.append((unit.start, unit.end, (unit.speaker,)))
    steps = []
    for (start, end, before), (next_start, _, after) in pairwise(holders):
        step = FloorStep(before, after, start, end, next_start, "")
        why = _left_out(step, annotation, options)
        steps.append(FloorStep(before, after, start, end, next_start, why))
    return steps


def _left_out(step: FloorStep, annotation: Annotation, options: TalkOptions) -> LeftOut:
    """Return why a step's offset does not count, or an empty string."""
    tolerance = to_samples(options.edge_s)
    ends = (ends_cut(annotation, label, step.end, tolerance) for label in step.before)
    starts = (starts_cut(annotation, label, step.next_start, tolerance) for label in step.after)
    uncertain = (annotation.pair_uncertainty_s(a, b) for a in step.before for b in step.after)
    if any(ends) or any(starts):
        return "cut"
    if max(uncertain) > options.same_onset_s:
        return "uncertain"
    if step.next_start - step.start < to_samples(options.fto_lead_s):
        return "lead"
    return "window" if abs(step.offset) > to_samples(options.fto_window_s) else ""


def starts_cut(annotation: Annotation, label: str, moment: int, tolerance: int) -> bool:
    """Return whether speech that starts at `moment` may have begun before its recording."""
    return _is_near(annotation.starts[label], moment, tolerance)


def ends_cut(annotation: Annotation, label: str, moment: int, tolerance: int) -> bool:
    """Return whether speech that ends at `moment` may have been cut off there."""
    return _is_near(annotation.ends[label], moment, tolerance)


def _is_near(moments: IntArray, at: int, tolerance: int) -> bool:
    """Return whether one of several moments, in order, lies within a tolerance of another."""
    i = bisect_left(moments, at - tolerance)
    return bool(i < len(moments) and moments[i] <= at + tolerance)


REASONS: Mapping[LeftOut, str] = {
    "cut": "a recording starts or stops there: what was said beyond it is not known",
    "uncertain": "the alignment of the two is not certain enough for an offset between them",
    "lead": "the earlier had only just begun",
    "window": "the offset is outside the window",
}


def transitions(steps: Iterable[FloorStep]) -> list[Transition]:
    """Return the steps from one speaker to another, one entry a pair."""
    found = []
    for step in steps:
        if not step.switch:
            continue
        offset = step.offset
        kind: Literal["gap", "overlap", "latch"] = "gap" if offset > 0 else "overlap" if offset else "latch"
        fto_s = None if step.left_out else to_s(offset)
        reasons = {"fto_s": REASONS[step.left_out]} if step.left_out else {}
        found += [
            Transition(a, b, to_s(step.end), to_s(step.next_start), kind, fto_s, reasons)
            for a in step.before
            for b in step.after
        ]
    return found


def find_turns(units: Sequence[Unit], annotation: Annotation, options: TalkOptions) -> list[Turn]:
    """Find every speaker's turns, by start, joining units across their short silences."""
    found = []
    for label, own in units_by_speaker(units).items():
        turns = bridge(_spans(own), to_samples(options.turn_join_s))
        talk = covered(annotation.speech[label], turns[:, 1]) - covered(annotation.speech[label], turns[:, 0])
        first = np.searchsorted([u.start for u in own], turns[:, 0])
        n_units = np.diff(np.r_[first, len(own)])
        for (start, end), spoken, i, n in zip(turns.tolist(), talk, first, n_units, strict=True):
            alone = bool(n == 1 and own[i].backchannel)
            found.append(Turn(label, to_s(start), to_s(end), to_s(spoken), int(n), alone))
    return sorted(found, key=lambda t: (t.start_s, t.end_s, t.speaker))


def units_by_speaker(units: Iterable[Unit]) -> dict[str, list[Unit]]:
    """Return each speaker's units, by start."""
    own: dict[str, list[Unit]] = {}
    for unit in units:
        own.setdefault(unit.speaker, []).append(unit)
    return own


def longest_monologue(units: Sequence[Unit], label: str, options: TalkOptions) -> int:
    """Return the samples of the longest stretch that one speaker holds alone.

    No other speaker speaks in it, backchannel candidates excepted. It starts and ends with the speaker's own
    speech::

        A  |------------------|  |-------|         |==================|  |====|
        B         |-|                 |-----|      B's first is a backchannel, the second is not
    """
    own = _spans(u for u in units if u.speaker == label)
    broken_by = _spans(u for u in units if u.speaker != label and not u.backchannel)
    free = subtract(bridge(own, to_samples(options.turn_join_s)), broken_by)
    speech = intersect(own, free)
    if len(speech) == 0:
        return 0
    first = np.searchsorted(speech[:, 1], free[:, 0], side="right")
    last = np.searchsorted(speech[:, 0], free[:, 1], side="left") - 1
    holds = last >= first
    return int(np.max(speech[last[holds], 1] - speech[first[holds], 0]))


def distribution(values: Sequence[int], reason: str, *, with_total: bool = False) -> Distribution:
    """Return median and quartiles in seconds of values in samples, `reason` where there are none."""
    total_s = to_s(sum(values)) if with_total else None
    if not values:
        return Distribution(None, None, None, 0, total_s, reason)
    q1, median, q3 = (float(q) for q in np.quantile(np.array(values) / to_samples(1.0), (0.25, 0.5, 0.75)))
    return Distribution(round(median, 9), round(q1, 9), round(q3, 9), len(values), total_s)


def _spans(units: Iterable[Unit]) -> Spans:
    rows = np.array([(u.start, u.end) for u in units], dtype=np.int64).reshape(-1, 2)
    return union(EMPTY, rows)
