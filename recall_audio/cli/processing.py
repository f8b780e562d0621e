"""Commands that do the job: run, process."""

import sys
from pathlib import Path
from typing import Any

import click

from recall_audio.cli import options as shared
from recall_audio.cli.progress import Progress


def read_ids(arguments: tuple[str, ...], ids_file: str | None) -> list[str]:
    """Bot ids of the arguments and of a file (`-` is stdin): a line each, `#` starts a comment."""
    if not ids_file:
        return list(arguments)
    if ids_file == "-":
        text = sys.stdin.read()
    else:
        try:
            text = Path(ids_file).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"Cannot read --ids-file {ids_file}: {type(error).__name__}.") from None
    return [*arguments, *(line.split("#")[0].strip() for line in text.splitlines())]


@click.command()
@click.argument("bot_ids", metavar="BOT_ID...", nargs=-1)
@click.option(
    "--ids-file", metavar="FILE|-", help="Read further bot ids from a file, one a line; - is stdin."
)
@shared.out_option
@shared.jobs_option
@shared.fetch_options
@shared.process_options
@shared.force_option
@shared.json_option
@shared.quiet_option
def run(bot_ids: tuple[str, ...], ids_file: str | None, **values: Any) -> int:
    """Fetch and process the meetings of these bots.

    What is done already costs nothing: run the same command again after an interruption.
    """
    from recall_audio import batch, fetch

    from .printing import print_outcomes

    ids = batch.unique(read_ids(bot_ids, ids_file))
    if not ids:
        raise click.UsageError("No bot id given: name at least one, or give --ids-file.")
    region, as_json, quiet = values.pop("region"), values.pop("as_json"), values.pop("quiet")
    request = batch.Request(
        out=values["out"],
        fetch=shared.fetch_choice(values),
        options=shared.process_choice(values),
        jobs=values["jobs"],
        force=values["force"],
        keep_work=not values["discard_work"],
    )
    with Progress(quiet=quiet) as progress:
        outcomes = batch.run(ids, lambda: fetch.Settings.from_environment(region), request, progress)
    return print_outcomes(outcomes, as_json=as_json)


@click.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@shared.jobs_option
@shared.process_options
@shared.force_option
@shared.json_option
@shared.quiet_option
def process(folders: tuple[Path, ...], **values: Any) -> int:
    """Everything after the download, on recordings' folders. No network."""
    from recall_audio import batch
    from recall_audio.workflow.layout import recording_folders

    from .printing import print_outcomes

    found = [f for folder in folders for f in recording_folders(folder)]
    as_json, quiet = values.pop("as_json"), values.pop("quiet")
    request = batch.Request(
        out=found[0].parent.parent,
        options=shared.process_choice(values),
        jobs=values["jobs"],
        force=values["force"],
        keep_work=not values["discard_work"],
    )
    with Progress(quiet=quiet) as progress:
        outcomes = batch.process_folders(dict.fromkeys(found), request, progress)
    return print_outcomes(outcomes, as_json=as_json)


COMMANDS = (run, process)
