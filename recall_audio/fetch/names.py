"""File names out of ids: an ordinary id as it is, anything odd made safe and kept apart from the others."""

import hashlib
import re

_ORDINARY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)")
_OURS = ("mixed", "speaker_timeline", "fetched")


def safe_id(identifier: str) -> str:
    """`identifier` itself if it is an ordinary file name everywhere, else its safe letters and a hash of it.

    Two different ids never give one name; case alone does not tell names apart (see :func:`distinct`).
    """
    if _ORDINARY.fullmatch(identifier) and not _DEVICE.fullmatch(identifier):
        return identifier
    kept = re.sub(r"[^A-Za-z0-9]+", "_", identifier).strip("_")[:32]
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{kept or 'id'}-{digest}"


def distinct(identifiers: list[str]) -> list[str]:
    """Safe names of several ids in order, different even where case is not told apart, and from our own."""
    taken = set(_OURS)
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
