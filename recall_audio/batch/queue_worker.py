"""The queue worked off: what the listener kept, bot by bot, once or for ever.

::

    queue ──take──▶ fetcher ──▶ running ──▶ every outcome of the bot is here ──▶ done or failed
      ▲                                                     │
      └───────── put back, to be looked at later ◀──────────┘  waiting, transient

An entry leaves the queue only when there is nothing left to do for its bot. Whoever is killed leaves taken
entries behind; the next start puts them back, and what was finished by then is only looked at.
"""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cache
from threading import Event

from recall_audio.batch.executors import defer_signals, ignore_progress, open_executor
from recall_audio.batch.executors.processes import with_secrets
from recall_audio.batch.fetcher import BotRecordings, Fetcher, thread_map
from recall_audio.batch.request import OutcomeCallback, Request, SettingsSource
from recall_audio.batch.runner import Callbacks, Runner
from recall_audio.batch.workspace import open_workspace
from recall_audio.errors import MachineError
from recall_audio.listen import Entry, Queue
from recall_audio.model.outcome import Outcome, ProgressCallback

_LOOK_EVERY_S = 1.0
_TIDY_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where the work comes from.

    Attributes:
        queue: the queue.
        follow: wait for more, for ever.
    """

    queue: Queue
    follow: bool = False


def work_off(
    source: Source,
    settings: SettingsSource,
    request: Request,
    progress: ProgressCallback | None = None,
    *,
    on_outcome: OutcomeCallback | None = None,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Fetch and process the bots of a queue that are due; one outcome a recording.

    Nothing in it is waited for here: what is not there yet is put back, and looked at again after a minute,
    then two, and so on up to an hour, or as soon as a message tells of it.

    Args:
        source: the queue, and whether to wait for more; then no outcomes are given at the end.
        settings, request, progress, on_outcome, executor: as for :func:`recall_audio.batch.run`.

    Raises:
        UsageError: another process works this queue off.
        KeyRefused, MachineError, KeyboardInterrupt: as :func:`recall_audio.batch.run`.
    """
    report, stop, enough = progress or ignore_progress, Event(), Event()
    desk = QueueClaims(source, on_outcome or ignore_progress, enough)
    with source.queue.exclusive():
        source.queue.recover()
        try:
            with defer_signals(request, executor, stop), open_workspace(request) as workspace:
                request = workspace.request
                callbacks = Callbacks(report, desk.hear, workspace.journal, at_the_end=not source.follow)
                fetcher = Fetcher(request, cache(with_secrets(settings)), workspace, report, stop)
                with open_executor(request, report, executor) as pool:
                    running = Runner(request, pool, workspace, callbacks, stop, enough)
                    return running.run(desk.fetch_all(fetcher))
        finally:
            desk.put_back_all()


@dataclass(slots=True)
class _Open:
    """A bot that is being worked on.

    Attributes:
        entry: its entry.
        n: how many outcomes it will have; None until it has been fetched.
        outcomes: those it has.
    """

    entry: Entry
    n: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)


class QueueClaims:
    """Takes entries, and gives them back once all outcomes of their bot are here."""

    def __init__(self, source: Source, on_outcome: OutcomeCallback, enough: Event) -> None:
        self._queue, self._follow = source.queue, source.follow
        self._ended, self._enough = on_outcome, enough
        self._open: dict[str, _Open] = {}
        self._tidy_at = time.monotonic() + _TIDY_EVERY_S

    def fetch_all(self, fetcher: Fetcher) -> Iterator[BotRecordings]:
        """Bot after bot, for :class:`Runner`; in a thread of its own."""
        options = replace(fetcher.request.fetch, wait_s=0.0)

        def one(numbered: tuple[int, _Open]) -> BotRecordings:
            at, opened = numbered
            recordings = opened.entry.recordings.items()
            told = tuple((r, kind, i) for r, kinds in recordings for kind, i in kinds.items())
            arrival = fetcher.fetch_bot(at, opened.entry.bot_id, replace(options, known_artifacts=told))
            opened.n = len(arrival.recordings)
            return arrival

        yield from thread_map(options.bots_at_once, enumerate(self._taken(fetcher.stop)), one)

    def _taken(self, stop: Event) -> Iterator[_Open]:
        """Entries as they come due; those of bots that are being worked on come later."""
        while not (stop.is_set() or self._enough.is_set()):
            due = self._queue.due(time.time(), list(self._open))
            for bot_id in due:
                if bot_id not in self._open and (entry := self._queue.take(bot_id)) is not None:
                    self._open[bot_id] = _Open(entry)
                    yield self._open[bot_id]
            if not due and not self._follow:
                return
            if not due:
                self._rest(stop)

    def _rest(self, stop: Event) -> None:
        stop.wait(_LOOK_EVERY_S)
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + _TIDY_EVERY_S
            self._queue.clean_up()

    def hear(self, outcome: Outcome) -> None:
        """One outcome more; the last one of a bot closes its entry."""
        opened = self._open[outcome.bot_id]
        opened.outcomes.append(outcome)
        if len(opened.outcomes) == opened.n:
            self._close(opened)
            del self._open[outcome.bot_id]
        self._ended(outcome)

    def _close(self, opened: _Open) -> None:
        statuses = {o.status for o in opened.outcomes}
        if not statuses & {"waiting", "transient"}:
            outcomes = [o.to_json() for o in opened.outcomes]
            self._queue.finish(opened.entry, outcomes, failed="failed" in statuses)
        else:
            unfinished = [o for o in opened.outcomes if o.status in ("waiting", "transient")]
            was_stopped = all(o.code == "interrupted" for o in unfinished)
            self._queue.put_back(opened.entry, unfinished[0].code, at_once=was_stopped)

    def put_back_all(self) -> None:
        """What was taken and has not on_outcome: it is begun anew by the next start."""
        for opened in list(self._open.values()):
            with contextlib.suppress(OSError, MachineError):  # else the next start does it
                self._queue.put_back(opened.entry, at_once=True)
