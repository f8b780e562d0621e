"""The terminal's own summary: a bar a speaker, what to know, where the files are.

Readable at 80 columns and without colour: the words and the bars say it all, colour only repeats it.
"""

from pathlib import PurePath
from typing import TYPE_CHECKING

from recall_audio.report.meeting import title
from recall_audio.report.people import Documents, Speaker, duration_s, speakers
from recall_audio.report.statements import CHECK, MATTERS, Statement
from recall_audio.report.trust import statements, verdict
from recall_audio.report.words import NOTHING, clock, count, mapping, number, objects, percent, text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_BAR = 24
_MOST_SAID = 6


def summary(documents: Documents, console: "Console", folder: PurePath | str | None = None) -> None:
    """Print one recording's summary.

    Args:
        documents: as for :func:`~recall_audio.report.render`.
        console: where to; its width and colours are kept to.
        folder: the recording's folder, to say where the files are; None leaves that out.
    """
    from rich.text import Text

    people = speakers(documents)
    console.print(Text(title(documents), style="bold"))
    console.print(Text(_facts(documents, people)))
    if people:
        console.print()
        console.print(_bars(people, blocks=not console.options.ascii_only))
    console.print()
    _said(statements(documents, people), console)
    if folder is not None:
        console.print()
        # Neither wrapped nor cut: a path is there to be copied.
        console.print(Text(f"Files in {text(folder, 4096)}"), soft_wrap=True)
        console.print(Text(f"  {_files(documents)}"))


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


def _bars(people: list[Speaker], *, blocks: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Speaker", overflow="ellipsis", no_wrap=True, max_width=22)
    table.add_column("Share of all talk", no_wrap=True, min_width=_BAR)
    for name in ("", "Talk", "Turns"):
        table.add_column(name, justify="right", no_wrap=True)
    whole = sum(s.talk_s for s in people)
    for s in people:
        share = number(s.talk.get("share_of_talk"))
        share = s.talk_s / whole if share is None and whole > 0 else share
        turns = number(s.talk.get("turns"))
        shown = NOTHING if turns is None else f"{turns:.0f}"
        table.add_row(
            Text(s.name),
            Text(_bar(share, blocks=blocks), style="cyan"),
            percent(share),
            clock(s.talk_s),
            shown,
        )
    return table


def _bar(share: float | None, *, blocks: bool) -> str:
    """Whole and eighth blocks; whoever spoke at all shows."""
    eighths = 0 if share is None or share <= 0 else max(1, round(8 * _BAR * min(1.0, share)))
    if not blocks:
        return "#" * -(-eighths // 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def _said(found: list[Statement], console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(verdict(found)))
    worth = [s for s in found if s.rank >= CHECK]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for s in worth[:_MOST_SAID]:
        style = "bold red" if s.rank == MATTERS else "yellow"
        table.add_row(Text(s.word, style=style), Text(f"{s.where}: {s.sentence}" if s.where else s.sentence))
    if worth:
        console.print(table)
    if len(worth) > _MOST_SAID:
        console.print(Text(f"... and {len(worth) - _MOST_SAID} more, in report.html"))


def _files(documents: Documents) -> str:
    stems = len(objects(mapping(documents.get("stems")).get("stems")))
    names = ["report.html", "talk.json", "segments.rttm", "alignment.json"]
    return ", ".join([*names, *([f"stems/ ({count(stems, 'file')})"] if stems else [])])
