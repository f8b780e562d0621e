"""The batch under way: arrivals in, recordings handed to an executor, outcomes out as they come.

::

    fetcher (thread) ──▶ arrivals ──▶ this thread ──▶ executor (processes) ──▶ outcomes
            ▲                              │
            └───────── a free slot ◀───────┘       so the fetcher is never far ahead

Only the calling thread decides anything; the others put events into one queue.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from recall_audio import __version__
from recall_audio.batch import previous_runs, tasks
from recall_audio.batch.fetcher import BotRecordings
from recall_audio.batch.request import OutcomeCallback, Request
from recall_audio.batch.tasks import Task
from recall_audio.batch.workspace import Journal, StoreJournal, Workspace
from recall_audio.errors import ItemError, MachineError, RecallAudioError
from recall_audio.files import remove_parts_of
from recall_audio.model.options import Options
from recall_audio.model.outcome import Outcome, ProgressCallback
from recall_audio.pipeline.process import finished

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Who is told what comes of a batch.

    Attributes:
        report: hears how far the work is.
        ended: hears each outcome.
        journal: keeps each outcome, or None.
        at_the_end: all outcomes are given at the end, too; a service has no end.
    """

    report: ProgressCallback
    ended: OutcomeCallback
    journal: Journal | StoreJournal | None
    at_the_end: bool = True


@runtime_checkable
class Cancellable(Protocol):
    """An executor whose work can be ended at once."""

    def cancel_all(self) -> None:
        """End all work now; does not wait."""


def outcome_of(
    future: "Future[Outcome]", folder: Path, seconds: float
) -> tuple[Outcome, RecallAudioError | None]:
    """The outcome of a future that has ended, and the error that ends the whole batch, if it is one.

    A recording that ended its process may be tried once more (status ``transient``); from the second time on
    it is set aside (``failed``).
    """
    bot_id = folder.parent.name
    try:
        outcome = future.result()
    except CancelledError:
        return tasks.interrupted(folder, seconds), None
    except MachineError as error:
        return tasks.failure(bot_id, error, seconds, folder), error
    except ItemError as error:
        if error.code not in ("crashed", "timeout"):
            return tasks.failure(bot_id, error, seconds, folder), None
        crash: RecallAudioError = error
    except RecallAudioError as error:
        _sweep_after(error, folder)
        return tasks.failure(bot_id, error, seconds, folder), None
    except Exception as error:  # noqa: BLE001 - an executor's own word for work that it lost
        crash = ItemError(f"The process that worked on it was lost ({type(error).__name__}).", code="crashed")
    else:
        previous_runs.clear_crashes(folder)
        return outcome, None
    return _crashed(folder, crash, seconds)


def _crashed(
    folder: Path, error: RecallAudioError, seconds: float
) -> tuple[Outcome, RecallAudioError | None]:
    _sweep_after(error, folder)
    full: RecallAudioError | None = None
    is_quarantined = False
    try:
        times = error.facts.get("times", 1)  # a cluster has tried it several times already
        is_quarantined = previous_runs.record_crash(folder, error.code, error.message, times)
    except MachineError as disk:
        full = disk
    hint = "It is set aside: --force tries again." if is_quarantined else "The next run tries it once more."
    shown = ItemError(error.message, hint, code=error.code)
    return tasks.failed(folder, shown, seconds, for_good=is_quarantined), full


def _sweep_after(error: RecallAudioError, folder: Path) -> None:
    """Remove what a process that was ended may have left half-written, where the error says which it was."""
    if isinstance(pid := error.facts.get("pid"), int):
        remove_parts_of(folder, pid)


def say_what_is_redone(folder: Path, options: Options) -> None:
    """Log which stages another version's results are redone from."""
    with contextlib.suppress(ItemError):
        version, stages = previous_runs.to_redo(folder, options)
        if version and version != __version__ and stages:
            _log.warning(
                "Recording %s was made by version %s; this is %s, which redoes %s.",
                folder.name,
                version,
                __version__,
                ", ".join(stages),
            )


_LOOK_S = 0.25
_LAST_S = 6.0
# Once stopped, what has not ended by then is not waited for.

_Position = tuple[int, int]
"""A recording's place: its bot's in the batch, and its own among the bot's."""


@dataclass(slots=True)
class _Begun:
    """A recording that is being processed."""

    place: _Position
    folder: Path
    at: float


class Runner:
    """One batch.

    Args:
        request: what to do.
        executor: does the processing.
        workspace: where recordings are kept.
        callbacks: who is told.
        stop: ends everything at once; what is unfinished then is ``interrupted``.
        enough: set once nothing more is to be begun; arrivals that would wait for ever look at it.
    """

    def __init__(
        self,
        request: Request,
        executor: Executor,
        workspace: Workspace,
        callbacks: Callbacks,
        stop: threading.Event,
        enough: threading.Event | None = None,
    ) -> None:
        self._request, self._executor = request, executor
        self._workspace, self._callbacks = workspace, callbacks
        self._stop = stop
        self._enough = enough or threading.Event()
        self._stopped_by: RecallAudioError | None = None
        self._events: queue.SimpleQueue[tuple[Callable[[Any], None], Any]] = queue.SimpleQueue()
        at_once = max(request.jobs, getattr(executor, "at_once", 0))  # a cluster knows its own size
        self._slots = threading.Semaphore(2 * at_once + 2)
        self._left: dict[int, int] = {}
        self._begun: dict[Future[Outcome], _Begun] = {}
        self._held: list[tuple[_Position, Path]] = []
        self._outcomes: dict[_Position, Outcome] = {}
        self._n_failed = 0
        self._is_fed = False

    def run(self, arrivals: Iterator[BotRecordings]) -> list[Outcome]:
        """Every outcome, in the batch's order.

        Raises:
            KeyRefused, MachineError, UsageError: what ended the batch early; what was under way was finished.
        """
        feeder = threading.Thread(target=self._feed, args=(arrivals,), daemon=True)
        feeder.start()
        try:
            self._until_all_ended()
        except BaseException:
            self._stop.set()
            raise
        finally:
            self._enough.set()
            feeder.join(_LAST_S)
        if self._stopped_by is not None:
            raise self._stopped_by
        return [self._outcomes[place] for place in sorted(self._outcomes)]

    def _feed(self, arrivals: Iterator[BotRecordings]) -> None:
        """Draw arrivals while there is a free slot; runs in a thread of its own."""
        error: RecallAudioError | None = None
        try:
            while self._may_draw():
                arrival = next(arrivals, None)
                if arrival is None:
                    break
                self._events.put((self._arrived, arrival))
        except RecallAudioError as known_error:
            error = known_error
        except Exception as foreign:  # noqa: BLE001 - whatever it is, the main thread has to hear of it
            error = tasks.unexpected(foreign)
        self._events.put((self._fed, error))

    def _may_draw(self) -> bool:
        while not self._stop.is_set() and not self._enough.is_set():
            if self._slots.acquire(timeout=_LOOK_S):
                return True
        return False

    def _until_all_ended(self) -> None:
        until: float | None = None
        while not self._is_fed or self._begun or self._held:
            if self._stop.is_set() and until is None:
                until = time.monotonic() + _LAST_S
                self._cancel_all()
            if until is not None and time.monotonic() > until:
                break
            try:
                handle, what = self._events.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            handle(what)
        for begun in self._begun.values():
            self._note(begun.place, tasks.interrupted(begun.folder, time.monotonic() - begun.at))

    def _cancel_all(self) -> None:
        """End what is under way: processes of ours are ended, others' are asked to."""
        self._held.clear()
        self._enough.set()
        if isinstance(self._executor, Cancellable):
            self._executor.cancel_all()
        for future in list(self._begun):
            future.cancel()

    def _fed(self, error: RecallAudioError | None) -> None:
        self._is_fed = True
        if error is not None:
            self._end_early(error)

    def _end_early(self, error: RecallAudioError) -> None:
        """Begin nothing more; what is being worked on is finished."""
        self._stopped_by = self._stopped_by or error
        self._enough.set()
        self._held.clear()
        for future in list(self._begun):
            future.cancel()

    def _arrived(self, arrival: BotRecordings) -> None:
        self._left[arrival.at] = len(arrival.recordings)
        for i, one in enumerate(arrival.recordings):
            if isinstance(one, Outcome):
                self._workspace.discard(Path(one.folder) if one.folder else None)
                self._note((arrival.at, i), one)
            elif not self._stopped_by and not self._stop.is_set():
                self._take((arrival.at, i), one)

    def _take(self, place: _Position, folder: Path) -> None:
        """Process a recording, unless that is done already or it has crashed too often."""
        request, options = self._request, self._request.options or Options()
        try:
            done = None if request.force or request.verify else finished(folder, options)
        except ItemError as error:
            done = tasks.failure(folder.parent.name, error, 0.0, folder)
        if request.force:
            previous_runs.clear_crashes(folder)
        elif done is None and previous_runs.is_quarantined(folder):
            done = tasks.failure(folder.parent.name, previous_runs.quarantine_error(folder), 0.0, folder)
        if done is not None:
            self._workspace.discard(folder)
            self._note(place, done)
        else:
            self._admit(place, folder, options)

    def _admit(self, place: _Position, folder: Path, options: Options) -> None:
        """Begin on a recording if there is room for what it writes; else it waits for others to end."""
        try:
            has_room = not self._held and self._workspace.space.reserve(folder, options)
        except MachineError as error:
            self._end_early(error)
            return
        if has_room:
            self._submit(place, folder, options)
        else:
            self._held.append((place, folder))

    def _submit(self, place: _Position, folder: Path, options: Options) -> None:
        say_what_is_redone(folder, options)
        asked = self._request
        task = Task(folder, options, asked.force, asked.keep_work, asked.verify, asked.jobs_each)
        task = self._workspace.task_for(folder, task)
        begun = _Begun(place, folder, time.monotonic())
        future: Future[Outcome] = self._executor.submit(tasks.process_safely, task)
        self._begun[future] = begun
        future.add_done_callback(lambda f: self._events.put((self._ended, f)))

    def _ended(self, future: "Future[Outcome]") -> None:
        begun = self._begun.pop(future, None)
        if begun is None:
            return
        self._workspace.space.release(begun.folder)
        outcome, error = outcome_of(future, begun.folder, time.monotonic() - begun.at)
        self._workspace.publish_crashes(begun.folder)
        self._workspace.discard(begun.folder)
        self._note(begun.place, outcome)
        if error is not None:
            self._end_early(error)
        waiting, self._held = self._held, []
        for place, folder in waiting:
            if self._stopped_by is None:
                self._take(place, folder)

    def _note(self, place: _Position, outcome: Outcome) -> None:
        """Keep an outcome; its bot's slot is free once all its recordings have one."""
        outcome = self._workspace.with_location(outcome)
        if self._callbacks.at_the_end:
            self._outcomes[place] = outcome
        self._left[place[0]] -= 1
        if self._left[place[0]] <= 0:
            del self._left[place[0]]
            self._slots.release()
        _log.info("%s %s: %s %s", outcome.bot_id, outcome.recording_id, outcome.status, outcome.code)
        if self._callbacks.journal is not None:
            try:
                self._callbacks.journal.add(outcome)
            except MachineError as error:
                self._end_early(error)
        self._callbacks.ended(outcome)
        self._n_failed += outcome.status == "failed"
        if self._request.max_failures is not None and self._n_failed >= self._request.max_failures:
            self._enough.set()
