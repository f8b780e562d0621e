"""Places on the command line: a folder of this machine, or an address in a store."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from recall_audio.storage import Place


class PlaceType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A folder, or ``s3://BUCKET/PREFIX`` and its like."""

    name = "DIR|URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Place":
        """Text to a path or an address."""
        from recall_audio.errors import UsageError
        from recall_audio.storage import place_of

        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            return place_of(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def where(place: "Place") -> dict[str, Any]:
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


def found_at(places: "Sequence[Place]") -> tuple[dict[str, Any], list[Path]]:
    """The fields of a request that say where recordings are, and their folders; of a store only their names.

    Raises:
        UsageError: there is none at one of the places, or they are of several outputs.
    """
    from recall_audio.errors import UsageError
    from recall_audio.storage import recordings_below
    from recall_audio.workflow.layout import recording_folders

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
def known_of(place: "Place", bot_ids: Sequence[str]) -> Iterator[list[Path]]:
    """Folders that say how far the recordings of some bots are."""
    from recall_audio import fetch, storage

    if isinstance(place, Path):
        yield [f for i in bot_ids for f in fetch.known_recordings(place, i)]
        return
    store = storage.Store(place)
    with storage.scratch() as root:
        yield [f for i in bot_ids for f in storage.look_for_all(store, i, root)]


@contextmanager
def known_at(place: dict[str, Any], found: Sequence[Path]) -> Iterator[list[Path]]:
    """Folders that say how far these recordings are; arguments as :func:`found_at` gave them."""
    if "store" not in place:
        yield list(found)
        return
    with known_of(place["store"], list(dict.fromkeys(f.parent.name for f in found))) as known:
        yield [f for f in known if Path(f.parent.name) / f.name in found]
