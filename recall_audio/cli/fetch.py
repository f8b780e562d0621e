"""Define the commands that talk to the API and compute nothing: fetch, create-bot."""

from typing import Any, Literal

import click

from recall_audio.cli import options as shared
from recall_audio.cli.locations import request_fields
from recall_audio.cli.logs import log_options
from recall_audio.cli.progress import run_batch
from recall_audio.cli.step_options import Chosen, step_options


@click.command("fetch")
@shared.ids_options
@shared.out_option
@shared.max_failures_option
@shared.region_option
@step_options("fetch")
@shared.force_option
@shared.json_option
@shared.quiet_option
@log_options
def fetch_(
    bot_ids: tuple[str, ...], ids_file: str | None, ids_column: str | None, chosen: Chosen, **values: Any
) -> int:
    """Download the meetings of these bots, and nothing else."""
    from recall_audio import batch, fetch

    ids = shared.read_ids(bot_ids, ids_file, ids_column)
    region, as_json = values.pop("region"), values.pop("as_json")
    request = batch.Request(
        **request_fields(values["out"]),
        fetch=chosen.fetching,
        options=None,
        force=values["force"],
        max_failures=values["max_failures"],
    )

    def settings() -> fetch.Settings:
        return fetch.Settings.from_environment(region)

    return run_batch(
        len(ids),
        lambda progress, on_outcome: batch.run(ids, settings, request, progress, on_outcome=on_outcome),
        quiet=values["quiet"],
        as_json=as_json,
    )


@click.command("create-bot", short_help="Send a bot that records what this tool needs.")
@click.argument("meeting_url")
@click.option("--name", help="Give the bot this display name.")
@click.option("--join-at", metavar="T", help="Join at this time, ISO 8601; now where not given.")
@click.option("--separate", type=click.Choice(["mp3", "raw"]), default="mp3", show_default=True,
              help="Record separate audio in this format.")  # fmt: skip
@shared.region_option
@log_options
def create_bot(
    meeting_url: str,
    name: str | None,
    join_at: str | None,
    separate: Literal["mp3", "raw"],
    region: str | None,
) -> None:
    """Send a bot that records what this tool needs: mixed and separate audio. Print its id."""
    from recall_audio import fetch

    settings = fetch.Settings.from_environment(region)
    click.echo(fetch.create_bot(settings, meeting_url, name=name, join_at=join_at, separate=separate))


COMMANDS = (fetch_, create_bot)
