"""Commands that show, export or report what is already there."""

from pathlib import Path
from typing import Any

import click

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)
folder_argument = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))


def one_recording(folder: Path) -> Path:
    """The one recording's folder at or below `folder`.

    Raises:
        UsageError: there is none, or several.
    """
    from recall_audio.errors import UsageError
    from recall_audio.workflow.layout import recording_folders

    found = recording_folders(folder)
    if len(found) > 1:
        raise UsageError(
            f"{folder} holds {len(found)} recordings, one was expected.",
            f"Give one of them, e.g. {found[0]}.",
        )
    return found[0]


@click.command(short_help="What a recording is and what was done with it.")
@folder_argument
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def info(folder: Path, form: str) -> None:
    """What a recording is, who was there, what was done with it, and what to know about it."""
    import json

    from recall_audio.workflow.documents import facts_of, read_documents

    from .printing import print_summary

    recording = one_recording(folder)
    if form == "json":
        click.echo(json.dumps(facts_of(read_documents(recording)), indent=1))
    else:
        print_summary(recording)


@click.command()
@folder_argument
@format_option
def align(folder: Path, form: str) -> None:
    """Where each part lies on the mix's clock, and how sure that is."""
    from recall_audio.workflow import tables
    from recall_audio.workflow.documents import read_documents

    from .printing import print_table

    print_table(*tables.parts(read_documents(one_recording(folder))), form)


@click.command()
@folder_argument
@format_option
@click.option("--pairs", is_flag=True, help="Who spoke over whom, instead of who spoke how much.")
def talk(folder: Path, form: str, pairs: bool) -> None:
    """Who spoke how much, or over whom."""
    from recall_audio.workflow import tables
    from recall_audio.workflow.documents import read_documents

    from .printing import print_table

    documents = read_documents(one_recording(folder))
    print_table(*(tables.pairs(documents) if pairs else tables.speakers(documents)), form)


@click.command(short_help="Write results in another tool's format.")
@folder_argument
@click.option("--to", "form", required=True, metavar="FORMAT", help="rttm, uem, textgrid, audacity, webvtt, "
              "seglst, nemo, kaldi, lhotse, whisper, hf, csv or parquet.")  # fmt: skip
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to; "
              "DIR/export/FORMAT where not given.")  # fmt: skip
def export(folder: Path, form: str, into: Path | None) -> None:
    """Write a recording's results in another tool's format; prints the files written."""
    from recall_audio.workflow.exporting import export_recording

    for path in export_recording(one_recording(folder), form, into):
        click.echo(path)


@click.command(short_help="Write report.html, and an index of many.")
@folder_argument
def report(folder: Path) -> None:
    """Write report.html (for a folder of many recordings, an index of them too); prints where it is."""
    from recall_audio.workflow.layout import recording_folders
    from recall_audio.workflow.reporting import write_index, write_report

    found = recording_folders(folder)
    written = [write_report(f) for f in found]
    click.echo(written[0] if found == [folder] else write_index(folder, found))


@click.command("collect")
@click.argument("root", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["parquet", "csv"]), default="csv", show_default=True)
@click.option("--into", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to; OUT/tables where not given.")  # fmt: skip
def collect_(root: Path, form: str, into: Path | None) -> None:
    """Every recording under OUT as one set of tables; prints the files written."""
    from recall_audio.workflow.collecting import collect_recordings

    written, left_out = collect_recordings(root, form, into)
    for error in left_out:
        click.echo(f"left out: {error}", err=True)
    for path in written:
        click.echo(path)


COMMANDS: tuple[Any, ...] = (info, align, talk, export, report, collect_)
