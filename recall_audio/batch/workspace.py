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
from recall_audio.batch.disk_space import Room, RoomElsewhere
from recall_audio.batch.previous_runs import MARKER
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


class JournalParts:
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
class Shelf:
    """A folder of this machine.

    Attributes:
        request: what to do; its output folder is where recordings are worked on.
        room: the free space there.
        journal: keeps outcomes.
    """

    request: Request
    room: Room
    journal: Journal | JournalParts

    def look(self, bot_id: str) -> None:
        """Bring what says how far a bot's recordings are."""

    def fetched(self, folder: Path) -> None:
        """Keep what was downloaded."""

    def crashed(self, folder: Path) -> None:
        """Keep that a recording ended its process."""

    def ended(self, folder: Path | None) -> None:
        """Nothing of a recording is needed here any more."""

    def task(self, folder: Path, task: Task) -> Task:
        """What a worker is told of a recording."""
        return replace(task, folder=folder.absolute()) if self.request.cluster else task

    def shown(self, outcome: Outcome) -> Outcome:
        """An outcome with the place where its recording really is."""
        return outcome


@dataclass(slots=True)
class _StoreShelf(Shelf):
    store: storage.Store

    def look(self, bot_id: str) -> None:
        for folder in storage.look_for_all(self.store, bot_id, self.request.out):
            if self.request.verify:  # of downloads, whose bytes are looked at before anything is asked
                sources = [n for n in storage.all_there(folder) if n.startswith("source/")]
                storage.bring(self._at(folder), folder, sources)

    def _at(self, folder: Path) -> storage.Store:
        return storage.Store(self.store.url / folder.parent.name / folder.name)

    def fetched(self, folder: Path) -> None:
        storage.publish_fetched(self._at(folder), folder)
        if self.request.cluster:
            shutil.rmtree(folder / "source", ignore_errors=True)

    def crashed(self, folder: Path) -> None:
        with contextlib.suppress(OSError, MachineError, TransientError):
            self._at(folder).write(MARKER, (folder / MARKER).read_bytes())

    def ended(self, folder: Path | None) -> None:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def task(self, folder: Path, task: Task) -> Task:
        name = Path(folder.parent.name) / folder.name
        return replace(task, folder=name if self.request.cluster else folder, store=self._at(folder).url.text)

    def shown(self, outcome: Outcome) -> Outcome:
        if not outcome.folder:
            return outcome
        return replace(outcome, folder=str(self.store.url / outcome.bot_id / outcome.recording_id))


@contextmanager
def shelf_for(request: Request) -> Iterator[Shelf]:
    """Where a request wants its recordings.

    Raises:
        MachineError: the store refuses, or its extra is not installed.
        TransientError: it cannot be reached.
    """
    if request.store is None:
        yield Shelf(request, Room(request.out), Journal(request.out))
        return
    store = storage.Store(request.store)
    store.check()
    with storage.scratch() as out:
        here = replace(request, out=out)
        journal = JournalParts(store)
        try:
            yield _StoreShelf(here, (RoomElsewhere if request.cluster else Room)(out), journal, store)
        finally:
            with contextlib.suppress(MachineError):
                journal.write()
