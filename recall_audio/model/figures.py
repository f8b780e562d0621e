"""Write a figure that cannot be computed as null with a reason beside it, never as 0.

A value whose field ``share`` is None for a reason becomes ``{"share": null, "share_reason": "the meeting has
no length"}``. A field that is None without a reason was not asked for, and is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

_MOST_ROWS = 12


def as_html(title: str, values: Mapping[str, Any]) -> str:
    """Return an HTML table of two columns, with nested tables folded."""
    return f"<p><b>{escape(title)}</b></p>{_pairs(values)}"


def _pairs(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(str(name))}</th><td>{_cell(value)}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        rows = [{"": name, **v} for name, v in value.items() if isinstance(v, Mapping)]
        inner = _rows(rows) if len(rows) == len(value) else _pairs(value)
        return f"<details><summary>{_count(len(value), 'entry', 'entries')}</summary>{inner}</details>"
    if isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
        inner = _rows([v for v in value if isinstance(v, Mapping)])
        return f"<details><summary>{_count(len(value), 'row', 'rows')}</summary>{inner}</details>"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(v) for v in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None else escape(str(value))


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return an HTML table with a row an entry and a column a key, the first rows of many."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row.get(c))}</td>" for c in columns) + "</tr>"
        for row in rows[:_MOST_ROWS]
    )
    more = f"<p>and {len(rows) - _MOST_ROWS} more</p>" if len(rows) > _MOST_ROWS else ""
    return f"<table><tr>{head}</tr>{body}</table>{more}"


def _count(n: int, one: str, several: str) -> str:
    return f"{n} {one if n == 1 else several}"


class Figures:
    """Base of frozen dataclasses with figures and a field ``reasons`` for null figures."""

    __slots__ = ()
    reasons: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, every null figure followed by ``<figure>_reason``."""
        result: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name == "reasons" or field.metadata.get("private"):
                continue
            if value is not None:
                result[field.name] = plain(value)
            elif field.name in self.reasons:
                result[field.name] = None
                result[f"{field.name}_reason"] = self.reasons[field.name]
        return result

    def _repr_html_(self) -> str:
        """Return the figures as an HTML table, for Jupyter."""
        return as_html(type(self).__name__, self.to_json())


@dataclass(frozen=True, slots=True)
class Distribution:
    """Median and quartiles (linear interpolation, Hyndman & Fan's type 7) of `n` values in seconds.

    Attributes:
        median: None where there is no value.
        q1: first quartile.
        q3: third quartile.
        n: values counted; None where they cannot be known.
        total_s: their sum, for durations; None for offsets.
        reason: why there is no value; empty where there is one.
    """

    median: float | None
    q1: float | None
    q3: float | None
    n: int | None
    total_s: float | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with ``reason`` only where the median is null."""
        result: dict[str, Any] = {"median": self.median, "q1": self.q1, "q3": self.q3, "n": self.n}
        if self.total_s is not None:
            result["total_s"] = self.total_s
        if self.median is None:
            result["reason"] = self.reason
        return result


def plain(value: Any) -> Any:
    """Return a value as JSON knows it, tuples as lists."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value
