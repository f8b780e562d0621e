"""Commands that do the whole job, or all but the download: run, process, demo."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recall_audio import batch, fetch
from recall_audio.batch import Request, SettingsSource
from recall_audio.batch.previous_runs import open_known_recordings, stages_to_redo
from recall_audio.batch.queue_worker import Source, process_queue
from recall_audio.cli import logs
from recall_audio.cli import options as shared
from recall_audio.cli.locations import PlaceType, found_at, known_at, where
from recall_audio.cli.logs import log_options
from recall_audio.cli.progress import Progress, carried_out
from recall_audio.cli.step_options import PROCESSING, Chosen, step_options
from recall_audio.errors import UsageError
from recall_audio.listen import BotEvent, Queue
from recall_audio.model.outcome import Outcome

if TYPE_CHECKING:
    from recall_audio.storage import Location


def source_of(folder: Path, ids: list[str], follow: bool) -> Source:
    """The queue, with these bots in it.

    Raises:
        UsageError: one cannot be a bot's id; nothing was added.
    """
    queue = Queue(folder)
    events = [BotEvent(bot_id) for bot_id in ids]
    if odd := next((e.bot_id for e in events if not e.is_valid), None):
        raise UsageError(f"{odd[:80]!r} is no bot's id.", "Expected an id as Recall.ai shows it: 8-4-4-4-12.")
    for event in events:
        queue.add(event)
    return Source(queue, follow)


def worked_off(
    source: Source, settings: SettingsSource, request: Request, *, joined: int, quiet: bool, as_json: bool
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


def _worked_off(
    source: Source, settings: SettingsSource, request: Request, *, quiet: bool, as_json: bool
) -> int:
    code = carried_out(
        source.queue.waiting(),
        lambda progress, on_outcome: process_queue(
            source, settings, request, progress, on_outcome=on_outcome
        ),
        quiet=quiet,
        as_json=as_json,
    )
    if left := source.queue.waiting():
        logs.say(f"{left} in the queue are to be looked at later: run the same command again.", waiting=left)
    return code or (5 if left else 0)


def _followed(
    source: Source, settings: SettingsSource, request: Request, *, quiet: bool, as_json: bool
) -> int:
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
        process_queue(source, settings, request, progress, on_outcome=hear)
    return 0


@click.command()
@shared.ids_options
@click.option(
    "--queue",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Work off this queue, which `recall-audio listen` fills; ids that are named join it first.",
)
@click.option("--follow", is_flag=True, help="With --queue: go on for ever, as more comes in.")  # fmt: skip
@shared.out_option
@shared.jobs_option
@shared.batch_options
@shared.max_failures_option
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

    What is done already costs nothing: run the same command again after an interruption.
    """
    folder, follow = values.pop("folder"), values.pop("follow")
    if follow and folder is None:
        raise click.UsageError("--follow needs the --queue to follow.")
    if folder is not None and values["dry_run"]:
        raise click.UsageError("--dry-run looks at bots that are named, not at a --queue.")
    ids = shared.read_ids(bot_ids, ids_file, ids_column, may_be_none=folder is not None)
    region, as_json, quiet = values.pop("region"), values.pop("as_json"), values.pop("quiet")
    if values.pop("dry_run"):
        with open_known_recordings(values["out"], ids) as folders:
            return _dry_run(folders, chosen, force=values["force"])
    request = _request(where(values.pop("out")), chosen, values)

    def settings() -> fetch.Settings:
        return fetch.Settings.from_environment(region)

    if folder is not None:
        source, told = source_of(folder, ids, follow), {"quiet": quiet, "as_json": as_json}
        return worked_off(source, settings, request, joined=len(ids), **told)
    return carried_out(
        len(ids),
        lambda progress, on_outcome: batch.run(ids, settings, request, progress, on_outcome=on_outcome),
        quiet=quiet,
        as_json=as_json,
    )


@click.command()
@click.argument("folders", metavar="DIR|URL...", nargs=-1, required=True, type=PlaceType())
@shared.jobs_option
@shared.batch_options
@step_options(*PROCESSING)
@shared.force_option
@shared.json_option
@shared.quiet_option
@log_options
def process(folders: "tuple[Location, ...]", chosen: Chosen, **values: Any) -> int:
    """Everything after the download, on recordings' folders. No network."""
    place, found = found_at(folders)
    as_json, quiet = values.pop("as_json"), values.pop("quiet")
    if values.pop("dry_run"):
        with known_at(place, found) as known:
            return _dry_run(known, chosen, force=values["force"])
    request = _request(place, chosen, values)
    return carried_out(
        len(found),
        lambda progress, on_outcome: batch.process_folders(found, request, progress, on_outcome=on_outcome),
        quiet=quiet,
        as_json=as_json,
    )


def _request(place: dict[str, Any], chosen: Chosen, values: dict[str, Any]) -> Request:
    return batch.Request(
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
    )


def _dry_run(folders: list[Path], chosen: Chosen, *, force: bool) -> int:
    """Say what would be done again to recordings that are here, and do nothing."""
    from recall_audio.cli.printing import print_table
    from recall_audio.pipeline.plan import STAGES

    rows = []
    for folder in folders:
        version, stages = stages_to_redo(folder, chosen.processing)
        redo = list(STAGES) if force else stages
        rows.append([folder.parent.name, folder.name, version or None, ", ".join(redo) or "nothing"])
    print_table(["bot", "recording", "made by version", "would do"], rows, "table")
    return 0


@click.command(short_help="The whole job on a sample meeting: no key, no network.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("recall-audio-demo"),
              show_default=True, help="Output folder.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def demo(out: Path, quiet: bool) -> int:
    """The whole job on a sample meeting: no key, no network, no ffmpeg.

    A stand-in of the API and its store serves the sample on this machine; the ordinary `run` does the rest.
    """
    from recall_audio.cli.printing import print_outcomes
    from recall_audio.results.sample import sample_meeting

    with sample_meeting() as (bot_id, settings), Progress(quiet=quiet) as progress:
        outcomes = batch.run([bot_id], lambda: settings, batch.Request(out=out), progress)
    return print_outcomes(outcomes, as_json=False)


COMMANDS = (run, process, demo)
