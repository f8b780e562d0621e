"""Keep which files of a recording are on disk, by size and hash, never by name alone.

``recording.json`` is written last. Until then ``source/fetched.json`` lists what has arrived, so that an
interrupted run continues with the next file.
"""

import contextlib
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.files import path_in, read_json, sha256, sweep_parts, write_json
from recall_audio.model.labels import safe_id
from recall_audio.model.meeting import MediaFile, Meeting

RECORDING_FILE = "recording.json"
_LEDGER_FILE = "source/fetched.json"
MIXED = "mixed"
"""Name of the mixed file beside the part ids."""


def read_meeting(folder: Path) -> Meeting | None:
    """Return the meeting of a folder's ``recording.json``, or None if it is unreadable."""
    try:
        return Meeting.from_json(read_json(folder / RECORDING_FILE, "recording"))
    except (ItemError, KeyError, TypeError, AttributeError):
        return None


def known_recordings(out: Path, bot_id: str) -> list[Path]:
    """Return the folders of a bot's fetched recordings, by name, without a request."""
    found = sorted((out / safe_id(bot_id)).glob(f"*/{RECORDING_FILE}"))
    return [file.parent for file in found if read_meeting(file.parent) is not None]


class Ledger:
    """The files of one recording's folder, by part id or ``mixed``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._arrived = _read_entries(folder)

    def find(self, name: str, declared: MediaFile) -> MediaFile | None:
        """Return the file that arrived under `name` before, if its bytes are unchanged.

        Args:
            name: part id or ``mixed``.
            declared: its format and duration are what the API says now.
        """
        known = self._arrived.get(name)
        if known is None or known.file is None:
            return None
        with contextlib.suppress(OSError, ItemError):
            path = path_in(self._folder, known.file)
            if path.stat().st_size == known.n_bytes and sha256(path) == known.sha256:
                return replace(known, format=declared.format, duration_s=declared.duration_s, problem=None)
        return None

    def add(self, name: str, media: MediaFile) -> None:
        """Record a file that has just arrived, on disk as well."""
        with self._lock:
            self._arrived[name] = media
            rows = {k: asdict(v) for k, v in sorted(self._arrived.items())}
            write_json(self._folder / _LEDGER_FILE, "fetched", {"files": rows})

    def close(self) -> None:
        """Remove the ledger's file once ``recording.json`` holds everything."""
        _remove_file(self._folder)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed run left beside a recording that is complete."""
    sweep_parts(folder)
    _remove_file(folder)


def _remove_file(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / _LEDGER_FILE).unlink(missing_ok=True)


def _read_entries(folder: Path) -> dict[str, MediaFile]:
    """Return the files of ``recording.json``, overridden by the younger ledger's."""
    known: dict[str, MediaFile] = {}
    meeting = read_meeting(folder)
    if meeting is not None:
        known = {p.part_id: p.media for p in meeting.parts if _is_in_source(p.media)}
        if meeting.mix is not None and _is_in_source(meeting.mix):
            known[MIXED] = meeting.mix
    with contextlib.suppress(ItemError, KeyError, TypeError, AttributeError):
        rows: dict[str, Any] = read_json(folder / _LEDGER_FILE, "fetched")["files"]
        known |= {k: m for k, v in rows.items() if _is_in_source(m := MediaFile(**v))}
    return known


def _is_in_source(media: MediaFile) -> bool:
    """Return whether the file is a plain name in ``source``, so that no path leads out."""
    return media.file is not None and Path(media.file).parts[:-1] == ("source",)
