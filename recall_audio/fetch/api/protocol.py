"""Turn the API's answers into values or errors: pure, ``(status, headers, body) -> value``.

========  =====================================================  =======================
200, 201  JSON, read strictly                                    the value
401, 402  the key is refused, or its workspace out of credit     KeyRefused
403       HTML is a firewall's; JSON is the API's                ItemError
404, 410  unknown here (another region's id looks the same)      ItemError ``gone``
409, 429  not now; ``Retry-After`` is read if it is sensible     TransientError
5xx       overload                                               TransientError
========  =====================================================  =======================
"""

import datetime
import email.utils
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recall_audio.errors import ItemError, KeyRefused, RecallAudioError, TransientError

_DEEPEST = 64
"""Levels of nesting accepted, more than the API ever sends."""

_MOST_DIGITS = 100
"""Digits of the longest integer accepted."""

_MOST_SHOWN = 200
"""Characters shown of an error's body."""

_BUSY = {408: "timeout", 409: "conflict", 425: "too_early", 429: "rate_limited", 507: "no_capacity"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the API.

    Attributes:
        status: the HTTP status.
        headers: case-insensitive.
        body: the body, or the beginning of an error's.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What was requested, for messages.

    Attributes:
        what: the object in words, e.g. ``bot 4f…``.
        where: the deployment in words.
        key_variable: the environment variable that holds the key.
        now: seconds since the epoch.
    """

    what: str
    where: str
    key_variable: str
    now: float


def value(answer: Answer, request: RequestFacts) -> Any:
    """Return the JSON value of a good answer.

    Raises:
        KeyRefused: 401, 402.
        ItemError: 400, 403, 404 and the like; ``bad_json``; ``bad_payload``.
        TransientError: overload or a limit; ``facts['retry_after_s']`` where the server said.
    """
    if answer.status in (200, 201):
        return parse_json(answer.body, request.what)
    raise error(answer, request)


def error(answer: Answer, request: RequestFacts) -> RecallAudioError:
    """Return the error for an answer other than 200 or 201."""
    status = answer.status
    said = f"The API at {request.where} answered {status} for {request.what}"
    if status == 401:
        return KeyRefused(
            f"The API at {request.where} refused the key in {request.key_variable} (401).",
            "Keys belong to one region; `recall-audio doctor` finds out which.",
        )
    if status == 402:
        return KeyRefused(f"{said}: the workspace is out of credit.", "Add credit.", code="no_credit")
    if status in _BUSY or status >= 500:
        code, after = _BUSY.get(status, "overload"), when_again(answer.headers, request.now)
        return TransientError(f"{said}.", again_hint(after), code=code, status=status, **after)
    if status in (404, 410):
        return ItemError(
            f"The API at {request.where} has no {request.what} ({status}).",
            "An id of another region is unknown here: check RECALL_REGION or --region.",
            code="gone",
            status=status,
        )
    return _client_error(answer, said)


def _client_error(answer: Answer, said: str) -> ItemError:
    status = answer.status
    if status == 403 and not looks_like_json(answer):
        return ItemError(
            f"{said}: a firewall in front of the API refused the request.",
            "Try another network, or ask Recall.ai to allow yours.",
            code="waf_blocked",
            status=status,
        )
    if 300 <= status < 400:
        hint = "Check RECALL_BASE_URL; redirects are not followed with a key."
        return ItemError(f"{said}: a redirect.", hint, code="unexpected_redirect", status=status)
    code = {400: "bad_request", 403: "forbidden", 405: "not_now"}.get(status, "refused")
    explained = explanation(answer)
    return ItemError(f"{said}{': ' + explained if explained else ''}.", code=code, status=status)


def looks_like_json(answer: Answer) -> bool:
    """Return whether the answer declares itself as JSON."""
    return "json" in answer.headers.get("Content-Type", "").lower()


def explanation(answer: Answer) -> str:
    """Return the text of a JSON error body, at most 200 printable characters, without URLs."""
    if not looks_like_json(answer):
        return ""
    try:
        text = json.dumps(json.loads(answer.body), ensure_ascii=True)
    except (ValueError, RecursionError):
        return ""
    text = re.sub(r"\w+://[^\s\"]+|[^\s\"]*&[^\s\"]*", "(URL)", text)
    text = re.sub(r"(?i)(signature|token|credential|key\w*|expires)=[^\s\"]*", r"\1=...", text)
    return re.sub(r"[{}\[\]\"\\]", "", text)[:_MOST_SHOWN].strip()


def when_again(headers: Mapping[str, str], now: float) -> dict[str, Any]:
    """Return ``retry_after_s`` and ``retry_at`` for an error's facts, or an empty dict."""
    wait_s = retry_after_s(headers, now)
    if wait_s is None:
        return {}
    try:
        retry_at = datetime.datetime.fromtimestamp(now, datetime.UTC) + datetime.timedelta(seconds=wait_s)
    except (OverflowError, ValueError):  # beyond the calendar
        return {}
    return {"retry_after_s": wait_s, "retry_at": retry_at.isoformat(timespec="seconds")}


def again_hint(after: Mapping[str, Any]) -> str:
    """Return the hint for a transient error, with the time that :func:`when_again` read."""
    return f"Run again after {after['retry_at']}." if after else "Run again later."


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds of a ``Retry-After`` (RFC 9110, 10.2.3), integer or date, or None."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,8}", text):
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        wait_s = date.replace(tzinfo=date.tzinfo or datetime.UTC).timestamp() - now
    except (OverflowError, ValueError):  # a date at the end of the calendar, in another zone
        return None
    return wait_s if wait_s >= 0.0 else None


_MOST_CONTAINERS = 500_000
"""Objects and lists in an answer: the events of 1,000 people over a day are a tenth of it."""
_MOST_VALUES = 4_000_000


def parse_json(body: bytes, what: str) -> Any:
    """Read JSON strictly.

    Raises:
        ItemError: ``too_large``: millions of values; ``bad_json``: not JSON at all, or cut; ``bad_payload``:
            nesting deeper than anything the API sends.

    A number that is NaN, infinite or too long becomes an empty object, which no reader takes for a number, a
    text or an id: it costs the row in which it stands, and no other.
    """
    # Counted before parsing, which takes thirty times as much memory as an answer of empty lists.
    if body.count(b"[") + body.count(b"{") > _MOST_CONTAINERS or body.count(b",") > _MOST_VALUES:
        raise ItemError(f"The answer for {what} holds more values than any of the API's.", code="too_large")
    problem = ""
    try:
        parsed = json.loads(
            body.decode("utf-8-sig"), parse_int=_int, parse_float=_float, parse_constant=_constant
        )
    except RecursionError:
        problem = "bad_payload"
    except ValueError:
        problem = "bad_json"
    if not problem and _too_deep(parsed):
        problem = "bad_payload"
    if problem == "bad_json":
        raise ItemError(f"The answer for {what} is not JSON ({len(body)} bytes).", code=problem)
    if problem:
        raise ItemError(f"The answer for {what} is nested out of bounds.", code=problem)
    return parsed


def _int(text: str) -> int | dict[str, Any]:
    return int(text) if len(text) <= _MOST_DIGITS else {}


def _float(text: str) -> float | dict[str, Any]:
    number = float(text)
    return number if math.isfinite(number) else {}


def _constant(_text: str) -> Any:
    return {}


def _too_deep(parsed: Any) -> bool:
    level = [parsed]
    for _ in range(_DEEPEST):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True
