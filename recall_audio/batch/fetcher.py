"""Fetch the bots of a batch: reuse what is on disk, ask the API for the rest.

No other module of a batch talks to the API. One thread draws from the fetcher, so that there is only one
however many recordings are processed side by side; it may fetch several bots at once.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from recall_audio import fetch
from recall_audio.batch import previous_runs
from recall_audio.batch.request import Request, SettingsSource
from recall_audio.batch.tasks import unexpected_error
from recall_audio.batch.workspace import Workspace
from recall_audio.errors import ItemError, RecallAudioError, TransientError, UsageError
from recall_audio.files import DISK_FULL_ERRORS, disk_error
from recall_audio.model.options import FetchOptions
from recall_audio.model.outcome import Outcome, ProgressCallback, Status

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BotRecordings:
    """What fetching one bot gave.

    Attributes:
        index: the bot's index in the batch.
        recordings: in the API's order: a folder that is to be processed, or an outcome that is final.
    """

    index: int
    recordings: tuple[Path | Outcome, ...]


def given_folders(folders: Iterable[Path]) -> Iterator[BotRecordings]:
    """Yield recordings that are on disk, each as a bot of its own."""
    for index, folder in enumerate(folders):
        yield BotRecordings(index, (folder,))


@dataclass(slots=True)
class Fetcher:
    """Fetches one bot after another.

    Attributes:
        request: what to do.
        read_settings: returns key and region; called only where the API has to be asked.
        workspace: where recordings are kept.
        progress: called as downloads advance.
        stop: ends everything under way.
    """

    request: Request
    read_settings: SettingsSource
    workspace: Workspace
    progress: ProgressCallback
    stop: threading.Event
    _first_tried: dict[int, float] = field(default_factory=dict)

    def fetch_all(self, bot_ids: Sequence[str]) -> Iterator[BotRecordings]:
        """Fetch every bot once.

        Bots that have to be waited for come last and delay no others.

        Raises:
            KeyRefused: the API takes no request with this key.
            MachineError: the disk is full.
            UsageError: there is no key, or no such region.
        """
        wait_s = self.request.fetch.wait_s
        first_try = replace(self.request.fetch, wait_s=0.0) if len(bot_ids) > 1 else self.request.fetch
        postponed: list[int] = []

        def fetch_numbered(numbered: tuple[int, str]) -> BotRecordings:
            self._first_tried[numbered[0]] = time.monotonic()
            return self.fetch_bot(*numbered, first_try)

        for bot in thread_map(self.request.fetch.bots_at_once, enumerate(bot_ids), fetch_numbered):
            if first_try.wait_s < wait_s and _is_waiting(bot):
                postponed.append(bot.index)
            else:
                yield bot
        for index in postponed:
            remaining_s = max(self._first_tried[index] + wait_s - time.monotonic(), 0.0)
            yield self.fetch_bot(index, bot_ids[index], replace(self.request.fetch, wait_s=remaining_s))

    def fetch_bot(self, index: int, bot_id: str, options: FetchOptions) -> BotRecordings:
        """Return the recordings of one bot, fetched where they are not on disk.

        An error that no one foresaw costs this bot only.

        Raises as :meth:`fetch_all`.
        """
        started = time.monotonic()
        try:
            return self._fetch_bot(index, bot_id, options)
        except RecallAudioError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other bots go on
            if isinstance(error, OSError) and error.errno in DISK_FULL_ERRORS:
                raise disk_error(error, self.request.out) from None
            failure = unexpected_error(error)
        return BotRecordings(index, (Outcome.of_error(failure, bot_id, seconds=time.monotonic() - started),))

    def _fetch_bot(self, index: int, bot_id: str, options: FetchOptions) -> BotRecordings:
        started = time.monotonic()
        try:
            self.workspace.load_state(bot_id)
        except TransientError as error:
            return BotRecordings(
                index, (Outcome.of_error(error, bot_id, seconds=time.monotonic() - started),)
            )
        folders = previous_runs.fetched_folders(bot_id, self.request)
        if folders is None:
            return BotRecordings(index, self._ask_api(bot_id, options))
        for folder in folders:
            fetch.remove_leftovers(folder)  # of a killed run: finished recordings are not opened again
        return BotRecordings(index, tuple(self._reuse(folder) for folder in folders))

    def _reuse(self, folder: Path) -> Path | Outcome:
        """Return a fetched recording's folder, or its outcome if that is final."""
        if self.request.options is None:
            return Outcome(folder.parent.name, "done", folder.name, str(folder), reused=True)
        return folder

    def _ask_api(self, bot_id: str, options: FetchOptions) -> tuple[Path | Outcome, ...]:
        self.workspace.space.check()
        started, settings = time.monotonic(), self.read_settings()
        try:
            fetched = fetch.fetch_bot(
                bot_id,
                self.request.out,
                settings,
                options,
                progress=lambda file, done, total: self.progress(bot_id, f"fetch {file}", done, total),
                stop=self.stop,
                is_fetched=None if self.request.force else previous_runs.has_media,
            )
            for recording in fetched.recordings:
                if recording.status in ("complete", "partial") and not recording.reused:
                    self.workspace.publish_download(recording.folder)
        except (ItemError, TransientError, UsageError) as error:
            return (Outcome.of_error(error, bot_id, seconds=time.monotonic() - started),)
        seconds = time.monotonic() - started
        _log.info(
            "fetched bot %s: %d recordings, %d retries", bot_id, len(fetched.recordings), fetched.retries
        )
        return tuple(self._outcome(bot_id, recording, seconds) for recording in fetched.recordings)

    def _outcome(self, bot_id: str, recording: "fetch.FetchedRecording", seconds: float) -> Path | Outcome:
        """Return the folder of a recording that is to be processed, or its outcome."""
        if recording.status in ("complete", "partial") and self.request.options is not None:
            return recording.folder
        statuses: dict[str, Status] = {"complete": "done", "partial": "partial", "waiting": "waiting"}
        return Outcome(
            bot_id=bot_id,
            recording_id=recording.folder.name,
            status=statuses.get(recording.status, "failed"),
            folder=str(recording.folder) if recording.folder.is_dir() else "",
            code=recording.code,
            message=recording.reason,
            seconds=round(seconds, 3),
        )


def _is_waiting(bot: BotRecordings) -> bool:
    return any(isinstance(r, Outcome) and r.status == "waiting" for r in bot.recordings)


ALONE_S: float | None = 10.0
"""Longest time that the first bot is fetched alone, seconds: a refused key shows within a second."""


def thread_map(n_threads: int, items: Iterator[T], function: Callable[[T], R]) -> Iterator[R]:
    """Call a function on items in threads and yield the results as they come.

    The first item goes alone for a moment: what would fail for all of them fails once. No thread is more than
    one result ahead of the consumer.

    Args:
        n_threads: calls at once; 1 makes each in the consumer's thread.
        items: advanced by one thread at a time; may block.
        function: called from several threads.

    Raises:
        Exception: the first that `items` or `function` raised; no further call is begun then.
    """
    if n_threads > 1:
        yield from _map_in_pool(n_threads, items, function)
    for item in items:
        yield function(item)


def _map_in_pool(n_threads: int, items: Iterator[T], function: Callable[[T], R]) -> Iterator[R]:
    advancing, is_over = threading.Lock(), threading.Event()

    def call_next() -> list[R]:
        """Return the result of the next item in a list, or an empty list after the last."""
        with advancing:
            drawn = [] if is_over.is_set() else list(itertools.islice(items, 1))
        return [function(item) for item in drawn]

    # Items are drawn in the threads, because drawing may block and results must not wait for it.
    pool = ThreadPoolExecutor(n_threads, "fetching")
    running, alone_s = {pool.submit(call_next)}, ALONE_S
    try:
        while running:
            done, running = wait(running, alone_s, return_when=FIRST_COMPLETED)
            for future in done:
                results = future.result()
                if results:
                    running.add(pool.submit(call_next))
                yield from results
            if alone_s is not None:  # the first has ended, or others wait no longer for it
                alone_s = None
                running |= {pool.submit(call_next) for _ in range(n_threads - 1)}
    finally:
        is_over.set()
        pool.shutdown(wait=False, cancel_futures=True)
