"""Tidy tables, one row a thing: meetings, segments, turns, transitions, overlaps, speakers, pairs, directed,
parts.

Every table has the same columns with the same types for every recording, so that tables of many recordings
can be put below each other. A figure that is None is an empty cell, and the column ``reasons`` says why.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from recall_audio.export.recording_view import ExportView, readable
from recall_audio.model.figures import Distribution
from recall_audio.model.talk import Equality, PairTalk, SpeakerTalk, Talk
from recall_audio.model.turns import DirectedPair, Overlap, Transition, Turn, TurnTaking

Type = Literal["string", "number", "integer", "boolean"]
Row = Sequence[Any]
_TYPES: Mapping[type, Type] = {float: "number", int: "integer", bool: "boolean", str: "string"}
_KEYS: dict[str, Type] = {"recording_id": "string"}


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of table.

    Attributes:
        name: its name.
        columns: column to type, in order.
        rows: gives a recording's rows, values in the order of the columns.
    """

    name: str
    columns: Mapping[str, Type]
    rows: Callable[[ExportView], Iterator[Row]]


def columns_of(*kinds: type) -> dict[str, Type]:
    """Columns of values' figures; a distribution takes four; lists and mappings are tables of their own.

    Where a value has reasons, one column ``reasons`` comes last.
    """
    columns: dict[str, Type] = {}
    reasons = False
    for name, kind in (pair for one in kinds for pair in _figures(one)):
        if kind is Distribution:
            columns |= {f"{name}_{part}": "number" for part in ("median", "q1", "q3")}
            columns[f"{name}_n"] = "integer"
        elif kind is dict:
            reasons = True
        else:
            columns[name] = _TYPES[kind]
    return columns | ({"reasons": "string"} if reasons else {})


def cells_of(*values: Any) -> list[Any]:
    """The cells of values, in the order of :func:`columns_of`."""
    cells: list[Any] = []
    reasons: dict[str, str] | None = None
    for value in values:
        whole: type = type(value)
        for name, kind in _figures(whole):
            cell = getattr(value, name)
            if kind is dict:
                reasons = (reasons or {}) | cell
            elif kind is Distribution:
                cells += [cell.median, cell.q1, cell.q3, cell.n]
                reasons = (reasons or {}) | ({name: cell.reason} if cell.reason else {})
            else:
                cells.append(cell)
    told = [] if reasons is None else ["; ".join(f"{name}: {why}" for name, why in reasons.items())]
    return cells + told


@cache
def _figures(kind: type) -> tuple[tuple[str, type], ...]:
    """A value's fields that become cells, and as what: a plain type, a distribution, or dict for reasons."""
    found = ((f.name, dict if f.name == "reasons" else _plain_type(f.type)) for f in fields(kind))
    return tuple((name, what) for name, what in found if what in (*_TYPES, Distribution, dict))


def _plain_type(annotation: Any) -> Any:
    """``float`` of ``float | None``, ``str`` of a Literal of strings; what else there is, as it is."""
    if get_origin(annotation) is UnionType:
        (annotation,) = (a for a in get_args(annotation) if a is not NoneType)
    return str if get_origin(annotation) is Literal else annotation


def _meetings(view: ExportView) -> Iterator[Row]:
    talk = view.talk
    yield view.recording_id, *cells_of(talk, talk.equality, talk.turn_taking)


def _segments(view: ExportView) -> Iterator[Row]:
    for start_s, end_s, label in view.by_time():
        yield view.recording_id, label, start_s, end_s, round(end_s - start_s, 9)


def _speakers(view: ExportView) -> Iterator[Row]:
    for label, speaker in view.talk.speakers.items():
        name = readable(view.names.get(label))
        yield view.recording_id, label, name, view.duration_s, *cells_of(speaker)


def _values(pick: Callable[[ExportView], Sequence[Any]]) -> Callable[[ExportView], Iterator[Row]]:
    """Rows of a list of values."""
    return lambda view: ((view.recording_id, *cells_of(value)) for value in pick(view))


def _parts(view: ExportView) -> Iterator[Row]:
    for part in view.parts:
        label = view.labels.get(part.participant_id)
        facts = (part.nominal_start_s, part.start_s, part.drift_ppm, part.status)
        trust = (part.confidence, part.uncertainty_ms, part.reason)
        yield view.recording_id, part.part_id, label, part.participant_id, *facts, *trust


_SEGMENT: dict[str, Type] = {
    "speaker": "string",
    "start_s": "number",
    "end_s": "number",
    "duration_s": "number",
}
_SPEAKER: dict[str, Type] = {"speaker": "string", "name": "string", "meeting_s": "number"}
_PART: dict[str, Type] = {
    "part_id": "string",
    "speaker": "string",
    "participant_id": "integer",
    "nominal_start_s": "number",
    "start_s": "number",
    "drift_ppm": "number",
    "status": "string",
    "confidence": "number",
    "uncertainty_ms": "number",
    "reason": "string",
}

TABLES: tuple[Table, ...] = (
    Table("meetings", _KEYS | columns_of(Talk, Equality, TurnTaking), _meetings),
    Table("segments", _KEYS | _SEGMENT, _segments),
    Table("turns", _KEYS | columns_of(Turn), _values(lambda view: view.talk.events.turns)),
    Table("transitions", _KEYS | columns_of(Transition), _values(lambda view: view.talk.events.transitions)),
    Table("overlaps", _KEYS | columns_of(Overlap), _values(lambda view: view.talk.events.overlaps)),
    Table("speakers", _KEYS | _SPEAKER | columns_of(SpeakerTalk), _speakers),
    Table("pairs", _KEYS | columns_of(PairTalk), _values(lambda view: view.talk.pairs)),
    Table("directed", _KEYS | columns_of(DirectedPair), _values(lambda view: view.talk.turn_taking.directed)),
    Table("parts", _KEYS | _PART, _parts),
)
"""All tables, in the order in which they are written."""
