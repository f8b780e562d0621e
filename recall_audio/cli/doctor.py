"""Check this machine: what is missing, how to get it, and which environment variables are set."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recall_audio.cli.options import out_option, region_option
from recall_audio.environment import VARIABLES, read_variables
from recall_audio.errors import (
    ItemError,
    KeyRefused,
    MachineError,
    RecallAudioError,
    TransientError,
    UsageError,
    install_line,
)

if TYPE_CHECKING:
    from recall_audio.fetch import Settings
    from recall_audio.storage import Location, Url

Check = tuple[str, str, str]
"""What was checked, its status (a key of :data:`STATUSES`), what was found or what to do."""

STATUSES: dict[str, int] = {"ok": 0, "optional": 0, "unknown": 5, "refused": 3, "missing": 4}
"""Each status and the exit code that it asks for: the last one found in this order decides."""

_LEAST_FREE_BYTES = 2 << 30
"""Free space below which an hour's meeting of many people may not fit."""

_EXTRAS = {
    "quick": ("sphn", "decoding Opus at half the CPU"),
    "listen": ("tornado", "the command listen"),
    "parquet": ("pyarrow", "Parquet tables"),
    "score": ("pyannote.metrics", "the command score"),
    "cluster": ("distributed", "--cluster"),
    "s3": ("s3fs", "s3:// addresses"),
    "gcs": ("gcsfs", "gs:// addresses"),
    "azure": ("adlfs", "az:// addresses"),
}
"""Each extra's package, and what needs it."""


@click.command(short_help="Check the key, this machine and the disk.")
@region_option
@out_option
@click.option("--json", "as_json", is_flag=True,
              help="Print what was checked, its status and what was found as JSON lines.")  # fmt: skip
def doctor(region: str | None, out: "Location", as_json: bool) -> int:
    """Check the key, the region, the decoder, the disk: what is missing, and how to get it.

    Asks the API whether it accepts the key; if not, asks the other regions of Recall.ai which one does.
    A second table lists the environment variables: which are set, and what holds where they are not.

    Exit codes: 0 all is there (extras may be missing), 3 the API refuses the key, 4 something is missing,
    5 it is not known, because the API or the store could not be reached.
    """
    import json

    from recall_audio.cli import logs
    from recall_audio.cli.printing import print_table

    found: list[Check] = [
        *_key_and_api(region),
        _checked("decoder", _decoder),
        _checked("voice detector", _detector),
        _encoder(),
        _disk(out),
        *_extras(),
        ("python", "ok", sys.version.split()[0]),
    ]
    if as_json:
        for what, status, text in found:
            click.echo(json.dumps({"what": what, "status": status, "found": text}))
    else:
        print_table(["what", "status", "found"], found, "table")
        print_table(["variable", "status", "meaning", "default", "used by"], _variables(), "table")
    for state in ("unknown", "refused", "missing"):
        if whats := [what for what, status, _ in found if status == state]:
            logs.say(
                f"{state.capitalize()}: {', '.join(whats)}. The table says what to do.", **{state: whats}
            )
    worst = max((status for _, status, _ in found), key=list(STATUSES).index)
    return STATUSES[worst]


def _checked(what: str, look: Callable[[], str]) -> Check:
    try:
        return what, "ok", look()
    except RecallAudioError as error:
        return what, "missing", str(error)
    except ImportError as error:
        return what, "missing", f"Python cannot import {error.name}: install recall-audio again."


def _key_and_api(region: str | None) -> list[Check]:
    from recall_audio.fetch import Settings

    try:
        settings = Settings.from_environment(region)
    except RecallAudioError as error:
        return [("key and region", "missing", str(error))]
    is_set = ("key and region", "ok", f"a key is set, for {settings.where}")
    return [is_set, _api(settings)]


def _api(settings: "Settings") -> Check:
    from recall_audio.fetch import check_key

    try:
        check_key(settings)
    except (ItemError, TransientError) as error:
        return "API", "unknown", f"{settings.where} could not be reached, so the key is not checked: {error}"
    except KeyRefused as error:
        return "API", "refused", str(error)
    except RecallAudioError as error:
        return "API", "missing", str(error)
    return "API", "ok", f"{settings.where} accepts the key"


def _decoder() -> str:
    from recall_audio.media.probe import decoder_version

    return decoder_version()


def _detector() -> str:
    from recall_audio.detector.network import MODEL_NAME, load_detector

    load_detector()
    return MODEL_NAME


def _encoder() -> Check:
    from recall_audio.media.encode import find_ffmpeg

    found = find_ffmpeg()
    hint = f"none; FLAC, MP3 and Opus stems need it: install ffmpeg, or run: {install_line('ffmpeg')}"
    return "ffmpeg", "ok" if found else "optional", str(found or hint)


def _extras() -> list[Check]:
    """Say for each extra whether its package is installed, else the line that installs it."""
    found: list[Check] = []
    for extra, (package, needed_by) in _EXTRAS.items():
        parent = package.split(".")[0]
        is_there = importlib.util.find_spec(parent) and importlib.util.find_spec(package)
        hint = f"not installed; wanted for {needed_by}: {install_line(extra)}"
        found.append((package, "ok" if is_there else "optional", "installed" if is_there else hint))
    return found


def _variables() -> list[list[str]]:
    """Return a row for each environment variable, without its value, which may be secret."""
    try:
        known = read_variables()
    except UsageError:  # the .env file cannot be read: the first table says so
        known = os.environ

    def status(name: str) -> str:
        if not known.get(name):
            return "not set"
        return "set" if os.environ.get(name) else "set in .env"

    return [[v.name, status(v.name), v.meaning, v.default, v.used_by] for v in VARIABLES]


def _disk(out: "Location") -> Check:
    if not isinstance(out, Path):
        return _store(out)
    place = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free at {place}; an hour of five tracks takes about 1.2 GB"
    return "disk", "ok" if free > _LEAST_FREE_BYTES else "missing", text


def _store(url: "Url") -> Check:
    from recall_audio.storage import Store

    try:
        Store(url).check()
    except TransientError as error:
        return "store", "unknown", error.message
    except MachineError as error:
        return "store", "missing", str(error)
    return "store", "ok", f"{url} can be written to"
