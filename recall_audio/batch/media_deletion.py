"""Delete the media of bots at Recall.ai once every recording of them is safe here.

::

    all outcomes of a bot are done ─▶ verified here? ── yes ─▶ deleted there ─▶ deleted.json, journal
                                           └─ no ─▶ a warning that says why they stay

Deleting cannot be undone, so that every doubt keeps the media. A failure to delete costs no result.
"""

import contextlib
import datetime
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from recall_audio import fetch, storage
from recall_audio.batch import previous_runs
from recall_audio.batch.request import Request, SettingsSource
from recall_audio.batch.tasks import unexpected_error
from recall_audio.batch.workspace import Journal, StoreJournal
from recall_audio.errors import ItemError, RecallAudioError
from recall_audio.files import read_json, write_json
from recall_audio.model.outcome import Outcome, ending_of
from recall_audio.pipeline.documents import Layout, read_meeting
from recall_audio.storage.workspace import DELETED_FILE, read_sidecar

_log = logging.getLogger(__name__)

DELETED, KEPT = "media_deleted", "media_kept"
"""Codes of the journal's lines about media at Recall.ai."""


@dataclass(slots=True)
class MediaDeletion:
    """Deletes media at Recall.ai, one bot after another, in a thread of its own.

    Attributes:
        request: what the batch is asked to do; its location is the output's own.
        read_settings: returns key and region; called only where something is to be deleted.
        journal: takes a line for each recording.
        stop: ends what is under way.
    """

    request: Request
    read_settings: SettingsSource
    journal: Journal | StoreJournal
    stop: Event
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "deleting"))
    _ended: list[str] = field(default_factory=list)

    def on_bot(self, outcomes: Sequence[Outcome]) -> None:
        """Delete a bot's media if all its recordings ended well; called with all its outcomes."""
        if all(outcome.status == "done" and outcome.recording_id for outcome in outcomes):
            self._pool.submit(self._handle, outcomes[0].bot_id)
        else:
            self._ended.append(KEPT)

    def close(self) -> None:
        """Wait for what is under way, and log how many bots' media were deleted and how many were kept."""
        self._pool.shutdown(wait=True, cancel_futures=self.stop.is_set())
        deleted, kept = self._ended.count(DELETED), self._ended.count(KEPT)
        if deleted or kept:
            others = f"; those of {kept} stay there, because not all of it is finished here" if kept else ""
            _log.warning("Recall.ai deleted the media of %d bot%s%s.", deleted, "s" * (deleted != 1), others)

    def _handle(self, bot_id: str) -> None:
        try:
            with previous_runs.open_known_recordings(self._location, [bot_id]) as folders:
                if folders and all(map(previous_runs.deleted_at, folders)):
                    return
                if doubt := doubt_about(folders):
                    self._keep(bot_id, "media_not_verified", doubt)
                    return
                fetch.delete_media(self.read_settings(), bot_id, self.stop)
                for folder in folders:
                    self._note(bot_id, folder)
                self._ended.append(DELETED)
        except RecallAudioError as error:
            self._keep(bot_id, error.code, error.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, results and other bots are not touched
            self._keep(bot_id, "unexpected", unexpected_error(error).message)

    @property
    def _location(self) -> storage.Location:
        return self.request.out if self.request.store is None else self.request.store

    def _keep(self, bot_id: str, code: str, why: str) -> None:
        self._ended.append(KEPT)
        _log.warning("bot %s: its media stay at Recall.ai: %s", bot_id, why)
        self._write(Outcome(bot_id, "done", code=KEPT, message=f"{code}: {why}"))

    def _note(self, bot_id: str, folder: Path) -> None:
        """Record in the folder, or in the store, and in the journal what was deleted."""
        media = [m for m in previous_runs.media_of(folder) if m.file]
        body = {
            "deleted_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "files": {m.file: {"bytes": m.n_bytes, "sha256": m.sha256} for m in media},
        }
        with contextlib.suppress(RecallAudioError):  # without it the next run deletes once more
            write_json(folder / DELETED_FILE, "deleted", body)
            if isinstance(self._location, storage.Url):
                store = storage.Store(self._location / bot_id / folder.name)
                store.write(DELETED_FILE, (folder / DELETED_FILE).read_bytes())
        n_bytes = sum(m.n_bytes or 0 for m in media)
        said = f"Recall.ai deleted its media; {len(media)} files, {n_bytes} bytes, are verified here."
        place = str(folder if isinstance(self._location, Path) else self._location / bot_id / folder.name)
        self._write(Outcome(bot_id, "done", folder.name, place, code=DELETED, message=said))

    def _write(self, line: Outcome) -> None:
        with contextlib.suppress(RecallAudioError):  # the batch itself finds a full disk
            self.journal.add(line)


@contextlib.contextmanager
def media_deletion(
    request: Request, read_settings: SettingsSource, journal: Journal | StoreJournal, stop: Event
) -> Iterator[MediaDeletion | None]:
    """Yield what deletes media as the request asks, or None where it does not; wait for it at the end."""
    if not request.delete_media:
        yield None
        return
    deletion = MediaDeletion(request, read_settings, journal, stop)
    try:
        yield deletion
    finally:
        deletion.close()


def doubt_about(folders: Sequence[Path]) -> str:
    """Return why a bot's media may not be deleted yet, or an empty text.

    Args:
        folders: the recordings of the bot that are here.

    Raises:
        ItemError: a document of theirs cannot be read.
    """
    meetings = [read_meeting(Layout(folder)) for folder in folders]
    if not meetings or not all(m.bot.get("is_over") for m in meetings):
        return "the bot may still record."
    named = {i for m in meetings for i in m.bot.get("recording_ids", [])}
    if named != {m.recording_id for m in meetings}:
        return "not all of its recordings are here."
    return next(filter(None, map(_doubt_about_recording, folders)), "")


def _doubt_about_recording(folder: Path) -> str:
    """Return why a recording is not safe here, or an empty text."""
    name, media = folder.name, previous_runs.media_of(folder)
    status = ending_of(read_json(Layout(folder).run, "run")).status
    if status != "complete":
        return f"recording {name} is {status}."
    if any(not m.file or m.problem or not m.n_bytes for m in media):
        return f"a file of recording {name} is missing."
    if unverified := [m.file for m in media if not m.length_verified]:
        return f"the server did not name the length of {unverified[0]} of recording {name}."
    if not previous_runs.has_media(folder):
        return f"not all files of recording {name} are here as they came, or some are still being made."
    try:
        # A store's copy was hashed on its way there, and is compared by size.
        changed = [] if read_sidecar(folder) else previous_runs.changed_inputs(folder)
    except ItemError as error:
        return error.message
    return f"{changed[0]} of recording {name} changed since it came." if changed else ""
