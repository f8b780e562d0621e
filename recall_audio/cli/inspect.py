"""Define the commands that show results: info, align, talk, report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recall_audio.cli.locations import (
    folder_argument,
    folders_at,
    load_journal,
    one_recording,
    publish,
    root_of,
)
from recall_audio.cli.options import format_option, times_option
from recall_audio.cli.step_options import Chosen, step_options

if TYPE_CHECKING:
    from pathlib import Path

    from recall_audio.model.options import TalkOptions
    from recall_audio.pipeline.documents import Documents
    from recall_audio.results.records import Table
    from recall_audio.storage import Location

PART_COLUMNS = (
    "part", "participant", "nominal_start_s", "start_s", "drift_ppm",
    "status", "confidence", "uncertainty_ms",
)  # fmt: skip
"""Columns of ``align``."""
SPEAKER_COLUMNS = (
    "speaker", "talk_s", "exclusive_s", "overlapped_s", "presence_s",
    "share_of_talk", "share_of_speech", "share_of_meeting", "share_of_presence",
    "turns", "longest_monologue_s",
)  # fmt: skip
"""Columns of ``talk``."""
BESIDE_COLUMNS = ("shares_over", "reasons")
"""Further columns of ``talk`` in JSON and CSV, and in the table where a speaker is not known."""
PAIR_COLUMNS = ("a", "b", "overlap_s", "overlap_of_shorter")
"""Columns of ``talk --pairs``."""
WINDOW_COLUMNS = (
    "start_s",
    "end_s",
    "length_s",
    "speech_s",
    "overlap_s",
    "gini_normalised",
    "entropy",
    "reasons",
)
"""Columns of ``talk --window``; each speaker's talk follows them."""
SPEAKER_INTERVALS = tuple(
    f"{name}_{end}"
    for name in ("talk_s", "share_of_talk", "share_of_speech", "share_of_meeting", "share_of_presence")
    for end in ("low", "high")
)
"""Ends of the 95 % intervals of ``talk``, in JSON and CSV."""
PAIR_INTERVALS = ("overlap_s_low", "overlap_s_high", "overlap_of_shorter_low", "overlap_of_shorter_high")
"""The same of ``talk --pairs``."""
WINDOW_INTERVALS = ("overlap_s_low", "overlap_s_high")
"""The same of ``talk --window``, beside those of each speaker's talk and share of it."""


@click.command(short_help="Show what a recording is and what was done with it.")
@folder_argument
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="Print a table for people, or JSON.")  # fmt: skip
@times_option
def info(folder: "Location", form: str) -> None:
    """Show what a recording is, who was there, what was done with it, and what to check."""
    import json

    from recall_audio.cli.printing import print_summary
    from recall_audio.pipeline.documents import facts_of, read_documents

    if form == "json":
        click.echo(json.dumps(facts_of(read_documents(one_recording(folder))), indent=1))
    else:
        print_summary(folder)


@click.command(short_help="Show where each part lies on the mix's clock.")
@folder_argument
@format_option
def align(folder: "Location", form: str) -> None:
    """Show where each part lies on the mix's clock, and how certain that is."""
    from recall_audio.cli.printing import print_table
    from recall_audio.pipeline.documents import read_documents
    from recall_audio.results.records import part_records, select

    records = part_records(read_documents(one_recording(folder)))
    print_table(*select(records, PART_COLUMNS), form)


@click.command(short_help="Show who spoke how much, or over whom.")
@folder_argument
@format_option
@click.option("--pairs", is_flag=True, help="Show who spoke over whom instead of who spoke how much.")
@step_options("talk", command="talk")
def talk(folder: "Location", form: str, pairs: bool, chosen: Chosen) -> None:
    """Show who spoke how much, or over whom, for the whole meeting or in sliding windows.

    JSON and CSV hold the ends of each figure's 95 % interval too: ``talk_s_low``, ``talk_s_high``.
    """
    from recall_audio.cli.printing import print_table
    from recall_audio.pipeline.documents import read_documents

    if pairs and chosen.changed:
        raise click.UsageError("--pairs is for the whole meeting: leave out --window and --step.")
    recording = one_recording(folder)
    documents = read_documents(recording)
    if chosen.changed:
        table = _window_table(recording, documents, chosen["talk"], form)
    elif pairs:
        table = _pair_table(documents, form)
    else:
        table = _speaker_table(documents, form)
    print_table(*table, form)


def _speaker_table(documents: "Documents", form: str) -> "Table":
    from recall_audio.results.records import select, speaker_records

    found = speaker_records(documents)
    if form != "table":
        return select(found, [*SPEAKER_COLUMNS, *SPEAKER_INTERVALS, *BESIDE_COLUMNS])
    is_wide = any(s["talk_s"] is None for s in found)
    return select(found, [*SPEAKER_COLUMNS, *(BESIDE_COLUMNS if is_wide else ())])


def _pair_table(documents: "Documents", form: str) -> "Table":
    from recall_audio.results.records import pair_records, select

    found = pair_records(documents)
    if form != "table":
        return select(found, [*PAIR_COLUMNS, *PAIR_INTERVALS, "reasons"])
    is_wide = any(pair["overlap_s"] is None for pair in found)
    return select(found, [*PAIR_COLUMNS, *(("reasons",) if is_wide else ())])


def _window_table(recording: "Path", documents: "Documents", options: "TalkOptions", form: str) -> "Table":
    from recall_audio.pipeline.documents import read_posteriors
    from recall_audio.results.records import WINDOW_FIGURES, select, window_records, window_talk_columns

    columns = [*WINDOW_COLUMNS, *window_talk_columns(documents)]
    if form != "table":
        columns = [*WINDOW_COLUMNS, *WINDOW_INTERVALS, *window_talk_columns(documents, WINDOW_FIGURES)]
    return select(window_records(documents, options, read_posteriors(recording)), columns)


@click.command(short_help="Write report.html, and an index of many.")
@folder_argument
@click.option("--open", "is_opened", is_flag=True, help="Open what was written in the browser.")
def report(folder: "Location", is_opened: bool) -> None:
    """Write report.html, and for a folder of many recordings an index of them, and print where it is.

    The index shows each person's share of talk across the meetings, and filters by platform, date and
    metadata."""
    import webbrowser

    from recall_audio.pipeline.report import write_index, write_report

    found, root = folders_at(folder), root_of(folder)
    written = [publish(write_report(f)) for f in found]
    if found != [root]:
        load_journal(folder)
        written.append(publish(write_index(root, found)))
    click.echo(written[-1])
    if is_opened:
        webbrowser.open(Path(written[-1]).resolve().as_uri() if Path(written[-1]).exists() else written[-1])


COMMANDS: tuple[Any, ...] = (info, align, talk, report)
