"""Bot ids of a command line: arguments, a file, stdin, a column of a CSV."""

import csv
import io
import sys
from pathlib import Path

import click

from recall_audio.cli.options import stacked

ids_options = stacked(
    click.argument("bot_ids", metavar="BOT_ID...", nargs=-1),
    click.option("--ids-file", metavar="FILE|-",
                 help="Read further bot ids from a file, one a line; - is stdin. # begins a comment."),
    click.option("--ids-column", metavar="NAME",
                 help="--ids-file is a CSV with a header; the ids are in this column."),
)  # fmt: skip


def read_ids(
    arguments: tuple[str, ...], ids_file: str | None, column: str | None, *, may_be_none: bool = False
) -> list[str]:
    """Every id once, in order.

    Raises:
        click.UsageError: there is none, or the file cannot be read or lacks the column.
    """
    from recall_audio import batch

    if column is not None and not ids_file:
        raise click.UsageError("--ids-column names a column of --ids-file; give both.")
    text = _text(ids_file) if ids_file else ""
    lines = [line.split("#")[0] for line in text.splitlines()]
    more = lines if column is None else _column(text, column)
    ids = batch.unique([*arguments, *more])
    if not ids and not may_be_none:
        raise click.UsageError("No bot id given: name at least one, or give --ids-file.")
    return ids


def _text(ids_file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if ids_file == "-" else Path(ids_file).read_bytes()
        return raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        name = type(error).__name__
    raise click.UsageError(f"Cannot read --ids-file {ids_file}: {name}.")


def _column(text: str, column: str) -> list[str]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if column not in (rows.fieldnames or ()):
        there = ", ".join(rows.fieldnames or ()) or "nothing"
        raise click.UsageError(f"--ids-file has no column {column!r}; its first line holds {there[:200]}.")
    try:
        return [row[column] or "" for row in rows]
    except csv.Error:
        raise click.UsageError("--ids-file cannot be read as CSV.") from None
