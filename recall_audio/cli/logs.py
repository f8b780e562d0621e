"""What is said beside the data: log lines on stderr, for people or one JSON object each."""

import functools
import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from recall_audio.cli.options import F, stacked
from recall_audio.errors import RecallAudioError

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_QUERY = re.compile(r"\?[^\s\"')>]*")
_log = logging.getLogger("recall_audio.cli")


class _Text(logging.Formatter):
    """A line as a person reads it."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        return f"{at} {record.levelname.lower()} {_clean(record)}"


class _Json(logging.Formatter):
    """A line as a machine reads it: ``at, level, logger, message`` and the record's own facts."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record),
        }
        return json.dumps(line | getattr(record, "facts", {}), ensure_ascii=True, default=str)


def _clean(record: logging.LogRecord) -> str:
    """The message without queries of addresses (signatures stand there), without control characters."""
    text = _QUERY.sub("?...", record.getMessage())
    return "".join(c if c.isprintable() else " " for c in text)


class _OnStderr(logging.Handler):
    """Writes to whatever stderr is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def _set_up(verbose: int, form: str) -> None:
    """Send log lines to stderr. No traceback is ever shown: it may hold anything."""
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _OnStderr)]:
        root.removeHandler(old)
    handler = _OnStderr()
    handler.setFormatter(_Json() if form == "json" else _Text())
    root.addHandler(handler)
    level = _LEVELS[min(verbose, len(_LEVELS) - 1)]
    logging.getLogger("recall_audio").setLevel(level)
    root.setLevel(logging.DEBUG if verbose > len(_LEVELS) - 1 else logging.WARNING)


def is_json() -> bool:
    """Whether stderr speaks JSON."""
    formatters = [h.formatter for h in logging.getLogger().handlers if isinstance(h, _OnStderr)]
    return any(isinstance(f, _Json) for f in formatters)


def log_options(function: F) -> F:
    """``-v`` and ``--log-format`` for a command; with JSON there is no progress between the lines."""
    options: Callable[[Any], Any] = stacked(
        click.option("-v", "--verbose", count=True,
                     help="Log every request, with its id; -vv more, -vvv libraries' own."),
        click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
                     help="How log lines on stderr look."),
    )  # fmt: skip

    @functools.wraps(function)
    def with_logs(*args: Any, verbose: int, log_format: str, **values: Any) -> Any:
        _set_up(verbose, log_format)
        if log_format == "json" and "quiet" in values:
            values["quiet"] = True
        return function(*args, **values)

    return options(with_logs)  # type: ignore[no-any-return]


def say(text: str, **facts: Any) -> None:
    """Tell the user something on stderr."""
    if is_json():
        _log.warning("%s", " ".join(text.split()), extra={"facts": facts})
    else:
        click.echo(text, err=True)


def say_error(error: RecallAudioError) -> None:
    """Tell the user what went wrong and what to do."""
    if is_json():
        _log.error("%s", error.message, extra={"facts": {"code": error.code, "hint": error.hint}})
        return
    click.echo(f"recall-audio: {error.message}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
