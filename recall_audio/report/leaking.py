"""Whose voice is heard on whose track: sentences and a matrix."""

from collections.abc import Iterator, Mapping
from typing import Any

from recall_audio.report.people import Documents, Speaker
from recall_audio.report.statements import CHECK, FINE, MATTERS, NOTE, Statement
from recall_audio.report.stretches import total_s
from recall_audio.report.talking import Cell
from recall_audio.report.words import clock, mapping, number, objects, percent, quantity

_CERTAIN = 0.5
_LOUD_DB, _FAINT_DB = -18.0, -40.0
"""From the loud one on, a leaked voice is as strong as soft own speech; below the faint one it never counts."""


def leaks(documents: Documents) -> list[Mapping[str, Any]]:
    """The leaks of ``leakage.json`` that are more likely than not, loudest first."""
    found = [
        leak
        for leak in objects(mapping(documents.get("leakage")).get("leaks"))
        if (number(leak.get("certainty")) or 0.0) >= _CERTAIN and number(leak.get("gain_db")) is not None
    ]
    return sorted(found, key=lambda leak: -float(leak["gain_db"]))


def leakage_statements(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """A sentence for every leak that may matter, and for everyone from whose track much was taken out."""
    names = {s.label: s.name for s in people}
    for leak in leaks(documents):
        source, listener = (
            names.get(leak.get(key, ""), str(leak.get(key))) for key in ("source", "listener")
        )
        level_db = float(leak["gain_db"])
        if level_db < _FAINT_DB:
            continue
        below = (
            f"{quantity(abs(level_db), 'dB', 0)} {'below' if level_db < 0 else 'above'} {source}'s own track"
        )
        loud = level_db >= _LOUD_DB
        told = (
            f"so loud that {listener}'s soft speech may be missed, or {source}'s counted as {listener}'s"
            if loud
            else "which was told apart"
        )
        yield Statement(
            CHECK if loud else NOTE,
            "Leakage",
            listener,
            f"{source}'s voice is heard on {listener}'s track, {below}, {told}.",
        )
    if documents.get("leakage") and not leaks(documents):
        yield Statement(FINE, "Leakage", "", "No voice was found on anybody else's track.")
    for s in people:
        yield from _taken_out(s)


def _taken_out(s: Speaker) -> Iterator[Statement]:
    taken_s = total_s(s.taken_out)
    share = taken_s / (taken_s + s.talk_s) if taken_s > 0 else 0.0
    if share >= 0.1 and taken_s >= 5.0:
        # Where more was taken out than kept, the figure rests on the model of leakage, not on the track.
        rank = MATTERS if share >= 0.75 and s.talk_s > 0 else CHECK if share >= 0.5 else NOTE
        yield Statement(
            rank,
            "Leakage",
            s.name,
            f"{clock(taken_s)} of what sounded like speech on this track "
            f"({percent(share, 0)}) was put down to other people's voices and is not counted; "
            f"{clock(s.talk_s)} is.",
        )


def leakage_matrix(documents: Documents, people: list[Speaker]) -> list[list[Cell]]:
    """Level of each voice (column) on each track (row), in dB against its own track; empty without leaks."""
    found = {(leak.get("listener"), leak.get("source")): leak for leak in leaks(documents)}
    if not found:
        return []
    return [[_cell(found.get((row.label, column.label))) for column in people] for row in people]


def _cell(leak: Mapping[str, Any] | None) -> Cell:
    if leak is None:
        return Cell("")
    level_db = float(leak["gain_db"])
    delay = quantity(leak.get("delay_ms"), "ms", 0)
    return Cell(quantity(level_db, "dB", 0), delay, max(1, min(9, round(10 + level_db / 4))))
