"""Arguments and options of the commands that look at one recording."""

from pathlib import Path

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
