"""Decide how a download continues after the media host's answer, without a socket or a disk.

::

    have 400 of 1000 bytes, ETag "a"       Range: bytes=400-   If-Match: "a"
      206, bytes 400-999/1000, "a"    →    write from 400
      200                             →    write from 0: the host ignored the range
      206, other range, total or ETag →    begin again, without a range
      412, 416                        →    begin again: it is another object now
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from recall_audio.errors import ItemError, RecallAudioError, TransientError
from recall_audio.fetch.api.protocol import again_hint, when_again

Headers = Mapping[str, str]
DENIED = ("url_expired", "access_denied")
"""Codes after which a new URL is worth one more try."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Have:
    """What is on disk of an object.

    Attributes:
        n_bytes: bytes written, from the first on.
        etag: the object's strong validator, or None.
        total: the object's length in bytes, or None where the host did not name it.
    """

    n_bytes: int = 0
    etag: str | None = None
    total: int | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether every byte is there.

        False where the length is unknown.
        """
        return self.total is not None and self.n_bytes == self.total


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next.

    Attributes:
        action: ``write`` the body at the end of `have`, or ``again``: begin anew, without a range.
        have: what counts as on disk before the body is written.
    """

    action: Literal["write", "again"]
    have: Have = Have()


def range_headers(have: Have) -> dict[str, str]:
    """Return the headers that request the rest of the same object.

    There are none where the object cannot be identified.
    """
    if have.n_bytes == 0 or have.etag is None:
        return {}
    return {"Range": f"bytes={have.n_bytes}-", "If-Match": have.etag}


def next_step(status: int, headers: Headers, have: Have, cap_bytes: int) -> Step | None:
    """Return what to do after a good answer, None for an answer that is an error.

    Raises:
        ItemError: ``unexpected_encoding``, ``too_large``.
    """
    if status in (412, 416) and have.n_bytes:
        return Step("again")
    if status not in (200, 206):
        return None
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ItemError(
            "The media host sent compressed audio, which was not requested and cannot be checked.",
            code="unexpected_encoding",
        )
    if status == 200:
        step = Step("write", Have(0, _strong(headers), _length(headers)))
    else:
        step = _partial(headers, have)
    check_size(step.have.total or 0, cap_bytes)
    return step


def check_size(n_bytes: int, cap_bytes: int) -> None:
    """Raise ItemError ``too_large`` beyond the cap."""
    if n_bytes > cap_bytes:
        raise ItemError(
            f"The file is larger than its declared duration allows ({n_bytes} bytes; {cap_bytes} at most).",
            code="too_large",
        )


def _partial(headers: Headers, have: Have) -> Step:
    """Return the step after a 206: only the exact continuation of the same object is appended."""
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if not found or not have.n_bytes:
        return Step("again")
    start, end, total = (int(n) for n in found.groups())
    same = have.total in (None, total) and _strong(headers) in (None, have.etag)
    if start != have.n_bytes or not start <= end < total or not same:
        return Step("again")
    return Step("write", replace(have, total=total))


def _strong(headers: Headers) -> str | None:
    """Return the ETag if If-Match may use it (RFC 9110, 8.8.3: weak ones never match)."""
    etag = headers.get("ETag", "").strip()
    return etag if re.fullmatch(r'"[\x21\x23-\x7e]{1,256}"', etag) else None


def _length(headers: Headers) -> int | None:
    length = headers.get("Content-Length", "").strip()
    return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None


def host_error(status: int, headers: Headers, body: bytes, now: float) -> RecallAudioError:
    """Return the error for a bad answer of the media host.

    Of the body, only the error code is shown.
    """
    text = body[:65_536].decode("utf-8", "replace")
    named = re.search(r"<Code>([A-Za-z]{1,64})</Code>", text)
    word = named.group(1) if named else ""
    said = f"The media host answered {status}{' ' + word if word else ''}"
    if status in (401, 403) or word in ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"):
        expired = word == "ExpiredToken" or "request has expired" in text.lower()
        code = "url_expired" if expired else "access_denied"
        return ItemError(f"{said} to a URL that Recall.ai gave out.", code=code, status=status)
    if status in (404, 410):
        return ItemError(f"{said}: the file no longer exists.", code="gone", status=status)
    if status in (408, 425, 429) or status >= 500 or word in ("RequestTimeout", "SlowDown"):
        after = when_again(headers, now)
        return TransientError(f"{said}.", again_hint(after), code="overload", status=status, **after)
    return ItemError(f"{said}.", code="store_refused", status=status)
