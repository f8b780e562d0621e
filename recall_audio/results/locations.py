"""Find recordings in a folder, or in a store that local folders mirror."""

from pathlib import Path

from recall_audio.pipeline.documents import recording_folders
from recall_audio.storage import Location, Mirror, ensure_files, upload_if_mirrored


def folders_at(location: Location, *needed: str) -> list[Path]:
    """Return every recording's folder at or below a location.

    For a store these are the local folders that mirror the recordings' documents.

    Args:
        location: a folder, or an address in a store.
        needed: prefixes of files that have to be local besides the documents: ``stems/``.

    Raises:
        UsageError: there is no recording.
        MachineError, TransientError: the store refuses, or cannot be reached.
    """
    if isinstance(location, Path):
        return recording_folders(location)
    found = Mirror(location).recordings()
    for folder in found if needed else ():
        ensure_files(folder, needed)
    return found


def root_of(location: Location) -> Path:
    """Return the folder that is a location, or that mirrors it."""
    return location if isinstance(location, Path) else Mirror(location).root


def upload_written(paths: list[Path]) -> list[Path]:
    """Upload those of the written files whose folder mirrors a store, and return all of them."""
    for path in paths:
        upload_if_mirrored(path)
    return paths
