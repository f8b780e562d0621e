"""Show who spoke how much: bars, matrices, talk over time, turn taking, and their statements."""

from collections.abc import Iterator, Mapping
from typing import Any

from recall_audio.core.spans import totals_by_bin
from recall_audio.report.formatting import (
    NOTHING,
    clock,
    count,
    items,
    listing,
    mapping,
    number,
    objects,
    percent,
    quantity,
    seconds,
    text,
)
from recall_audio.report.summary import interval
from recall_audio.report.values import (
    CHECK,
    FINE,
    NOTE,
    Cell,
    Documents,
    Speaker,
    Statement,
    duration_s,
    heat,
)

DENOMINATORS = (
    ("share_of_talk", "all talk", "the talk of all speakers added up; the shares add up to 100 %"),
    (
        "share_of_speech",
        "time with speech",
        "time with at least one speaker; may add up to more than 100 %",
    ),
    ("share_of_meeting", "whole meeting", "the meeting's length, silence included"),
    ("share_of_presence", "own presence", "the time in which that person was there"),
)
"""Key in ``talk.json``, name on the page, what it means."""

RAW_VALUES = (
    "talk_s",
    "turns",
    "longest_monologue_s",
    "exclusive_s",
    "overlapped_s",
    "presence_s",
    "words",
    "words_per_minute",
    "questions",
)
"""Figures of a speaker that a copied or saved table holds as plain numbers."""

_BIN_WIDTHS_S = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Lengths of a bar of talk over time, seconds."""
_MOST_BINS = 48
"""Bars at most."""
PLOT_WIDTH = 960
PLOT_HEIGHT = 180
"""Size of the page's drawings, in units of their view box."""


def rows(people: list[Speaker]) -> list[dict[str, Any]]:
    """Return one row a speaker for the table of talk: texts, and the shares as numbers for the bars."""
    found = []
    for s in people:
        latency = mapping(s.talk.get("response_latency_s"))
        raw_s = number(s.talk.get("talk_raw_s"))
        found.append(
            {
                "name": s.name,
                "label": s.label,
                "colour": s.colour,
                "talk": "not known" if s.talk_s is None else clock(s.talk_s),
                "why": text(s.talk.get("talk_s_reason"), 200),
                "talk_s": s.talk_s,
                "raw": clock(raw_s) if raw_s is not None and raw_s - (s.talk_s or 0.0) >= 0.5 else "",
                "shares": {key: number(s.talk.get(key)) for key, _, _ in DENOMINATORS},
                "intervals": {key: interval(s, key) for key, _, _ in DENOMINATORS},
                "raw_values": {name: _plain(s.talk.get(name)) for name in RAW_VALUES},
                "latency_s": number(latency.get("median")),
                "exclusive": clock(s.talk.get("exclusive_s")),
                "overlapped": clock(s.talk.get("overlapped_s")),
                "turns": _count(s.talk.get("turns")),
                "monologue": clock(s.talk.get("longest_monologue_s")),
                "latency": seconds(latency.get("median")),
                "latency_spread": _spread(latency),
                "presence": clock(s.talk.get("presence_s")),
                "words": _count(s.talk.get("words")),
                "pace": _count(s.talk.get("words_per_minute")),
                "questions": _count(s.talk.get("questions")),
            }
        )
    return found


def _plain(value: Any) -> float | int | None:
    """Return a number as a file holds it, a whole one without its decimal point."""
    amount = number(value)
    return int(amount) if amount is not None and amount.is_integer() else amount


def _spread(quartiles: Mapping[str, Any]) -> str:
    if number(quartiles.get("q1")) is None or number(quartiles.get("q3")) is None:
        return ""
    n = number(quartiles.get("n")) or 0
    return f"{seconds(quartiles['q1'])} to {seconds(quartiles['q3'])}, n = {n:.0f}"


def shares_over(people: list[Speaker]) -> str:
    """Return whose talk the shares are of where not everyone's is known, else an empty text."""
    unknown = [s.name for s in people if s.talk_s is None]
    known = [s.name for s in people if s.talk_s is not None]
    if not unknown or not known:
        return ""
    return f"Shares are of what the known speakers said ({listing(known)}); {listing(unknown)}: not known."


def overlap_matrix(documents: Documents, people: list[Speaker]) -> list[list[Cell]]:
    """Return the overlap of each pair, a row and a column a speaker, if it was measured."""
    index = {s.label: i for i, s in enumerate(people)}
    found: dict[tuple[int, int], float] = {}
    for pair in objects(mapping(documents.get("talk")).get("pairs")):
        a, b, shared_s = (
            index.get(str(pair.get("a"))),
            index.get(str(pair.get("b"))),
            number(pair.get("overlap_s")),
        )
        if a is not None and b is not None and shared_s is not None:
            found[a, b] = found[b, a] = shared_s
    if not found:
        return []
    top = max(found.values())
    return [
        [_pair(found.get((i, j)), people[i], people[j], top) for j in range(len(people))]
        for i in range(len(people))
    ]


def _pair(shared_s: float | None, a: Speaker, b: Speaker, top: float) -> Cell:
    if a is b or shared_s is None:
        return Cell("")
    less_s = min(a.talk_s or 0.0, b.talk_s or 0.0)
    return Cell(clock(shared_s), percent(shared_s / less_s, 0) if less_s > 0 else "", heat(shared_s, top))


def at_once(documents: Documents) -> list[dict[str, Any]]:
    """Return how long none, one, two, ... spoke at once: the boxes of a strip, and its table."""
    times = [number(v) or 0.0 for v in items(mapping(documents.get("talk")).get("time_by_speakers_s"))]
    whole, x, strip = sum(times), 0.0, []
    for k, time_s in enumerate(times):
        width = PLOT_WIDTH * time_s / whole if whole > 0 else 0.0
        what = "no one" if k == 0 else "one person" if k == 1 else f"{k} at once"
        share = percent(time_s / whole) if whole > 0 else NOTHING
        strip.append(
            {"what": what, "k": min(k, 4), "x": x, "width": width, "time": clock(time_s), "share": share}
        )
        x += width
    return strip


def over_time(documents: Documents, people: list[Speaker]) -> dict[str, Any]:
    """Return stacked bars: seconds of talk of every speaker in each bar's time."""
    length_s = duration_s(documents, people)
    width_s = next((w for w in _BIN_WIDTHS_S if length_s / w <= _MOST_BINS), _BIN_WIDTHS_S[-1])
    n_bins = max(1, -(-round(1000 * length_s) // (1000 * width_s)))
    counted = [totals_by_bin(s.speech, 1000 * width_s, n_bins) for s in people]
    highest = max([width_s * 1000, *(sum(column) for column in zip(*counted, strict=True))])
    step = PLOT_WIDTH * 1000 * width_s / max(1.0, 1000 * length_s)
    boxes, table = [], []
    for i in range(n_bins):
        top = float(PLOT_HEIGHT)
        for s, bins in zip(people, counted, strict=True):
            height = PLOT_HEIGHT * bins[i] / highest
            if height > 0:
                top -= height
                wide = min(step, PLOT_WIDTH - i * step)
                boxes.append((s.colour, i * step, top, max(0.5, wide - 1), height))
        table.append({"at": clock(i * width_s), "cells": [f"{bins[i] / 1000:.0f}" for bins in counted]})
    marks = [clock(share * length_s) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    full = PLOT_HEIGHT * (1 - width_s * 1000 / highest)
    return {"boxes": boxes, "table": table, "marks": marks, "width": _length(width_s), "full_y": full}


def _length(width_s: int) -> str:
    return count(width_s // 60, "minute") if width_s >= 60 else count(width_s, "second")


Row = tuple[str, str, str, str]


def turn_rows(documents: Documents) -> list[Row]:
    """Return key of the definition, name, figure and note (or why there is no figure) of each measure."""
    talk = mapping(documents.get("talk"))
    taking, equality = mapping(talk.get("turn_taking")), mapping(talk.get("equality"))
    offsets = mapping(taking.get("fto_s"))
    gaps, pauses = mapping(taking.get("gaps")), mapping(taking.get("pauses"))
    return [
        ("turns", "Turns", _count(taking.get("turns")), ""),
        ("switches", "Changes of speaker", _count(taking.get("switches")), _an_hour(taking)),
        (
            "fto",
            "Time between two speakers",
            seconds(offsets.get("median")),
            _offset_spread(offsets) or text(offsets.get("reason"), 200),
        ),
        ("gaps", "Gaps", seconds(gaps.get("median")), _spread(gaps)),
        ("pauses", "Pauses", seconds(pauses.get("median")), _spread(pauses)),
        ("backchannels", "Backchannel candidates", _count(taking.get("backchannel_candidates")), ""),
        ("interruptions", "Interruption candidates", _count(taking.get("interruption_candidates")), ""),
        (
            "gini",
            "Gini, normalised",
            quantity(equality.get("gini_normalised"), ""),
            text(equality.get("gini_normalised_reason"), 200) or "0 even, 1 one speaks alone",
        ),
        (
            "entropy",
            "Entropy",
            quantity(equality.get("entropy"), ""),
            text(equality.get("entropy_reason"), 200) or "1 even, 0 one speaks alone",
        ),
    ]


def _count(value: Any) -> str:
    amount = number(value)
    return NOTHING if amount is None else f"{amount:,.0f}".replace(",", "\u202f")


def _an_hour(taking: Mapping[str, Any]) -> str:
    rate = number(taking.get("switches_per_hour"))
    return "" if rate is None else f"{rate:.0f} an hour"


def _offset_spread(d: Mapping[str, Any]) -> str:
    if number(d.get("q1")) is None or number(d.get("q3")) is None:
        return ""
    return f"median of {_count(d.get('n'))}; half of them from {seconds(d['q1'])} to {seconds(d['q3'])}"


def interruption_matrix(documents: Documents, people: list[Speaker]) -> list[list[Cell]]:
    """Return how often the row's speaker took over from the column's while they spoke."""
    taking = mapping(mapping(documents.get("talk")).get("turn_taking"))
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for pair in objects(taking.get("directed")):
        made, tried = number(pair.get("interruption_candidates")), number(pair.get("interruption_attempts"))
        if made is not None and tried:
            found[str(pair.get("later")), str(pair.get("earlier"))] = made, tried
    if not found:
        return []
    top = max(made for made, _ in found.values())
    return [[_times(found.get((row.label, column.label)), top) for column in people] for row in people]


def _times(pair: tuple[float, float] | None, top: float) -> Cell:
    return (
        Cell("") if pair is None else Cell(_count(pair[0]), f"of {_count(pair[1])} tries", heat(pair[0], top))
    )


def sensitivity_rows(documents: Documents, people: list[Speaker]) -> dict[str, Any]:
    """Return shares of talk under other values of a parameter, if they were measured."""
    sensitivity = mapping(mapping(documents.get("talk")).get("sensitivity"))
    rows = [
        {
            "name": text(v.get("name")),
            "chosen": v.get("name") == sensitivity.get("chosen"),
            "shares": [percent(mapping(v.get("share_of_talk")).get(s.label)) for s in people],
            "overlap": clock(v.get("overlap_s")),
            "same": "same order" if v.get("same_ranks") else "another order",
        }
        for v in objects(sensitivity.get("variants"))
    ]
    return {"rows": rows}


_ALMOST_SURE = 0.995
"""From this probability on, a sentence says "over 99 %"."""


def order_sentence(documents: Documents, people: list[Speaker]) -> str:
    """Return who spoke most and how sure that is, or that it is open.

    The text is empty where it was not measured.
    """
    ranks = mapping(mapping(documents.get("talk")).get("ranks"))
    names = {s.label: s.name for s in people}
    first, sure = names.get(text(ranks.get("most"))), number(ranks.get("most_probability"))
    if first is None or sure is None or len(objects(ranks.get("neighbours"))) == 0:
        return ""
    rivals = [names[text(x)] for x in items(ranks.get("rivals")) if text(x) in names]
    likely = "over 99 %" if sure >= _ALMOST_SURE else percent(sure, 0)
    if not rivals:
        said = f"{first} spoke most, with a probability of {likely}."
    else:
        said = (
            f"Who spoke most is open: {first}, with a probability of {likely}, or {', or '.join(rivals[:3])}."
        )
    apart = [
        (text(n.get("more")), text(n.get("less")))
        for n in objects(ranks.get("neighbours"))
        if n.get("is_open")
    ]
    lower = [f"{names[a]} and {names[b]}" for a, b in apart if {a, b} <= names.keys() and names[a] != first]
    return f"{said} Open too is the order of {listing(lower)}." if lower else said


def _uncertain_shares(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """Yield one statement about all shares of talk that a warning names."""
    stages = objects(mapping(documents.get("run")).get("stages"))
    found = [f for s in stages for f in objects(s.get("warnings")) if f.get("code") == "share_uncertain"]
    named = {text(f.get("where")) for f in found}
    whose = [(s, interval(s)) for s in people if s.label in named]
    shares = [f"{s.name} ({100 * i[0]:.0f} to {100 * i[1]:.0f} %)" for s, i in whose if i is not None]
    if len(shares) == 1 or (found and not shares):
        yield from (Statement(CHECK, "Shares", "", text(f.get("message"), 600)) for f in found)
    elif shares:
        verb = "Shares of talk may be off by more than two points; they lie, with 95 %, within"
        yield Statement(CHECK, "Shares", "", f"{verb} {listing(shares, len(shares))}.")


def talk_statements(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """Yield how much the figures of talk depend on parameters, and which are missing."""
    talk = mapping(documents.get("talk"))
    variants = objects(mapping(talk.get("sensitivity")).get("variants"))
    change = max((number(v.get("largest_change")) or 0.0 for v in variants), default=0.0)
    other = [text(v.get("name")) for v in variants if v.get("same_ranks") is False]
    if said := order_sentence(documents, people):
        yield Statement(NOTE, "Order", "", said)
    yield from _uncertain_shares(documents, people)
    points = f"no share of talk moves by more than {100 * change:.1f} points"
    if other:
        yield Statement(
            CHECK,
            "Sensitivity",
            "",
            "Who talks more than whom depends on a setting: the order is "
            f"another one with {listing(other)}; {points}.",
        )
    elif variants:
        yield Statement(
            FINE,
            "Sensitivity",
            "",
            "The order of who talks most is the same under "
            f"{count(len(variants), 'choice')} of the settings; {points}.",
        )
    left_out = number(mapping(mapping(talk.get("turn_taking")).get("fto_left_out")).get("uncertain"))
    if left_out:
        yield Statement(
            NOTE,
            "Turns",
            "",
            f"{count(int(left_out), 'change of speaker has', 'changes of speaker have')} "
            "no time between the two, because the alignment is less certain than such a time must be.",
        )
