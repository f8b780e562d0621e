"""Fetch and process many bots: each on its own, one journal, one exit code.

::

    fetcher (API, key) ─▶ runner ─▶ executor (processes or a cluster: neither API nor key)
                            └─▶ outcomes, journal

One fetcher owns the key and asks the API. Processing goes through an executor, so that the next bot is
fetched while the last one is processed. ``run.json`` is the truth about a recording; the journal is a log.
"""

from collections.abc import Iterable
from concurrent.futures import Executor
from functools import cache
from pathlib import Path
from threading import Event

from recall_audio.batch.executors import defer_signals, do_nothing, open_executor
from recall_audio.batch.executors.processes import with_secrets
from recall_audio.batch.fetcher import Fetcher, given_folders
from recall_audio.batch.media_deletion import media_deletion
from recall_audio.batch.request import OutcomeCallback, Request, SettingsSource, read_bot_ids, unique
from recall_audio.batch.runner import Callbacks, Runner
from recall_audio.batch.workspace import open_workspace
from recall_audio.model.outcome import Outcome, ProgressCallback

__all__ = [
    "OutcomeCallback",
    "ProgressCallback",
    "Request",
    "SettingsSource",
    "process_folders",
    "read_bot_ids",
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
    """Fetch and process bots and return their outcomes in order.

    There is one outcome for each recording, and one for a bot that has none.

    Args:
        bot_ids: the bots; duplicates count once.
        settings: returns key and region; called only where the API has to be asked.
        request: what to do.
        progress: called as work advances, from several threads.
        on_outcome: called with each outcome as it comes, also before an interruption is raised.
        executor: processes recordings instead of processes of this machine; it is not shut down. Calls and
            their results are plain picklable values, and `request.jobs` is how many it can do at once.

    Raises:
        KeyRefused: the API takes no request with this key; no further request was made.
        MachineError: this machine cannot go on (disk full, no decoder).
        KeyboardInterrupt: Ctrl-C; within seconds, with no process left.
    """
    ids, read_settings = unique(bot_ids), cache(with_secrets(settings))
    progress, stop = progress or do_nothing, Event()
    with (
        defer_signals(request, executor, stop),
        open_workspace(request.shared_by(len(ids))) as workspace,
    ):
        given, request = request, workspace.request
        fetcher = Fetcher(request, read_settings, workspace, progress, stop)
        with (
            media_deletion(given, read_settings, workspace.journal, stop) as deletion,
            open_executor(request, progress, executor) as pool,
        ):
            on_bot = deletion.on_bot if deletion is not None else None
            callbacks = Callbacks(on_outcome or do_nothing, workspace.journal, on_bot=on_bot)
            return Runner(request, pool, workspace, callbacks, stop).run(fetcher.fetch_all(ids))


def process_folders(
    folders: Iterable[Path],
    request: Request,
    progress: ProgressCallback | None = None,
    *,
    on_outcome: OutcomeCallback | None = None,
    executor: Executor | None = None,
) -> list[Outcome]:
    """Process recordings that were fetched before and return their outcomes.

    There are no requests and no journal; otherwise it works as :func:`run`.

    With a store, folders are only names: the last two steps of each, ``BOT_ID/RECORDING_ID``, name a
    recording there.
    """
    progress, stop, recordings = progress or do_nothing, Event(), list(folders)
    callbacks = Callbacks(on_outcome or do_nothing, None)
    with (
        defer_signals(request, executor, stop),
        open_workspace(request.shared_by(len(recordings))) as workspace,
    ):
        if request.store is not None:
            recordings = [workspace.request.out / f.parent.name / f.name for f in recordings]
            for bot_id in dict.fromkeys(folder.parent.name for folder in recordings):
                workspace.load_state(bot_id)
        request = workspace.request
        with open_executor(request, progress, executor, recordings) as pool:
            return Runner(request, pool, workspace, callbacks, stop).run(given_folders(recordings))
