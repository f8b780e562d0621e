"""What is missing on this machine, and how to get it."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recall_audio.cli.options import out_option, region_option
from recall_audio.errors import ItemError, MachineError, RecallAudioError, TransientError

if TYPE_CHECKING:
    from recall_audio.fetch import Settings
    from recall_audio.storage import Location, Url

Check = tuple[str, str, str]
"""What was looked at; ``ok``, ``missing``, ``optional`` or ``unknown``; what was found or what to do."""

_LEAST_FREE_BYTES = 2 << 30


@click.command()
@region_option
@out_option
def doctor(region: str | None, out: "Location") -> None:
    """Key, region, decoder, detector, encoder, disk: what is missing, how to get it.

    Asks the API whether it takes the key; where it does not, asks Recall.ai's other regions whose it is.
    """
    from recall_audio.cli.printing import print_table

    found: list[Check] = [
        *_key_and_api(region),
        _tried("decoder", _decoder),
        _tried("voice detector", _detector),
        _encoder(),
        _disk(out),
        ("python", "ok", sys.version.split()[0]),
    ]
    print_table(["what", "status", "found"], found, "table")
    if missing := [what for what, status, _ in found if status == "missing"]:
        raise MachineError(f"Missing: {', '.join(missing)}.", "The table says how to get it.", code="missing")


def _tried(what: str, look: Callable[[], str]) -> Check:
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
        return "API", "unknown", f"it could not be asked: {error.message}"
    except RecallAudioError as error:
        return "API", "missing", str(error)
    return "API", "ok", f"{settings.where} takes the key"


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
    hint = "none: needed for FLAC, MP3 and Opus stems only; install ffmpeg or 'recall-audio[ffmpeg]'"
    return "ffmpeg", "ok" if found else "optional", str(found or hint)


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
    return "store", "ok", f"{url} takes what is written"
