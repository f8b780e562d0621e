"""What earlier runs left: recordings that are here, that are done, that are set aside."""

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recall_audio import __version__, fetch, storage
from recall_audio.errors import ItemError
from recall_audio.files import read_json, sha256, write_json
from recall_audio.model.meeting import MediaFile, Meeting
from recall_audio.model.options import Options
from recall_audio.pipeline.documents import Layout, read_meeting
from recall_audio.pipeline.manifest import earlier
from recall_audio.pipeline.plan import STAGES, stage_keys, stale_stages
from recall_audio.pipeline.process import parameters_of
from recall_audio.storage import discard


def discard_changed(folder: Path) -> list[str]:
    """Delete results whose bytes have changed, so that their stages run again; gives their paths.

    Raises:
        ItemError: ``changed_input``: a downloaded file has changed, and only the API can mend that.
    """
    changed = changed_inputs(folder)
    if changed:
        raise ItemError(
            f"{', '.join(changed)} changed since the download; expected the bytes that came.",
            "Fetch it again: `recall-audio run BOT_ID --verify`.",
            code="changed_input",
        )
    discarded = [name for name, facts in _outputs(folder) if _differs(folder / name, facts)]
    for name in discarded:
        discard(folder, name)
    return discarded


def changed_inputs(folder: Path) -> list[str]:
    """Downloaded files of a recording whose bytes are not those that came, by path below its folder.

    Raises:
        ItemError: ``recording.json`` cannot be read.
    """
    return [
        m.file
        for m in media_of(folder)
        if m.file and _differs(folder / m.file, {"bytes": m.n_bytes, "sha256": m.sha256})
    ]


def media_of(folder: Path) -> list[MediaFile]:
    """What was downloaded of a recording, or should have been; raises as :func:`changed_inputs`."""
    meeting = read_meeting(Layout(folder))
    return [p.media for p in meeting.parts] + ([meeting.mix] if meeting.mix else [])


def discard_inputs(folder: Path) -> bool:
    """Delete downloaded files that have changed, so that they are fetched again; whether there were any."""
    changed = changed_inputs(folder)
    for name in changed:
        discard(folder, name)
    return bool(changed)


def _outputs(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    layout = Layout(folder)
    for manifest in (layout.run, layout.work / "run.json"):
        with contextlib.suppress(ItemError, KeyError, TypeError, AttributeError):
            for stage in read_json(manifest, "run")["stages"]:
                yield from stage["outputs"].items()


def _differs(path: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a file is not what it was; a missing one differs too."""
    try:
        return bool(path.stat().st_size != facts["bytes"] or sha256(path) != facts["sha256"])
    except OSError:
        return True


CRASHES_FILE = "crashes.json"
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


def is_quarantined(folder: Path) -> bool:
    """Whether a recording has ended its process so often that it is not tried again."""
    return _crashes(folder) >= _MOST_CRASHES


def quarantine_error(folder: Path) -> ItemError:
    """Why a recording is not tried again."""
    return ItemError(
        f"Processing it ended its process {_crashes(folder)} times; it is set aside.",
        "--force tries it again; another version of this package does so by itself.",
        code="set_aside",
    )


def record_crash(folder: Path, code: str, message: str, more_times: int = 1) -> bool:
    """Remember that a recording ended its process (or had to be ended); True where it is now set aside.

    Another version of the package counts from the start: it may have learnt to live with it.
    """
    times = _crashes(folder) + more_times
    at = datetime.now(UTC).isoformat(timespec="seconds")
    body = {"version": __version__, "times": times, "last": {"at": at, "code": code, "message": message}}
    write_json(folder / CRASHES_FILE, "crashes", body)
    return times >= _MOST_CRASHES


def clear_crashes(folder: Path) -> None:
    """Forget earlier crashes of a recording."""
    with contextlib.suppress(OSError):
        (folder / CRASHES_FILE).unlink(missing_ok=True)


def _crashes(folder: Path) -> int:
    try:
        known: dict[str, Any] = read_json(folder / CRASHES_FILE, "crashes")
    except ItemError:
        return 0
    times = known.get("times")
    return times if isinstance(times, int) and known.get("version") == __version__ else 0
