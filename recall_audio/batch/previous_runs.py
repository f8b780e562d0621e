"""Answer what earlier runs left of a recording: whether it is fetched, processed, changed or quarantined.

This is the only module of the package that answers "is this recording here already?"::

    open_known_recordings    known at all              its recording.json
    fetched_folders          needs no request          its files, by size; with --verify by hash
    standing_outcome         needs no processing       its run.json, and the files and options named there
    stages_to_redo           what a run would redo     its run.json
    has_results              something to show         its run.json

Sizes are asked of :func:`recall_audio.storage.size_of`, which counts files in a store as present.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recall_audio import __version__, fetch, storage
from recall_audio.batch.request import Request
from recall_audio.errors import ItemError
from recall_audio.files import path_in, read_json, sha256, write_json
from recall_audio.model.meeting import MediaFile, Meeting
from recall_audio.model.options import Options
from recall_audio.model.outcome import WAITING_CODES, WITH_RESULTS, Outcome
from recall_audio.pipeline.documents import Layout, read_meeting, transcript_digest
from recall_audio.pipeline.manifest import StageRecord, earlier, intact
from recall_audio.pipeline.plan import STAGES, stage_keys, stale_stages
from recall_audio.pipeline.process import finished, parameters_of
from recall_audio.storage.workspace import CRASHES_FILE, DELETED_FILE

_MAX_CRASHES = 2
"""Crashes after which a recording is quarantined: one may be the machine's fault."""


@contextlib.contextmanager
def open_known_recordings(location: storage.Location, bot_ids: Sequence[str]) -> Iterator[list[Path]]:
    """Yield the folders of the known recordings of some bots.

    Of a store they are temporary folders with the recordings' state.

    Raises:
        TransientError, MachineError: the store cannot be read.
    """
    if isinstance(location, Path):
        yield [folder for bot_id in bot_ids for folder in fetch.known_recordings(location, bot_id)]
        return
    store = storage.Store(location)
    with storage.temporary_workspace() as root:
        yield [folder for bot_id in bot_ids for folder in storage.load_states(store, bot_id, root)]


def fetched_folders(bot_id: str, request: Request) -> list[Path] | None:
    """Return the folders of a bot, or None where the API has to be asked.

    With ``verify``, downloads whose bytes have changed are deleted first, so that they are fetched again.
    """
    if request.force:
        return None
    try:
        if request.verify:
            for folder in fetch.known_recordings(request.out, bot_id):
                if not deleted_at(folder):  # else nothing could replace them
                    discard_changed_inputs(folder)
        folders = _complete_bot(request.out, bot_id)
        if folders is not None and request.options is None and not all(map(is_complete, folders)):
            return None  # only the API knows whether what is missing is missing for good
        if folders is not None and request.fetch.transcript and not all(map(_has_transcript, folders)):
            return None
    except ItemError:
        return None
    return folders


def _complete_bot(out: Path, bot_id: str) -> list[Path] | None:
    """Return the folders of a bot that is over if all its files are here."""
    folders = fetch.known_recordings(out, bot_id)
    meetings = [read_meeting(Layout(folder)) for folder in folders]
    wanted = {i for m in meetings for i in m.bot.get("recording_ids", [])}
    is_over = all(m.bot.get("is_over") for m in meetings)
    if not meetings or not is_over or wanted != {m.recording_id for m in meetings}:
        return None
    return folders if all(map(has_media, folders)) else None


def _has_transcript(folder: Path) -> bool:
    return (folder / "source" / "transcript.json").is_file()


def has_media(folder: Path) -> bool:
    """Tell whether every file that came of a recording is here, by its size, and none is to come."""
    with contextlib.suppress(ItemError, OSError):
        if any(f.code in WAITING_CODES for f in read_meeting(Layout(folder)).findings):
            return False
        return intact(folder, {m.file: {"bytes": m.n_bytes} for m in media_of(folder) if m.file})
    return False


def is_complete(folder: Path) -> bool:
    """Tell whether nothing was missing or odd when a recording was fetched.

    Raises:
        ItemError: ``recording.json`` cannot be read.
    """
    meeting = read_meeting(Layout(folder))
    is_odd = any(finding.severity == "warning" for finding in meeting.findings)
    return not is_odd and not any(m.problem or not m.file for m in _media(meeting))


def media_of(folder: Path) -> list[MediaFile]:
    """Return the media of a recording, downloaded or missing.

    Raises as :func:`is_complete`.
    """
    return _media(read_meeting(Layout(folder)))


def _media(meeting: Meeting) -> list[MediaFile]:
    return [p.media for p in meeting.parts] + ([meeting.mix] if meeting.mix else [])


def standing_outcome(folder: Path, request: Request) -> Outcome | None:
    """Return the outcome of a recording that needs no processing, else None.

    It is not where it is done under these options, where its ``recording.json`` cannot be read, and where it
    is quarantined. ``force`` processes it in any case and clears its crashes.
    """
    if request.force:
        clear_crashes(folder)
        return None
    bot_id = folder.parent.name
    if not request.verify:
        try:
            outcome = finished(folder, request.options or Options())
        except ItemError as error:
            return Outcome.of_error(error, bot_id, folder)
        if outcome is not None:
            return outcome
    if is_quarantined(folder):
        return Outcome.of_error(quarantine_error(folder), bot_id, folder)
    return None


def stages_to_redo(folder: Path, options: Options) -> tuple[str, list[str]]:
    """Return a recording's version and the stages that a run would redo.

    The version is empty where there are no results.

    Raises:
        ItemError: ``recording.json`` cannot be read.
    """
    layout = Layout(folder)
    meeting = read_meeting(layout)
    version = ""
    for path in (layout.work / "run.json", layout.run):
        with contextlib.suppress(ItemError):
            version = str(read_json(path, "run").get("version", version))
    keys = stage_keys(meeting, options, transcript_digest(layout))
    stale = stale_stages(earlier(layout, parameters_of(options)), keys)
    return version, [name for name in STAGES if name in stale]


def has_results(location: storage.Location) -> bool:
    """Tell whether a recording's folder, or its address in a store, holds results.

    Raises:
        TransientError, MachineError: the store cannot be read.
    """
    if isinstance(location, Path):
        with contextlib.suppress(ItemError):
            return read_json(Layout(location).run, "run").get("status") in WITH_RESULTS
        return False
    return storage.Store(location).facts("run.json") is not None


def discard_changed(folder: Path) -> list[str]:
    """Delete results whose bytes have changed and return their paths.

    Their stages run again.

    Raises:
        ItemError: ``changed_input``: a downloaded file has changed, and only the API can replace it.
    """
    changed = changed_inputs(folder)
    if changed:
        when = deleted_at(folder)
        gone = f"Recall.ai's copy was deleted at {when}: restore the file from a backup."
        raise ItemError(
            f"{', '.join(changed)} changed since the download; expected the bytes that came.",
            gone if when else "Fetch it again: `recall-audio run BOT_ID --verify`.",
            code="changed_input",
        )
    discarded = [name for name, facts in _outputs(folder) if _differs(path_in(folder, name), facts)]
    for name in discarded:
        storage.discard(folder, name)
    return discarded


def changed_inputs(folder: Path) -> list[str]:
    """Return the paths of downloads whose bytes are not those that came.

    Raises:
        ItemError: ``recording.json`` cannot be read.
    """
    return [
        m.file
        for m in media_of(folder)
        if m.file and _differs(path_in(folder, m.file), {"bytes": m.n_bytes, "sha256": m.sha256})
    ]


def discard_changed_inputs(folder: Path) -> bool:
    """Delete downloads that have changed and return whether there were any."""
    changed = changed_inputs(folder)
    for name in changed:
        storage.discard(folder, name)
    return bool(changed)


def _outputs(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    layout = Layout(folder)
    for manifest in (layout.run, layout.work / "run.json"):
        with contextlib.suppress(ItemError, KeyError, TypeError, AttributeError):
            for stage in read_json(manifest, "run")["stages"]:
                yield from StageRecord.from_json(stage).outputs.items()


def _differs(path: Path, facts: Mapping[str, Any]) -> bool:
    """Tell whether a file is missing or its bytes are not those of `facts`."""
    try:
        return bool(path.stat().st_size != facts["bytes"] or sha256(path) != facts["sha256"])
    except OSError:
        return True


def deleted_at(folder: Path) -> str:
    """Return when a recording's media were deleted at Recall.ai, ISO 8601, or an empty text."""
    with contextlib.suppress(ItemError, KeyError):
        return str(read_json(folder / DELETED_FILE, "deleted")["deleted_at"])
    return ""


def is_quarantined(folder: Path) -> bool:
    """Tell whether a recording crashed so often that it is not tried again."""
    return _crashes(folder) >= _MAX_CRASHES


def quarantine_error(folder: Path) -> ItemError:
    """Return the error of a recording that is not tried again."""
    return ItemError(
        f"It is quarantined: processing it ended its process {_crashes(folder)} times.",
        "Try again with --force; another version of this package tries again by itself.",
        code="set_aside",
    )


def record_crash(folder: Path, code: str, message: str, more_times: int = 1) -> bool:
    """Count a crash or time-out and return whether that quarantines it.

    Another version of the package counts from the start: it may have fixed the cause.

    Raises:
        MachineError: the count cannot be written.
    """
    times = _crashes(folder) + more_times
    ended_at = datetime.now(UTC).isoformat(timespec="seconds")
    last = {"at": ended_at, "code": code, "message": message}
    write_json(folder / CRASHES_FILE, "crashes", {"version": __version__, "times": times, "last": last})
    return times >= _MAX_CRASHES


def clear_crashes(folder: Path) -> None:
    """Delete the crash count of a recording."""
    with contextlib.suppress(OSError):
        (folder / CRASHES_FILE).unlink(missing_ok=True)


def _crashes(folder: Path) -> int:
    try:
        value: dict[str, Any] = read_json(folder / CRASHES_FILE, "crashes")
    except ItemError:
        return 0
    times = value.get("times")
    return times if isinstance(times, int) and value.get("version") == __version__ else 0
