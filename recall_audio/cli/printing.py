"""Print outcomes, tables and summaries; data on stdout, everything else on stderr.

Summaries are readable at 80 columns and without colour.
"""

import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from recall_audio.cli.locations import one_recording
from recall_audio.model.outcome import Outcome, exit_code
from recall_audio.report.formatting import NOTHING, clock, count, mapping, number, objects, percent, text
from recall_audio.report.values import (
    CHECK,
    MATTERS,
    Documents,
    Speaker,
    Statement,
    duration_s,
    speakers,
    title,
)
from recall_audio.report.warnings_section import statements, verdict
from recall_audio.storage import Location, parse_location

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

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
            print_summary(parse_location(outcome.folder))
    if len(outcomes) > _FEW or len(finished) < len(outcomes) or any(o.status != "done" for o in outcomes):
        shown_ones = outcomes if len(outcomes) <= _MANY else [o for o in outcomes if o.status != "done"]
        rows = [[o.bot_id, o.recording_id, o.told, o.message] for o in shown_ones]
        if rows:
            print_table(["bot", "recording", "status", "reason"], rows, "table")
    return exit_code(list(outcomes))


def _has_results(outcome: Outcome, *, look: bool) -> bool:
    """Tell whether there are results to summarise; ask a store only where that will be done."""
    from recall_audio.batch.previous_runs import has_results

    place = parse_location(outcome.folder)
    if isinstance(place, Path):
        return has_results(place)
    return outcome.status in ("done", "partial") and (not look or has_results(place))


def print_summary(place: Location) -> None:
    """The summary of one recording: a bar a speaker, warnings, where the files are."""
    from recall_audio.pipeline.documents import read_documents

    print_documents(read_documents(one_recording(place)), console(), folder=str(place))


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


_BAR = 24
_MOST_SAID = 6
_PLAIN = str.maketrans(
    {"−": "-", "–": "-", "…": "...", "\u202f": " ", "’": "'", "“": '"', "”": '"', "±": "+-"}
)
"""The marks of these texts for an encoding that may lack them."""


def print_documents(documents: Documents, console: "Console", folder: PurePath | str | None = None) -> None:
    """Print one recording's summary.

    Args:
        documents: as for :func:`~recall_audio.report.render`.
        console: where to; its width and colours are kept to.
        folder: the recording's folder, to say where the files are; None leaves that out.
    """
    shown = _Shown(console)
    people = speakers(documents)
    console.print(shown(title(documents), "bold"))
    console.print(shown(_facts(documents, people)))
    if people:
        console.print()
        console.print(_bars(people, shown))
    console.print()
    _said(statements(documents, people), shown)
    if folder is not None:
        console.print()
        # Neither wrapped nor cut: a path is there to be copied.
        console.print(shown(f"Files in {text(folder, 4096)}"), soft_wrap=True)
        console.print(shown(f"  {_files(documents)}"))


class _Shown:
    """Text as a console can show it: never markup, and what its encoding lacks replaced."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self.blocks = not console.options.ascii_only

    def __call__(self, value: str, style: str = "") -> "Text":
        from rich.text import Text

        encoding = self.console.encoding
        if not self.blocks:
            value = value.translate(_PLAIN)
        return Text(value.encode(encoding, "replace").decode(encoding), style=style)


def _facts(documents: Documents, people: list[Speaker]) -> str:
    talk = mapping(documents.get("talk"))
    length_s, speech_s = duration_s(documents, people), number(talk.get("speech_s"))
    said = [
        clock(length_s),
        f"{sum(s.talk_s > 0 for s in people)} of {count(len(people), 'person', 'people')} spoke",
    ]
    if speech_s is not None and length_s > 0:
        said.append(f"somebody speaks {percent(speech_s / length_s, 0)} of the time")
    if number(talk.get("overlap_of_speech")) is not None:
        said.append(f"more than one for {percent(talk.get('overlap_of_speech'))} of that")
    return ", ".join(said)


def _bars(people: list[Speaker], shown: _Shown) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    # rich's ellipsis is a character that not every encoding has.
    table.add_column("Speaker", overflow="ellipsis" if shown.blocks else "crop", no_wrap=True, max_width=22)
    table.add_column("Share of all talk", no_wrap=True, min_width=_BAR)
    for name in ("", "Talk", "Turns"):
        table.add_column(name, justify="right", no_wrap=True)
    whole = sum(s.talk_s for s in people)
    for s in people:
        share = number(s.talk.get("share_of_talk"))
        share = s.talk_s / whole if share is None and whole > 0 else share
        turns = number(s.talk.get("turns"))
        n = NOTHING if turns is None else f"{turns:.0f}"
        figures = (shown(value) for value in (percent(share), clock(s.talk_s), n))
        table.add_row(shown(s.name), shown(_bar(share, blocks=shown.blocks), "cyan"), *figures)
    return table


def _bar(share: float | None, *, blocks: bool) -> str:
    """Whole and eighth blocks; whoever spoke at all shows."""
    eighths = 0 if share is None or share <= 0 else max(1, round(8 * _BAR * min(1.0, share)))
    if not blocks:
        return "#" * -(-eighths // 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def _said(found: list[Statement], shown: _Shown) -> None:
    from rich.table import Table

    shown.console.print(shown(verdict(found)))
    worth = [s for s in found if s.rank >= CHECK]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for s in worth[:_MOST_SAID]:
        style = "bold red" if s.rank == MATTERS else "yellow"
        table.add_row(shown(s.word, style), shown(f"{s.where}: {s.sentence}" if s.where else s.sentence))
    if worth:
        shown.console.print(table)
    if len(worth) > _MOST_SAID:
        shown.console.print(shown(f"... and {len(worth) - _MOST_SAID} more, in report.html"))


def _files(documents: Documents) -> str:
    stems = len(objects(mapping(documents.get("stems")).get("stems")))
    names = ["report.html", "talk.json", "segments.rttm", "alignment.json"]
    return ", ".join([*names, *([f"stems/ ({count(stems, 'file')})"] if stems else [])])
