"""This user's folder for locks: nothing in it is worth keeping."""

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path

from recall_audio.files import state_folder


def lock_file(folder: Path) -> Path:
    """The lock of a recording's folder, one of 4096 files.

    Folders that share a lock wait for each other, now and then, for nothing.

    Locks lie apart from the results: a results' folder may be on a file system that knows no locks.
    """
    name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:3]
    root = state_folder() / "locks"
    with suppress(OSError):
        root.mkdir(parents=True, exist_ok=True)
        return root / f"{name}.lock"
    return Path(tempfile.gettempdir()) / f"recall-audio-{name}.lock"
