"""Reading single fields out of what the API sent: the right type and sensible, or ``bad_payload``.

Unknown fields are never looked at, and a code is any string: both grow without notice.
"""

from collections.abc import Mapping
from typing import Any

from recall_audio.errors import ItemError

_LONGEST_S = 1e7  # 115 days; a nominal time beyond it is no meeting's
_LONGEST_TEXT = 16_384

Json = Mapping[str, Any]


def bad(what: str, expected: str) -> ItemError:
    """The error for a field that cannot be used."""
    return ItemError(f"The API's {what} cannot be used: expected {expected}.", code="bad_payload")


def mapping(value: Any, what: str) -> Json:
    """`value` if it is an object."""
    if not isinstance(value, dict):
        raise bad(what, "an object")
    return value


def optional_mapping(value: Any) -> Json:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: Any, what: str) -> list[Json]:
    """`value` if it is a list of objects."""
    if not isinstance(value, list):
        raise bad(what, "a list")
    return [mapping(row, what) for row in value]


def identifier(value: Any, what: str) -> str:
    """An id that has to be there: a string without surrogates or control characters, or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= 256 or not value.isprintable():
        raise bad(what, "an id")
    return value


def whole(value: Any, what: str) -> int:
    """A whole number of at most 63 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise bad(what, "a whole number")
    return value


def seconds(value: Any, what: str) -> float:
    """A finite time in seconds, possibly negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(what, "a number of seconds")
    if not -_LONGEST_S <= value <= _LONGEST_S:  # NaN is neither
        raise bad(what, "a number of seconds within reason")
    return float(value)


def duration_s(value: Any, what: str) -> float | None:
    """A length in seconds, or None where there is none."""
    if value is None:
        return None
    length_s = seconds(value, what)
    if length_s < 0.0:
        raise bad(what, "a length that is not negative")
    return length_s


def text(value: Any) -> str | None:
    """A string exactly as received (lone surrogates too: names hold anything), or None."""
    return value[:_LONGEST_TEXT] if isinstance(value, str) else None


def address(value: Any) -> str | None:
    """A URL, not yet judged, or None."""
    return value if isinstance(value, str) and value and len(value) <= _LONGEST_TEXT else None


def flag(value: Any) -> bool | None:
    """True, False or None."""
    return value if isinstance(value, bool) else None
