"""Taking turns: the figures of the whole meeting, who takes over from whom, and what the ranks rest on."""

from collections.abc import Iterator, Mapping
from typing import Any

from recall_audio.report.formatting import (
    NOTHING,
    clock,
    count,
    listing,
    mapping,
    number,
    objects,
    percent,
    quantity,
    seconds,
    text,
)
from recall_audio.report.speakers import Documents, Speaker
from recall_audio.report.statements import CHECK, FINE, NOTE, Statement
from recall_audio.report.talk_section import Cell, heat

Row = tuple[str, str, str]


def turn_rows(documents: Documents) -> list[Row]:
    """Name, figure, meaning (or why there is no figure) of each."""
    talk = mapping(documents.get("talk"))
    taking, equality = mapping(talk.get("turn_taking")), mapping(talk.get("equality"))
    offsets = mapping(taking.get("fto_s"))
    return [
        ("Turns", _count(taking.get("turns")), "one person’s speech, joined across short silences"),
        ("Changes of speaker", _count(taking.get("switches")), _an_hour(taking)),
        (
            "Time between two speakers, median",
            seconds(offsets.get("median")),
            _spread(offsets) or text(offsets.get("reason"), 200),
        ),
        ("Gaps, median", seconds(mapping(taking.get("gaps")).get("median")), "silence between two people"),
        (
            "Pauses, median",
            seconds(mapping(taking.get("pauses")).get("median")),
            "silence while one person goes on",
        ),
        (
            "Backchannel candidates",
            _count(taking.get("backchannel_candidates")),
            "short, alone, while another speaks (“mhm”)",
        ),
        (
            "Interruption candidates",
            _count(taking.get("interruption_candidates")),
            "came in and the other gave way; timing alone proves no intent",
        ),
        (
            "Gini, normalised",
            quantity(equality.get("gini_normalised"), ""),
            text(equality.get("gini_normalised_reason")) or "0: all speak alike; 1: one speaks alone",
        ),
        (
            "Entropy",
            quantity(equality.get("entropy"), ""),
            text(equality.get("entropy_reason")) or "1: all speak alike; 0: one speaks alone",
        ),
    ]


def _count(value: Any) -> str:
    amount = number(value)
    return NOTHING if amount is None else f"{amount:,.0f}".replace(",", "\u202f")


def _an_hour(taking: Mapping[str, Any]) -> str:
    rate = number(taking.get("switches_per_hour"))
    return "" if rate is None else f"{rate:.0f} an hour"


def _spread(d: Mapping[str, Any]) -> str:
    if number(d.get("q1")) is None or number(d.get("q3")) is None:
        return ""
    return (
        f"half of them from {seconds(d['q1'])} to {seconds(d['q3'])}, n = {_count(d.get('n'))}; "
        "above 0 a gap, below 0 an overlap; the network’s own delay is in it"
    )


def interruption_matrix(documents: Documents, people: list[Speaker]) -> list[list[Cell]]:
    """How often the row's speaker took over from the column's while they spoke; empty where never tried."""
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
    """Shares of talk under other choices of a parameter; empty where nobody asked."""
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


def talk_statements(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """How much the figures of talk depend on choices, and which are missing."""
    talk = mapping(documents.get("talk"))
    variants = objects(mapping(talk.get("sensitivity")).get("variants"))
    change = max((number(v.get("largest_change")) or 0.0 for v in variants), default=0.0)
    other = [text(v.get("name")) for v in variants if v.get("same_ranks") is False]
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
