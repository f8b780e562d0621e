"""Run a batch: take fetched recordings, hand them to an executor, pass on outcomes as they come.

::

    fetcher (thread) ──▶ events ──▶ this thread ──▶ executor (processes) ──▶ outcomes
            ▲                            │
            └──────── a free slot ◀──────┘       so that the fetcher is never far ahead

Only the calling thread decides anything; the others put events into one queue.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
from recall_audio.errors import ItemError, MachineError, RecallAudioError, TransientError
from recall_audio.files import remove_parts_of
from recall_audio.model.options import Options
from recall_audio.model.outcome import Outcome

_log = logging.getLogger(__name__)

_POLL_S = 0.25
_SHUTDOWN_S = 6.0
"""Longest wait for work under way once the batch is stopped, seconds."""
_BOTS_PER_SLOT = 2
_MORE_BOTS = 2
"""Bots fetched or in work at once: so many for each slot of the executor, and so many more."""

_Position = tuple[int, int]
"""Index of a recording's bot in the batch, and of the recording in the bot."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What is called and written as a batch advances.

    Attributes:
        on_outcome: called with each outcome.
        journal: takes each outcome, or None.
        keeps_outcomes: whether all outcomes are returned at the end; a service has no end.
        on_bot: called with all outcomes of a bot once it has its last one, or None.
    """

    on_outcome: OutcomeCallback
    journal: Journal | StoreJournal | None
    keeps_outcomes: bool = True
    on_bot: Callable[[Sequence[Outcome]], None] | None = None


@runtime_checkable
class Cancellable(Protocol):
    """An executor whose work can be ended at once."""

    def cancel_all(self) -> None:
        """End all work now, without waiting."""


@dataclass(slots=True)
class _Running:
    """A recording that is being processed.

    Attributes:
        position: its position in the batch.
        folder: its folder.
        started: when it was handed over, on the monotonic clock.
    """

    position: _Position
    folder: Path
    started: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


class Runner:
    """One batch.

    Args:
        request: what to do.
        executor: processes the recordings.
        workspace: where recordings are kept.
        callbacks: what is called as the batch advances.
        stop: ends everything at once; what is unfinished then is ``interrupted``.
        enough: set once no further bot is to be begun; an iterator of bots that blocks has to look at it.
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
        self._stop, self._enough = stop, enough or threading.Event()
        self._stopped_by: RecallAudioError | None = None
        self._events: queue.SimpleQueue[tuple[Callable[[Any], None], Any]] = queue.SimpleQueue()
        at_once = max(request.jobs, getattr(executor, "at_once", 0))  # a cluster knows its own size
        self._slots = threading.Semaphore(_BOTS_PER_SLOT * at_once + _MORE_BOTS)
        self._n_open: dict[int, int] = {}
        self._of_bot: dict[int, list[Outcome]] = {}
        self._running: dict[Future[Outcome], _Running] = {}
        self._waiting_for_space: list[tuple[_Position, Path]] = []
        self._outcomes: dict[_Position, Outcome] = {}
        self._n_failed = 0
        self._has_all_bots = False

    def run(self, bots: Iterator[BotRecordings]) -> list[Outcome]:
        """Process the recordings of all bots and return their outcomes in order.

        Raises:
            KeyRefused, MachineError, UsageError: what ended the batch early; work under way was finished.
        """
        feeder = threading.Thread(target=self._feed, args=(bots,), daemon=True)
        feeder.start()
        try:
            self._handle_events()
        except BaseException:
            self._stop.set()
            raise
        finally:
            self._enough.set()
            feeder.join(_SHUTDOWN_S)
        if self._stopped_by is not None:
            raise self._stopped_by
        return [self._outcomes[position] for position in sorted(self._outcomes)]

    def _feed(self, bots: Iterator[BotRecordings]) -> None:
        """Draw bots while there is a free slot, in a thread of its own."""
        error: RecallAudioError | None = None
        try:
            while self._acquire_slot():
                bot = next(bots, None)
                if bot is None:
                    break
                self._events.put((self._on_bot, bot))
        except RecallAudioError as known_error:
            error = known_error
        except Exception as foreign:  # noqa: BLE001 - the main thread has to handle it, whatever it is
            error = tasks.unexpected_error(foreign)
        self._events.put((self._on_all_bots, error))

    def _acquire_slot(self) -> bool:
        while not self._stop.is_set() and not self._enough.is_set():
            if self._slots.acquire(timeout=_POLL_S):
                return True
        return False

    def _handle_events(self) -> None:
        """Handle events until all recordings have ended, or for some seconds once stopped."""
        deadline: float | None = None
        while not self._has_all_bots or self._running or self._waiting_for_space:
            if self._stop.is_set() and deadline is None:
                deadline = time.monotonic() + _SHUTDOWN_S
                self._cancel_all()
            if deadline is not None and time.monotonic() > deadline:
                break
            try:
                handle, argument = self._events.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            handle(argument)
        for running in self._running.values():
            self._add_outcome(running.position, _interrupted(running.folder, running.seconds))

    def _cancel_all(self) -> None:
        """End work under way: processes of our own are ended, others are asked to end."""
        self._waiting_for_space.clear()
        self._enough.set()
        if isinstance(self._executor, Cancellable):
            self._executor.cancel_all()
        for future in list(self._running):
            future.cancel()

    def _on_all_bots(self, error: RecallAudioError | None) -> None:
        self._has_all_bots = True
        if error is not None:
            self._end_early(error)

    def _end_early(self, error: RecallAudioError) -> None:
        """Begin nothing more, but finish work under way."""
        self._stopped_by = self._stopped_by or error
        self._enough.set()
        self._waiting_for_space.clear()
        for future in list(self._running):
            future.cancel()

    def _on_bot(self, bot: BotRecordings) -> None:
        self._n_open[bot.index] = len(bot.recordings)
        for i, recording in enumerate(bot.recordings):
            if isinstance(recording, Outcome):
                self._workspace.discard(Path(recording.folder) if recording.folder else None)
                self._add_outcome((bot.index, i), recording)
            elif not self._stopped_by and not self._stop.is_set():
                self._process_if_needed((bot.index, i), recording)

    def _process_if_needed(self, position: _Position, folder: Path) -> None:
        try:
            outcome = previous_runs.standing_outcome(folder, self._request)
            if outcome is None:
                self._process_if_space(position, folder)
                return
        except ItemError as error:
            outcome = Outcome.of_error(error, folder.parent.name, folder)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other recordings go on
            outcome = Outcome.of_error(tasks.unexpected_error(error), folder.parent.name, folder)
        self._workspace.discard(folder)
        self._add_outcome(position, outcome)

    def _process_if_space(self, position: _Position, folder: Path) -> None:
        """Process a recording now if there is disk space, else after others."""
        options = self._request.options or Options()
        try:
            has_space = not self._waiting_for_space and self._workspace.space.reserve(folder, options)
        except MachineError as error:
            self._end_early(error)
            return
        if has_space:
            self._submit(position, folder, options)
        else:
            self._waiting_for_space.append((position, folder))

    def _submit(self, position: _Position, folder: Path, options: Options) -> None:
        _log_redone_stages(folder, options)
        request = self._request
        task = Task(folder, options, request.force, request.keep_work, request.verify, request.jobs_each)
        task = self._workspace.task_for(folder, task)
        running = _Running(position, folder, time.monotonic())
        future: Future[Outcome] = self._executor.submit(tasks.process_safely, task)
        self._running[future] = running
        future.add_done_callback(lambda done: self._events.put((self._on_done, done)))

    def _on_done(self, future: "Future[Outcome]") -> None:
        running = self._running.pop(future, None)
        if running is None:
            return
        self._workspace.space.release(running.folder)
        outcome, error = outcome_of(future, running.folder, running.seconds)
        self._workspace.publish_crashes(running.folder)
        self._workspace.discard(running.folder)
        self._add_outcome(running.position, outcome)
        if error is not None:
            self._end_early(error)
        waiting, self._waiting_for_space = self._waiting_for_space, []
        for position, folder in waiting:
            if self._stopped_by is None:
                self._process_if_needed(position, folder)

    def _add_outcome(self, position: _Position, outcome: Outcome) -> None:
        """Pass on an outcome, and release the bot's slot with its last one."""
        outcome = self._workspace.with_location(outcome)
        if self._callbacks.keeps_outcomes:
            self._outcomes[position] = outcome
        self._of_bot.setdefault(position[0], []).append(outcome)
        self._n_open[position[0]] -= 1
        of_bot = self._of_bot.pop(position[0]) if self._n_open[position[0]] <= 0 else []
        if of_bot:
            del self._n_open[position[0]]
            self._slots.release()
        _log.info("%s %s: %s %s", outcome.bot_id, outcome.recording_id, outcome.status, outcome.code)
        if self._callbacks.journal is not None:
            try:
                self._callbacks.journal.add(outcome)
            except MachineError as error:
                self._end_early(error)
        self._callbacks.on_outcome(outcome)
        if of_bot and self._callbacks.on_bot is not None:
            self._callbacks.on_bot(of_bot)
        self._n_failed += outcome.status == "failed"
        if self._request.max_failures is not None and self._n_failed >= self._request.max_failures:
            self._enough.set()


def outcome_of(
    future: "Future[Outcome]", folder: Path, seconds: float
) -> tuple[Outcome, RecallAudioError | None]:
    """Return a done future's outcome, and the error that ends the batch.

    The error is None where the batch goes on.

    A recording that ended its process may be tried once more (status ``transient``); from the second time on
    it is quarantined (``failed``).
    """
    bot_id = folder.parent.name
    try:
        outcome = future.result()
    except CancelledError:
        return _interrupted(folder, seconds), None
    except MachineError as error:
        return Outcome.of_error(error, bot_id, folder, seconds=seconds), error
    except ItemError as error:
        if error.code not in ("crashed", "timeout"):
            return Outcome.of_error(error, bot_id, folder, seconds=seconds), None
        crash: RecallAudioError = error
    except RecallAudioError as error:
        _remove_parts(error, folder)
        return Outcome.of_error(error, bot_id, folder, seconds=seconds), None
    except Exception as error:  # noqa: BLE001 - an executor's own error for work that it lost
        crash = ItemError(f"The process that worked on it was lost ({type(error).__name__}).", code="crashed")
    else:
        previous_runs.clear_crashes(folder)
        return outcome, None
    return _crashed(folder, crash, seconds)


def _crashed(
    folder: Path, error: RecallAudioError, seconds: float
) -> tuple[Outcome, RecallAudioError | None]:
    _remove_parts(error, folder)
    disk_full: RecallAudioError | None = None
    is_quarantined = False
    try:
        times = error.facts.get("times", 1)  # a cluster has tried it several times already
        is_quarantined = previous_runs.record_crash(folder, error.code, error.message, times)
    except MachineError as machine_error:
        disk_full = machine_error
    hint = (
        "It is quarantined; try again with --force." if is_quarantined else "The next run tries it once more."
    )
    return Outcome.of_error(
        ItemError(error.message, hint, code=error.code),
        folder.parent.name,
        folder,
        seconds=seconds,
        status="failed" if is_quarantined else "transient",
    ), disk_full


def _remove_parts(error: RecallAudioError, folder: Path) -> None:
    """Remove half-written files of a process that was ended, where the error names it."""
    if isinstance(pid := error.facts.get("pid"), int):
        remove_parts_of(folder, pid)


def _interrupted(folder: Path, seconds: float) -> Outcome:
    error = TransientError(
        "Stopped before it was finished.", "Run the same command again.", code="interrupted"
    )
    return Outcome.of_error(error, folder.parent.name, folder, seconds=seconds)


def _log_redone_stages(folder: Path, options: Options) -> None:
    """Log which stages of another version's results are redone."""
    with contextlib.suppress(ItemError):
        version, stages = previous_runs.stages_to_redo(folder, options)
        if version and version != __version__ and stages:
            _log.warning(
                "Recording %s was made by version %s; this is %s, which redoes %s.",
                folder.name,
                version,
                __version__,
                ", ".join(stages),
            )
