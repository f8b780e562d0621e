"""Keep a batch's recordings and journal, in a folder of this machine or in a store behind one.

::

    load_state ─▶ fetch ─▶ publish_download ─▶ process ─▶ discard
        ▲                        │                │          │
    from a store:            sources          results     local copy deleted

In a folder of this machine every file is in its place from the start, so that these steps do nothing.
"""

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from recall_audio import storage
from recall_audio.batch.disk_space import DownloadSpace, FreeSpace
from recall_audio.batch.request import Request
from recall_audio.batch.tasks import Task
from recall_audio.errors import MachineError, TransientError
from recall_audio.files import disk_error
from recall_audio.model.outcome import Outcome
from recall_audio.storage.workspace import CRASHES_FILE

JOURNAL_FILE = "journal.jsonl"
_PART_LINES = 100
"""Lines after which a part of a journal in a store is written."""
_PART_S = 60.0
"""Time after which it is written with fewer lines, seconds."""


class Journal:
    """``OUT/journal.jsonl``, a log with a line for each outcome.

    Each line is appended in one write, so that several processes can share a journal. A line that a killed
    process left half-written is ended first.

    Args:
        out: the output folder.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / JOURNAL_FILE
        self._begin = b"\n" if _ends_midline(self._path) else b""

    def add(self, outcome: Outcome) -> None:
        """Append one line.

        Raises:
            MachineError: it cannot be written.
        """
        line = self._begin + _journal_line(outcome)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            journal = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(journal, line)
            finally:
                os.close(journal)
        except OSError as error:
            failure = disk_error(error, self._path)
        else:
            self._begin = b""
            return
        raise failure


class StoreJournal:
    """A journal in a store: an object for each group of lines, written once.

    ``journal/<when the run began>-<random>-<number>.jsonl``, in order by name.

    Args:
        store: the output's.
    """

    def __init__(self, store: storage.Store) -> None:
        began = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._store, self._run = store, f"journal/{began}-{secrets.token_hex(4)}"
        self._lines: list[bytes] = []
        self._n_parts, self._written_at = 0, time.monotonic()

    def add(self, outcome: Outcome) -> None:
        """Add one line, to be written soon, at the latest when the run ends.

        Raises:
            MachineError: the store refuses.
        """
        self._lines.append(_journal_line(outcome))
        if len(self._lines) >= _PART_LINES or time.monotonic() - self._written_at >= _PART_S:
            self.write()

    def write(self) -> None:
        """Write the lines added since as one more part."""
        self._written_at = time.monotonic()
        if self._lines:
            with contextlib.suppress(TransientError):  # the next part takes these lines along
                self._store.write(f"{self._run}-{self._n_parts:05d}.jsonl", b"".join(self._lines))
                self._n_parts += 1
                self._lines.clear()


def _journal_line(outcome: Outcome) -> bytes:
    facts = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **outcome.to_json()}
    return json.dumps(facts, allow_nan=False).encode("ascii") + b"\n"


def _ends_midline(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    except OSError:
        return False  # missing or empty


@dataclass(slots=True)
class Workspace:
    """A folder of this machine.

    Attributes:
        request: what to do; its output folder is where recordings are worked on.
        space: the free space there.
        journal: keeps outcomes.
    """

    request: Request
    space: FreeSpace
    journal: Journal | StoreJournal

    def load_state(self, bot_id: str) -> None:
        """Bring what says how far a bot's recordings are."""

    def publish_download(self, folder: Path) -> None:
        """Keep what was downloaded."""

    def publish_crashes(self, folder: Path) -> None:
        """Keep the crash count of a recording."""

    def discard(self, folder: Path | None) -> None:
        """Delete the local copy of a recording, if there is one."""

    def task_for(self, folder: Path, task: Task) -> Task:
        """Return the task with the folder as a worker sees it."""
        return replace(task, folder=folder.absolute()) if self.request.cluster else task

    def with_location(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the lasting location of its recording."""
        return outcome


@dataclass(slots=True)
class RemoteWorkspace(Workspace):
    """A temporary folder of this machine in front of an object store.

    Attributes:
        store: the output in the store.
    """

    store: storage.Store

    def load_state(self, bot_id: str) -> None:
        """Download what says how far a bot's recordings are."""
        for folder in storage.load_states(self.store, bot_id, self.request.out):
            if self.request.verify:  # downloads are hashed before anything is requested
                sources = [n for n in storage.stored_names(folder) if n.startswith("source/")]
                storage.download_missing(self._store_of(folder), folder, sources)

    def _store_of(self, folder: Path) -> storage.Store:
        return storage.Store(self.store.url / folder.parent.name / folder.name)

    def publish_download(self, folder: Path) -> None:
        """Upload downloads, and delete the local ones if a cluster processes."""
        storage.publish_fetched(self._store_of(folder), folder)
        if self.request.cluster:
            shutil.rmtree(folder / "source", ignore_errors=True)

    def publish_crashes(self, folder: Path) -> None:
        """Upload the crash count of a recording."""
        with contextlib.suppress(OSError, MachineError, TransientError):
            self._store_of(folder).write(CRASHES_FILE, (folder / CRASHES_FILE).read_bytes())

    def discard(self, folder: Path | None) -> None:
        """Delete the local copy of a recording."""
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def task_for(self, folder: Path, task: Task) -> Task:
        """Return the task with the recording's address in the store."""
        name = Path(folder.parent.name) / folder.name
        address = self._store_of(folder).url.text
        return replace(task, folder=name if self.request.cluster else folder, store=address)

    def with_location(self, outcome: Outcome) -> Outcome:
        """Return the outcome with its recording's address in the store."""
        if not outcome.folder:
            return outcome
        return replace(outcome, folder=str(self.store.url / outcome.bot_id / outcome.recording_id))


@contextlib.contextmanager
def open_workspace(request: Request) -> Iterator[Workspace]:
    """Open the folder or the store that a request names.

    Raises:
        MachineError: the store refuses, or its extra is not installed.
        TransientError: it cannot be reached.
    """
    if request.store is None:
        yield Workspace(request, FreeSpace(request.out), Journal(request.out))
        return
    store = storage.Store(request.store)
    store.check()
    with storage.temporary_workspace() as out:
        journal = StoreJournal(store)
        space = (DownloadSpace if request.cluster else FreeSpace)(out)
        try:
            yield RemoteWorkspace(replace(request, out=out), space, journal, store)
        finally:
            with contextlib.suppress(MachineError):
                journal.write()
