"""Format values from files for readers, on a page or a terminal, whatever is missing or damaged."""

import math
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recall_audio.core.spans import from_seconds
from recall_audio.typing import Spans

NOTHING = "–"
"""Shown where there is no value, instead of a 0."""

_LATEST_S = 1e12
"""Times are cut here, so that a damaged file cannot exceed the range of 64-bit integers."""

_JOINERS = "\u200c\u200d"  # emoji and several scripts need them; every other format character goes


def text(value: Any, longest: int = 80) -> str:
    """Return a text on one line, cut at `longest`, without control, format or surrogate characters."""
    kept = "".join(_visible(c) for c in str("" if value is None else value))
    line = " ".join(kept.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _visible(character: str) -> str:
    if character in _JOINERS:
        return character
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    return "" if category == "Cf" else character


def number(value: Any) -> float | None:
    """Return a finite number, or None for anything else (a missing key, text, NaN)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Return a JSON array, or an empty one for anything else."""
    return list(value) if isinstance(value, list | tuple) else []


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return the JSON objects of a JSON array."""
    return [v for v in items(value) if isinstance(v, Mapping)]


def key(value: Any) -> str | int | None:
    """Return a label or an id fit for a lookup, or None for anything else."""
    return value if isinstance(value, str | int) else None


def number_pairs(value: Any) -> list[tuple[float, float]]:
    """Return the first two numbers of each row of a JSON array, without rows that lack them."""
    found = []
    for row in items(value):
        values = [number(v) for v in items(row)[:2]]
        if len(values) == 2 and values[0] is not None and values[1] is not None:
            found.append((values[0], values[1]))
    return found


def spans_ms(value: Any) -> Spans:
    """Return spans in milliseconds, the finest that a page shows, of ``[[start_s, end_s], ...]``.

    Rows may come in any order. One that does not end after it starts is left out, and times before 0 are cut.
    """
    rows = [pair for pair in number_pairs(value) if pair[1] > pair[0]]
    return from_seconds(np.clip(np.array(rows).reshape(-1, 2), 0.0, _LATEST_S), rate_hz=1000)


def clock(value: Any) -> str:
    """Format a time or a length as h:mm:ss, rounded to the second."""
    time_s = number(value)
    if time_s is None:
        return NOTHING
    whole = round(abs(time_s))
    sign = "−" if time_s < 0 and whole else ""
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def seconds(value: Any, digits: int = 2) -> str:
    """Format seconds with their unit, e.g. ``0.42 s``."""
    time_s = number(value)
    return NOTHING if time_s is None else f"{_signed(time_s, digits)} s"


def quantity(value: Any, unit: str, digits: int = 2) -> str:
    """Format a number with its unit, e.g. ``−23.0 LUFS``."""
    amount = number(value)
    return NOTHING if amount is None else f"{_signed(amount, digits)} {unit}".rstrip()


def milliseconds(value: Any) -> str:
    """Format milliseconds to two significant digits, e.g. ``0.0014 ms``, ``0.31 ms``, ``120 ms``."""
    amount = number(value)
    if amount is None or amount == 0.0:
        return quantity(amount, "ms", 0)
    return quantity(amount, "ms", max(0, min(4, 1 - math.floor(math.log10(abs(amount))))))


def sentence(value: Any) -> str:
    """Return a remark as a sentence, with a capital and a full stop, or an empty text."""
    said = text(value, 600)
    return said and f"{said[0].upper()}{said[1:]}{'' if said[-1] in '.!?…' else '.'}"


def percent(value: Any, digits: int = 1) -> str:
    """Format a share, 0 to 1, as a percentage."""
    share = number(value)
    return NOTHING if share is None else f"{_signed(100.0 * share, digits)} %"


def size(value: Any) -> str:
    """Format bytes as kB or MB."""
    n_bytes = number(value)
    if n_bytes is None:
        return NOTHING
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"


def count(n: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 part``, ``3 parts``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}".replace(",", "\u202f")


def listing(names: Iterable[str], most: int = 4) -> str:
    """Join names: ``Ann, Ben and Cem``, or past `most` names ``Ann, Ben, Cem and 7 more``."""
    all_names = list(names)
    if len(all_names) > most:
        all_names = [*all_names[: most - 1], f"{len(all_names) - most + 1} more"]
    return " and ".join([", ".join(all_names[:-1]), all_names[-1]] if len(all_names) > 1 else all_names)


def _signed(value: float, digits: int) -> str:
    shown = f"{value:.{digits}f}"
    if float(shown) == 0.0:
        shown = shown.lstrip("-")
    return shown.replace("-", "−")
