"""Recordings wherever they are: in folders, or in a store that folders here mirror."""

from pathlib import Path

from recall_audio.pipeline.documents import recording_folders
from recall_audio.storage import Location, Mirror, ensure_files, upload_if_mirrored


def folders_at(place: Location, *needed: str) -> list[Path]:
    """Every recording's folder at or below a place; of a store, those that mirror its documents here.

    Args:
        place: a folder, or an address in a store.
        needed: beginnings of the names of files that have to be here, beside the documents: ``stems/``.

    Raises:
        UsageError: there is none.
        MachineError, TransientError: the store refuses, or cannot be reached.
    """
    if isinstance(place, Path):
        return recording_folders(place)
    found = Mirror(place).recordings()
    for folder in found if needed else ():
        ensure_files(folder, needed)
    return found


def root_of(place: Location) -> Path:
    """The folder that is a place, or mirrors it."""
    return place if isinstance(place, Path) else Mirror(place).root


def all_kept(paths: list[Path]) -> list[Path]:
    """Files just written; those of a mirrored place are in its store then, too."""
    for path in paths:
        upload_if_mirrored(path)
    return paths
