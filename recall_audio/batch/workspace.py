"""Where a batch keeps its recordings: a folder of this machine, or a store behind one.

::

    look ──▶ fetch ──▶ fetched ──▶ process ──▶ ended          a folder: none of it does anything
      ▲                   │           │           │
    facts              sources     results     scratch gone   a store
"""

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from recall_audio import storage
from recall_audio.batch.disk_space import DownloadSpace, FreeSpace
from recall_audio.batch.previous_runs import CRASHES_FILE
from recall_audio.batch.request import Request
from recall_audio.batch.tasks import Task
from recall_audio.errors import MachineError, TransientError
from recall_audio.files import disk_error
from recall_audio.model.outcome import Outcome
from recall_audio.storage import Store

JOURNAL_FILE = "journal.jsonl"
_PART_LINES, _PART_S = 100, 60.0


class Journal:
    """Appends lines, each in one write, so that several processes can share a journal.

    A line that a killed process left half-written is ended first.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / JOURNAL_FILE
        self._begin = b"\n" if _is_torn(self._path) else b""

    def add(self, outcome: Outcome) -> None:
        """Append one line.

        Raises:
            MachineError: it cannot be written.
        """
        line = self._begin + _line(outcome)
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
    """A journal in a store, which appends to nothing: an object for so many lines, none written twice.

    ``journal/<when the run began>-<random>-<number>.jsonl``; by name they are in order.

    Args:
        store: the output's.
    """

    def __init__(self, store: Store) -> None:
        began = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._store, self._run = store, f"journal/{began}-{secrets.token_hex(4)}"
        self._lines: list[bytes] = []
        self._n_parts, self._since = 0, time.monotonic()

    def add(self, outcome: Outcome) -> None:
        """Keep one line; written soon, at the latest when the run ends.

        Raises:
            MachineError: the store refuses.
        """
        self._lines.append(_line(outcome))
        if len(self._lines) >= _PART_LINES or time.monotonic() - self._since >= _PART_S:
            self.write()

    def write(self) -> None:
        """Write what has been kept as one more part."""
        self._since = time.monotonic()
        if self._lines:
            with contextlib.suppress(TransientError):  # a log: the next part takes these lines along
                self._store.write(f"{self._run}-{self._n_parts:05d}.jsonl", b"".join(self._lines))
                self._n_parts += 1
                self._lines.clear()


def _line(outcome: Outcome) -> bytes:
    facts = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **outcome.to_json()}
    return json.dumps(facts, allow_nan=False).encode("ascii") + b"\n"


def _is_torn(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    except OSError:
        return False  # not there, or empty


@dataclass(slots=True)
class Workspace:
    """A folder of this machine.

    Attributes:
        request: what to do; its output folder is where recordings are worked on.
        room: the free space there.
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
        """Keep that a recording ended its process."""

    def discard(self, folder: Path | None) -> None:
        """Nothing of a recording is needed here any more."""

    def task_for(self, folder: Path, task: Task) -> Task:
        """What a worker is told of a recording."""
        return replace(task, folder=folder.absolute()) if self.request.cluster else task

    def with_location(self, outcome: Outcome) -> Outcome:
        """An outcome with the place where its recording really is."""
        return outcome


@dataclass(slots=True)
class RemoteWorkspace(Workspace):
    """A temporary folder of this machine in front of an object store.

    Attributes:
        store: the output in the store.
    """

    store: storage.Store

    def load_state(self, bot_id: str) -> None:
        """Download what says how far the recordings of a bot are."""
        for folder in storage.load_states(self.store, bot_id, self.request.out):
            if self.request.verify:  # of downloads, whose bytes are looked at before anything is asked
                sources = [n for n in storage.stored_names(folder) if n.startswith("source/")]
                storage.download_missing(self._at(folder), folder, sources)

    def _at(self, folder: Path) -> storage.Store:
        return storage.Store(self.store.url / folder.parent.name / folder.name)

    def publish_download(self, folder: Path) -> None:
        """Upload the downloaded files of a recording."""
        storage.publish_fetched(self._at(folder), folder)
        if self.request.cluster:
            shutil.rmtree(folder / "source", ignore_errors=True)

    def publish_crashes(self, folder: Path) -> None:
        """Upload the crash count of a recording."""
        with contextlib.suppress(OSError, MachineError, TransientError):
            self._at(folder).write(CRASHES_FILE, (folder / CRASHES_FILE).read_bytes())

    def discard(self, folder: Path | None) -> None:
        """Delete the local copy of a recording."""
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def task_for(self, folder: Path, task: Task) -> Task:
        """Address a task to the recording in the store."""
        name = Path(folder.parent.name) / folder.name
        return replace(task, folder=name if self.request.cluster else folder, store=self._at(folder).url.text)

    def with_location(self, outcome: Outcome) -> Outcome:
        """Replace the folder of an outcome by its address in the store."""
        if not outcome.folder:
            return outcome
        return replace(outcome, folder=str(self.store.url / outcome.bot_id / outcome.recording_id))


@contextmanager
def open_workspace(request: Request) -> Iterator[Workspace]:
    """Where a request wants its recordings.

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
        here = replace(request, out=out)
        journal = StoreJournal(store)
        try:
            yield RemoteWorkspace(
                here, (DownloadSpace if request.cluster else FreeSpace)(out), journal, store
            )
        finally:
            with contextlib.suppress(MachineError):
                journal.write()
