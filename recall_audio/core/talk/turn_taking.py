"""Measure turn-taking over the whole meeting and over each ordered pair of speakers."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recall_audio.core.talk.annotation import Annotation, to_s
from recall_audio.core.talk.turns import (
    REASONS,
    FloorStep,
    Unit,
    distribution,
    ends_cut,
    find_turns,
    find_units,
    floor_steps,
    starts_cut,
    transitions,
    units_by_speaker,
)
from recall_audio.model.figures import Distribution
from recall_audio.model.options import TalkOptions
from recall_audio.model.turns import (
    OVERLAP_CLASSES,
    DirectedPair,
    Overlap,
    OverlapClass,
    TalkEvents,
    TurnTaking,
)
from recall_audio.units import to_samples


def find_overlaps(units: Sequence[Unit], annotation: Annotation, options: TalkOptions) -> list[Overlap]:
    """Find every overlap of two speakers' units, by start.

    Args:
        units: by start, as :func:`recall_audio.core.talk.turns.find_units` gives them.
        annotation: whose recordings' edges cut speech.
        options: tolerances.
    """
    starts = {label: [u.start for u in own] for label, own in units_by_speaker(units).items()}
    found: list[Overlap] = []
    active: list[Unit] = []
    for later in units:
        active = [u for u in active if u.end > later.start]
        for earlier in active:
            kind = _classify(earlier, later, annotation, options)
            own = starts[earlier.speaker]
            after = bisect_right(own, earlier.start)
            back = own[after] if after < len(own) else annotation.duration
            interruption = _interruption(kind, later, yields=back >= later.end)
            end = min(earlier.end, later.end)
            times = to_s(later.start), to_s(end)
            names = earlier.speaker, later.speaker
            found.append(Overlap(*names, *times, kind, later.backchannel, interruption))
        active.append(later)
    return found


def _classify(earlier: Unit, later: Unit, annotation: Annotation, options: TalkOptions) -> OverlapClass:
    """Return the overlap's class, counting two simultaneous ends as the later speaker's."""
    tolerance = to_samples(options.edge_s)
    one_onset = later.start - earlier.start <= to_samples(options.same_onset_s)
    start_hidden = starts_cut(annotation, later.speaker, later.start, tolerance) or (
        one_onset and starts_cut(annotation, earlier.speaker, earlier.start, tolerance)
    )
    end = min(earlier.end, later.end)
    first_to_stop = [u.speaker for u in (earlier, later) if u.end == end]
    if start_hidden or any(ends_cut(annotation, label, end, tolerance) for label in first_to_stop):
        return "undetermined"
    if one_onset:
        return "simultaneous_onset"
    return "within" if later.end <= earlier.end else "between"


def _interruption(kind: OverlapClass, later: Unit, *, yields: bool) -> Literal["", "attempt", "candidate"]:
    """Return what the later speaker's start was, judged by its timing."""
    if later.backchannel or kind not in ("within", "between"):
        return ""
    return "candidate" if kind == "between" and yields else "attempt"


NO_TIME = "the meeting has no length"
NO_TRANSFER = "the floor never went from one to the other"


@dataclass(frozen=True, slots=True)
class Conversation:
    """All units, floor steps and events of a meeting, before they are summed up.

    Attributes:
        units: by start.
        steps: of the floor, by time.
        events: the same as values in seconds, with turns and overlaps.
    """

    units: tuple[Unit, ...]
    steps: tuple[FloorStep, ...]
    events: TalkEvents


def find_conversation(annotation: Annotation, options: TalkOptions) -> Conversation:
    """Find units, floor steps, turns, transitions and overlaps."""
    units = find_units(annotation, options)
    steps = floor_steps(units, annotation, options)
    events = TalkEvents(
        turns=tuple(find_turns(units, annotation, options)),
        transitions=tuple(transitions(steps)),
        overlaps=tuple(find_overlaps(units, annotation, options)),
    )
    return Conversation(tuple(units), tuple(steps), events)


def measure_turn_taking(found: Conversation, annotation: Annotation) -> TurnTaking:
    """Measure the meeting's turn-taking figures."""
    switches = [s for s in found.steps if s.switch]
    silences = [s for s in found.steps if s.offset > 0]
    counted = [s.offset for s in switches if not s.left_out]
    left_out = Counter(s.left_out for s in switches)
    rate = per_hour(len(switches), annotation)
    interruptions = Counter(o.interruption for o in found.events.overlaps)
    return TurnTaking(
        ipus=len(found.units),
        turns=len(found.events.turns),
        pauses=_durations([s.offset for s in silences if not s.switch], "no pause"),
        gaps=_durations([s.offset for s in silences if s.switch], "no gap"),
        edge_silence_s=to_s(_edge_silence(found.units, annotation)),
        overlaps={kind: _overlap_durations(found.events.overlaps, kind) for kind in OVERLAP_CLASSES},
        switches=len(switches),
        switches_per_hour=rate,
        fto_s=distribution(counted, why_no_offset(switches)),
        fto_gaps=sum(x >= 0 for x in counted),
        fto_overlaps=sum(x < 0 for x in counted),
        fto_left_out={why: left_out[why] for why in REASONS},
        backchannel_candidates=sum(u.backchannel for u in found.units),
        interruption_attempts=interruptions["attempt"] + interruptions["candidate"],
        interruption_candidates=interruptions["candidate"],
        directed=_directed(found),
        reasons={} if rate is not None else {"switches_per_hour": NO_TIME},
    )


def per_hour(count: int, annotation: Annotation) -> float | None:
    """Return a count per hour of meeting, or None where the meeting has no length."""
    return count * 3600.0 / to_s(annotation.duration) if annotation.duration else None


def why_no_offset(switches: Sequence[FloorStep]) -> str:
    """Return the reason why no switch has an offset that counts."""
    reasons = sorted({REASONS[s.left_out] for s in switches if s.left_out})
    return "; ".join(reasons) if reasons else NO_TRANSFER


def _durations(values: Sequence[int], reason: str) -> Distribution:
    return distribution(values, reason, with_total=True)


def _overlap_durations(overlaps: Sequence[Overlap], kind: OverlapClass) -> Distribution:
    values = [to_samples(o.end_s) - to_samples(o.start_s) for o in overlaps if o.kind == kind]
    return _durations(values, "no such overlap")


def _edge_silence(units: Sequence[Unit], annotation: Annotation) -> int:
    """Return the samples before the first and after the last speech, all if there is none."""
    if not units:
        return annotation.duration
    return units[0].start + annotation.duration - max(u.end for u in units)


def _directed(found: Conversation) -> tuple[DirectedPair, ...]:
    """Return the figures of every ordered pair with an event between them, by label."""
    switches: dict[tuple[str, str], list[FloorStep]] = {}
    for step in found.steps:
        for pair in ((a, b) for a in step.before for b in step.after if step.switch):
            switches.setdefault(pair, []).append(step)
    overlaps: dict[tuple[str, str], list[Overlap]] = {}
    for event in found.events.overlaps:
        # Who came in on whom is known of these only.
        if event.kind in ("within", "between"):
            overlaps.setdefault((event.earlier, event.later), []).append(event)
    pairs = sorted({*switches, *overlaps})
    return tuple(_pair(p, switches.get(p, []), overlaps.get(p, [])) for p in pairs)


def _pair(pair: tuple[str, str], switches: Sequence[FloorStep], overlaps: Sequence[Overlap]) -> DirectedPair:
    kinds = Counter(o.kind for o in overlaps)
    interruptions = Counter(o.interruption for o in overlaps)
    attempts = interruptions["attempt"] + interruptions["candidate"]
    return DirectedPair(
        earlier=pair[0],
        later=pair[1],
        switches=len(switches),
        fto_s=distribution([s.offset for s in switches if not s.left_out], why_no_offset(switches)),
        overlaps_within=kinds["within"],
        overlaps_between=kinds["between"],
        backchannel_candidates=sum(o.backchannel for o in overlaps),
        interruption_attempts=attempts,
        interruption_candidates=interruptions["candidate"],
        interruption_success=interruptions["candidate"] / attempts if attempts else None,
        reasons={} if attempts else {"interruption_success": "no attempt"},
    )
