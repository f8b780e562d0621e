"""Define the commands that do the whole job, or all but the download: run, process, demo."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recall_audio import fetch
from recall_audio.cli import logs
from recall_audio.cli import options as shared
from recall_audio.cli.locations import (
    LocationType,
    find_recordings,
    request_fields,
    states_of_recordings,
)
from recall_audio.cli.logs import log_options
from recall_audio.cli.options import GroupedCommand
from recall_audio.cli.progress import Progress, run_batch
from recall_audio.cli.step_options import PROCESSING, Chosen, step_options
from recall_audio.errors import UsageError

if TYPE_CHECKING:
    from recall_audio.batch import Request, SettingsSource
    from recall_audio.batch.queue_worker import Source
    from recall_audio.model.outcome import Outcome
    from recall_audio.storage import Location


def open_queue(folder: Path, ids: list[str], follow: bool) -> "Source":
    """Open a queue and add these bots to it.

    Raises:
        UsageError: one of them is no bot id. Nothing was added.
    """
    from recall_audio.batch.queue_worker import Source
    from recall_audio.listen import BotEvent, Queue

    queue = Queue(folder)
    events = [BotEvent(bot_id) for bot_id in ids]
    if odd := next((e.bot_id for e in events if not e.is_valid), None):
        raise UsageError(
            f"{odd[:80]!r} is no bot id.", "Expected an id as Recall.ai shows it, in the form 8-4-4-4-12."
        )
    for event in events:
        queue.add(event)
    return Source(queue, follow)


def work_off_queue(
    source: "Source",
    settings: "SettingsSource",
    request: "Request",
    *,
    joined: int,
    quiet: bool,
    as_json: bool,
) -> int:
    """Process what a queue holds, and return the exit code: 5 where an entry has to wait, else the batch's.

    Where another process works on the queue already, the `joined` bots are left to it.
    """
    work = _followed if source.follow else _worked_off
    try:
        return work(source, settings, request, quiet=quiet, as_json=as_json)
    except UsageError as error:
        if error.code != "queue_taken" or not joined:
            raise
    logs.say(
        f"{joined} added to {source.queue.folder}; another process is working on this queue.", joined=joined
    )
    return 0


def _worked_off(
    source: "Source", settings: "SettingsSource", request: "Request", *, quiet: bool, as_json: bool
) -> int:
    from recall_audio.batch.queue_worker import process_queue

    code = run_batch(
        source.queue.waiting(),
        lambda progress, on_outcome: process_queue(
            source, settings, request, progress, on_outcome=on_outcome
        ),
        quiet=quiet,
        as_json=as_json,
    )
    if left := source.queue.waiting():
        logs.say(f"{left} in the queue have to wait: run the same command again later.", waiting=left)
    return code or (5 if left else 0)


def _followed(
    source: "Source", settings: "SettingsSource", request: "Request", *, quiet: bool, as_json: bool
) -> int:
    from recall_audio.batch.queue_worker import process_queue

    def print_outcome(outcome: "Outcome") -> None:
        if as_json:
            click.echo(json.dumps(outcome.to_json(), ensure_ascii=True))
        elif not quiet:
            why = f" ({outcome.code})" if outcome.code else ""
            name = " ".join(n for n in (outcome.bot_id, outcome.recording_id) if n)
            logs.say(f"{name}: {'done before' if outcome.reused else outcome.status}{why}")

    if not quiet:
        logs.say(f"Processing {source.queue.folder}, {source.queue.waiting()} waiting; stop with Ctrl-C.")
    with Progress(quiet=True) as progress:
        process_queue(source, settings, request, progress, on_outcome=print_outcome)
    return 0


@click.command(cls=GroupedCommand)
@shared.ids_options
@click.option(
    "--queue",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Process the bots in this queue, filled by `recall-audio listen`; ids given are added to it.",
)
@click.option(
    "--follow", is_flag=True, help="Keep running, and process bots as they are added; needs --queue."
)
@shared.out_option
@shared.jobs_option
@shared.batch_options
@shared.max_failures_option
@shared.deletion_options
@shared.region_option
@step_options("fetch", *PROCESSING)
@shared.force_option
@shared.json_option
@shared.quiet_option
@log_options
def run(
    bot_ids: tuple[str, ...], ids_file: str | None, ids_column: str | None, chosen: Chosen, **values: Any
) -> int:
    """Fetch and process the meetings of these bots.

    Finished work is not repeated: run the same command again after an interruption.
    """
    from recall_audio import batch
    from recall_audio.batch.previous_runs import open_known_recordings

    folder, follow = values.pop("folder"), values.pop("follow")
    if follow and folder is None:
        raise click.UsageError("--follow needs --queue.")
    if folder is not None and values["dry_run"]:
        raise click.UsageError("--dry-run takes bot ids, not --queue.")
    ids = shared.read_ids(bot_ids, ids_file, ids_column, may_be_none=folder is not None)
    region, as_json, quiet = values.pop("region"), values.pop("as_json"), values.pop("quiet")
    if values.pop("dry_run"):
        with open_known_recordings(values["out"], ids) as folders:
            return _dry_run(folders, chosen, force=values["force"])
    if values["delete_media"] and not values["is_confirmed"]:
        shared.confirm_deletion(len(ids) if folder is None else None)
    request = _request(request_fields(values.pop("out")), chosen, values)

    def settings() -> fetch.Settings:
        return fetch.Settings.from_environment(region)

    if folder is not None:
        source = open_queue(folder, ids, follow)
        return work_off_queue(source, settings, request, joined=len(ids), quiet=quiet, as_json=as_json)
    return run_batch(
        len(ids),
        lambda progress, on_outcome: batch.run(ids, settings, request, progress, on_outcome=on_outcome),
        quiet=quiet,
        as_json=as_json,
    )


@click.command(cls=GroupedCommand, short_help="Process what was downloaded, without a network.")
@click.argument("folders", metavar="DIR|URL...", nargs=-1, required=True, type=LocationType())
@shared.jobs_option
@shared.batch_options
@step_options(*PROCESSING)
@shared.force_option
@shared.json_option
@shared.quiet_option
@log_options
def process(folders: "tuple[Location, ...]", chosen: Chosen, **values: Any) -> int:
    """Process recordings that were downloaded: everything but the download, without the network."""
    from recall_audio import batch

    place, found = find_recordings(folders)
    as_json, quiet = values.pop("as_json"), values.pop("quiet")
    if values.pop("dry_run"):
        with states_of_recordings(place, found) as known:
            return _dry_run(known, chosen, force=values["force"])
    request = _request(place, chosen, values)
    return run_batch(
        len(found),
        lambda progress, on_outcome: batch.process_folders(found, request, progress, on_outcome=on_outcome),
        quiet=quiet,
        as_json=as_json,
    )


def _request(place: dict[str, Any], chosen: Chosen, values: dict[str, Any]) -> "Request":
    from recall_audio.batch import Request

    return Request(
        **place,
        fetch=chosen.fetching,
        options=chosen.processing,
        jobs=values["jobs"],
        force=values["force"],
        keep_work=not values["discard_work"],
        isolate=True,
        item_timeout_s=values["item_timeout_s"],
        max_failures=values.get("max_failures"),
        verify=values["verify"],
        cluster=values["cluster"],
        delete_media=values.get("delete_media", False),
    )


def _dry_run(folders: list[Path], chosen: Chosen, *, force: bool) -> int:
    """Print what would be done again to recordings that are here, and do nothing."""
    from recall_audio.batch.previous_runs import stages_to_redo
    from recall_audio.cli.printing import print_table
    from recall_audio.pipeline.plan import STAGES

    rows = []
    for folder in folders:
        version, stages = stages_to_redo(folder, chosen.processing)
        redo = list(STAGES) if force else stages
        rows.append([folder.parent.name, folder.name, version or None, ", ".join(redo) or "nothing"])
    print_table(["bot", "recording", "made by version", "would do"], rows, "table")
    return 0


@click.command(short_help="Do the whole job on a sample meeting: no key, no network.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("recall-audio-demo"),
              show_default=True, help="Write to this folder.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print no progress on stderr.")
def demo(out: Path, quiet: bool) -> int:
    """Do the whole job on a sample meeting: no key, no network, no ffmpeg.

    A stand-in for the API and its media store serves the sample on this machine; the ordinary `run` does the
    rest.
    """
    from recall_audio import batch
    from recall_audio.cli.printing import print_outcomes
    from recall_audio.results.sample import sample_meeting

    with sample_meeting() as (bot_id, settings), Progress(quiet=quiet) as progress:
        outcomes = batch.run([bot_id], lambda: settings, batch.Request(out=out), progress)
    return print_outcomes(outcomes, as_json=False)


COMMANDS = (run, process, demo)
