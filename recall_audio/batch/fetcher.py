"""What there is to do, bot by bot: what is here already, what has to be fetched, what nobody can have.

The only place of a batch that talks to the API. It is a generator that one thread draws from, so that there
is one fetcher however many recordings are processed side by side; it may fetch several bots at once.
"""

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Generic, TypeVar

from recall_audio import fetch
from recall_audio.batch import previous_runs, tasks
from recall_audio.batch.request import Request, SettingsSource
from recall_audio.batch.workspace import Workspace
from recall_audio.errors import ItemError, TransientError, UsageError
from recall_audio.model.options import FetchOptions
from recall_audio.model.outcome import Outcome, ProgressCallback, Status

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BotRecordings:
    """What came of one bot.

    Attributes:
        at: its place in the batch.
        recordings: in the API's order: a folder that is to be processed, or an outcome that stands already.
    """

    at: int
    recordings: tuple[Path | Outcome, ...]


def given_folders(folders: Iterable[Path]) -> Iterator[BotRecordings]:
    """Recordings that are on disk."""
    for at, folder in enumerate(folders):
        yield BotRecordings(at, (folder,))


@dataclass(slots=True)
class Fetcher:
    """Fetches one bot after another.

    Attributes:
        request: what to do.
        reach: gives key and region; called only where something has to be asked for.
        workspace: where recordings are kept.
        report: told how far downloads are.
        stop: ends everything under way.
    """

    request: Request
    reach: SettingsSource
    workspace: Workspace
    report: ProgressCallback
    stop: Event
    _first_asked: dict[int, float] = field(default_factory=dict)

    def fetch_all(self, bot_ids: Sequence[str]) -> Iterator[BotRecordings]:
        """Every bot once; those that have to be waited for come last, so that they hold nobody up.

        Raises:
            KeyRefused: the API takes no request with this key.
            MachineError: the disk is full.
            UsageError: there is no key, or no such region.
        """
        wait_s = self.request.fetch.wait_s
        at_once = replace(self.request.fetch, wait_s=0.0) if len(bot_ids) > 1 else self.request.fetch
        later: list[int] = []

        def one(numbered: tuple[int, str]) -> BotRecordings:
            self._first_asked[numbered[0]] = time.monotonic()
            return self.fetch_bot(*numbered, at_once)

        for arrival in thread_map(self.request.fetch.bots_at_once, enumerate(bot_ids), one):
            if at_once.wait_s < wait_s and _is_waiting(arrival):
                later.append(arrival.at)
            else:
                yield arrival
        for at in later:
            left_s = max(self._first_asked[at] + wait_s - time.monotonic(), 0.0)
            yield self.fetch_bot(at, bot_ids[at], replace(self.request.fetch, wait_s=left_s))

    def fetch_bot(self, at: int, bot_id: str, options: FetchOptions) -> BotRecordings:
        """What comes of one bot; raises as :meth:`fetch_all`."""
        began = time.monotonic()
        try:
            self.workspace.load_state(bot_id)
        except TransientError as error:
            return BotRecordings(at, (tasks.failure(bot_id, error, time.monotonic() - began),))
        here = self._here(bot_id)
        if here is None:
            return BotRecordings(at, self._fetched(bot_id, options))
        return BotRecordings(at, tuple(self._known(folder) for folder in here))

    def _here(self, bot_id: str) -> list[Path] | None:
        """Folders of a bot that nothing has to be asked for; None where something has."""
        if self.request.force:
            return None
        try:
            if self.request.verify:
                for folder in fetch.known_recordings(self.request.out, bot_id):
                    previous_runs.discard_inputs(folder)
            folders = previous_runs.fetched_recordings(self.request.out, bot_id)
        except ItemError:
            return None
        if (
            folders is not None
            and self.request.options is None
            and not all(map(previous_runs.is_whole, folders))
        ):
            return None  # only the API can say whether what is missing is missing for good
        for folder in folders or ():
            fetch.remove_leftovers(
                folder
            )  # after a run that was killed: whoever is done is not looked into again
        return folders

    def _known(self, folder: Path) -> Path | Outcome:
        """A recording that is here: finished, or to be processed."""
        if self.request.options is None:
            return Outcome(folder.parent.name, "done", folder.name, str(folder), reused=True)
        return folder

    def _fetched(self, bot_id: str, options: FetchOptions) -> tuple[Path | Outcome, ...]:
        self.workspace.space.check()
        started, reach = time.monotonic(), self.reach()
        try:
            fetched = fetch.fetch_bot(
                bot_id,
                self.request.out,
                reach,
                options,
                progress=lambda file, done, total: self.report(bot_id, f"fetch {file}", done, total),
                stop=self.stop,
                is_fetched=None if self.request.force else previous_runs.has_its_media,
            )
            for one in fetched.recordings:
                if one.status in ("complete", "partial") and not one.reused:
                    self.workspace.publish_download(one.folder)
        except (ItemError, TransientError, UsageError) as error:
            return (tasks.failure(bot_id, error, time.monotonic() - started),)
        seconds = time.monotonic() - started
        _log.info(
            "fetched bot %s: %d recordings, %d retries", bot_id, len(fetched.recordings), fetched.retries
        )
        return tuple(self._recording(bot_id, r, seconds) for r in fetched.recordings)

    def _recording(self, bot_id: str, one: "fetch.FetchedRecording", seconds: float) -> Path | Outcome:
        if one.status in ("complete", "partial") and self.request.options is not None:
            return one.folder
        statuses: dict[str, Status] = {"complete": "done", "partial": "partial", "waiting": "waiting"}
        return Outcome(
            bot_id=bot_id,
            recording_id=one.folder.name,
            status=statuses.get(one.status, "failed"),
            folder=str(one.folder) if one.folder.is_dir() else "",
            code=one.code,
            message=one.reason,
            seconds=round(seconds, 3),
        )


def _is_waiting(arrival: BotRecordings) -> bool:
    return any(isinstance(one, Outcome) and one.status == "waiting" for one in arrival.recordings)


T = TypeVar("T")
R = TypeVar("R")

_LOOK_S = 0.25


def thread_map(n: int, items: Iterator[T], one: Callable[[T], R]) -> Iterator[R]:
    """``one(item)`` of each item, up to `n` at once, as they come to an end.

    The first goes alone: what would fail for all of them, fails once. Each thread is at most one result ahead
    of who draws.

    Args:
        n: calls at once; 1 makes each in the drawing thread.
        items: drawn from by one thread at a time; may wait.
        one: called from several threads.

    Raises:
        Exception: what `items` or `one` raised first; nothing more is begun then.
    """
    for item in items:
        yield one(item)
        if n > 1:
            yield from _Workers(items, one).results(n)


class _Ended:
    """What a thread says last: nothing, or the error that ended it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Workers(Generic[T, R]):
    """Threads at work."""

    def __init__(self, items: Iterator[T], one: Callable[[T], R]) -> None:
        self._items, self._one = items, one
        self._made: queue.Queue[R | _Ended] = queue.Queue(1)
        self._drawing, self._is_over = threading.Lock(), threading.Event()

    def results(self, n: int) -> Iterator[R]:
        """What `n` threads make."""
        for _ in range(n):
            threading.Thread(target=self._work, name="fetching", daemon=True).start()
        try:
            while n:
                made = self._made.get()
                if not isinstance(made, _Ended):
                    yield made
                elif made.error is not None:
                    raise made.error
                else:
                    n -= 1
        finally:
            self._is_over.set()

    def _work(self) -> None:
        try:
            while item := self._drawn():
                self._hand_over(self._one(item[0]))
        except BaseException as error:  # noqa: BLE001 - whatever it is, who draws has to hear of it
            self._hand_over(_Ended(error))
        else:
            self._hand_over(_Ended())

    def _drawn(self) -> list[T]:
        """The next item, or nothing."""
        with self._drawing:
            return [] if self._is_over.is_set() else list(itertools.islice(self._items, 1))

    def _hand_over(self, made: R | _Ended) -> None:
        while not self._is_over.is_set():
            try:
                self._made.put(made, timeout=_LOOK_S)
            except queue.Full:
                continue
            return
