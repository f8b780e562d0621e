"""Many bots: each on its own, one journal, one exit code.

::

    arrivals (the fetcher: API, key)  ─▶  running  ─▶  workers (processes: neither)  ─▶  ending, journal

One fetcher owns the key and talks to the API; what is computed runs through an executor, so that fetching
the next bot and processing the last one overlap. The truth about a recording is its ``run.json``; the journal
is a log.
"""

from collections.abc import Iterable
from concurrent.futures import Executor
from functools import cache
from pathlib import Path
from threading import Event

from recall_audio.batch.executors import catching, pool_for, silent
from recall_audio.batch.executors.processes import seeing_key
from recall_audio.batch.fetcher import Fetcher, of_folders
from recall_audio.batch.request import Ended, Progress, Reach, Request, unique
from recall_audio.batch.runner import Ears, Running
from recall_audio.batch.workspace import shelf_for
from recall_audio.model.outcome import Outcome

__all__ = ["Ended", "Progress", "Reach", "Request", "process_folders", "run", "unique"]


def run(
    bot_ids: Iterable[str],
    settings: Reach,
    request: Request,
    progress: Progress | None = None,
    *,
    ended: Ended | None = None,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Fetch and process bots; one outcome a recording (or a bot that came to none), in order.

    Args:
        bot_ids: the bots; duplicates count once.
        settings: gives key and region; called only where something has to be asked for.
        request: what to do.
        progress: called as work advances, from several threads.
        ended: called with each outcome as it comes. Who is interrupted has heard of all there are.
        executor: does the processing, instead of processes of this machine; it is not shut down. Calls and
            their results are plain picklable values, and `request.jobs` is how much it can do at once.

    Raises:
        KeyRefused: the API takes no request with this key; nothing more was asked.
        MachineError: this machine cannot go on (disk full, no decoder).
        KeyboardInterrupt: Ctrl-C; within seconds, with no process left.
    """
    ids, reach = unique(bot_ids), cache(seeing_key(settings))
    report, stop = progress or silent, Event()
    with catching(request, executor, stop), shelf_for(request.shared_by(len(ids))) as shelf:
        request = shelf.request
        ears = Ears(report, ended or silent, shelf.journal)
        fetcher = Fetcher(request, reach, shelf, report, stop)
        with pool_for(request, report, executor) as pool:
            return Running(request, pool, shelf, ears, stop).through(fetcher.arrivals(ids))


def process_folders(
    folders: Iterable[Path],
    request: Request,
    progress: Progress | None = None,
    *,
    ended: Ended | None = None,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Process recordings that were fetched before: no request, no journal. As :func:`run` otherwise.

    With a store, the folders are only names: the last two steps of each, ``BOT_ID/RECORDING_ID``, are looked
    for there.
    """
    report, stop, found = progress or silent, Event(), list(folders)
    ears = Ears(report, ended or silent, None)
    with catching(request, executor, stop), shelf_for(request.shared_by(len(found))) as shelf:
        if request.store is not None:
            found = [shelf.request.out / f.parent.name / f.name for f in found]
            for bot_id in dict.fromkeys(f.parent.name for f in found):
                shelf.look(bot_id)
        request = shelf.request
        with pool_for(request, report, executor, found) as pool:
            return Running(request, pool, shelf, ears, stop).through(of_folders(found))
