"""Name participants: by label within a meeting, by person across meetings.

A display name is any text that the other side typed: ``../../x``, ``CON``, 400 emoji, half a surrogate pair.
Its label keeps the readable characters (``Ann Lee`` is ``Ann_Lee``) and nothing that has a meaning in a file
system, a space-separated format or a terminal. The name itself is kept in ``speakers.json``.

A participant id is unique within one meeting only, and several people may share a name. So participants of
several meetings are one person only where an email address or a lasting id of the platform agrees. Each
merge is kept with its reason::

    meeting 1   Ann     ann@x.org                     Ann, A. Lee and Ann Lee are one person:
    meeting 2   A. Lee  ann@x.org   zoom id CUI-1     the second by her email, the third by her zoom id
    meeting 3   Ann Lee             zoom id CUI-1
    meeting 4   Ann                                   a person of her own: nothing connects her
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.model.meeting import Participant

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


LONGEST_BYTES = 60
"""UTF-8 bytes of the longest label."""

_KEPT_ASCII = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_OURS = {"overlap", "mix", "mixed", "mixdown", "poly"}
# Letters and marks that draw nothing: two names that differ by them alone would look the same.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def make_labels(participants: Sequence[Participant]) -> dict[int, str]:
    """Return one label a participant id, e.g. ``Ann`` and then ``Ann_2``.

    Two ids are two labels, whatever their names: labels differ even on file systems that ignore case
    (``ann``, ``ANN_2``). The same list always gives the same labels.
    """
    labels: dict[int, str] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for person in participants:
        if person.participant_id not in labels:
            label = _untaken(safe_name(person.name, f"participant_{person.participant_id}"), taken, numbers)
            taken.add(_twin_key(label))
            labels[person.participant_id] = label
    return labels


def label_of(names: Mapping[str, str | None], speaker: str) -> str:
    """Return the label of a speaker who is given by label or by real name.

    Args:
        names: label to real name, None where there is none.
        speaker: the label or the name.

    Raises:
        ItemError: ``no_speaker``: no participant, or more than one, has this name.
    """
    if speaker in names:
        return speaker
    found = [label for label, name in names.items() if name is not None and _same(name, speaker)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ItemError(
            f"{len(found)} participants are called {speaker!r}.",
            f"Give the label of one: {', '.join(found)}.",
            code="no_speaker",
        )
    known = ", ".join(label if name is None else f"{label} ({name})" for label, name in names.items())
    raise ItemError(
        f"No participant is called {speaker!r}.", f"There are: {known or 'none'}.", code="no_speaker"
    )


def _same(name: str, other: str) -> bool:
    return " ".join(name.split()).casefold() == " ".join(other.split()).casefold()


def safe_name(name: str | None, otherwise: str = "participant") -> str:
    """Return `name` as a label, or `otherwise` where none of its characters can be kept.

    Unicode is brought to NFKC; surrogates, spaces, separators and ASCII punctuation become ``_``; control,
    format and unassigned characters are dropped; no ``_`` or ``-`` stands at either end. Names that Windows
    keeps for devices, or that the project keeps for files and tiers of its own, get a ``_`` behind them. At
    most :data:`LONGEST_BYTES` of UTF-8, cut between characters. ``safe_name(safe_name(x)) == safe_name(x)``.
    """
    label = "".join(_safe(c) for c in unicodedata.normalize("NFKC", name or ""))
    # What was dropped may have stood between a letter and its accent.
    label = unicodedata.normalize("NFKC", label)
    label = _cut("_".join(part for part in label.split("_") if part), LONGEST_BYTES)
    if not any(unicodedata.category(c)[0] in "LNS" for c in label):
        return otherwise
    return f"{label}_" if label.casefold() in DEVICES | _OURS else label


def speakers_json(participants: Sequence[Participant], labels: dict[int, str]) -> dict[str, Any]:
    """Return the plain values of ``speakers.json``: each label's name and ids."""
    people = {}
    for person in participants:
        people[labels[person.participant_id]] = {
            "participant_ids": [person.participant_id],
            "name": person.name,
            "is_host": person.is_host,
            "platform": person.platform,
            "email": person.email,
            "extra_data": person.extra_data,
        }
    return {"speakers": people}


def _safe(character: str) -> str:
    """Return what stands for one character of an NFKC string in a label."""
    if character.isascii() and character.isprintable():
        return character if character in _KEPT_ASCII else "_"
    category = unicodedata.category(character)
    if category == "Cs" or category[0] == "Z" or character in "\t\n\v\f\r\x85":
        return "_"
    variation_selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    invisible = category[0] == "C" or character in _INVISIBLE or variation_selector
    return "" if invisible else character


def _cut(label: str, n_bytes: int) -> str:
    """Cut a label to `n_bytes` of UTF-8, in whole characters that may stand at an end."""
    return label.encode()[:n_bytes].decode(errors="ignore").strip("_-")


def _twin_key(label: str) -> str:
    """Return a key that is equal for labels that some file system takes for one."""
    # Through upper case too: file systems fold by it, and it meets where casefold alone does not (ı and i).
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", label).upper().casefold())


def _untaken(label: str, taken: set[str], numbers: dict[str, int]) -> str:
    """Return `label`, with the first number from 2 where it is taken.

    Args:
        label: what is wanted.
        taken: keys of the labels so far; it only grows.
        numbers: the last number of each wanted label, updated here, so that a thousand guests take no
            half a million tries.
    """
    number = numbers.get(label, 1)
    candidate = label if number == 1 else _cut(label, LONGEST_BYTES - len(f"_{number}")) + f"_{number}"
    while _twin_key(candidate) in taken:
        number += 1
        suffix = f"_{number}"
        candidate = _cut(label, LONGEST_BYTES - len(suffix)) + suffix
    numbers[label] = number
    return candidate


_LASTING = (
    ("zoom", "conf_user_id"),
    ("teams", "user_id"),
    ("google_meet", "static_participant_id"),
    ("webex", "webex_id"),
)
"""Platforms, and the field of ``extra_data`` that stays the same in all meetings.

Source: Recall.ai's documents, November 2025.
"""


def lasting_keys(email: str | None, extra_data: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return what identifies a participant across meetings: email, or an id of the platform.

    Each is one word, e.g. ``email:ann@x.org``, ``zoom.conf_user_id:...``, ``teams.user_id:...``. Zoom's own
    ``user_id`` is valid within one meeting only, so it is no such key.
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


def _is_email(key: str) -> bool:
    return key.startswith("email:")


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge of two participants into one person.

    Attributes:
        key: the key that both have, e.g. ``email:ann@x.org``.
        recording_id: where the key was seen again.
        speaker: the label there.
        first_recording_id: where it was seen first.
        first_speaker: the label there.
    """

    key: str
    recording_id: str
    speaker: str
    first_recording_id: str
    first_speaker: str


class PersonIndex:
    """An index of the participants of many meetings as persons.

    Attributes:
        merges: every merge, in the order of the participants.
    """

    def __init__(self) -> None:
        self.merges: list[Merge] = []
        self._who: list[tuple[str, str]] = []
        self._keys: list[tuple[str, ...]] = []
        self._parent: list[int] = []
        self._ids: list[dict[str, set[str]]] = []  # of each root: ids of platforms by their kind
        self._first: dict[str, int] = {}

    def add(self, recording_id: str, speaker: str, keys: tuple[str, ...]) -> int:
        """Add one participant of one meeting and return a number for :meth:`persons`."""
        number = len(self._parent)
        self._parent.append(number)
        self._ids.append({key.partition(":")[0]: {key} for key in keys if not _is_email(key)})
        self._who.append((recording_id, speaker))
        self._keys.append(keys)
        for key in sorted(keys, key=_is_email):  # ids of the platform before emails
            first = self._first.setdefault(key, number)
            if _is_email(key) and self._contradict(self._root(first), self._root(number)):
                continue
            if self._root(first) != self._root(number):
                self.merges.append(Merge(key, recording_id, speaker, *self._who[first]))
                # The earliest stays the root, so that the result does not hang on who was merged when.
                low, high = sorted((self._root(first), self._root(number)))
                self._parent[high] = low
                for kind, ids in self._ids[high].items():
                    self._ids[low].setdefault(kind, set()).update(ids)
        return number

    def _contradict(self, one: int, other: int) -> bool:
        """Return whether two persons have different ids of one platform: an email may be wrong."""
        first, second = self._ids[one], self._ids[other]
        return any(kind in second and ids.isdisjoint(second[kind]) for kind, ids in first.items())

    def persons(self) -> list[str]:
        """Return each participant's person code, by the numbers that :meth:`add` returned.

        A code is made of the person's lowest key, or of recording and speaker where they have no key.
        """
        lowest: dict[int, str] = {}
        for number, keys in enumerate(self._keys):
            root = self._root(number)
            # An email that did not merge belongs to the person who had it first.
            for key in (k for k in keys if self._root(self._first[k]) == root):
                lowest[root] = min(key, lowest.get(root, key))
        named = (lowest.get(self._root(n), "at:" + "/".join(self._who[n])) for n in range(len(self._parent)))
        return [hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:12] for name in named]

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number
