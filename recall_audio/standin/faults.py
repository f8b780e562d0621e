"""Faults on demand: what the stand-in does wrong, request by request."""

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, wrong on purpose. What is not given stays as in the right answer.

    Attributes:
        status: another status.
        headers: headers set on top; an empty value takes a header away.
        body: another body.
        cut_at: bytes of the body that are sent before the connection ends; ``Content-Length`` stays.
        reset: end the connection with RST instead of FIN.
        chunk_bytes: bytes sent at once; 0 sends everything at once.
        pause_s: pause after each chunk, seconds.
        endless: repeat the body until the other side has had enough; no ``Content-Length``.
        ignore_range: answer 200 with the whole file to a request for a range.
        shift_bytes: answer a range that begins so many bytes off.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut_at: int | None = None
    reset: bool = False
    chunk_bytes: int = 0
    pause_s: float = 0.0
    endless: bool = False
    ignore_range: bool = False
    shift_bytes: int = 0


RIGHT = Reply()
"""The right answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A script for the requests whose path and query match.

    Attributes:
        path: regular expression, searched in path and query.
        replies: the first request gets the first, and so on; then all is well again.
        forever: the last reply goes on for ever instead.
        method: requests with this method only.
    """

    path: str
    replies: Sequence[Reply]
    forever: bool = False
    method: str = "GET"


class FaultScript:
    """Hands out each fault's replies in order; safe for several threads."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._lock = threading.Lock()
        self._faults = [(f, list(f.replies)) for f in faults]

    def next(self, method: str, target: str) -> Reply:
        """The reply for a request; :data:`RIGHT` where no fault matches or all are used up."""
        with self._lock:
            for fault, left in self._faults:
                if left and fault.method == method and re.search(fault.path, target):
                    return left[0] if fault.forever and len(left) == 1 else left.pop(0)
        return RIGHT
