"""Write log lines and messages to stderr, as text or as one JSON object each."""

import contextlib
import functools
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click

from recall_audio.cli.options import F, stacked
from recall_audio.errors import RecallAudioError

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_QUERY = re.compile(r"\?[^\s\"')>]*")
_log = logging.getLogger("recall_audio.cli")


class _Text(logging.Formatter):
    """A log line as text."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        return f"{at} {record.levelname.lower()} {_clean(record)}"


class _Json(logging.Formatter):
    """A log line as JSON: ``at``, ``level``, ``logger``, ``message`` and the facts of the record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record),
        }
        return json.dumps(line | getattr(record, "facts", {}), ensure_ascii=True, default=str)


def _clean(record: logging.LogRecord) -> str:
    """Return the message without URLs' query strings, which hold signatures, and control characters."""
    text = _QUERY.sub("?...", record.getMessage())
    return "".join(c if c.isprintable() else " " for c in text)


class _OnStderr(logging.Handler):
    """A handler that writes to the current stderr."""

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
    """Return True where log lines are JSON."""
    formatters = [h.formatter for h in logging.getLogger().handlers if isinstance(h, _OnStderr)]
    return any(isinstance(f, _Json) for f in formatters)


def log_options(function: F) -> F:
    """Add ``-v`` and ``--log-format`` to a command, where JSON turns progress off."""
    options: Callable[[Any], Any] = stacked(
        click.option("-v", "--verbose", count=True,
                     help="Log every request with its id; -vv logs more, -vvv what libraries log."),
        click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
                     help="Write log lines on stderr in this format."),
    )  # fmt: skip

    @functools.wraps(function)
    def with_logs(*args: Any, verbose: int, log_format: str, **values: Any) -> Any:
        _set_up(verbose, log_format)
        if log_format == "json" and "quiet" in values:
            values["quiet"] = True
        return function(*args, **values)

    return options(with_logs)  # type: ignore[no-any-return]


def say(text: str, **facts: Any) -> None:
    """Write a message to stderr."""
    if is_json():
        _log.warning("%s", " ".join(text.split()), extra={"facts": facts})
    else:
        click.echo(text, err=True)


class _Sayer(logging.Handler):
    """Writes each record as a message."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's message to stderr."""
        say(record.getMessage())


@contextlib.contextmanager
def say_notes(logger: str, *, quiet: bool = False) -> Iterator[None]:
    """Write what a module notes about its results to stderr, while the block runs.

    Args:
        logger: the module's name.
        quiet: write nothing.
    """
    log, handler = logging.getLogger(logger), _Sayer(logging.INFO)
    level = log.level
    if not quiet:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def say_error(error: RecallAudioError) -> None:
    """Write an error and its hint to stderr."""
    if is_json():
        _log.error("%s", error.message, extra={"facts": {"code": error.code, "hint": error.hint}})
        return
    click.echo(f"recall-audio: {error.message}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
