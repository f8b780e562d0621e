"""Recognise ids as Recall.ai gives them out, and make any id a safe file name."""

import hashlib
import re

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
"""Names in lower case that Windows takes for devices, with any suffix."""

_KEPT_CHARACTERS = 32
_DIGEST_CHARACTERS = 10
_OWN_FILES = ("mixed", "speaker_timeline", "fetched")
"""Stems of the package's own files beside those that are named after ids."""


def is_id(text: str) -> bool:
    """Return whether `text` can be an id: 1 to 64 ASCII letters, digits, ``-`` and ``_``."""
    return _ID.fullmatch(text) is not None


def is_file_name(text: str) -> bool:
    """Return whether an id is an ordinary file name everywhere: no leading ``-`` or ``_``, no device."""
    return is_id(text) and text[0].isalnum() and text.lower() not in DEVICES


def safe_id(identifier: str) -> str:
    """Return `identifier` if :func:`is_file_name`, else its safe letters and a hash of it.

    Two different ids never give one name; case alone does not tell names apart (see :func:`distinct_names`).
    """
    if is_file_name(identifier):
        return identifier
    kept = re.sub(r"[^A-Za-z0-9]+", "_", identifier).strip("_")[:_KEPT_CHARACTERS]
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{kept or 'id'}-{digest}"


def distinct_names(identifiers: list[str]) -> list[str]:
    """Return safe names of several ids, in order.

    They differ from each other and from the package's own files even on file systems that ignore case.
    """
    taken = set(_OWN_FILES)
    names = []
    for identifier in identifiers:
        name, number = safe_id(identifier), 1
        candidate = name
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate.casefold())
        names.append(candidate)
    return names
