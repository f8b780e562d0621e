"""Process the bots of a queue, once or for ever.

::

    queue ──take──▶ fetcher ──▶ runner ──▶ all outcomes of the bot ──▶ done or failed
      ▲                                              │
      └────── put back, to be tried later ◀──────────┘  waiting, transient

An entry leaves the queue only when nothing remains to be done for its bot. A killed process leaves taken
entries behind; the next start puts them back, and finds what was finished by then.
"""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cache
from threading import Event

from recall_audio.batch.executors import defer_signals, do_nothing, open_executor
from recall_audio.batch.executors.processes import with_secrets
from recall_audio.batch.fetcher import BotRecordings, Fetcher, thread_map
from recall_audio.batch.media_deletion import media_deletion
from recall_audio.batch.request import OutcomeCallback, Request, SettingsSource
from recall_audio.batch.runner import Callbacks, Runner
from recall_audio.batch.workspace import open_workspace
from recall_audio.errors import MachineError
from recall_audio.listen import Entry, Queue
from recall_audio.model.outcome import Outcome, ProgressCallback

_POLL_S = 1.0
_CLEAN_UP_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where the bots come from.

    Attributes:
        queue: the queue.
        follow: wait for more, for ever.
    """

    queue: Queue
    follow: bool = False


def process_queue(
    source: Source,
    settings: SettingsSource,
    request: Request,
    progress: ProgressCallback | None = None,
    *,
    on_outcome: OutcomeCallback | None = None,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Fetch and process the due bots of a queue and return their outcomes.

    A bot without its artifacts is not waited for but put back, and tried again after a minute, then two, and
    so on up to an hour, or as soon as a message names it.

    Args:
        source: the queue, and whether to wait for more; then no outcomes are returned.
        settings, request, progress, on_outcome, executor: as for :func:`recall_audio.batch.run`.

    Raises:
        UsageError: another process is processing this queue.
        KeyRefused, MachineError, KeyboardInterrupt: as :func:`recall_audio.batch.run`.
    """
    progress, stop, enough = progress or do_nothing, Event(), Event()
    claims = QueueClaims(source, on_outcome or do_nothing, enough)
    with source.queue.exclusive():
        source.queue.recover()
        try:
            with defer_signals(request, executor, stop), open_workspace(request) as workspace:
                given, request = request, workspace.request
                read_settings = cache(with_secrets(settings))
                fetcher = Fetcher(request, read_settings, workspace, progress, stop)
                with (
                    media_deletion(given, read_settings, workspace.journal, stop) as deletion,
                    open_executor(request, progress, executor) as pool,
                ):
                    on_bot = deletion.on_bot if deletion is not None else None
                    callbacks = Callbacks(claims.on_outcome, workspace.journal, not source.follow, on_bot)
                    runner = Runner(request, pool, workspace, callbacks, stop, enough)
                    return runner.run(claims.fetch_all(fetcher))
        finally:
            claims.put_back_all()


@dataclass(slots=True)
class _Claim:
    """A bot that is being processed.

    Attributes:
        entry: its entry.
        n_outcomes: outcomes it will have; None until it has been fetched.
        outcomes: those it has.
    """

    entry: Entry
    n_outcomes: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)


class QueueClaims:
    """Entries that were taken from a queue and are not finished.

    Args:
        source: the queue.
        on_outcome: called with each outcome.
        enough: set once no further bot is to be begun.
    """

    def __init__(self, source: Source, on_outcome: OutcomeCallback, enough: Event) -> None:
        self._queue, self._follow = source.queue, source.follow
        self._pass_on, self._enough = on_outcome, enough
        self._claims: dict[str, _Claim] = {}
        self._clean_up_at = time.monotonic() + _CLEAN_UP_EVERY_S

    def fetch_all(self, fetcher: Fetcher) -> Iterator[BotRecordings]:
        """Fetch one bot after another, in a thread of :class:`Runner`."""
        options = replace(fetcher.request.fetch, wait_s=0.0)

        def fetch_claimed(numbered: tuple[int, _Claim]) -> BotRecordings:
            index, claim = numbered
            recordings = claim.entry.recordings.items()
            known = tuple((r, kind, i) for r, kinds in recordings for kind, i in kinds.items())
            bot = fetcher.fetch_bot(index, claim.entry.bot_id, replace(options, known_artifacts=known))
            claim.n_outcomes = len(bot.recordings)
            return bot

        yield from thread_map(options.bots_at_once, enumerate(self._take(fetcher.stop)), fetch_claimed)

    def _take(self, stop: Event) -> Iterator[_Claim]:
        """Yield entries as they come due, but not of bots that are being processed."""
        while not (stop.is_set() or self._enough.is_set()):
            due = self._queue.due(time.time(), list(self._claims))
            for bot_id in due:
                if bot_id not in self._claims and (entry := self._queue.take(bot_id)) is not None:
                    self._claims[bot_id] = _Claim(entry)
                    yield self._claims[bot_id]
            if not due and not self._follow:
                return
            if not due:
                self._idle(stop)

    def _idle(self, stop: Event) -> None:
        stop.wait(_POLL_S)
        if time.monotonic() >= self._clean_up_at:
            self._clean_up_at = time.monotonic() + _CLEAN_UP_EVERY_S
            self._queue.clean_up()

    def on_outcome(self, outcome: Outcome) -> None:
        """Add an outcome to its bot's claim, and finish the claim with the last one."""
        claim = self._claims[outcome.bot_id]
        claim.outcomes.append(outcome)
        if len(claim.outcomes) == claim.n_outcomes:
            self._finish(claim)
            del self._claims[outcome.bot_id]
        self._pass_on(outcome)

    def _finish(self, claim: _Claim) -> None:
        statuses = {o.status for o in claim.outcomes}
        if not statuses & {"waiting", "transient"}:
            outcomes = [o.to_json() for o in claim.outcomes]
            self._queue.finish(claim.entry, outcomes, failed="failed" in statuses)
        else:
            unfinished = [o for o in claim.outcomes if o.status in ("waiting", "transient")]
            was_stopped = all(o.code == "interrupted" for o in unfinished)
            self._queue.put_back(claim.entry, unfinished[0].code, at_once=was_stopped)

    def put_back_all(self) -> None:
        """Put back entries that were taken and have not ended, to be begun anew."""
        for claim in list(self._claims.values()):
            with contextlib.suppress(OSError, MachineError):  # the next start recovers them anyway
                self._queue.put_back(claim.entry, at_once=True)
