"""Keep a batch's recordings and journal, in a folder of this machine or in a store behind one.

::

    load_state ─▶ fetch ─▶ publish_download ─▶ process ─▶ discard
        ▲                        │                │          │
    from a store:            sources          results     local copy deleted

In a folder of this machine every file is in its place from the start, so that these steps do nothing. Disk
space is reserved for a recording before it is begun.
"""

import contextlib
import datetime
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from recall_audio import storage
from recall_audio.batch.request import Request
from recall_audio.batch.tasks import Task
from recall_audio.errors import ItemError, MachineError, TransientError
from recall_audio.files import disk_error
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import Options, StemOptions
from recall_audio.model.outcome import Outcome
from recall_audio.pipeline.documents import Layout, read_meeting
from recall_audio.storage.workspace import CRASHES_FILE
from recall_audio.units import RATE_HZ

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
        began = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        self._store, self._run = store, f"journal/{began}-{secrets.token_hex(4)}"
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._n_parts, self._written_at = 0, time.monotonic()

    def add(self, outcome: Outcome) -> None:
        """Add one line, to be written soon, at the latest when the run ends.

        Raises:
            MachineError: the store refuses.
        """
        with self._lock:
            self._lines.append(_journal_line(outcome))
        if len(self._lines) >= _PART_LINES or time.monotonic() - self._written_at >= _PART_S:
            self.write()

    def write(self) -> None:
        """Write the lines added since as one more part."""
        self._written_at = time.monotonic()
        with self._lock, contextlib.suppress(TransientError):  # the next part takes these lines along
            if self._lines:
                self._store.write(f"{self._run}-{self._n_parts:05d}.jsonl", b"".join(self._lines))
                self._n_parts += 1
                self._lines.clear()


def _journal_line(outcome: Outcome) -> bytes:
    facts = {"at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), **outcome.to_json()}
    return json.dumps(facts, allow_nan=False).encode("ascii") + b"\n"


def _ends_midline(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    except OSError:
        return False  # missing or empty


RESERVE_BYTES = 128 << 20
"""Free space that no recording is begun into."""

_WORK_BYTES_PER_S = 2 * RATE_HZ
"""Working files: 16-bit samples."""
_SAMPLE_BYTES = {"16": 2, "24": 3, "32f": 4}
_NATIVE_HZ = 48_000
"""Highest rate of stems that keep their source's."""
_POLY_FACTOR = 2.0
"""Size of stems with ``poly``, which adds a file of all channels."""
_MIXDOWN_FACTOR = 1.5
"""Size of stems with a mixdown, which beside two stems adds half as much again."""
_BYTES_PER_SOURCE_BYTE = 12
"""Growth of a source of undeclared length when it is decoded: 24 kbit/s Opus grows by 10.7."""
_LEAST_BYTES_PER_S = 250
"""Bytes of a second of audio in the thriftiest files: Opus at 2 kbit/s in silence. What is declared to be
longer than its bytes can hold is cut by the decoder, and needs no space."""


def needed_bytes(meeting: Meeting, options: Options, *, by_bytes: bool = False) -> int:
    """Return the most bytes that processing a recording writes.

    These are working files, stems, and one stem in the making.

    Args:
        meeting: the recording.
        options: how it will be processed.
        by_bytes: leave out how late a part begins, which only the API says and no byte on the disk bears out.
    """
    files = [(p.nominal_start_s, p.media) for p in meeting.parts if p.media.file]
    parts_s = [_length_s(media.duration_s, media.n_bytes) for _, media in files]
    has_mix = meeting.mix is not None and meeting.mix.file is not None
    ends_s = [s + start for s, (start, _) in zip(parts_s, files, strict=True)]
    clock_s = parts_s if has_mix or by_bytes else ends_s  # without a mix, the last end is the recording's
    mix_s = max([_mix_s(meeting), *clock_s], default=0.0)
    work_bytes = _WORK_BYTES_PER_S * (mix_s + sum(parts_s))
    with_parts = {p.participant_id for p in meeting.parts if p.media.file}
    n_stems = len(meeting.participants if options.stems.silent and with_parts else with_parts)
    return int(work_bytes + _stem_bytes_per_s(options.stems) * mix_s * (n_stems + bool(n_stems)))


def _stem_bytes_per_s(options: StemOptions) -> float:
    bytes_per_s = (options.rate_hz or _NATIVE_HZ) * _SAMPLE_BYTES[options.bits]
    poly_factor = _POLY_FACTOR if options.poly else 1.0
    return float(bytes_per_s) * poly_factor * (_MIXDOWN_FACTOR if options.mixdown else 1.0)


def _length_s(declared_s: float | None, n_bytes: int | None) -> float:
    """Return the longest that a file can be, seconds: as declared, within what its bytes can hold."""
    if not declared_s:
        return _estimated_s(n_bytes)
    return declared_s if n_bytes is None else min(declared_s, n_bytes / _LEAST_BYTES_PER_S)


def _estimated_s(n_bytes: int | None) -> float:
    return (n_bytes or 0) * _BYTES_PER_SOURCE_BYTE / _WORK_BYTES_PER_S


def _mix_s(meeting: Meeting) -> float:
    """Return the length of the mix in seconds.

    It is as declared, else by the recording's times, else estimated from the bytes.
    """
    if meeting.mix is None or not meeting.mix.file:
        return 0.0
    if meeting.mix.duration_s is not None:
        return _length_s(meeting.mix.duration_s, meeting.mix.n_bytes)
    try:
        start, end = (
            datetime.datetime.fromisoformat(meeting.recording[key]) for key in ("started_at", "completed_at")
        )
        return _length_s(max((end - start).total_seconds(), 0.0), meeting.mix.n_bytes)
    except (KeyError, TypeError, ValueError):
        return _estimated_s(meeting.mix.n_bytes)


class FreeSpace:
    """Free space of the output's disk, less what recordings under way reserve.

    Args:
        out: the output folder, which may not exist yet.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._reserved: dict[Path, int] = {}

    def check(self, more_bytes: int = 0) -> None:
        """Check that so many bytes more leave enough space free.

        Raises:
            MachineError: ``disk_full``.
        """
        free, reserved = self._free(), sum(list(self._reserved.values()))
        if more_bytes + reserved + RESERVE_BYTES > free:
            raise MachineError(
                f"Not enough space on the disk: the next recording may need {more_bytes >> 20} MiB, "
                f"{reserved >> 20} MiB are reserved for others, {free >> 20} MiB are free, of which "
                f"{RESERVE_BYTES >> 20} MiB must stay free.",
                "Free some space, then run the same command again: finished work is kept.",
                code="disk_full",
            )

    def reserve(self, folder: Path, options: Options) -> bool:
        """Reserve space for a recording.

        Returns False where the recording has to wait for others to end.

        Raises:
            MachineError: ``disk_full``: it would not even fit alone.
            ItemError: ``absurd_times``: it would fit alone but for the times that are declared for it.
        """
        try:
            meeting = read_meeting(Layout(folder))
        except ItemError:
            return True  # processing it will raise the same error
        reusable = _reusable_bytes(folder)
        needed = max(needed_bytes(meeting, options) - reusable, 0)
        try:
            self.check(needed)
        except MachineError:
            if self._reserved:
                return False
            self.check(max(needed_bytes(meeting, options, by_bytes=True) - reusable, 0))
        else:
            self._reserved[folder] = needed
            return True
        raise ItemError(
            f"Its files hold little, but its declared times ask for {needed >> 20} MiB; it was left alone.",
            "Fetch it again: `recall-audio fetch BOT_ID --force`.",
            code="absurd_times",
        )

    def release(self, folder: Path) -> None:
        """Release the reserved space of a recording that has ended."""
        self._reserved.pop(folder, None)

    def _free(self) -> int:
        folder = self._out.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


class DownloadSpace(FreeSpace):
    """Free space for downloads alone, where other machines process."""

    def reserve(self, folder: Path, options: Options) -> bool:
        """Reserve nothing."""
        return True


def _reusable_bytes(folder: Path) -> int:
    """Return the bytes of an earlier run that a new one reuses or overwrites."""
    layout = Layout(folder)
    found = (f for root in (layout.work, layout.stems) if root.is_dir() for f in root.rglob("*"))
    return sum(f.stat().st_size for f in found if f.is_file())


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
