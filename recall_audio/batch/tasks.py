"""What is computed, as plain picklable calls: a folder and options in, a small outcome out.

They run wherever an executor puts them, and know neither the API nor the key.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from recall_audio import storage
from recall_audio.batch import previous_runs
from recall_audio.batch.executors import worker_process
from recall_audio.errors import ItemError, MachineError, RecallAudioError, TransientError, UsageError, Waiting
from recall_audio.files import FULL, disk_error, state_folder
from recall_audio.model.options import Options
from recall_audio.model.outcome import Outcome, Status
from recall_audio.pipeline.documents import Layout, read_meeting
from recall_audio.pipeline.manifest import earlier
from recall_audio.pipeline.plan import stage_keys, stale_stages
from recall_audio.pipeline.process import parameters_of, process


def lock_file(folder: Path) -> Path:
    """The lock of a recording's folder, one of 4096 files.

    Folders that share a lock wait for each other, now and then, for nothing.

    Locks lie apart from the results: a results' folder may be on a file system that knows no locks.
    """
    name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:3]
    root = state_folder() / "locks"
    with suppress(OSError):
        root.mkdir(parents=True, exist_ok=True)
        return root / f"{name}.lock"
    return Path(tempfile.gettempdir()) / f"recall-audio-{name}.lock"


@dataclass(frozen=True, slots=True)
class Task:
    """One recording to process.

    Attributes:
        folder: the recording's folder.
        options: how.
        force: run every stage again.
        keep_work: keep decoded working files.
        verify: hash what earlier runs left.
        jobs: processes for its pieces; more than one where no other recording wants them.
        store: the recording's address in a store, or empty; then the folder is where it is worked on, or
            only its name, ``BOT_ID/RECORDING_ID``.
    """

    folder: Path
    options: Options
    force: bool = False
    keep_work: bool = True
    verify: bool = False
    jobs: int = 1
    store: str = ""


def process_safely(task: Task) -> Outcome:
    """:func:`process`, with a recording's own failure as its outcome instead of an exception.

    Raises:
        MachineError: the disk is full, or this machine lacks a decoder: the others would fail as well.
    """
    started = time.monotonic()
    try:
        with _alone(task.folder), _at_work(task) as at_work:
            if task.verify:
                previous_runs.discard_changed(at_work.folder)
            return _processed(at_work)
    except (ItemError, TransientError) as error:
        return failure(task.folder.parent.name, error, time.monotonic() - started, task.folder)
    except MachineError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever one recording does to us is its own
        if not (isinstance(error, OSError) and error.errno in FULL):
            return failed(task.folder, unexpected(error), time.monotonic() - started, for_good=True)
        full = disk_error(error, task.folder)
    raise full


def _processed(task: Task) -> Outcome:
    """One recording; where somebody else works on the same folder without a lock, what they left counts."""
    for is_last in (False, True):
        try:
            with _side_by_side(task.jobs) as executor:
                return process(
                    task.folder,
                    task.options,
                    force=task.force,
                    keep_work=task.keep_work,
                    progress=worker_process.report_progress,
                    executor=executor,
                )
        except ItemError as error:
            # A file that was there is gone: another process has finished and tidied up.
            if is_last or error.code not in ("missing_file", "damaged_file"):
                raise
    raise AssertionError


def _at_work(task: Task) -> AbstractContextManager[Task]:
    """The task where its folder can be worked in."""
    if not task.store:
        return nullcontext(task)

    return workplace(task)


@contextmanager
def _side_by_side(jobs: int) -> Iterator[Executor | None]:
    """Processes for the pieces of one recording, where there are to be several."""
    if jobs < 2:
        yield None
        return
    from recall_audio.batch.executors.processes import ProcessExecutor

    workers = ProcessExecutor(jobs)
    try:
        yield workers
    finally:
        workers.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine off the folder, so that work is not done twice.

    Only a courtesy: files appear whole or not at all, so where the lock does not hold, nothing breaks.
    """
    import filelock

    lock = filelock.FileLock(lock_file(folder))
    with suppress(OSError, NotImplementedError):  # no such thing on this file system
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def unexpected(error: Exception) -> ItemError:
    """The error for an exception nobody foresaw: its kind and place; its text may hold anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "an unknown place"
    return ItemError(
        f"An error that should not happen ({type(error).__name__} in {place}).",
        "Please report it.",
        code="unexpected",
    )


def failure(bot_id: str, error: RecallAudioError, seconds: float, folder: Path | None = None) -> Outcome:
    """The outcome of a bot or recording that failed."""
    kinds: dict[type[RecallAudioError], Status] = {
        Waiting: "waiting",
        TransientError: "transient",
        ItemError: "failed",
        UsageError: "failed",
    }
    # An error of the machine is no fault of the item: it may work once there is room.
    status: Status = next((s for kind, s in kinds.items() if isinstance(error, kind)), "transient")
    return Outcome(
        bot_id=bot_id,
        recording_id=folder.name if folder else "",
        status=status,
        folder=str(folder) if folder else "",
        code=error.code,
        message=str(error),
        seconds=round(seconds, 3),
    )


def failed(folder: Path, error: RecallAudioError, seconds: float, *, for_good: bool) -> Outcome:
    """The outcome of a recording that failed, for good or for now."""
    outcome = failure(folder.parent.name, error, seconds, folder)
    return replace(outcome, status="failed" if for_good else "transient")


def interrupted(folder: Path, seconds: float) -> Outcome:
    """The outcome of a recording whose processing was broken off."""
    error = TransientError(
        "Stopped before it was finished.", "Run the same command again.", code="interrupted"
    )
    return failure(folder.parent.name, error, seconds, folder)


@contextmanager
def workplace(task: Task) -> Iterator[Task]:
    """The task with a folder that can be worked in; if the block ends well, what is in it is published.

    Args:
        task: its folder is one of this machine, or just ``BOT_ID/RECORDING_ID``.

    Raises:
        ItemError: the recording is not in the store.
        TransientError, MachineError: the store failed, or refuses.
    """
    if task.folder.is_absolute():
        yield from _published(task)
    else:
        with storage.temporary_workspace() as root:
            yield from _published(replace(task, folder=root / task.folder))


def _published(task: Task) -> Iterator[Task]:
    store, folder = storage.Store(storage.Url(task.store)), task.folder
    if not storage.load_state(store, folder):
        raise ItemError(f"{store.url} holds no recording.json.", "Fetch it again.", code="missing_file")
    there = set(storage.stored_names(folder))
    storage.download_documents(store, folder)
    if task.verify:
        storage.download_missing(store, folder, storage.stored_names(folder))
    elif task.force or _needs_audio(folder, task.options):
        storage.download_missing(store, folder, _sources(folder))
    yield task
    storage.publish(store, folder, doubted=there - set(storage.stored_names(folder)))


def _needs_audio(folder: Path, options: Options) -> bool:
    layout = Layout(folder)
    keys = stage_keys(read_meeting(layout), options)
    return "decode" in stale_stages(earlier(layout, parameters_of(options)), keys)


def _sources(folder: Path) -> list[str]:
    return [m.file for m in previous_runs.media_of(folder) if m.file]
