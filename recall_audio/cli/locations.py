"""Places on the command line: a folder of this machine, or an address in a store."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from recall_audio.storage import Location
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recall_audio.storage import Location


class PlaceType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A folder, or ``s3://BUCKET/PREFIX`` and its like."""

    name = "DIR|URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Location":
        """Text to a path or an address."""
        from recall_audio.errors import UsageError
        from recall_audio.storage import parse_location

        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            return parse_location(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def where(place: "Location") -> dict[str, Any]:
    """The fields of a request that say where results go.

    Raises:
        UsageError: it is a file.
    """
    from recall_audio.errors import UsageError

    if not isinstance(place, Path):
        return {"out": Path(), "store": place}
    if place.exists() and not place.is_dir():
        raise UsageError(f"{place} is a file; a folder was expected.")
    return {"out": place}


def found_at(places: "Sequence[Location]") -> tuple[dict[str, Any], list[Path]]:
    """The fields of a request that say where recordings are, and their folders; of a store only their names.

    Raises:
        UsageError: there is none at one of the places, or they are of several outputs.
    """
    from recall_audio.errors import UsageError
    from recall_audio.pipeline.documents import recording_folders
    from recall_audio.storage import recordings_below

    folders = [place for place in places if isinstance(place, Path)]
    if len(folders) == len(places):
        found = list(dict.fromkeys(f for folder in folders for f in recording_folders(folder)))
        return {"out": found[0].parent.parent}, found
    looked = [recordings_below(place) for place in places if not isinstance(place, Path)]
    roots = {root for root, _ in looked}
    if folders or len(roots) > 1:
        raise UsageError("These are in several outputs.", "Process each by itself.")
    pairs = dict.fromkeys(pair for _, found_there in looked for pair in found_there)
    return {"out": Path(), "store": roots.pop()}, [Path(bot) / recording for bot, recording in pairs]


@contextmanager
def known_at(place: dict[str, Any], found: Sequence[Path]) -> Iterator[list[Path]]:
    """Folders that say how far these recordings are; arguments as :func:`found_at` gave them."""
    if "store" not in place:
        yield list(found)
        return
    from recall_audio.batch.previous_runs import open_known_recordings

    bot_ids = list(dict.fromkeys(f.parent.name for f in found))
    with open_known_recordings(place["store"], bot_ids) as known:
        yield [f for f in known if Path(f.parent.name) / f.name in found]


format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)
folder_argument = click.argument("folder", metavar="DIR|URL", type=PlaceType())


def one_recording(folder: "Location", *needed: str) -> Path:
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


def folders_at(place: "Location", *needed: str) -> list[Path]:
    """Every recording's folder at or below a place; see :func:`recall_audio.results.locations.folders_at`."""
    from recall_audio.results import locations

    return locations.folders_at(place, *needed)


def root_of(place: "Location") -> Path:
    """The folder that is or mirrors a place."""
    from recall_audio.results import locations

    return locations.root_of(place)


def told(path: Path) -> str:
    """Where a file just written is: one that is of a mirrored place goes into its store first."""
    from recall_audio.storage import upload_if_mirrored

    return upload_if_mirrored(path)


def load_journal(place: "Location") -> None:
    """Bring the journal of a store's output to the folder that mirrors it; a folder has its own."""
    if not isinstance(place, Path):
        from recall_audio.storage import Mirror

        Mirror(place).load_journal()
