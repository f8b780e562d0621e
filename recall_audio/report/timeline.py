"""The timeline's data: as few bytes as will do, decoded again by ``timeline.js``."""

import itertools
from collections.abc import Mapping
from typing import Any

from recall_audio.report.formatting import items, mapping, number, objects
from recall_audio.report.intervals import Stretches, deltas, joined, stretches
from recall_audio.report.leakage_section import unexplained
from recall_audio.report.page import Assets, address
from recall_audio.report.speakers import Documents, Speaker, duration_s

MOST_MARKS = 20_000
"""Interruptions drawn at most; a meeting of eight hours has some thousands."""


def timeline(documents: Documents, people: list[Speaker], assets: Assets) -> dict[str, Any]:
    """What ``timeline.js`` draws; times in ms, stretches as ``[pause, length, ...]``.

    Returns:
        ``{duration, mix, lanes: [{name, colour, stem, speech, taken, parts, steps, presence}],
        marks: [[ms, lane, other lane], ...], unexplained}``.
    """
    return {
        "duration": round(1000 * duration_s(documents, people)),
        "mix": address(assets.mix),
        "lanes": [_lane(documents, s, assets) for s in people],
        "marks": _marks(documents, people),
        "unexplained": deltas(unexplained(documents)),
    }


def _lane(documents: Documents, s: Speaker, assets: Assets) -> dict[str, Any]:
    parts, steps = _parts(documents, s)
    return {
        "name": s.name,
        "colour": s.colour,
        "stem": address(assets.stems.get(s.label)),
        "speech": deltas(s.speech),
        "taken": deltas(s.taken_out),
        "parts": deltas(parts),
        "steps": steps,
        "presence": deltas(_presence(documents, s)),
    }


def _parts(documents: Documents, s: Speaker) -> tuple[Stretches, list[int]]:
    """Where a speaker's parts lie on the mix's clock, and the moments at which their clock steps."""
    lying, steps = [], []
    for part in objects(mapping(documents.get("alignment")).get("parts")):
        if part.get("participant_id") not in s.participant_ids:
            continue
        knots = time_map(part)
        if len(knots) > 1:
            lying.append([knots[0][1], knots[-1][1]])
        steps += [max(0, round(1000 * b[1])) for a, b in itertools.pairwise(knots) if a[0] == b[0]]
    return stretches(lying), sorted(steps)


def time_map(part: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The knots of a part's time map, ``(local_s, mix_s)``; empty where they cannot be read."""
    knots = []
    for knot in items(part.get("time_map")):
        values = [number(v) for v in items(knot)[:2]]
        if len(values) == 2 and values[0] is not None and values[1] is not None:
            knots.append((values[0], values[1]))
    return knots


def _presence(documents: Documents, s: Speaker) -> Stretches:
    """When a speaker was in the meeting, by join and leave events; empty where nothing is known."""
    end_s = number(mapping(mapping(documents.get("alignment")).get("mix")).get("duration_s"))
    there = []
    for p in objects(mapping(documents.get("recording")).get("presence")):
        if p.get("participant_id") in s.participant_ids:
            left_s = number(p.get("end_s"))
            there.append([p.get("start_s"), end_s if left_s is None else left_s])
    return joined(stretches(there))


def _marks(documents: Documents, people: list[Speaker]) -> list[list[int]]:
    """Interruption candidates: when, by whom, over whom."""
    lane = {s.label: i for i, s in enumerate(people)}
    marks = []
    for event in objects(mapping(documents.get("events")).get("overlaps")):
        start_s, who, whom = number(event.get("start_s")), str(event.get("later")), str(event.get("earlier"))
        if event.get("interruption") == "candidate" and start_s is not None and who in lane and whom in lane:
            marks.append([max(0, round(1000 * start_s)), lane[who], lane[whom]])
    return sorted(marks)[:MOST_MARKS]
