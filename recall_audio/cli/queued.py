"""A queue worked off from the command line: a batch if it ends, a line for each outcome if it does not."""

import json
from pathlib import Path

import click

from recall_audio.batch import Reach, Request
from recall_audio.batch.service import Source, work_off
from recall_audio.cli import logs
from recall_audio.cli.carrying_out import carried_out
from recall_audio.cli.progress import Progress
from recall_audio.errors import UsageError
from recall_audio.listen import Queue, Told
from recall_audio.model.outcome import Outcome


def source_of(folder: Path, ids: list[str], follow: bool) -> Source:
    """The queue, with these bots in it.

    Raises:
        UsageError: one cannot be a bot's id; nothing was added.
    """
    queue = Queue(folder)
    told = [Told(bot_id) for bot_id in ids]
    if odd := next((t.bot_id for t in told if not t.is_sound), None):
        raise UsageError(f"{odd[:80]!r} is no bot's id.", "Expected an id as Recall.ai shows it: 8-4-4-4-12.")
    for one in told:
        queue.add(one)
    return Source(queue, follow)


def worked_off(
    source: Source, settings: Reach, request: Request, *, joined: int, quiet: bool, as_json: bool
) -> int:
    """Work a queue off and give the exit code: that of the batch, or 5 if something in it comes later.

    Where another process does so already, the bots that have just joined it (so many) are left to that one.
    """
    work = _followed if source.follow else _worked_off
    try:
        return work(source, settings, request, quiet=quiet, as_json=as_json)
    except UsageError as error:
        if error.code != "queue_taken" or not joined:
            raise
    logs.say(f"{joined} joined {source.queue.folder}, which another process works off.", joined=joined)
    return 0


def _worked_off(source: Source, settings: Reach, request: Request, *, quiet: bool, as_json: bool) -> int:
    code = carried_out(
        source.queue.waiting(),
        lambda progress, ended: work_off(source, settings, request, progress, ended=ended),
        quiet=quiet,
        as_json=as_json,
    )
    if left := source.queue.waiting():
        logs.say(f"{left} in the queue are to be looked at later: run the same command again.", waiting=left)
    return code or (5 if left else 0)


def _followed(source: Source, settings: Reach, request: Request, *, quiet: bool, as_json: bool) -> int:
    def hear(outcome: Outcome) -> None:
        if as_json:
            click.echo(json.dumps(outcome.to_json(), ensure_ascii=True))
        elif not quiet:
            why = f" ({outcome.code})" if outcome.code else ""
            name = " ".join(n for n in (outcome.bot_id, outcome.recording_id) if n)
            logs.say(f"{name}: {'done before' if outcome.reused else outcome.status}{why}")

    if not quiet:
        logs.say(f"Working off {source.queue.folder}, {source.queue.waiting()} waiting; Ctrl-C ends it.")
    with Progress(quiet=True) as progress:
        work_off(source, settings, request, progress, ended=hear)
    return 0
