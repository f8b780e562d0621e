"""Process one recording as a plain picklable call: a folder and options in, a small outcome out.

Tasks run wherever an executor puts them, and know neither the API nor the key.
"""

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from recall_audio import storage
from recall_audio.batch import previous_runs
from recall_audio.batch.executors import worker_process
from recall_audio.batch.executors.processes import ProcessExecutor
from recall_audio.errors import ItemError, MachineError, TransientError
from recall_audio.files import DISK_FULL_ERRORS, disk_error, state_folder
from recall_audio.model.options import Options
from recall_audio.model.outcome import Outcome
from recall_audio.pipeline.documents import Layout, read_meeting, transcript_digest
from recall_audio.pipeline.manifest import earlier
from recall_audio.pipeline.plan import stage_keys, stale_stages
from recall_audio.pipeline.process import parameters_of, process

_LOCK_DIGITS = 3
"""Hex digits of a folder's hash that name its lock: 4096 locks."""


@dataclass(frozen=True, slots=True)
class Task:
    """One recording to process.

    Attributes:
        folder: the recording's folder.
        options: how to process it.
        force: run every stage again.
        keep_work: keep decoded working files.
        verify: hash what earlier runs left.
        jobs: processes for its pieces; more than one where no other recording needs them.
        store: the recording's address in a store, or empty. With a store, the folder is a temporary one, or
            only a name, ``BOT_ID/RECORDING_ID``.
    """

    folder: Path
    options: Options
    force: bool = False
    keep_work: bool = True
    verify: bool = False
    jobs: int = 1
    store: str = ""


def process_safely(task: Task) -> Outcome:
    """Process a recording and return its outcome, also if it fails.

    Raises:
        MachineError: the disk is full, or this machine lacks a decoder: other recordings would fail as well.
    """
    started = time.monotonic()
    bot_id = task.folder.parent.name
    try:
        with _lock(task.folder), _local_copy(task) as local:
            if task.verify:
                previous_runs.discard_changed(local.folder)
            return _process(local)
    except (ItemError, TransientError) as error:
        return Outcome.of_error(error, bot_id, task.folder, seconds=time.monotonic() - started)
    except MachineError:
        raise
    except Exception as error:  # noqa: BLE001 - an error of one recording must not end the batch
        if not (isinstance(error, OSError) and error.errno in DISK_FULL_ERRORS):
            seconds = time.monotonic() - started
            return Outcome.of_error(unexpected_error(error), bot_id, task.folder, seconds=seconds)
        full = disk_error(error, task.folder)
    raise full


def _process(task: Task) -> Outcome:
    """Process one recording, or accept another process's results of it."""
    for is_last_try in (False, True):
        try:
            with _piece_executor(task.jobs) as executor:
                return process(
                    task.folder,
                    task.options,
                    force=task.force,
                    keep_work=task.keep_work,
                    progress=worker_process.report_progress,
                    executor=executor,
                )
        except ItemError as error:
            # A file that was there is gone: another process has finished and cleaned up.
            if is_last_try or error.code not in ("missing_file", "damaged_file"):
                raise
    raise AssertionError


@contextlib.contextmanager
def _piece_executor(jobs: int) -> Iterator[Executor | None]:
    """Yield processes for the pieces of one recording, or None for one job."""
    if jobs < 2:
        yield None
        return
    executor = ProcessExecutor(jobs)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine off the folder for a block.

    Nothing breaks where the file system has no locks: files appear whole or not at all.
    """
    import filelock

    lock = filelock.FileLock(lock_file(folder))
    with contextlib.suppress(OSError, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def lock_file(folder: Path) -> Path:
    """Return the lock of a recording's folder, one of 4096 files.

    Two folders that share a lock wait for each other now and then, without need. Locks lie apart from the
    results, whose file system may have no locks.
    """
    digest = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    name = digest[:_LOCK_DIGITS]
    root = state_folder() / "locks"
    with contextlib.suppress(OSError):
        root.mkdir(parents=True, exist_ok=True)
        return root / f"{name}.lock"
    return Path(tempfile.gettempdir()) / f"recall-audio-{name}.lock"


def unexpected_error(error: Exception) -> ItemError:
    """Return the error for an unforeseen exception, without its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "an unknown place"
    return ItemError(
        f"An error that should not happen ({type(error).__name__} in {place}).",
        "Please report it.",
        code="unexpected",
    )


@contextlib.contextmanager
def _local_copy(task: Task) -> Iterator[Task]:
    """Yield the task with a local folder, which is published at the end.

    Without a store it is the recording's own folder, and nothing is published.

    Raises:
        ItemError: the recording is not in the store.
        TransientError, MachineError: the store failed, or refuses.
    """
    if not task.store:
        yield task
    elif task.folder.is_absolute():
        yield from _downloaded_and_published(task)
    else:
        with storage.temporary_workspace() as root:
            yield from _downloaded_and_published(replace(task, folder=root / task.folder))


def _downloaded_and_published(task: Task) -> Iterator[Task]:
    store, folder = storage.Store(storage.Url(task.store)), task.folder
    if not storage.load_state(store, folder):
        raise ItemError(f"{store.url} holds no recording.json.", "Fetch it again.", code="missing_file")
    stored = set(storage.stored_names(folder))
    storage.download_documents(store, folder)
    if task.verify:
        storage.download_missing(store, folder, storage.stored_names(folder))
    elif task.force or _needs_audio(folder, task.options):
        sources = [m.file for m in previous_runs.media_of(folder) if m.file]
        storage.download_missing(store, folder, sources)
    yield task
    storage.publish(store, folder, doubted=stored - set(storage.stored_names(folder)))


def _needs_audio(folder: Path, options: Options) -> bool:
    layout = Layout(folder)
    keys = stage_keys(read_meeting(layout), options, transcript_digest(layout))
    return "decode" in stale_stages(earlier(layout, parameters_of(options)), keys)
