"""Define the commands that exchange results with other tools.

These are export, collect, merge-transcripts and pseudonymise.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recall_audio.cli.locations import (
    LocationType,
    folder_argument,
    folders_at,
    one_recording,
    publish,
    root_of,
)
from recall_audio.cli.logs import say_notes
from recall_audio.cli.step_options import Chosen, step_options
from recall_audio.model.options import ClipOptions, TranscriptOptions

if TYPE_CHECKING:
    from recall_audio.model.pseudonyms import Pseudonyms
    from recall_audio.storage import Location


class RegistryChoice(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """One of the keys of a registry, which is imported only when its keys are needed."""

    name = "choice"

    def __init__(self, registry: str) -> None:
        """Take the registry's address, ``module:name``."""
        self.registry = registry

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys in the registry's order."""
        module, _, name = self.registry.partition(":")
        return tuple(getattr(import_module(module), name))

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the keys as the help text shows them."""
        return f"[{'|'.join(self.keys)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return a key, or fail with the list of keys."""
        if value not in self.keys:
            self.fail(f"{value!r} is not one of {', '.join(self.keys)}.", param, ctx)
        return str(value)


def pseudonym_options(command: Any) -> Any:
    """Add the options for codes instead of names, ids and emails."""
    flag = click.option("--pseudonymise", "--pseudonymize", "coded", is_flag=True,
                        help="Write codes for names, ids and emails; key: RECALL_PSEUDONYM_KEY.")  # fmt: skip
    return flag(key_file_option(command))


key_file_option = click.option(
    "--pseudonym-key-file", "key_file", type=click.Path(dir_okay=False, path_type=Path),
    help="Read the key of the pseudonyms from this file instead of RECALL_PSEUDONYM_KEY.",
)  # fmt: skip


def _pseudonyms(coded: bool, key_file: Path | None) -> "Pseudonyms | None":
    from recall_audio.results.pseudonymise import read_pseudonyms

    if key_file and not coded:
        raise click.UsageError("--pseudonym-key-file needs --pseudonymise.")
    return read_pseudonyms(key_file) if coded else None


def check_clips(clips: ClipOptions) -> None:
    """Refuse clips that would hold nothing but what is around speech."""
    if clips.longest_s <= 2.0 * clips.pad_s:
        raise click.UsageError("clips.longest_s has to be more than twice clips.pad_s.")


@click.command(short_help="Write results in another tool's format.")
@folder_argument
@click.option("--to", "form", required=True, type=RegistryChoice("recall_audio.export:FORMATS"),
              help="Write in this format.")  # fmt: skip
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Write to this folder; "
              "DIR/export/FORMAT where not given.")  # fmt: skip
@step_options("clips")
@pseudonym_options
def export(
    folder: "Location", form: str, into: Path | None, coded: bool, key_file: Path | None, chosen: Chosen
) -> None:
    """Write a recording's results in another tool's format and print the files written."""
    from recall_audio.results.export import export_recording

    clips: ClipOptions = chosen["clips"]
    check_clips(clips)
    for path in export_recording(one_recording(folder), form, into, _pseudonyms(coded, key_file), clips):
        click.echo(publish(path))


@click.command("collect", short_help="Write the tables of all recordings as one set.")
@click.argument("root", metavar="OUT|URL", type=LocationType())
@click.option("--format", "form", type=RegistryChoice("recall_audio.export.tables:TABLE_WRITERS"),
              default="csv", show_default=True, help="Write in this format.")  # fmt: skip
@click.option("--into", type=click.Path(file_okay=False, path_type=Path),
              help="Write to this folder; OUT/tables where not given.")  # fmt: skip
@click.option("--no-join", is_flag=True,
              help="Take each participant of each meeting for a person of their own.")  # fmt: skip
@pseudonym_options
def collect_(
    root: "Location", form: str, into: Path | None, no_join: bool, coded: bool, key_file: Path | None
) -> None:
    """Write the tables of every recording under OUT as one set and print the files written."""
    from recall_audio.cli.progress import Progress
    from recall_audio.results.collect import collect_recordings

    pseudonyms = _pseudonyms(coded, key_file)
    folders_at(root)  # of a store, the documents come here first
    with Progress() as progress:
        written, left_out = collect_recordings(
            root_of(root),
            form,
            into,
            lambda done, total: progress("collect", "recordings", done, total),
            pseudonyms,
            join=not no_join,
        )
    for error in left_out:
        click.echo(f"left out: {error}", err=True)
    for path in written:
        click.echo(publish(path))


@click.command("merge-transcripts", short_help="Merge a transcriber's files into one transcript.")
@folder_argument
@click.argument("files", nargs=-1, required=True, metavar="FILES...",
                type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@click.option("--to", "forms", multiple=True,
              type=RegistryChoice("recall_audio.export.transcripts:TRANSCRIPT_FORMATS"),
              help="Write this format only. May be repeated; all where not given.")  # fmt: skip
@click.option("--into", type=click.Path(file_okay=False, path_type=Path),
              help="Write to this folder; DIR/transcript where not given.")  # fmt: skip
@step_options("transcript")
@pseudonym_options
def merge_transcripts(
    folder: "Location",
    files: tuple[Path, ...],
    forms: tuple[str, ...],
    into: Path | None,
    coded: bool,
    key_file: Path | None,
    chosen: Chosen,
) -> None:
    """Merge what transcribers made of a recording into one transcript with speakers.

    FILES are read by what is in them: whisper, faster-whisper, WhisperX, whisper.cpp, vosk, OpenAI, Deepgram,
    AssemblyAI, AWS, Azure, Google, Hugging Face, JSON lines, SRT, WebVTT. One file a stem, named after it
    (Ann_Lee.json); one of a multichannel file, its channels in the order of stems.json; Recall.ai's own,
    source/transcript.json; or one of the mix, named mixed (mixed.json), whose words go to those in whose
    speech they lie.

    Words outside their speaker's own speech are dropped and counted. The result is the recording's
    transcript.json; talk.json and report.html are made again. Print the files written. Pseudonyms do not
    change what was said.
    """
    from recall_audio.results.transcripts import merge_files

    options: TranscriptOptions = chosen["transcript"]
    pseudonyms = _pseudonyms(coded, key_file)
    with say_notes("recall_audio.results.transcripts"):
        written = merge_files(one_recording(folder), files, forms, into, pseudonyms, options)
    for path in written:
        click.echo(publish(path))


@click.command(short_help="Copy results, without names, ids and emails.")
@click.argument("folders", metavar="DIR|URL...", nargs=-1, required=True, type=LocationType())
@click.option("--into", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="Write the copies to this folder, each to INTO/CODE/CODE/.")  # fmt: skip
@key_file_option
def pseudonymise(folders: "tuple[Location, ...]", into: Path, key_file: Path | None) -> int:
    """Copy recordings' results to hand out: stems, tables, report, with codes for names, ids and emails.

    The codes depend on RECALL_PSEUDONYM_KEY: under one key a person has the same code in every recording.
    Downloads and the mixed recording are not copied. Voices, times of day and what was said are not changed.
    Print the folders written.
    """
    from recall_audio.errors import ItemError
    from recall_audio.results.pseudonymise import pseudonymise as write_copy
    from recall_audio.results.pseudonymise import read_pseudonyms

    pseudonyms, code = read_pseudonyms(key_file), 0
    for folder in dict.fromkeys(f for given in folders for f in folders_at(given, "stems/")):
        try:
            click.echo(write_copy(folder, into, pseudonyms))
        except ItemError as error:
            click.echo(f"left out: {folder}: {error}", err=True)
            code = 1
    return code


COMMANDS: tuple[Any, ...] = (export, collect_, merge_transcripts, pseudonymise)
