"""Commands that hand results to other tools, and take back what those made of them."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recall_audio.cli.locations import PlaceType, folder_argument, folders_at, one_recording, root_of, told
from recall_audio.cli.step_options import Chosen, step_options
from recall_audio.model.options import ClipOptions

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
    """Codes instead of names, ids and emails, and where their key is."""
    flag = click.option("--pseudonymise", "--pseudonymize", "coded", is_flag=True,
                        help="Codes for names, ids and emails, key: RECALL_PSEUDONYM_KEY.")  # fmt: skip
    return flag(key_file_option(command))


key_file_option = click.option(
    "--pseudonym-key-file", "key_file", type=click.Path(dir_okay=False, path_type=Path),
    help="A file that holds the pseudonyms' key, instead of RECALL_PSEUDONYM_KEY.",
)  # fmt: skip


def _pseudonyms(coded: bool, key_file: Path | None) -> "Pseudonyms | None":
    from recall_audio.results.pseudonymise import read_pseudonyms

    if key_file and not coded:
        raise click.UsageError("--pseudonym-key-file goes with --pseudonymise.")
    return read_pseudonyms(key_file) if coded else None


@click.command(short_help="Write results in another tool's format.")
@folder_argument
@click.option("--to", "form", required=True, type=RegistryChoice("recall_audio.export:FORMATS"),
              help="The format to write.")  # fmt: skip
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to; "
              "DIR/export/FORMAT where not given.")  # fmt: skip
@step_options("clips")
@pseudonym_options
def export(
    folder: "Location", form: str, into: Path | None, coded: bool, key_file: Path | None, chosen: Chosen
) -> None:
    """Write a recording's results in another tool's format; prints the files written."""
    from recall_audio.results.export import export_recording

    clips: ClipOptions = chosen["clips"]
    if clips.longest_s <= 2.0 * clips.pad_s:
        raise click.UsageError("clips.longest_s has to be more than twice clips.pad_s.")
    for path in export_recording(one_recording(folder), form, into, _pseudonyms(coded, key_file), clips):
        click.echo(told(path))


@click.command("collect")
@click.argument("root", metavar="OUT|URL", type=PlaceType())
@click.option("--format", "form", type=RegistryChoice("recall_audio.export.tables:TABLE_WRITERS"),
              default="csv", show_default=True, help="The format to write.")  # fmt: skip
@click.option("--into", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to; OUT/tables where not given.")  # fmt: skip
@pseudonym_options
def collect_(root: "Location", form: str, into: Path | None, coded: bool, key_file: Path | None) -> None:
    """Every recording under OUT as one set of tables; prints the files written."""
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
        )
    for error in left_out:
        click.echo(f"left out: {error}", err=True)
    for path in written:
        click.echo(told(path))


@click.command("merge-transcripts", short_help="One transcript out of a transcriber's files.")
@folder_argument
@click.argument("files", nargs=-1, required=True, metavar="FILES...",
                type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@click.option("--to", "forms", multiple=True,
              type=RegistryChoice("recall_audio.export.transcripts:TRANSCRIPT_FORMATS"),
              help="Write this format only; may be repeated; all where not given.")  # fmt: skip
@click.option("--into", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to; DIR/transcript where not given.")  # fmt: skip
@pseudonym_options
def merge_transcripts(
    folder: "Location",
    files: tuple[Path, ...],
    forms: tuple[str, ...],
    into: Path | None,
    coded: bool,
    key_file: Path | None,
) -> None:
    """One chronological transcript with speakers out of what a transcriber made of the stems.

    FILES are the JSON of openai-whisper, faster-whisper or WhisperX, one a stem, named after it
    (Ann_Lee.json). Prints the files written. Under pseudonyms what was said stays as it is.
    """
    from recall_audio.results.export import merge_files

    for path in merge_files(one_recording(folder), files, forms, into, _pseudonyms(coded, key_file)):
        click.echo(told(path))


@click.command(short_help="Copies of results without names, ids and emails.")
@click.argument("folders", metavar="DIR|URL...", nargs=-1, required=True, type=PlaceType())
@click.option("--into", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write the copies to; INTO/CODE/CODE/ each.")  # fmt: skip
@key_file_option
def pseudonymise(folders: "tuple[Location, ...]", into: Path, key_file: Path | None) -> int:
    """Copies of recordings' results to hand out: stems, tables, report, with codes for names, ids and emails.

    The codes are keyed by RECALL_PSEUDONYM_KEY: the same under the same key, so that a person stays one
    person over many recordings. Downloads stay behind, and so does the mixed recording. Voices, times of day
    and what was said are not changed. Prints the folders written.
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
