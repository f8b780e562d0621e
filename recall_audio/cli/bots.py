"""Define the command bots, whose output can be piped into ``run --ids-file -``."""

import dataclasses
import datetime
import json
import re
import sys
from typing import Any

import click

from recall_audio.cli import options as shared
from recall_audio.cli.logs import log_options

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_COLUMNS = ("bot", "joined", "status", "platform", "recordings", "title", "name")


class Moment(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A time in ISO 8601, or a span before now (``7d``, ``12h``)."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime.datetime:
        """Convert text to a time with a zone, this machine's where it names none."""
        if isinstance(value, datetime.datetime):
            return value
        try:
            if (span := _span_of(str(value))) is not None:
                return datetime.datetime.now(datetime.UTC) - span
            return datetime.datetime.fromisoformat(str(value)).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither like 7d, 12h, 30m, 2w nor like 2026-01-31T09:00", param, ctx)


class Span(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A length of time (``7d``, ``12h``)."""

    name = "SPAN"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime.timedelta:
        """Convert text to a length of time."""
        if isinstance(value, datetime.timedelta):
            return value
        span = _span_of(str(value))
        if span is None:
            self.fail(f"{value!r} is not like 7d, 12h, 30m or 2w", param, ctx)
        return span


def _span_of(text: str) -> datetime.timedelta | None:
    """Return a length of time written like ``7d``, or None where the text is no such."""
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    return datetime.timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


@click.command(short_help="List the bots of the workspace.")
@click.option(
    "--since", type=Moment(), help="List bots that joined after this: 7d, 12h, 30m, 2w ago, or a time."
)
@click.option("--until", type=Moment(), help="List bots that joined before this.")
@click.option(
    "--status", "statuses", multiple=True, help="List bots with this status, e.g. done. May be repeated."
)
@click.option("--platform", "platforms", multiple=True,
              help="List bots on this platform, e.g. zoom, microsoft_teams. May be repeated.")  # fmt: skip
@click.option("--metadata", type=shared.KeyValue(), multiple=True,
              help="List bots with this key and value in their metadata. May be repeated.")  # fmt: skip
@click.option("--expiring", type=Span(), help="List bots whose media are deleted within this time, e.g. 7d.")
@shared.region_option
@click.option("--json", "as_json", is_flag=True, help="Print bots as JSON lines on stdout.")
@log_options
def bots(region: str | None, as_json: bool, metadata: tuple[tuple[str, str], ...], **values: Any) -> None:
    """List the bots of the workspace: a table on a terminal, else one id a line.

    `recall-audio bots --since 7d --status done | recall-audio run --ids-file -`
    """
    from recall_audio import fetch

    bot_filter = fetch.BotFilter(**values, metadata=dict(metadata))
    found = fetch.list_bots(fetch.Settings.from_environment(region), bot_filter)
    if as_json:
        for bot in found:
            click.echo(json.dumps(dataclasses.asdict(bot)))
    elif sys.stdout.isatty():
        _table(found)
    else:
        for bot in found:
            click.echo(bot.bot_id)


def _table(found: Any) -> None:
    from recall_audio.cli.printing import print_table

    rows = [[b.bot_id, b.join_at, b.status, b.platform, b.recordings, b.title, b.name] for b in found]
    print_table(_COLUMNS, rows, "table")
