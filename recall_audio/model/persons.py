"""Who is the same person in several meetings, told by what lasts: email, or the platform's own lasting id.

A participant id means something within one meeting only, and a name is nobody's alone: by neither is anybody
taken for somebody else. What was taken together, and why, is kept::

    meeting 1   Ann     ann@x.org                     Ann, A. Lee and Ann Lee are one person:
    meeting 2   A. Lee  ann@x.org   zoom id CUI-1     the second by her email, the third by her zoom id
    meeting 3   Ann Lee             zoom id CUI-1
    meeting 4   Ann                                   another, as far as anybody can tell
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LASTING = (("zoom", "conf_user_id"), ("teams", "user_id"))


def lasting_keys(email: str | None, extra_data: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What tells a participant again: email, Zoom's ``conf_user_id``, Teams' ``user_id``.

    Each as one word, ``email:ann@x.org``. Zoom's own ``user_id`` counts within a meeting only: no such key.
    """
    keys = [f"email:{email.strip().casefold()}"] if email and "@" in email else []
    for platform, fields in (extra_data or {}).items():
        for name, field in _LASTING:
            value = (
                fields.get(field)
                if isinstance(fields, Mapping) and name in str(platform).casefold()
                else None
            )
            if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
                keys.append(f"{name}.{field}:{str(value).strip()}")
    return tuple(keys)


@dataclass(frozen=True, slots=True)
class Merge:
    """One taking together.

    Attributes:
        key: by what, e.g. ``email:ann@x.org``.
        recording_id: where the key was seen again.
        speaker: whose it was there.
        first_recording_id: where it was seen first.
        first_speaker: whose it was there.
    """

    key: str
    recording_id: str
    speaker: str
    first_recording_id: str
    first_speaker: str


class People:
    """Participants of many meetings, added one after the other, as persons.

    Attributes:
        merges: what was taken together, in the order in which it came.
    """

    def __init__(self) -> None:
        self.merges: list[Merge] = []
        self._who: list[tuple[str, str]] = []
        self._keys: list[tuple[str, ...]] = []
        self._parent: list[int] = []
        self._first: dict[str, int] = {}

    def add(self, recording_id: str, speaker: str, keys: tuple[str, ...]) -> int:
        """Add one participant of one meeting; gives a number for :meth:`persons`."""
        number = len(self._parent)
        self._parent.append(number)
        self._who.append((recording_id, speaker))
        self._keys.append(keys)
        for key in keys:
            first = self._first.setdefault(key, number)
            if self._root(first) != self._root(number):
                self.merges.append(Merge(key, recording_id, speaker, *self._who[first]))
                # The earliest stays the root, so that the result does not hang on who was merged when.
                low, high = sorted((self._root(first), self._root(number)))
                self._parent[high] = low
        return number

    def persons(self) -> list[str]:
        """The person's code for each number: of the lowest key of theirs; without one, of their place."""
        lowest: dict[int, str] = {}
        for number, keys in enumerate(self._keys):
            root = self._root(number)
            for key in keys:
                lowest[root] = min(key, lowest.get(root, key))
        named = (lowest.get(self._root(n), "at:" + "/".join(self._who[n])) for n in range(len(self._parent)))
        return [hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:12] for name in named]

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number
