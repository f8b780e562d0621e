"""Which files of a recording are here already: known by size and hash, never by name alone.

``recording.json`` is written last. Until then ``source/fetched.json`` keeps what has arrived, so that a run
that was broken off goes on with the next file.
"""

import contextlib
import hashlib
import re
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.files import read_json, sha256, sweep_parts, write_json
from recall_audio.model.meeting import MediaFile, Meeting

_ORDINARY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)")
_OURS = ("mixed", "speaker_timeline", "fetched")


def safe_id(identifier: str) -> str:
    """`identifier` itself if it is an ordinary file name everywhere, else its safe letters and a hash of it.

    Two different ids never give one name; case alone does not tell names apart (see :func:`distinct`).
    """
    if _ORDINARY.fullmatch(identifier) and not _DEVICE.fullmatch(identifier):
        return identifier
    kept = re.sub(r"[^A-Za-z0-9]+", "_", identifier).strip("_")[:32]
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{kept or 'id'}-{digest}"


def distinct(identifiers: list[str]) -> list[str]:
    """Safe names of several ids in order, different even where case is not told apart, and from our own."""
    taken = set(_OURS)
    names = []
    for identifier in identifiers:
        name, number = safe_id(identifier), 1
        candidate = name
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate.casefold())
        names.append(candidate)
    return names


RECORDING_FILE = "recording.json"
_LEDGER_FILE = "source/fetched.json"
MIXED = "mixed"


def read_meeting(folder: Path) -> Meeting | None:
    """The meeting of a folder's ``recording.json``, or None where it is not there or not readable."""
    try:
        return Meeting.from_json(read_json(folder / RECORDING_FILE, "recording"))
    except (ItemError, KeyError, TypeError, AttributeError):
        return None


def known_recordings(out: Path, bot_id: str) -> list[Path]:
    """Folders of a bot's recordings that have been fetched, by name; asks nobody."""
    found = sorted((out / safe_id(bot_id)).glob(f"*/{RECORDING_FILE}"))
    return [file.parent for file in found if read_meeting(file.parent) is not None]


class Ledger:
    """The files of one recording's folder, by part id or ``mixed``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._arrived = _written(folder)

    def here(self, name: str, declared: MediaFile) -> MediaFile | None:
        """The file that came under `name` before, if its bytes are still the ones that came."""
        known = self._arrived.get(name)
        if known is None or known.file is None:
            return None
        path = self._folder / known.file
        with contextlib.suppress(OSError):
            if path.stat().st_size == known.n_bytes and sha256(path) == known.sha256:
                return replace(known, format=declared.format, duration_s=declared.duration_s, problem=None)
        return None

    def add(self, name: str, media: MediaFile) -> None:
        """Remember a file that has just arrived."""
        with self._lock:
            self._arrived[name] = media
            rows = {k: asdict(v) for k, v in sorted(self._arrived.items())}
            write_json(self._folder / _LEDGER_FILE, "fetched", {"files": rows})

    def close(self) -> None:
        """Forget the ledger: ``recording.json`` says it all now."""
        _forget(self._folder)


def tidy(folder: Path) -> None:
    """Remove what a run that was killed left beside a recording of which everything is here."""
    sweep_parts(folder)
    _forget(folder)


def _forget(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / _LEDGER_FILE).unlink(missing_ok=True)


def _written(folder: Path) -> dict[str, MediaFile]:
    """What ``recording.json`` and the ledger say, the ledger being the younger."""
    known: dict[str, MediaFile] = {}
    meeting = read_meeting(folder)
    if meeting is not None:
        known = {p.part_id: p.media for p in meeting.parts if _is_plain(p.media)}
        if meeting.mix is not None and _is_plain(meeting.mix):
            known[MIXED] = meeting.mix
    with contextlib.suppress(ItemError, KeyError, TypeError, AttributeError):
        rows: dict[str, Any] = read_json(folder / _LEDGER_FILE, "fetched")["files"]
        known |= {k: m for k, v in rows.items() if _is_plain(m := MediaFile(**v))}
    return known


def _is_plain(media: MediaFile) -> bool:
    """Whether the file lies where files are put: a name in ``source``, nothing that leads elsewhere."""
    return media.file is not None and Path(media.file).parts[:-1] == ("source",)
