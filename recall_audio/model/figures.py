"""How a figure that cannot be computed is written: null, with the reason beside it, never 0.

A value whose field ``share`` is None for a reason becomes ``{"share": null, "share_reason": "nobody
spoke"}``. A field that is None without a reason was not asked for, and is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from recall_audio.model.shown import as_html


class Figures:
    """Base of values with figures: frozen dataclasses with a field ``reasons``, one sentence a null field."""

    __slots__ = ()
    reasons: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values, every null figure followed by ``<figure>_reason``."""
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
        """Shown by Jupyter: the figures as a table."""
        return as_html(type(self).__name__, self.to_json())


@dataclass(frozen=True, slots=True)
class Distribution:
    """Median and quartiles (linear interpolation, Hyndman & Fan's type 7) of `n` values in seconds.

    Attributes:
        median: None where there is no value.
        q1: first quartile.
        q3: third quartile.
        n: values counted.
        total_s: their sum, for durations; None for offsets.
        reason: why there is no value; empty where there is one.
    """

    median: float | None
    q1: float | None
    q3: float | None
    n: int
    total_s: float | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``reason`` only where the median is null."""
        result: dict[str, Any] = {"median": self.median, "q1": self.q1, "q3": self.q3, "n": self.n}
        if self.total_s is not None:
            result["total_s"] = self.total_s
        if self.median is None:
            result["reason"] = self.reason
        return result


def plain(value: Any) -> Any:
    """A value as JSON knows it: tuples as lists, figures through their own ``to_json``."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value
