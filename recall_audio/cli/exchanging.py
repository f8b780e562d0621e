"""Commands that hand results to other tools, and take back what those made of them."""

from pathlib import Path
from typing import Any

import click

from .selecting import folder_argument, one_recording


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


@click.command("merge-transcripts", short_help="One transcript out of a transcriber's files.")
@folder_argument
@click.argument("files", nargs=-1, required=True, metavar="FILES...",
                type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@click.option("--to", "forms", multiple=True, type=click.Choice(["json", "webvtt", "srt", "text"]),
              help="Write this format only; may be repeated; all four where not given.")  # fmt: skip
@click.option("--into", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to; DIR/transcript where not given.")  # fmt: skip
def merge_transcripts(
    folder: Path, files: tuple[Path, ...], forms: tuple[str, ...], into: Path | None
) -> None:
    """One chronological transcript with speakers out of what a transcriber made of the stems.

    FILES are the JSON of openai-whisper, faster-whisper or WhisperX, one a stem, named after it
    (Ann_Lee.json). Prints the files written.
    """
    from recall_audio.workflow.transcribed import merge_files

    for path in merge_files(one_recording(folder), files, forms, into):
        click.echo(path)


COMMANDS: tuple[Any, ...] = (export, collect_, merge_transcripts)
