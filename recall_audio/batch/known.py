"""What earlier runs left: recordings that are here, that are done, that are set aside."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recall_audio import __version__, fetch, storage
from recall_audio.errors import ItemError
from recall_audio.files import read_json, write_json
from recall_audio.model.meeting import MediaFile, Meeting
from recall_audio.model.options import Options
from recall_audio.workflow.documents import read_meeting
from recall_audio.workflow.layout import Layout
from recall_audio.workflow.manifest import earlier
from recall_audio.workflow.plan import STAGES, stage_keys, stale_stages
from recall_audio.workflow.process import parameters_of

MARKER = "crashes.json"
"""Name of the file that counts how often a recording ended its process."""

_MOST_CRASHES = 2


def fetched_recordings(out: Path, bot_id: str) -> list[Path] | None:
    """Folders of a bot of which everything is here; None where something is to be asked for."""
    folders = fetch.known_recordings(out, bot_id)
    try:
        meetings = [read_meeting(Layout(folder)) for folder in folders]
    except ItemError:
        return None
    wanted = {i for m in meetings for i in m.bot.get("recording_ids", [])}
    is_over = all(m.bot.get("is_over") for m in meetings)
    if not meetings or not is_over or wanted != {m.recording_id for m in meetings}:
        return None
    return folders if all(map(has_its_media, folders)) else None


def has_its_media(folder: Path) -> bool:
    """Whether a recording was fetched and every file that came is here, by its size."""
    with contextlib.suppress(ItemError, OSError):
        media = _media(read_meeting(Layout(folder)))
        return all(storage.size_of(folder, m.file) == m.n_bytes for m in media if m.file)
    return False


def is_whole(folder: Path) -> bool:
    """Whether nothing was missing or odd when a recording was fetched."""
    meeting = read_meeting(Layout(folder))
    odd = any(f.severity == "warning" for f in meeting.findings)
    return not odd and not any(m.problem or not m.file for m in _media(meeting))


def _media(meeting: Meeting) -> list[MediaFile]:
    return [p.media for p in meeting.parts] + ([meeting.mix] if meeting.mix else [])


def to_redo(folder: Path, options: Options) -> tuple[str, list[str]]:
    """The version that left a recording's results, and the stages that these options would run again.

    The version is empty where there are no results.
    """
    layout = Layout(folder)
    meeting = read_meeting(layout)
    version = ""
    for path in (layout.work / "run.json", layout.run):
        with contextlib.suppress(ItemError):
            version = str(read_json(path, "run").get("version", version))
    stale = stale_stages(earlier(layout, parameters_of(options)), stage_keys(meeting, options))
    return version, [name for name in STAGES if name in stale]


def is_set_aside(folder: Path) -> bool:
    """Whether a recording has ended its process so often that it is not tried again."""
    return _crashes(folder) >= _MOST_CRASHES


def set_aside_error(folder: Path) -> ItemError:
    """Why a recording is not tried again."""
    return ItemError(
        f"Processing it ended its process {_crashes(folder)} times; it is set aside.",
        "--force tries it again; another version of this package does so by itself.",
        code="set_aside",
    )


def note_crash(folder: Path, code: str, message: str, more_times: int = 1) -> bool:
    """Remember that a recording ended its process (or had to be ended); True where it is now set aside.

    Another version of the package counts from the start: it may have learnt to live with it.
    """
    times = _crashes(folder) + more_times
    at = datetime.now(UTC).isoformat(timespec="seconds")
    body = {"version": __version__, "times": times, "last": {"at": at, "code": code, "message": message}}
    write_json(folder / MARKER, "crashes", body)
    return times >= _MOST_CRASHES


def forgive(folder: Path) -> None:
    """Forget earlier crashes of a recording."""
    with contextlib.suppress(OSError):
        (folder / MARKER).unlink(missing_ok=True)


def _crashes(folder: Path) -> int:
    try:
        known: dict[str, Any] = read_json(folder / MARKER, "crashes")
    except ItemError:
        return 0
    times = known.get("times")
    return times if isinstance(times, int) and known.get("version") == __version__ else 0
