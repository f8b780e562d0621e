"""Define the options and arguments that commands share, one decorator for each group.

Options of the steps are in :mod:`recall_audio.cli.step_options`.
"""

import csv
import io
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from recall_audio.cli.locations import LocationType
from recall_audio.environment import REGION_VARIABLE
from recall_audio.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

OPTION_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Which bots": ("ids_file", "ids_column", "folder", "follow"),
    "Where to": ("out", "region"),
    "Batch": (
        "jobs", "cluster", "item_timeout_s", "max_failures", "force", "verify", "dry_run", "discard_work",
        "delete_media", "is_confirmed",
    ),
    "People": ("no_join",),
    "Download": ("wait", "at_once", "bots_at_once", "allow_download_host", "transcript"),
    "Alignment": ("search", "whole_mix", "no_align"),
    "Speech": ("keep_leakage", "threshold"),
    "Stems": (
        "normalize", "lufs", "peak", "max_gain", "limit", "rate", "bits", "stem_format", "mixdown", "poly",
        "gate", "silent_stems", "speakers",
    ),
    "Any step": ("changes",),
    "Output": ("into", "as_json", "quiet", "verbose", "log_format", "help"),
}  # fmt: skip
"""Headings of the help of commands with many options, and the parameters below each."""

FEW_OPTIONS = 12
"""Up to this many options need no headings."""


class GroupedCommand(click.Command):
    """A command whose help shows many options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of no group under a heading of their own."""
        params = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        if len(params) <= FEW_OPTIONS:
            super().format_options(ctx, formatter)
            return
        heading = {name: group for group, names in OPTION_GROUPS.items() for name in names}
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in ("Others", *OPTION_GROUPS)}
        for param in params:
            name = "help" if "--help" in param.opts else str(param.name)
            if (record := param.get_help_record(ctx)) is not None:
                groups[heading.get(name, "Others")].append(record)
        for group in ("Others", *OPTION_GROUPS):
            if groups[group]:
                with formatter.section(group):
                    formatter.write_dl(groups[group])


CLOCK = "recall_audio.cli.clock"
"""Where a command's context keeps whether its times are shown as h:mm:ss."""


def _note_clock(ctx: click.Context, _param: click.Parameter, value: bool | None) -> None:
    if value is not None:
        ctx.meta[CLOCK] = not value


times_option: Callable[[F], F] = click.option(
    "--seconds/--clock", default=None, expose_value=False, callback=_note_clock,
    help="Show times for people in seconds or as h:mm:ss; JSON and CSV always hold seconds.",
)  # fmt: skip


def stacked(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Combine several option decorators into one, in the order in which help shows them."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


format_option = stacked(
    click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json", "csv"]),
        default="table",
        show_default=True,
        help="Print a table for people, JSON or CSV.",
    ),
    times_option,
)

out_option = click.option(
    "--out", type=LocationType(), default=Path("recall-audio-out"), show_default=True,
    help="Write to this folder, or to s3://BUCKET/PREFIX, gs:// or az:// (extras `s3`, `gcs`, `azure`).",
)  # fmt: skip
jobs_option = click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True,
    help="Process this many recordings side by side; with --cluster at least one for each of its threads.",
)  # fmt: skip
batch_options = stacked(
    click.option("--cluster", default="", metavar="ADDRESS",
                 help="Process on a Dask cluster, tcp://HOST:8786, whose workers reach the output folder "
                 "(extra `cluster`)."),
    click.option("--item-timeout", "item_timeout_s", type=click.FloatRange(min=0, min_open=True),
                 metavar="SECONDS", help="Stop processing a recording that takes longer than this."),
    click.option("--verify", is_flag=True,
                 help="Hash the files of earlier runs, downloads and results, and redo what has changed."),
    click.option("--dry-run", is_flag=True,
                 help="Print what would be done again to recordings that are here, and do nothing."),
    click.option("--discard-work", is_flag=True, help="Delete the decoded working files at the end."),
)  # fmt: skip
deletion_options = stacked(
    click.option("--delete-media", is_flag=True,
                 help="Delete a bot's media at Recall.ai for good (video and transcripts too) once all its "
                 "recordings are complete here and their bytes verified; asks twice."),
    click.option("--yes", "is_confirmed", is_flag=True,
                 help="Answer the questions of --delete-media with yes."),
)  # fmt: skip
max_failures_option = click.option(
    "--max-failures", type=click.IntRange(min=1), metavar="N",
    help="Start no further bot after this many have failed for good.",
)  # fmt: skip
force_option = click.option("--force", is_flag=True, help="Do everything again, quarantined items too.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print outcomes as JSON lines on stdout.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print no progress on stderr.")
region_option = click.option(
    "--region", envvar=REGION_VARIABLE, show_envvar=True, help="Use this API region, e.g. us-west-2."
)


class KeyValue(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A pair ``KEY=VALUE``."""

    name = "K=V"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split text at its first ``=``."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not of the form KEY=VALUE", param, ctx)
        return key, text


ids_options = stacked(
    click.argument("bot_ids", metavar="BOT_ID...", nargs=-1),
    click.option("--ids-file", metavar="FILE|-",
                 help="Read further bot ids from a file, one a line; - is stdin, # starts a comment."),
    click.option("--ids-column", metavar="NAME",
                 help="Read the ids from this column of --ids-file, a CSV file with a header."),
)  # fmt: skip


def confirm_deletion(n_bots: int | None) -> None:
    """Ask twice whether media are to be deleted at Recall.ai.

    Args:
        n_bots: the bots concerned; None where a queue names them.

    Raises:
        UsageError: the answer is no, or there is no terminal to ask on.
    """
    which = "the bots of this queue" if n_bots is None else f"{n_bots} bot{'s' * (n_bots != 1)}"
    if not sys.stdin.isatty():
        raise UsageError(
            f"--delete-media would delete the media of {which} at Recall.ai for good; nothing was done.",
            "Confirm it with --yes, or run the command on a terminal, which asks.",
        )
    warning = f"Recall.ai will delete all media of {which} for good, what is not downloaded here too."
    click.echo(warning + " It does so after a finished run with verified downloads.", err=True)
    if click.confirm("Delete them?", err=True) and click.confirm("This cannot be undone. Sure?", err=True):
        return
    raise UsageError("Not confirmed; nothing was done.", "Run without --delete-media to keep the media.")


_COMMENT = re.compile(r"(?:^|\s)#.*")
"""A comment in a list of ids; within an address ``#`` has another meaning."""


def read_ids(
    arguments: tuple[str, ...], ids_file: str | None, column: str | None, *, may_be_none: bool = False
) -> list[str]:
    """Return every bot id once, in order.

    Raises:
        click.UsageError: there is none, or the file cannot be read or lacks the column.
        UsageError: what was given is no bot id.
    """
    from recall_audio import batch

    if column is not None and not ids_file:
        raise click.UsageError("--ids-column names a column of --ids-file: give both.")
    text = _text(ids_file) if ids_file else ""
    lines = [_COMMENT.sub("", line) for line in text.splitlines()]
    more = lines if column is None else _column(text, column)
    ids = batch.read_bot_ids([*arguments, *more])
    if not ids and not may_be_none:
        raise click.UsageError("No bot id given: name at least one, or give --ids-file.")
    return ids


def _encoding(raw: bytes) -> str:
    """Return the encoding of a list of ids: UTF-8, or UTF-16 as PowerShell and Excel write it."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in raw[:2]:  # ids are ASCII: every other byte is zero
        return "utf-16-be" if raw[0] == 0 else "utf-16-le"
    return "utf-8-sig"


def _text(ids_file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if ids_file == "-" else Path(ids_file).read_bytes()
        return raw.decode(_encoding(raw))
    except (OSError, UnicodeDecodeError) as error:
        name = type(error).__name__
    raise click.UsageError(f"Cannot read --ids-file {ids_file}: {name}.")


def _column(text: str, column: str) -> list[str]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if column not in (rows.fieldnames or ()):
        there = ", ".join(rows.fieldnames or ()) or "nothing"
        raise click.UsageError(f"--ids-file has no column {column!r}; its first line holds {there[:200]}.")
    try:
        return [row[column] or "" for row in rows]
    except csv.Error:
        raise click.UsageError("--ids-file cannot be read as CSV.") from None
