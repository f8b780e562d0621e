"""Define the options and arguments that commands share, one decorator for each group."""

import csv
import io
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from recall_audio.cli.locations import PlaceType
from recall_audio.model.options import AlignOptions, FetchOptions, Options, SpeechOptions, StemOptions

_STEPS = ("speech", "talk")
_OPTIONS_OF_THEIR_OWN = ("speech.threshold", "speech.remove_leakage")

set_option = click.option(
    "--set", "changes", multiple=True, metavar="STEP.NAME=VALUE",
    help="Another parameter of speech or talk: speech.bridge_s=0.3, talk.turn_join_s=2. May be repeated.",
)  # fmt: skip


def changed(options: Options, changes: Sequence[str]) -> Options:
    """Options with changes of the form ``talk.turn_join_s=2`` applied.

    Raises:
        click.UsageError: there is no such parameter, or the value is none for it.
    """
    for change in changes:
        place, equals, text = change.partition("=")
        step, _, name = place.strip().partition(".")
        known = _parameters(options)
        if not equals or place.strip() not in known:
            raise click.UsageError(f"--set {change}: expected NAME=VALUE, NAME of {', '.join(known)}.")
        value = _value(text.strip(), known[place.strip()])
        if value is None:
            raise click.UsageError(f"--set {change}: {text.strip()!r} is no value for it.")
        options = replace(options, **{step: replace(getattr(options, step), **{name: value})})
    return options


def _parameters(options: Options) -> dict[str, Any]:
    steps = {name: getattr(options, name) for name in _STEPS}
    found = {f"{name}.{f.name}": getattr(step, f.name) for name, step in steps.items() for f in fields(step)}
    return {name: value for name, value in found.items() if name not in _OPTIONS_OF_THEIR_OWN}


def _value(text: str, like: Any) -> Any:
    """A number of 0 or more, or several where `like` is several; None where the text is none."""
    if isinstance(like, tuple):
        several = [_value(part.strip(), 0.0) for part in text.split(",") if part.strip()]
        return None if None in several or not several else tuple(several)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


F = TypeVar("F", bound=Callable[..., Any])

_STEMS, _ALIGN, _FETCH, _SPEECH = StemOptions(), AlignOptions(), FetchOptions(), SpeechOptions()
LUFS_PRESETS = {"podcast": -16.0, "broadcast": -23.0}


def stacked(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several option decorators as one, shown in the order given."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


class Loudness(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A level in LUFS, or a preset's name."""

    name = "LUFS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Number or preset to LUFS."""
        if isinstance(value, str) and value in LUFS_PRESETS:
            return LUFS_PRESETS[value]
        try:
            level = float(value)
        except ValueError:
            level = 0.0
        if not -70.0 < level < 0.0:
            self.fail(
                f"{value!r} is not a level between -70 and 0, nor {' or '.join(LUFS_PRESETS)}", param, ctx
            )
        return level


class StemRate(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A sample rate in Hz, or ``native``: each source's own, 0."""

    name = "HZ"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Number or ``native`` to Hz."""
        rate_hz = 0 if value == "native" else int(value) if str(value).isdecimal() else -1
        if rate_hz != 0 and not 8_000 <= rate_hz <= 192_000:
            self.fail(f"{value!r} is neither a rate between 8000 and 192000 Hz nor native", param, ctx)
        return rate_hz


out_option = click.option(
    "--out", type=PlaceType(), default=Path("recall-audio-out"), show_default=True,
    help="Output folder, or s3://BUCKET/PREFIX, gs://, az:// (extras `s3`, `gcs`, `azure`).",
)  # fmt: skip
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Recordings processed side by side; with --cluster at least as many as it has threads.",
)
batch_options = stacked(
    click.option("--cluster", default="", metavar="ADDRESS",
                 help="Process on a Dask cluster, tcp://HOST:8786, instead of this machine; its workers "
                 "have to see the output folder. Extra `cluster`."),
    click.option("--item-timeout", "item_timeout_s", type=click.FloatRange(min=0, min_open=True),
                 metavar="SECONDS", help="End the processing of a recording that takes longer."),
    click.option("--verify", is_flag=True,
                 help="Hash what earlier runs left, downloads and results; redo what has changed."),
    click.option("--dry-run", is_flag=True,
                 help="Only say what would be done again to recordings that are here."),
)  # fmt: skip
max_failures_option = click.option(
    "--max-failures",
    type=click.IntRange(min=1),
    metavar="N",
    help="Begin no further bot after so many have failed for good.",
)
force_option = click.option("--force", is_flag=True, help="Do everything again, what was set aside too.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print outcomes as JSON lines on stdout.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
region_option = click.option(
    "--region", envvar="RECALL_REGION", help="API region, e.g. us-west-2 (RECALL_REGION)."
)

fetch_options = stacked(
    region_option,
    click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=_FETCH.wait_s, show_default=True,
                 metavar="SECONDS", help="Poll artifacts that are still processing for up to this long."),
    click.option("--at-once", type=click.IntRange(1, 32), default=_FETCH.at_once, show_default=True,
                 help="Media files of a bot downloaded side by side."),
    click.option("--bots-at-once", type=click.IntRange(1, 32), default=_FETCH.bots_at_once, show_default=True,
                 help="Bots fetched side by side."),
    click.option("--allow-download-host", "allow_hosts", multiple=True, metavar="HOST",
                 help="A further host that media may come from. May be repeated."),
)  # fmt: skip

process_options = stacked(
    click.option("--search", "search_s", type=click.FloatRange(0.1, 600), default=_ALIGN.search_s,
                 show_default=True, metavar="SECONDS", help="How wrong a nominal start may be, each way."),
    click.option("--whole-mix", is_flag=True, help="Look for every part over the whole mix."),
    click.option("--no-align", is_flag=True, help="Keep every nominal start."),
    click.option("--keep-leakage", is_flag=True, help="Count leaked voices as the listener's speech."),
    click.option("--threshold", type=click.FloatRange(0.05, 0.95), default=_SPEECH.threshold,
                 show_default=True, help="Speech probability from which the detector's evidence counts."),
    set_option,
    click.option("--normalize", type=click.Choice(["lufs", "peak", "none"]), default=_STEMS.normalize,
                 show_default=True, help="What sets the stems' level."),
    click.option("--lufs", type=Loudness(), default=_STEMS.lufs, show_default=True,
                 help="Target loudness of what is said: LUFS, or podcast (-16), broadcast (-23)."),
    click.option("--peak", "peak_dbtp", type=click.FloatRange(-60, 0), default=_STEMS.peak_dbtp,
                 show_default=True, metavar="DBTP", help="Ceiling of the true peak."),
    click.option("--max-gain", "max_gain_db", type=click.FloatRange(0, 80), default=_STEMS.max_gain_db,
                 show_default=True, metavar="DB", help="Cap on the gain."),
    click.option("--limit", is_flag=True,
                 help="Reach the target with a limiter where peaks would hold it back."),
    click.option("--rate", "rate_hz", type=StemRate(), default=str(_STEMS.rate_hz), show_default=True,
                 metavar="HZ|native", help="Sample rate of the stems."),
    click.option("--bits", type=click.Choice(["16", "24", "32f"]), default=_STEMS.bits, show_default=True,
                 help="Sample format of WAV stems."),
    click.option("--stem-format", "format", type=click.Choice(["wav", "flac", "mp3", "opus"]),
                 default=_STEMS.format, show_default=True, help="All but WAV need ffmpeg."),
    click.option("--mixdown", is_flag=True, help="Also write the sum of the stems."),
    click.option("--poly", is_flag=True, help="Also write one multichannel WAV."),
    click.option("--gate", is_flag=True, help="Mute what is not the participant's own speech."),
    click.option("--speakers", default="", metavar="LABEL,LABEL",
                 help="Write only these participants' stems."),
    click.option("--discard-work", is_flag=True, help="Delete the decoded working files at the end."),
)  # fmt: skip


def fetch_choice(values: dict[str, Any]) -> FetchOptions:
    """The fetch step's options out of a command's keywords, which are used up."""
    return FetchOptions(
        wait_s=values.pop("wait_s"),
        at_once=values.pop("at_once"),
        bots_at_once=values.pop("bots_at_once"),
        allow_hosts=tuple(values.pop("allow_hosts")),
    )


def process_choice(values: dict[str, Any]) -> Options:
    """The processing steps' options out of a command's keywords, which are used up."""
    speakers = tuple(s.strip() for s in values.pop("speakers").split(",") if s.strip())
    chosen = {f.name: values.pop(f.name) for f in fields(StemOptions) if f.name in values}
    align = AlignOptions(
        search_s=values.pop("search_s"), whole_mix=values.pop("whole_mix"), enabled=not values.pop("no_align")
    )
    speech = SpeechOptions(threshold=values.pop("threshold"), remove_leakage=not values.pop("keep_leakage"))
    options = Options(align=align, speech=speech, stems=StemOptions(**chosen, speakers=speakers))
    return changed(options, values.pop("changes"))


ids_options = stacked(
    click.argument("bot_ids", metavar="BOT_ID...", nargs=-1),
    click.option("--ids-file", metavar="FILE|-",
                 help="Read further bot ids from a file, one a line; - is stdin. # begins a comment."),
    click.option("--ids-column", metavar="NAME",
                 help="--ids-file is a CSV with a header; the ids are in this column."),
)  # fmt: skip


def read_ids(
    arguments: tuple[str, ...], ids_file: str | None, column: str | None, *, may_be_none: bool = False
) -> list[str]:
    """Every id once, in order.

    Raises:
        click.UsageError: there is none, or the file cannot be read or lacks the column.
    """
    from recall_audio import batch

    if column is not None and not ids_file:
        raise click.UsageError("--ids-column names a column of --ids-file; give both.")
    text = _text(ids_file) if ids_file else ""
    lines = [line.split("#")[0] for line in text.splitlines()]
    more = lines if column is None else _column(text, column)
    ids = batch.unique([*arguments, *more])
    if not ids and not may_be_none:
        raise click.UsageError("No bot id given: name at least one, or give --ids-file.")
    return ids


def _text(ids_file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if ids_file == "-" else Path(ids_file).read_bytes()
        return raw.decode("utf-8-sig")
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
