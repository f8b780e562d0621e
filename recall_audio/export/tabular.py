"""Tables as CSV and Parquet."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

from recall_audio.errors import MachineError
from recall_audio.export.recording_view import ExportView
from recall_audio.export.tables import TABLES, Row, Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(view: ExportView) -> dict[str, bytes]:
    """``tables/<name>.csv``: UTF-8, a header, an empty cell for None."""
    return {f"tables/{t.name}.csv": csv_header(t) + csv_rows(t.rows(view)) for t in TABLES}


def to_parquet(view: ExportView) -> dict[str, bytes]:
    """``tables/<name>.parquet``: one row group, columns with fixed types.

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
    """The names of the columns."""
    return _csv([list(table.columns)])


def csv_rows(rows: Iterable[Row]) -> bytes:
    """Rows as CSV; a text that a spreadsheet would take for a formula is led by a quote."""
    return _csv([[_cell(value) for value in row] for row in rows])


def record_batch(table: Table, rows: Sequence[Row]) -> Any:
    """Rows as a pyarrow RecordBatch of the table's types.

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
    """The module pyarrow.

    Raises:
        MachineError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        message = "Parquet needs pyarrow, which is not installed."
        hint = "Run: pip install 'recall-audio[parquet]', or choose csv."
        raise MachineError(message, hint, code="missing_extra", extra="parquet") from None
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
    """Texts as UTF-8 can hold them; all else as it is."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


class CsvTables:
    """Tables written as they come, a stream each."""

    suffix = ".csv"

    def __init__(self, streams: Mapping[str, IO[bytes]], tables: Sequence[Table]) -> None:
        """Write the headers; `streams` has one for each table's name."""
        self._streams = streams
        for table in tables:
            streams[table.name].write(csv_header(table))

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Put rows below those that are there."""
        self._streams[table.name].write(csv_rows(rows))

    def close(self) -> None:
        """Nothing is held back; the streams stay open."""


class ParquetTables:
    """The same as Parquet: rows are held until there are enough for a row group."""

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
        """Put rows below those that are there."""
        held = self._held[table.name]
        held.extend(rows)
        if len(held) >= self.group_rows:
            self._flush(table.name)

    def close(self) -> None:
        """Write what is held and the footers; the streams stay open."""
        for name, writer in self._writers.items():
            if self._held[name]:
                self._flush(name)
            writer.close()

    def _flush(self, name: str) -> None:
        self._writers[name].write_batch(record_batch(self._tables[name], self._held[name]))
        self._held[name] = []
