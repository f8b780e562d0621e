"""Arguments and options of the commands that look at one recording."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recall_audio.cli.places import PlaceType

if TYPE_CHECKING:
    from recall_audio.storage import Place

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)
folder_argument = click.argument("folder", metavar="DIR|URL", type=PlaceType())


def one_recording(folder: "Place", *needed: str) -> Path:
    """The one recording's folder at or below `folder`; of a store, the one that mirrors it here.

    Args:
        folder: where to look.
        needed: beginnings of the names of files that have to be here, beside the documents: ``stems/``.

    Raises:
        UsageError: there is none, or several.
    """
    from recall_audio.errors import UsageError

    found = folders_at(folder, *needed)
    if len(found) > 1:
        raise UsageError(
            f"{folder} holds {len(found)} recordings, one was expected.",
            f"Give one of them, e.g. {found[0]}.",
        )
    return found[0]


def folders_at(place: "Place", *needed: str) -> list[Path]:
    """Every recording's folder at or below a place; see :func:`recall_audio.workflow.places.folders_at`."""
    from recall_audio.workflow import places

    return places.folders_at(place, *needed)


def root_of(place: "Place") -> Path:
    """The folder that is or mirrors a place."""
    from recall_audio.workflow import places

    return places.root_of(place)


def told(path: Path) -> str:
    """Where a file just written is: one that is of a mirrored place goes into its store first."""
    from recall_audio.storage import kept

    return kept(path)


def need_journal(place: "Place") -> None:
    """Bring the journal of a store's output to the folder that mirrors it; a folder has its own."""
    if not isinstance(place, Path):
        from recall_audio.storage import Mirror

        Mirror(place).need_journal()
