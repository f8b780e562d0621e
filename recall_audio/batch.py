"""Many bots: each on its own, one journal, one exit code.

One fetcher owns the key and talks to the API, here in the calling thread; what is computed runs through an
executor, so that fetching the next bot and processing the last one overlap.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from recall_audio import fetch
from recall_audio.errors import ItemError, RecallAudioError, TransientError, UsageError, Waiting
from recall_audio.files import disk_error
from recall_audio.model.options import FetchOptions, Options
from recall_audio.model.outcome import Outcome
from recall_audio.workflow.layout import Layout
from recall_audio.workflow.manifest import is_done
from recall_audio.workflow.plan import stage_keys
from recall_audio.workflow.process import parameters_of, process, read_meeting

if TYPE_CHECKING:
    from recall_audio.fetch.settings import Settings

Progress = Callable[[str, str, int, int | None], None]
"""Called with a bot's or recording's id, what is being done, units done, and units in all where known."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a batch is asked to do.

    Attributes:
        out: the output folder.
        fetch: how to download.
        options: how to process; None stops after the download.
        jobs: recordings processed side by side; 1 works in this process.
        force: do everything again.
        keep_work: keep decoded working files.
    """

    out: Path
    fetch: FetchOptions = field(default_factory=FetchOptions)
    options: Options | None = field(default_factory=Options)
    jobs: int = 1
    force: bool = False
    keep_work: bool = True


def unique(ids: Iterable[str]) -> list[str]:
    """Ids in order, each once, blanks dropped."""
    return list(dict.fromkeys(i.strip() for i in ids if i.strip()))


def run(
    bot_ids: Iterable[str],
    settings: Callable[[], "Settings"],
    request: Request,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Fetch and process bots; one outcome a recording (or a bot that came to none), in order.

    Args:
        bot_ids: the bots; duplicates count once.
        settings: gives key and region; called only where something has to be asked for.
        request: what to do.
        progress: called as work advances.

    Raises:
        KeyRefused: the API takes no request with this key; nothing more was asked.
        MachineError: this machine cannot go on (disk full, no decoder).
    """
    report = progress or (lambda *_: None)
    ids, settings = unique(bot_ids), cache(settings)
    with _workers(request.jobs) as executor:
        waiting = [_start(bot_id, settings, request, executor, report) for bot_id in ids]
        return [_journalled(request.out, outcome) for jobs in waiting for outcome in _collect(jobs)]


def process_folders(
    folders: Iterable[Path], request: Request, progress: Progress | None = None
) -> list[Outcome]:
    """Process recordings that are already on disk; no network."""
    report = progress or (lambda *_: None)
    with _workers(request.jobs) as executor:
        jobs = [_submit(folder, request, executor, report) for folder in folders]
        return list(_collect(jobs))


@contextmanager
def _workers(jobs: int) -> Iterator[Executor | None]:
    """A pool of processes, or None where one job at a time runs in this one."""
    if jobs <= 1:
        yield None
        return
    # Spawned, so that a worker has neither the parent's memory nor, once it runs, the key.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawned, initializer=_forget_key) as pool:
        yield pool


def _forget_key() -> None:
    """What is computed needs no key: a worker has none."""
    os.environ.pop(fetch.settings.KEY_VARIABLE, None)


Job = Future[Outcome] | Outcome


def _start(
    bot_id: str,
    settings: Callable[[], "Settings"],
    request: Request,
    executor: Executor | None,
    report: Progress,
) -> list[Job]:
    """Fetch one bot and hand its recordings on; its failure is its own."""
    done = None if request.force else done_recordings(request.out, bot_id, request.options)
    if done is not None:
        return [_submit(folder, request, executor, report) for folder in done]
    started, reach = time.monotonic(), settings()
    try:
        fetched = fetch.fetch_bot(bot_id, request.out, reach, request.fetch, progress=partial(report, bot_id))
    except (ItemError, TransientError, UsageError) as error:
        return [_failure(bot_id, error, time.monotonic() - started)]
    jobs: list[Job] = []
    for recording in fetched.recordings:
        if recording.status in ("complete", "partial") and request.options is not None:
            jobs.append(_submit(recording.folder, request, executor, report))
        else:
            jobs.append(_fetched_only(bot_id, recording, time.monotonic() - started))
    return jobs


def done_recordings(out: Path, bot_id: str, options: Options | None) -> list[Path] | None:
    """Folders of a bot whose every recording is done under these options; None where something is to do."""
    if options is None:
        return None
    folders = fetch.known_recordings(out, bot_id)
    try:
        meetings = [read_meeting(Layout(folder)) for folder in folders]
    except ItemError:
        return None
    wanted = {i for m in meetings for i in m.bot.get("recording_ids", [])}
    is_over = all(m.bot.get("is_over") for m in meetings)
    if not meetings or not is_over or wanted != {m.recording_id for m in meetings}:
        return None
    parameters = parameters_of(options)
    done = all(
        is_done(Layout(f), parameters, stage_keys(m, options)) for f, m in zip(folders, meetings, strict=True)
    )
    return folders if done else None


def _submit(folder: Path, request: Request, executor: Executor | None, report: Progress) -> Job:
    work = partial(
        process_safely, folder, request.options or Options(), force=request.force, keep_work=request.keep_work
    )
    if executor is not None:
        return executor.submit(work)
    return work(progress=partial(report, folder.name))


def process_safely(
    folder: Path,
    options: Options,
    *,
    force: bool,
    keep_work: bool,
    progress: Callable[[str, int, int], None] | None = None,
) -> Outcome:
    """:func:`process`, with an item's own failure as its outcome instead of an exception."""
    started = time.monotonic()
    try:
        return process(folder, options, force=force, keep_work=keep_work, progress=progress)
    except (ItemError, TransientError) as error:
        return _failure(folder.parent.name, error, time.monotonic() - started, folder)


def _collect(jobs: Iterable[Job]) -> Iterator[Outcome]:
    for job in jobs:
        yield job.result() if isinstance(job, Future) else job


def _failure(bot_id: str, error: RecallAudioError, seconds: float, folder: Path | None = None) -> Outcome:
    kinds = {Waiting: "waiting", TransientError: "transient"}
    status = next((s for kind, s in kinds.items() if isinstance(error, kind)), "failed")
    return Outcome(
        bot_id=bot_id,
        recording_id=folder.name if folder else "",
        status=status,  # type: ignore[arg-type]
        folder=str(folder) if folder else "",
        code=error.code,
        message=str(error),
        seconds=round(seconds, 3),
    )


def _fetched_only(bot_id: str, recording: "fetch.FetchedRecording", seconds: float) -> Outcome:
    """The outcome of a recording that is not processed: fetched as asked, still waiting, or gone."""
    status = {"complete": "done", "partial": "partial", "waiting": "waiting"}.get(recording.status, "failed")
    return Outcome(
        bot_id=bot_id,
        recording_id=recording.folder.name,
        status=status,  # type: ignore[arg-type]
        folder=str(recording.folder) if recording.folder.is_dir() else "",
        code=recording.code,
        message=recording.reason,
        seconds=round(seconds, 3),
    )


def _journalled(out: Path, outcome: Outcome) -> Outcome:
    """Append one line to ``OUT/journal.jsonl``: a log, not the truth (that is each ``run.json``)."""
    line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **outcome.to_json()})
    path = out / "journal.jsonl"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError as error:
        failure = disk_error(error, path)
    else:
        return outcome
    raise failure
