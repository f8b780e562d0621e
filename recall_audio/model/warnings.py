"""What a reader of the results should know: warnings as values, kept in ``run.json`` and shown."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing about a result.

    Attributes:
        code: a short word for scripts, e.g. ``nominal_start_kept``.
        message: one sentence: what was found, and what it means for the result.
        where: the part id or the speaker's label it is about; empty for the whole recording.
        severity: ``warning`` may change how the numbers are read, ``note`` does not.
    """

    code: str
    message: str
    where: str = ""
    severity: Literal["warning", "note"] = "warning"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Finding":
        """The finding that :meth:`to_json` wrote."""
        return Finding(value["code"], value["message"], value["where"], value["severity"])
