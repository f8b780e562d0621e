"""Tell which participants are one person, within a meeting and across meetings.

A participant id is unique within one meeting only, and several people may share a name. So participants of
several meetings are one person only where an email address or a lasting id of the platform agrees. Each
merge is kept with its reason::

    meeting 1   Ann     ann@x.org                     Ann, A. Lee and Ann Lee are one person:
    meeting 2   A. Lee  ann@x.org   zoom id CUI-1     the second by her email, the third by her zoom id
    meeting 3   Ann Lee             zoom id CUI-1
    meeting 4   Ann                                   a person of her own: nothing connects her

Within one meeting a person who left and came back has two ids: they get one label.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recall_audio.model.meeting import Meeting
from recall_audio.model.outcome import Finding

_LASTING = (
    ("zoom", "conf_user_id"),
    ("teams", "user_id"),
    ("google_meet", "static_participant_id"),
    ("webex", "webex_id"),
)
"""Platforms, and the field of ``extra_data`` that stays the same in all meetings.

Source: Recall.ai's documents, November 2025.
"""
_NO_IDS = frozenset({"", "0", "-1", "null", "none", "nil", "nan", "undefined", "unknown", "n/a"})
"""What programs write where there is no id: it is shared by people who share nothing."""


def lasting_keys(email: str | None, extra_data: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return what identifies a participant across meetings: email, or an id of the platform.

    Each is one word, e.g. ``email:ann@x.org``, ``zoom.conf_user_id:...``, ``teams.user_id:...``. Zoom's own
    ``user_id`` is valid within one meeting only, so it is no such key.
    """
    keys = [f"email:{email.strip().casefold()}"] if email and "@" in email else []
    for platform, fields in (extra_data or {}).items():
        for name, id_field in _LASTING:
            value = (
                fields.get(id_field)
                if isinstance(fields, Mapping) and name in str(platform).casefold()
                else None
            )
            if isinstance(value, bool) or not isinstance(value, str | int):
                continue
            if str(value).strip().casefold() not in _NO_IDS:
                keys.append(f"{name}.{id_field}:{str(value).strip()}")
    return tuple(keys)


def _is_email(key: str) -> bool:
    return key.startswith("email:")


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key that several participants of one meeting have.

    Attributes:
        key: e.g. ``zoom.conf_user_id:AAA``.
        participant_ids: their ids, in the API's order.
        apart: why they count as different persons, or empty: they are one.
    """

    key: str
    participant_ids: tuple[int, ...]
    apart: str = ""

    @property
    def kind(self) -> str:
        """Return what kind of key it is: ``email``, ``zoom.conf_user_id``."""
        return self.key.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Persons:
    """Which participants of one meeting are one person.

    Attributes:
        first_ids: each id of a person with several to the first of them; no other ids.
        shared: every key that decided, or that several have who are kept apart.
    """

    first_ids: Mapping[int, int] = field(default_factory=dict)
    shared: tuple[SharedKey, ...] = ()


NOT_JOINED = "participants are not joined (--no-join)"
_SHARE_AT_ONCE = 0.5
"""Share of a participant's audio, recorded while others with the same email were, that makes them different
people. A person who comes back overlaps their former self by the seconds in which a connection dies, or by
those by which a nominal start is wrong; of two people with one email both are there most of the time."""


def find_persons(meeting: Meeting, *, join: bool = True) -> Persons:
    """Find participants of one meeting who are one person: who left, and came back under another id.

    A platform's lasting id decides. An email, which the API may have matched wrongly, decides only where no
    lasting ids contradict, and where no two who have it are recorded at the same time::

        100  ann@x.org   |=======|              one person: 104 is 100, who came back
        104  ann@x.org             |======|
        101  bob@x.org   |================|     two persons: they are there at once
        102  bob@x.org        |===========|
    """
    holders: dict[str, dict[int, None]] = {}
    for person in meeting.participants:
        for key in lasting_keys(person.email, person.extra_data):
            holders.setdefault(key, {})[person.participant_id] = None
    groups = {p.participant_id: {p.participant_id} for p in meeting.participants}
    evidence = _Evidence(meeting, holders)
    shared = []
    for key in sorted((key for key, ids in holders.items() if len(ids) > 1), key=_is_email):
        distinct = list({id(groups[i]): groups[i] for i in holders[key]}.values())
        if len(distinct) == 1:
            continue
        apart = "" if join else NOT_JOINED
        if join and _is_email(key):
            apart = evidence.against(distinct)
        shared.append(SharedKey(key, tuple(holders[key]), apart))
        if not apart:
            _unite(distinct, groups)
    first: dict[int, int] = {}
    for person in meeting.participants:
        group = groups[person.participant_id]
        if len(group) > 1 and person.participant_id not in first:
            first |= dict.fromkeys(group, person.participant_id)
    return Persons(first, tuple(shared))


def _unite(distinct: list[set[int]], groups: dict[int, set[int]]) -> None:
    """Unite groups of ids, the smaller into the largest, so that no id moves more than a few times."""
    *smaller, largest = sorted(distinct, key=len)
    for group in smaller:
        largest |= group
        groups |= dict.fromkeys(group, largest)


class _Evidence:
    """What speaks against one email being one person's.

    Args:
        meeting: the meeting.
        holders: the participants of each key.
    """

    def __init__(self, meeting: Meeting, holders: Mapping[str, Iterable[int]]) -> None:
        self._kinds: dict[int, set[str]] = {}
        for key, ids in ((k, ids) for k, ids in holders.items() if not _is_email(k)):
            for participant_id in ids:
                self._kinds.setdefault(participant_id, set()).add(key.partition(":")[0])
        self._spans: dict[int, list[tuple[float, float]]] = {}
        for part in (p for p in meeting.parts if p.media.duration_s):
            span = (part.nominal_start_s, part.nominal_start_s + (part.media.duration_s or 0.0))
            self._spans.setdefault(part.participant_id, []).append(span)

    def against(self, groups: Sequence[set[int]]) -> str:
        """Return why groups of ids, each of one person, are different people, or an empty text."""
        kinds = Counter(kind for ids in groups for kind in {k for i in ids for k in self._kinds.get(i, ())})
        if different := [kind for kind, n in kinds.items() if n > 1]:
            return f"their {different[0]} differ"
        if _are_at_once([_joined([s for i in ids for s in self._spans.get(i, ())]) for ids in groups]):
            return "they are recorded at the same time"
        return ""


def _joined(rows: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return stretches of one person in order, those that touch as one."""
    found: list[tuple[float, float]] = []
    for start_s, end_s in sorted(rows):
        if found and start_s <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end_s))
        else:
            found.append((start_s, end_s))
    return found


def _are_at_once(persons: Sequence[list[tuple[float, float]]]) -> bool:
    """Return whether most of some person's stretches lie where another has some too."""
    edges = sorted(edge for rows in persons for a, b in rows for edge in ((a, 1), (b, -1)))
    n_there, shared_s, before_s = 0, 0.0, edges[0][0] if edges else 0.0
    shared_until: dict[float, float] = {}
    for at_s, change in edges:
        shared_s += (at_s - before_s) * (n_there > 1)
        shared_until[at_s] = shared_s
        n_there, before_s = n_there + change, at_s
    return any(
        sum(shared_until[b] - shared_until[a] for a, b in rows) > _SHARE_AT_ONCE * sum(b - a for a, b in rows)
        for rows in persons
    )


def ids_by_label(labels: Mapping[int, str]) -> dict[str, list[int]]:
    """Return the participant ids of each label, in the API's order."""
    found: dict[str, list[int]] = {}
    for participant_id, label in labels.items():
        found.setdefault(label, []).append(participant_id)
    return found


def with_persons(speakers: dict[str, Any], labels: Mapping[int, str], persons: Persons) -> dict[str, Any]:
    """Return ``speakers.json`` with who was joined, who was kept apart, and why."""
    joined, apart = [], []
    for row in persons.shared:
        ids = list(row.participant_ids)
        if row.apart:
            named = list(dict.fromkeys(labels[i] for i in ids))
            apart.append({"speakers": named, "participant_ids": ids, "key": row.key, "reason": row.apart})
        else:
            joined.append({"speaker": labels[ids[0]], "participant_ids": ids, "key": row.key})
    return {**speakers, "joined": joined, "apart": apart}


def shared_keys_of(speakers: Mapping[str, Any]) -> list[SharedKey]:
    """Return what :func:`with_persons` wrote, without rows that cannot be read."""
    found = []
    for row in (row for name in ("joined", "apart") for row in speakers.get(name) or ()):
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            ids = tuple(int(i) for i in row["participant_ids"])
            found.append(SharedKey(str(row["key"]), ids, str(row.get("reason", ""))))
    return found


def person_findings(labels: Mapping[int, str], persons: Persons) -> tuple[Finding, ...]:
    """Return a note for each key that joined participants, or that several have who are kept apart."""
    found = []
    for row in persons.shared:
        names = list(dict.fromkeys(labels[i] for i in row.participant_ids))
        if row.apart:
            said = f"{', '.join(names)} have one {row.kind}, but count as different people: {row.apart}."
            found.append(Finding("persons_apart", said, names[0], severity="note"))
        else:
            n = len(row.participant_ids)
            said = f"{names[0]} is one person with {n} participant ids, because they have one {row.kind}."
            found.append(Finding("persons_joined", said, names[0], severity="note"))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge of two participants into one person.

    Attributes:
        key: the key that both have, e.g. ``email:ann@x.org``.
        recording_id: where the key was seen again.
        speaker: the label there.
        first_recording_id: where it was seen first.
        first_speaker: the label there.
        ids: the two participant ids, where one recording joined them under one label, else empty.
    """

    key: str
    recording_id: str
    speaker: str
    first_recording_id: str
    first_speaker: str
    ids: str = ""


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
