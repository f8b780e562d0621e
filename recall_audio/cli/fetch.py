"""Define the commands that talk to the API and compute nothing: fetch, create-bot."""

import datetime
import json
import tomllib
from pathlib import Path
from typing import Any

import click

from recall_audio.cli import options as shared
from recall_audio.cli.locations import request_fields
from recall_audio.cli.logs import log_options
from recall_audio.cli.options import GroupedCommand
from recall_audio.cli.progress import run_batch
from recall_audio.cli.step_options import Chosen, step_options
from recall_audio.errors import UsageError


@click.command("fetch", cls=GroupedCommand)
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


@click.command("create-bot", cls=GroupedCommand, short_help="Send a bot that records what this tool needs.")
@click.argument("meeting_url")
@click.option("--name", help="Give the bot this display name.")
@click.option(
    "--join-at",
    metavar="T",
    help="Join at this time, ISO 8601, in this machine's zone where it names none; now where not given.",
)
@click.option(
    "--separate",
    type=click.Choice(["mp3", "raw"]),
    help="Record separate audio in this format, mp3 unless --config orders another.",
)
@click.option(
    "--variant",
    metavar="[PLATFORM=]NAME",
    help="Run the bot on this machine: web, web_4_core, web_gpu, or native on Zoom.",
)
@click.option(
    "--metadata", type=shared.KeyValue(), multiple=True, help="Attach this to the bot. May be repeated."
)
@click.option("--retention", metavar="TIME", help="Keep media this long: 48h, 7d, 2w, or forever.")
@click.option(
    "--start-recording-on",
    type=click.Choice(["call_join", "participant_join", "participant_speak", "manual"]),
    help="Start recording at this event.",
)
@click.option(
    "--transcript",
    metavar="PROVIDER",
    help="Order a transcript of the separate audio, e.g. from recallai_streaming.",
)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Merge this JSON or TOML file into the request; options override it.",
)
@click.option("--dry-run", is_flag=True, help="Print the request's body, and send nothing.")
@shared.region_option
@log_options
def create_bot(
    region: str | None,
    config_file: Path | None,
    metadata: tuple[tuple[str, str], ...],
    dry_run: bool,
    **values: Any,
) -> None:
    """Send a bot that records what this tool needs: mixed and separate audio. Print its id.

    `recall-audio create-bot URL --variant web_4_core --metadata team=sales --join-at 2030-01-31T09:00`
    """
    from recall_audio import fetch
    from recall_audio.model.new_bot import NewBot, body_of

    config = {} if config_file is None else _read_config(config_file)
    new_bot = NewBot(**values, metadata=dict(metadata), config=config)
    if dry_run:
        body, notes = body_of(new_bot, datetime.datetime.now(datetime.UTC))
        for note in notes:
            click.echo(note, err=True)
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    click.echo(fetch.create_bot(fetch.Settings.from_environment(region), new_bot))


def _read_config(path: Path) -> dict[str, Any]:
    """Read an object from a TOML file, by its suffix, or from a JSON file.

    Raises:
        UsageError: it cannot be read, or is no object.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read --config {path}: {type(error).__name__}.") from None
    is_toml = path.suffix.lower() == ".toml"
    try:
        value = tomllib.loads(text) if is_toml else json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        where = getattr(error, "lineno", None)
        at = f" (line {where})" if where else ""
        raise UsageError(
            f"--config {path} is not {'TOML' if is_toml else 'JSON'}{at}.",
            'Expected an object such as {"recording_config": {...}}; a name that ends in .toml is TOML.',
        ) from None
    if not isinstance(value, dict):
        raise UsageError(f"--config {path} holds no object.", 'Expected e.g. {"recording_config": {...}}.')
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)


COMMANDS = (fetch_, create_bot)
