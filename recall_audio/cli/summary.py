"""The terminal's own summary: a bar a speaker, what to know, where the files are.

Readable at 80 columns and without colour: the words and the bars say it all, colour only repeats it.
"""

from pathlib import PurePath
from typing import TYPE_CHECKING

from recall_audio.report.formatting import NOTHING, clock, count, mapping, number, objects, percent, text
from recall_audio.report.recording_page import title
from recall_audio.report.speakers import Documents, Speaker, duration_s, speakers
from recall_audio.report.statements import CHECK, MATTERS, Statement
from recall_audio.report.warnings_section import statements, verdict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_BAR = 24
_MOST_SAID = 6
_PLAIN = str.maketrans(
    {"−": "-", "–": "-", "…": "...", "\u202f": " ", "’": "'", "“": '"', "”": '"', "±": "+-"}
)
"""The marks of these texts for an encoding that may lack them."""


def summary(documents: Documents, console: "Console", folder: PurePath | str | None = None) -> None:
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
