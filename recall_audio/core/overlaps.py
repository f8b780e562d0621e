"""Who came in on whom, and what became of it.

::

    i   |----------|           |-------------|        |----|           |--------
    j        |--------|             |---|             |------|            |-----   recording ends
             between                within        simultaneous_onset    undetermined

An overlap is one event for every two speakers: it starts when j starts while i speaks, and ends with the
earlier stop. Where that stop, or j's start, is a recording's edge, what happened is not known.

Timing proves no intent. An *interruption attempt* is coming in on somebody, not with a backchannel; it is
a *candidate* where the overlap is `between` and the first speaker yields: does not speak again before the
other's unit has ended.

Reference: M. Heldner & J. Edlund, J. Phonetics 38, 2010, for more than two speakers.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

from recall_audio.core.schedule import Schedule, to_s
from recall_audio.core.turns import Unit, ends_cut, starts_cut, units_by_speaker
from recall_audio.model.options import TalkOptions
from recall_audio.model.turns import Overlap, OverlapClass
from recall_audio.units import to_samples


def find_overlaps(units: Sequence[Unit], schedule: Schedule, options: TalkOptions) -> list[Overlap]:
    """Every overlap of two speakers' units, by start.

    Args:
        units: by start, as :func:`recall_audio.core.turns.find_units` gives them.
        schedule: whose recordings' edges cut speech.
        options: tolerances.
    """
    starts = {label: [u.start for u in own] for label, own in units_by_speaker(units).items()}
    found: list[Overlap] = []
    active: list[Unit] = []
    for later in units:
        active = [u for u in active if u.end > later.start]
        for earlier in active:
            kind = _classify(earlier, later, schedule, options)
            own = starts[earlier.speaker]
            after = bisect_right(own, earlier.start)
            back = own[after] if after < len(own) else schedule.duration
            interruption = _interruption(kind, later, yields=back >= later.end)
            end = min(earlier.end, later.end)
            times = to_s(later.start), to_s(end)
            names = earlier.speaker, later.speaker
            found.append(Overlap(*names, *times, kind, later.backchannel, interruption))
        active.append(later)
    return found


def _classify(earlier: Unit, later: Unit, schedule: Schedule, options: TalkOptions) -> OverlapClass:
    """What became of it; two stops at one moment count as the later's."""
    tolerance = to_samples(options.edge_s)
    one_onset = later.start - earlier.start <= to_samples(options.same_onset_s)
    start_hidden = starts_cut(schedule, later.speaker, later.start, tolerance) or (
        one_onset and starts_cut(schedule, earlier.speaker, earlier.start, tolerance)
    )
    end = min(earlier.end, later.end)
    first_to_stop = [u.speaker for u in (earlier, later) if u.end == end]
    if start_hidden or any(ends_cut(schedule, label, end, tolerance) for label in first_to_stop):
        return "undetermined"
    if one_onset:
        return "simultaneous_onset"
    return "within" if later.end <= earlier.end else "between"


def _interruption(kind: OverlapClass, later: Unit, *, yields: bool) -> Literal["", "attempt", "candidate"]:
    """What coming in was, going by its timing."""
    if later.backchannel or kind not in ("within", "between"):
        return ""
    return "candidate" if kind == "between" and yields else "attempt"
