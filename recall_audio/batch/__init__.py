"""Many bots: each on its own, one journal, one exit code.

::

    fetch_all (the fetcher: API, key)  ─▶  running  ─▶  workers (processes: neither)  ─▶  ending, journal

One fetcher owns the key and talks to the API; what is computed runs through an executor, so that fetching
the next bot and processing the last one overlap. The truth about a recording is its ``run.json``; the journal
is a log.
"""

from collections.abc import Iterable
from concurrent.futures import Executor
from functools import cache
from pathlib import Path
from threading import Event

from recall_audio.batch.executors import defer_signals, ignore_progress, open_executor
from recall_audio.batch.executors.processes import with_secrets
from recall_audio.batch.fetcher import Fetcher, given_folders
from recall_audio.batch.request import OutcomeCallback, Request, SettingsSource, unique
from recall_audio.batch.runner import Callbacks, Runner
from recall_audio.batch.workspace import open_workspace
from recall_audio.model.outcome import Outcome, ProgressCallback

__all__ = [
    "OutcomeCallback",
    "ProgressCallback",
    "Request",
    "SettingsSource",
    "process_folders",
    "run",
    "unique",
]


def run(
    bot_ids: Iterable[str],
    settings: SettingsSource,
    request: Request,
    progress: ProgressCallback | None = None,
    *,
    on_outcome: OutcomeCallback | None = None,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Fetch and process bots; one outcome a recording (or a bot that came to none), in order.

    Args:
        bot_ids: the bots; duplicates count once.
        settings: gives key and region; called only where something has to be asked for.
        request: what to do.
        progress: called as work advances, from several threads.
        on_outcome: called with each outcome as it comes. Who is interrupted has heard of all there are.
        executor: does the processing, instead of processes of this machine; it is not shut down. Calls and
            their results are plain picklable values, and `request.jobs` is how much it can do at once.

    Raises:
        KeyRefused: the API takes no request with this key; nothing more was asked.
        MachineError: this machine cannot go on (disk full, no decoder).
        KeyboardInterrupt: Ctrl-C; within seconds, with no process left.
    """
    ids, reach = unique(bot_ids), cache(with_secrets(settings))
    report, stop = progress or ignore_progress, Event()
    with defer_signals(request, executor, stop), open_workspace(request.shared_by(len(ids))) as workspace:
        request = workspace.request
        callbacks = Callbacks(report, on_outcome or ignore_progress, workspace.journal)
        fetcher = Fetcher(request, reach, workspace, report, stop)
        with open_executor(request, report, executor) as pool:
            return Runner(request, pool, workspace, callbacks, stop).run(fetcher.fetch_all(ids))


def process_folders(
    folders: Iterable[Path],
    request: Request,
    progress: ProgressCallback | None = None,
    *,
    on_outcome: OutcomeCallback | None = None,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Process recordings that were fetched before: no request, no journal. As :func:`run` otherwise.

    With a store, the folders are only names: the last two steps of each, ``BOT_ID/RECORDING_ID``, are looked
    for there.
    """
    report, stop, found = progress or ignore_progress, Event(), list(folders)
    callbacks = Callbacks(report, on_outcome or ignore_progress, None)
    with defer_signals(request, executor, stop), open_workspace(request.shared_by(len(found))) as workspace:
        if request.store is not None:
            found = [workspace.request.out / f.parent.name / f.name for f in found]
            for bot_id in dict.fromkeys(f.parent.name for f in found):
                workspace.load_state(bot_id)
        request = workspace.request
        with open_executor(request, report, executor, found) as pool:
            return Runner(request, pool, workspace, callbacks, stop).run(given_folders(found))
