"""What commands print: outcomes, tables; data on stdout, the rest on stderr."""

import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recall_audio.cli.locations import one_recording
from recall_audio.model.outcome import Outcome, exit_code
from recall_audio.storage import Place, Store, place_of

if TYPE_CHECKING:
    from rich.console import Console

_IDS = ("part", "bot", "recording")
_FEW = 3
# Up to this many recordings each get their own summary; more get one table.
_MANY = 50
# Of more than this many the table only lists those that are not done.
_WHOLE_ID, _CUT_ID, _WIDE = 36, 12, 100


def console() -> "Console":
    """Rich on stdout; 110 columns where stdout is no terminal, so that a log reads the same everywhere."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 110, highlight=False, emoji=False, markup=False)


def print_outcomes(outcomes: Sequence[Outcome], *, as_json: bool) -> int:
    """Show how a batch ended and give its exit code."""
    if as_json:
        for outcome in outcomes:
            click.echo(json.dumps(outcome.to_json(), ensure_ascii=True))
        return exit_code(list(outcomes))
    finished = [o for o in outcomes if o.folder and _has_results(o, look=len(outcomes) <= _FEW)]
    if len(finished) <= _FEW:
        for outcome in finished:
            print_summary(place_of(outcome.folder))
    if len(outcomes) > _FEW or len(finished) < len(outcomes) or any(o.status != "done" for o in outcomes):
        shown_ones = outcomes if len(outcomes) <= _MANY else [o for o in outcomes if o.status != "done"]
        rows = [[o.bot_id, o.recording_id, o.told, o.message] for o in shown_ones]
        if rows:
            print_table(["bot", "recording", "status", "reason"], rows, "table")
    return exit_code(list(outcomes))


def _has_results(outcome: Outcome, *, look: bool) -> bool:
    """Whether there is something to sum up; a store is only looked into where that will be done."""
    place = place_of(outcome.folder)
    if isinstance(place, Path):
        return (place / "run.json").is_file()
    is_done = outcome.status in ("done", "partial")
    return is_done and (not look or Store(place).facts("run.json") is not None)


def print_summary(place: Place) -> None:
    """The summary of one recording: a bar a speaker, warnings, where the files are."""
    from recall_audio.cli import summary
    from recall_audio.pipeline.documents import read_documents

    summary.summary(read_documents(one_recording(place)), console(), folder=str(place))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], form: str) -> None:
    """Rows as a table for people, as JSON objects, or as CSV."""
    rows = [list(row) for row in rows]
    if form == "json":
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1))
    elif form == "csv":
        from recall_audio.export.tables import csv_rows

        click.echo(csv_rows([columns, *rows]), nl=False)
    else:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for i, name in enumerate(columns):
            numeric = any(isinstance(row[i], int | float) for row in rows)
            # Words of a header wrap; an id too long for the terminal is cut (JSON and CSV have it whole).
            table.add_column(
                textwrap.fill(name.replace("_", " "), max(map(len, name.split("_")))),
                justify="right" if numeric else "left",
                overflow="ellipsis" if name in _IDS else "fold",
                no_wrap=name in _IDS,
                max_width=_id_width(name) if name in _IDS else None,
            )
        for row in rows:
            table.add_row(*(shown(cell) for cell in row))
        console().print(table)


def _id_width(name: str) -> int:
    """A bot's id is what one copies: whole, where there is room for it."""
    return _WHOLE_ID if name == "bot" and console().width >= _WIDE else _CUT_ID


def shown(cell: Any) -> str:
    """A cell for a terminal: no control characters, absent values as a dash."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.3f}" if abs(cell) < 1 else f"{cell:.2f}"
    return "".join(c if c.isprintable() else "?" for c in str(cell))
