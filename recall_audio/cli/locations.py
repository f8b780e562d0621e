"""Read locations from the command line: folders of this machine, and addresses in an object store.

Every function takes either. The storage and pipeline packages are imported where they are used, so that
``--help`` stays quick.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from recall_audio.storage import Location


class LocationType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A folder, or an address such as ``s3://BUCKET/PREFIX``."""

    name = "DIR|URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Location":
        """Convert text to a path or an address."""
        from recall_audio.errors import UsageError
        from recall_audio.storage import parse_location

        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            return parse_location(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def request_fields(place: "Location") -> dict[str, Any]:
    """Return the fields of a batch request that name the output.

    Raises:
        UsageError: `place` is a file.
    """
    from recall_audio.errors import UsageError

    if not isinstance(place, Path):
        return {"out": Path(), "store": place}
    if place.exists() and not place.is_dir():
        raise UsageError(f"{place} is a file; a folder was expected.")
    return {"out": place}


def find_recordings(places: "Sequence[Location]") -> tuple[dict[str, Any], list[Path]]:
    """Find the recordings at or below some locations.

    Returns:
        The fields of a batch request that name the output, and the recordings' folders. Of a store they are
        relative: ``BOT_ID/RECORDING_ID``.

    Raises:
        UsageError: a location holds no recording, or the locations belong to several outputs.
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
        raise UsageError(
            "The recordings belong to several outputs.", "Process each output in a command of its own."
        )
    pairs = dict.fromkeys(pair for _, found_there in looked for pair in found_there)
    return {"out": Path(), "store": roots.pop()}, [Path(bot) / recording for bot, recording in pairs]


@contextmanager
def states_of_recordings(place: dict[str, Any], found: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield folders with the state of recordings, given what :func:`find_recordings` returned."""
    if "store" not in place:
        yield list(found)
        return
    from recall_audio.batch.previous_runs import open_known_recordings

    bot_ids = list(dict.fromkeys(f.parent.name for f in found))
    with open_known_recordings(place["store"], bot_ids) as known:
        yield [f for f in known if Path(f.parent.name) / f.name in found]


folder_argument = click.argument("folder", metavar="DIR|URL", type=LocationType())


def one_recording(folder: "Location", *needed: str) -> Path:
    """Return the folder of the only recording at or below `folder`, or the mirror of a store's.

    Args:
        folder: where to look.
        needed: prefixes of files to download from a store beside the documents, e.g. ``stems/``.

    Raises:
        UsageError: there is no recording, or more than one.
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
    """Return the folder of every recording, as :func:`recall_audio.pipeline.documents.folders_at` does."""
    from recall_audio.pipeline import documents

    return documents.folders_at(place, *needed)


def root_of(place: "Location") -> Path:
    """Return the folder itself, or the mirror of an address on this machine."""
    from recall_audio.pipeline import documents

    return documents.root_of(place)


def publish(path: Path) -> str:
    """Upload a file just written if its folder mirrors a store, and return where it is."""
    from recall_audio.storage import upload_if_mirrored

    return upload_if_mirrored(path)


def load_journal(place: "Location") -> None:
    """Download the journal of a store into its mirror, and do nothing for a folder."""
    if not isinstance(place, Path):
        from recall_audio.storage import Mirror

        Mirror(place).load_journal()
