"""Make tidy tables, one row a thing, and write them as CSV and Parquet.

Every table has the same columns with the same types for every recording, so tables of many recordings can be
concatenated. A figure that is None is an empty cell, and the column ``reasons`` says why.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType, UnionType
from typing import IO, Any, Literal, get_args, get_origin

from recall_audio.errors import missing_extra
from recall_audio.export.recording_view import ExportView, readable
from recall_audio.model.figures import Distribution
from recall_audio.model.talk import Equality, PairTalk, SpeakerTalk, Talk
from recall_audio.model.turns import DirectedPair, Overlap, Transition, Turn, TurnTaking

Type = Literal["string", "number", "integer", "boolean"]
Row = Sequence[Any]
_TYPES: Mapping[type, Type] = {float: "number", int: "integer", bool: "boolean", str: "string"}
_KEYS: dict[str, Type] = {"recording_id": "string"}
_ORIGIN: dict[str, Type] = {
    "bot_id": "string",
    "title": "string",
    "platform": "string",
    "started_at": "string",
    "status": "string",
    "metadata": "string",
}


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of table.

    Attributes:
        name: its name.
        columns: column to type, in order.
        rows: yields a recording's rows, values in the order of the columns.
    """

    name: str
    columns: Mapping[str, Type]
    rows: Callable[[ExportView], Iterator[Row]]


def columns_of(*kinds: type) -> dict[str, Type]:
    """Return the columns for the figures of dataclasses.

    A distribution takes four columns. Lists and mappings have no column: they are tables of their own. Where
    a class has reasons, one column ``reasons`` comes last.
    """
    columns: dict[str, Type] = {}
    reasons = False
    for name, kind in (pair for cls in kinds for pair in _figures(cls)):
        if kind is Distribution:
            columns |= {f"{name}_{part}": "number" for part in ("median", "q1", "q3")}
            columns[f"{name}_n"] = "integer"
        elif kind is dict:
            reasons = True
        else:
            columns[name] = _TYPES[kind]
    return columns | ({"reasons": "string"} if reasons else {})


def cells_of(*values: Any) -> list[Any]:
    """Return the cells of values, in the order of :func:`columns_of`."""
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
    return cells if reasons is None else [*cells, joined_reasons(reasons)]


def joined_reasons(reasons: Mapping[str, str]) -> str:
    """Return the reasons for missing figures as one cell, without those of their intervals' ends."""
    figures = (name for name in reasons if not (name.endswith(("_low", "_high")) and _stem(name) in reasons))
    return "; ".join(f"{figure}: {reasons[figure]}" for figure in figures)


def _stem(end: str) -> str:
    return end.rsplit("_", 1)[0]


@cache
def _figures(kind: type) -> tuple[tuple[str, type], ...]:
    """List the fields that become cells and their kind: a plain type, Distribution, or dict for reasons."""
    found = ((f.name, dict if f.name == "reasons" else _plain_type(f.type)) for f in fields(kind))
    return tuple((name, what) for name, what in found if what in (*_TYPES, Distribution, dict))


def _plain_type(annotation: Any) -> Any:
    """Return ``float`` for ``float | None``, ``str`` for a Literal, and other annotations unchanged."""
    if get_origin(annotation) is UnionType:
        (annotation,) = (a for a in get_args(annotation) if a is not NoneType)
    return str if get_origin(annotation) is Literal else annotation


def _meetings(view: ExportView) -> Iterator[Row]:
    talk = view.talk
    origin = [view.origin.get(column) for column in _ORIGIN]
    yield view.recording_id, *origin, view.ending.text, *cells_of(talk, talk.equality, talk.turn_taking)


def _segments(view: ExportView) -> Iterator[Row]:
    for start_s, end_s, label in view.by_time():
        yield view.recording_id, label, start_s, end_s, round(end_s - start_s, 9)


def _speakers(view: ExportView) -> Iterator[Row]:
    for label, speaker in view.talk.speakers.items():
        name = readable(view.names.get(label))
        yield view.recording_id, label, name, view.duration_s, *cells_of(speaker)


def _values(pick: Callable[[ExportView], Sequence[Any]]) -> Callable[[ExportView], Iterator[Row]]:
    """Return a function that yields a row for each value of a list."""
    return lambda view: ((view.recording_id, *cells_of(value)) for value in pick(view))


def _parts(view: ExportView) -> Iterator[Row]:
    for part in view.parts:
        label = view.labels.get(part.participant_id)
        facts = (part.nominal_start_s, part.start_s, part.drift_ppm, part.status)
        certainty = (part.confidence, part.uncertainty_ms, part.reason)
        yield view.recording_id, part.part_id, label, part.participant_id, *facts, *certainty


_REASONS: dict[str, Type] = {"status_reasons": "string"}
ENDING: dict[str, Type] = {"status": "string", **_REASONS}
"""Columns of how a recording's processing ended."""
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
    Table("meetings", _KEYS | _ORIGIN | _REASONS | columns_of(Talk, Equality, TurnTaking), _meetings),
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


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(view: ExportView) -> dict[str, bytes]:
    """Write ``tables/<name>.csv`` in UTF-8, with a header and an empty cell for None."""
    return {f"tables/{t.name}.csv": csv_header(t) + csv_rows(t.rows(view)) for t in TABLES}


def to_parquet(view: ExportView) -> dict[str, bytes]:
    """Write ``tables/<name>.parquet`` with one row group and fixed column types.

    Raises:
        MachineError: pyarrow is not installed.
    """
    pyarrow = load_pyarrow()
    import pyarrow.parquet as pq

    files = {}
    for table in TABLES:
        sink = io.BytesIO()
        pq.write_table(pyarrow.Table.from_batches([record_batch(table, list(table.rows(view)))]), sink)
        files[f"tables/{table.name}.parquet"] = sink.getvalue()
    return files


def csv_header(table: Table) -> bytes:
    """Return the header line of a CSV file."""
    return _csv([list(table.columns)])


def csv_rows(rows: Iterable[Row]) -> bytes:
    """Return rows as CSV.

    A text that a spreadsheet would take for a formula gets a leading quote.
    """
    return _csv([[_cell(value) for value in row] for row in rows])


def record_batch(table: Table, rows: Sequence[Row]) -> Any:
    """Return rows as a pyarrow RecordBatch of the table's types.

    Raises:
        MachineError: pyarrow is not installed.
    """
    pyarrow = load_pyarrow()
    types = {
        "string": pyarrow.string(),
        "number": pyarrow.float64(),
        "integer": pyarrow.int64(),
        "boolean": pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in table.columns.items()])
    columns = [
        [_text(row[i]) for row in rows] if kind == "string" else [row[i] for row in rows]
        for i, kind in enumerate(table.columns.values())
    ]
    arrays = [pyarrow.array(column, type=kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pyarrow.record_batch(arrays, schema=schema)


def load_pyarrow() -> Any:
    """Import and return pyarrow.

    Raises:
        MachineError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise missing_extra("Parquet needs pyarrow", "parquet", instead="or choose csv.") from None
    return pyarrow


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        text = _text(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _text(value: Any) -> Any:
    """Replace what UTF-8 cannot encode in a text, and return other values unchanged."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


class CsvTables:
    """A writer of CSV tables that writes rows at once, a stream a table."""

    suffix = ".csv"

    def __init__(self, streams: Mapping[str, IO[bytes]], tables: Sequence[Table]) -> None:
        """Write the headers to `streams`, one for each table's name."""
        self._streams = streams
        for table in tables:
            streams[table.name].write(csv_header(table))

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Append rows to a table."""
        self._streams[table.name].write(csv_rows(rows))

    def close(self) -> None:
        """Do nothing: no rows are buffered, and the streams stay open."""


class ParquetTables:
    """A writer of Parquet tables that buffers rows until they fill a row group."""

    suffix = ".parquet"
    group_rows = 20_000

    def __init__(self, streams: Mapping[str, IO[bytes]], tables: Sequence[Table]) -> None:
        """Open a writer on each stream.

        Raises:
            MachineError: pyarrow is not installed.
        """
        load_pyarrow()
        import pyarrow.parquet as pq

        self._held: dict[str, list[Row]] = {table.name: [] for table in tables}
        self._tables = {table.name: table for table in tables}
        self._writers = {
            t.name: pq.ParquetWriter(streams[t.name], record_batch(t, []).schema) for t in tables
        }

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Append rows to a table."""
        held = self._held[table.name]
        held.extend(rows)
        if len(held) >= self.group_rows:
            self._flush(table.name)

    def close(self) -> None:
        """Write the buffered rows and the footers, and leave the streams open."""
        for name, writer in self._writers.items():
            if self._held[name]:
                self._flush(name)
            writer.close()

    def _flush(self, name: str) -> None:
        self._writers[name].write_batch(record_batch(self._tables[name], self._held[name]))
        self._held[name] = []


TABLE_WRITERS: Mapping[str, type[CsvTables] | type[ParquetTables]] = {
    "csv": CsvTables,
    "parquet": ParquetTables,
}
"""Every writer of tables by the name that ``collect --format`` takes."""
