"""Plain values as a small HTML table: how results show themselves in Jupyter."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_MOST_ROWS = 12


def as_html(title: str, values: Mapping[str, Any]) -> str:
    """A table of two columns; lists and mappings in it are tables of their own, folded away."""
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
    """A row an entry, a column a key of any; the first rows of many."""
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
