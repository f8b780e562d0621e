"""Where results are: a folder of this machine, or an address in an object store."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from recall_audio.errors import UsageError

EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
"""Protocols and the extra that brings each."""

_PROTOCOLS = (*EXTRAS, "memory")


@dataclass(frozen=True, slots=True)
class Url:
    """An address in an object store.

    Attributes:
        text: ``PROTOCOL://BUCKET/PREFIX`` without a slash at the end; never holds a key or a password.
    """

    text: str

    def __truediv__(self, name: str) -> "Url":
        return Url(f"{self.text}/{name}")

    def __str__(self) -> str:
        return self.text

    @property
    def protocol(self) -> str:
        """``s3``, ``gs``, ..."""
        return self.text.partition("://")[0]


Location = Path | Url


def parse_location(text: str) -> Location:
    """A folder, or an address in a store; ``file://`` is a folder.

    Raises:
        UsageError: no store of such a protocol is known, or the address holds a password or a query.
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    if found is None:
        return Path(text)
    protocol = found[1].lower()
    rest = text[found.end() :]
    if protocol == "file":
        return Path(unquote(urlsplit(text).path))
    if protocol not in _PROTOCOLS:
        raise UsageError(
            f"There is no store {protocol}://.",
            f"Give a folder, or one of {', '.join(p + '://' for p in EXTRAS)}.",
        )
    bucket = rest.partition("/")[0]
    if ":" in bucket or ("@" in bucket and EXTRAS.get(protocol) != "azure") or "?" in rest or "#" in rest:
        raise UsageError(
            "An address in a store holds no password and no query; this one looks as if it did.",
            "Give PROTOCOL://BUCKET/PREFIX; credentials come from the store's own environment variables.",
        )
    steps = [step for step in rest.split("/") if step]
    if not steps or {".", ".."} & set(steps):
        raise UsageError(f"{text!r} names no place in a store.", "Give e.g. s3://BUCKET/PREFIX.")
    return Url(f"{protocol}://{'/'.join(steps)}")
