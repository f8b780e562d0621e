"""Print outcomes, tables and summaries; data on stdout, everything else on stderr.

Summaries are readable at 80 columns and without colour.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from recall_audio.cli.locations import one_recording
from recall_audio.cli.options import CLOCK
from recall_audio.model.outcome import Outcome, ending_of, exit_code
from recall_audio.report.formatting import NOTHING, clock, count, mapping, number, objects, percent, text
from recall_audio.report.summary import interval, lede, metadata, plain, platform, when
from recall_audio.report.talk_section import order_sentence
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

_FEW = 3
"""Up to this many recordings each get a summary; more get one table."""

_MANY = 50
"""Of more recordings than this, the table lists only those that are not done."""

_PIPE_COLUMNS = 110
"""Width of tables where stdout is no terminal."""


def console() -> "Console":
    """Return rich's console for stdout, of a fixed width where stdout is no terminal."""
    from rich.console import Console

    class PipeConsole(Console):
        """A console that does not exit by itself, with 1, when its reader has gone."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return PipeConsole(
        width=None if sys.stdout.isatty() else _PIPE_COLUMNS, highlight=False, emoji=False, markup=False
    )


def print_outcomes(outcomes: Sequence[Outcome], *, as_json: bool) -> int:
    """Print how a batch ended and return its exit code."""
    if as_json:
        for outcome in outcomes:
            click.echo(json.dumps(outcome.to_json(), ensure_ascii=True))
        return exit_code(list(outcomes))
    finished = [o for o in outcomes if o.folder and _has_results(o, look=len(outcomes) <= _FEW)]
    if len(finished) <= _FEW:
        for outcome in finished:
            print_summary(parse_location(outcome.folder))
    if len(outcomes) > _FEW or len(finished) < len(outcomes) or any(o.status != "done" for o in outcomes):
        listed = outcomes if len(outcomes) <= _MANY else [o for o in outcomes if o.status != "done"]
        rows = [[o.bot_id, o.recording_id, o.status_text, o.message] for o in listed]
        if rows:
            print_table(["bot", "recording", "status", "reason"], rows, "table")
    return exit_code(list(outcomes))


def _has_results(outcome: Outcome, *, look: bool) -> bool:
    """Return True where there are results to print, and ask a store only if `look` is True."""
    from recall_audio.batch.previous_runs import has_results

    place = parse_location(outcome.folder)
    if isinstance(place, Path):
        return has_results(place)
    return outcome.status in ("done", "partial") and (not look or has_results(place))


def print_summary(place: Location) -> None:
    """Print the summary of one recording: a bar for each speaker, warnings, where the files are."""
    from recall_audio.pipeline.documents import read_documents

    print_documents(read_documents(one_recording(place)), console(), folder=str(place))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], form: str) -> None:
    """Print rows as a table for people, as JSON objects, or as CSV."""
    rows = [list(row) for row in rows]
    if form == "json":
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1))
    elif form == "csv":
        from recall_audio.export.tables import csv_rows

        click.echo(csv_rows([columns, *rows]), nl=False)
    else:
        _print_blocks(columns, rows)


def _print_blocks(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table for people: below each other, the blocks of columns that the width holds.

    Ids and names are never cut: each block begins with the first column, and one that is too wide for its
    place is wrapped.
    """
    from rich import box
    from rich.table import Table

    terminal = console()
    columns, rows = _clocked(columns, rows)
    kept = [i for i, name in enumerate(columns) if name != "reasons" or any(row[i] for row in rows)]
    columns, rows = [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]
    heads = [textwrap.fill(name.replace("_", " "), max(map(len, name.split("_")))) for name in columns]
    cells = [[cell_text(cell) for cell in row] for row in rows]
    widths = [_width(heads[i], [row[i] for row in cells]) for i in range(len(columns))]
    for block in _blocks(widths, terminal.width - 2):
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for i in block:
            numeric = any(isinstance(row[i], int | float) or _is_clocked(row[i]) for row in rows)
            is_narrow = widths[i] <= _WIDEST_WHOLE
            table.add_column(
                heads[i],
                justify="right" if numeric else "left",
                overflow="fold",
                min_width=min(widths[i], terminal.width - 2) if is_narrow else None,
            )
        for row in cells:
            table.add_row(*(row[i] for i in block))
        terminal.print(table)


_WIDEST_WHOLE = 40
"""Columns of a cell that is kept on one line; an id has 36."""
_BETWEEN = 2
"""Blank columns between two columns of a table."""
_LEAST_WRAPPED = 24
"""Least columns of a text that is wrapped."""


def _width(head: str, cells: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max([cell_len(line) for text in (head, *cells) for line in text.splitlines()], default=1)


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Return the columns of each block: the first one, and as many of the others as the width holds."""
    least = [w if w <= _WIDEST_WHOLE else _LEAST_WRAPPED for w in widths]
    found: list[list[int]] = [[0]]
    for i in range(1, len(widths)):
        if len(found[-1]) > 1 and sum(least[k] + _BETWEEN for k in (*found[-1], i)) > room:
            found.append([0])
        found[-1].append(i)
    return found


def _clocked(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[list[Any]]]:
    """Return a table with its times as h:mm:ss where the command line asks for that."""
    if not is_clock(otherwise=False):
        return list(columns), [list(row) for row in rows]
    firsts = [name.split(" ")[0] for name in columns]  # of a window's "talk_s Ann"
    are_times = [first.endswith("_s") and not first.endswith("per_s") for first in firsts]
    heads = [
        name.replace(first, first.removesuffix("_s"), 1) if is_time else name
        for name, first, is_time in zip(columns, firsts, are_times, strict=True)
    ]
    shown = [
        [
            _tenths(cell) if is_time and isinstance(cell, int | float) else cell
            for cell, is_time in zip(row, are_times, strict=True)
        ]
        for row in rows
    ]
    return heads, shown


def _tenths(seconds: float) -> str:
    """Return a time as h:mm:ss.t, to a tenth of a second."""
    tenths = round(10 * abs(seconds))
    sign = "-" if seconds < 0 and tenths else ""
    whole = tenths // 10
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}.{tenths % 10}"


def _is_clocked(cell: Any) -> bool:
    return isinstance(cell, str) and re.fullmatch(r"-?\d+:\d\d:\d\d\.\d", cell) is not None


def is_clock(*, otherwise: bool) -> bool:
    """Return whether times are shown as h:mm:ss, `otherwise` where the command line does not say."""
    ctx = click.get_current_context(silent=True)
    return bool(ctx.meta.get(CLOCK, otherwise)) if ctx else otherwise


def _time(seconds: float | None) -> str:
    """Return a time of a summary, as h:mm:ss unless the command line asks for seconds."""
    if seconds is None or is_clock(otherwise=True):
        return clock(seconds)
    return f"{seconds:.1f} s"


def cell_text(cell: Any) -> str:
    """Return a cell as a terminal shows it: no control characters, and a dash for an absent value."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.3f}" if abs(cell) < 1 else f"{cell:.2f}"
    return "".join(c if c.isprintable() else "?" for c in str(cell))


_BAR_COLUMNS = 24
"""Width of a bar for a share of 1."""

_MOST_STATEMENTS = 6
"""The summary shows this many statements; the report has them all."""

_PLAIN = str.maketrans(
    {"−": "-", "–": "-", "…": "...", "\u202f": " ", "’": "'", "“": '"', "”": '"', "±": "+-"}
)
"""Replacements for marks that an encoding may lack."""


def print_documents(documents: Documents, console: "Console", folder: PurePath | str | None = None) -> None:
    """Print one recording's summary.

    Args:
        documents: as for :func:`~recall_audio.report.render`.
        console: where to print; its width and colours apply.
        folder: the recording's folder, printed at the end; None leaves it out.
    """
    shown = _Encoder(console)
    people = speakers(documents)
    console.print(shown(title(documents), "bold"))
    if about := ", ".join(part for part in (when(documents), platform(documents)) if part):
        console.print(shown(about))
    if known := metadata(documents):
        console.print(shown(", ".join(f"{key}={value}" for key, value in known)))
    if words := lede(people):
        console.print(shown(f"In short: {plain(words)}"))
    console.print(shown(_facts(documents, people)))
    ending = ending_of(mapping(documents.get("run")))
    if ending.status != "complete":
        console.print(
            shown(f"{ending.status}: {text(ending.text, 600)}" if ending.reasons else ending.status)
        )
    if people:
        console.print()
        console.print(_bars(people, shown))
        if said := order_sentence(documents, people):
            console.print(shown(said))
    console.print()
    _print_statements(statements(documents, people), shown)
    if folder is not None:
        console.print()
        # Neither wrapped nor cut: users copy the path.
        console.print(shown(f"Files in {text(folder, 4096)}"), soft_wrap=True)
        console.print(shown(f"  {_files(documents)}"))


class _Encoder:
    """Text for a console: never markup, and marks that its encoding lacks replaced."""

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
        _time(length_s),
        f"{sum((s.talk_s or 0.0) > 0 for s in people)} of {count(len(people), 'person', 'people')} spoke",
    ]
    if n_unknown := sum(s.talk_s is None for s in people):
        said.append(f"of {n_unknown} it is not known")
    if speech_s is not None and length_s > 0:
        said.append(f"somebody speaks {percent(speech_s / length_s, 0)} of the time")
    if number(talk.get("overlap_of_speech")) is not None:
        said.append(f"more than one for {percent(talk.get('overlap_of_speech'))} of that")
    return ", ".join(said)


def _bars(people: list[Speaker], shown: _Encoder) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    # rich's ellipsis is a character that not every encoding has.
    table.add_column("Speaker", overflow="ellipsis" if shown.blocks else "crop", no_wrap=True, max_width=22)
    n_known = sum(s.talk_s is not None for s in people)
    whose = "all talk" if n_known == len(people) else f"talk of the {n_known} known"
    table.add_column(f"Share of {whose}", no_wrap=True, min_width=_BAR_COLUMNS)
    for name in ("", "Talk", "Turns"):
        table.add_column(name, justify="right", no_wrap=True)
    whole = sum(s.talk_s or 0.0 for s in people)
    for s in people:
        share = number(s.talk.get("share_of_talk"))
        if share is None and s.talk_s is not None and whole > 0:
            share = s.talk_s / whole
        turns = number(s.talk.get("turns"))
        n = NOTHING if turns is None else f"{turns:.0f}"
        figures = (shown(value) for value in (f"{percent(share)}{_give_or_take(s)}", _time(s.talk_s), n))
        bar = "not known" if s.talk_s is None else _bar(share, blocks=shown.blocks)
        table.add_row(shown(s.name), shown(bar, "cyan"), *figures)
    return table


def _give_or_take(s: Speaker) -> str:
    """Return how far a share of all talk may be off, the longer side of its interval: `` ± 0.8`` points."""
    found, share = interval(s), number(s.talk.get("share_of_talk"))
    if found is None or share is None:
        return ""
    return f" ± {100 * max(share - found[0], found[1] - share):.1f}"


def _bar(share: float | None, *, blocks: bool) -> str:
    """Return a bar of whole and eighth blocks that shows any share above 0."""
    eighths = 0 if share is None or share <= 0 else max(1, round(8 * _BAR_COLUMNS * min(1.0, share)))
    if not blocks:
        return "#" * -(-eighths // 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def _print_statements(found: list[Statement], shown: _Encoder) -> None:
    from rich.table import Table

    shown.console.print(shown(verdict(found)))
    to_check = [s for s in found if s.rank >= CHECK]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for s in to_check[:_MOST_STATEMENTS]:
        style = "bold red" if s.rank == MATTERS else "yellow"
        table.add_row(shown(s.word, style), shown(f"{s.where}: {s.sentence}" if s.where else s.sentence))
    if to_check:
        shown.console.print(table)
    if len(to_check) > _MOST_STATEMENTS:
        shown.console.print(shown(f"... and {len(to_check) - _MOST_STATEMENTS} more, in report.html"))


def _files(documents: Documents) -> str:
    stems = sum(bool(s.get("file")) for s in objects(mapping(documents.get("stems")).get("stems")))
    written = {
        "report.html": "run",
        "talk.json": "talk",
        "segments.rttm": "talk",
        "alignment.json": "alignment",
    }
    names = [name for name, kind in written.items() if documents.get(kind)]
    return ", ".join([*names, *([f"stems/ ({count(stems, 'file')})"] if stems else [])])
