"""Replace names, ids and emails by stable codes, for data that leaves the organisation.

A code is a keyed hash (HMAC-SHA256, RFC 2104): the same value gives the same code wherever the same key is
used, and without the key a code cannot be matched by trying names. Labels are made of the codes, so every
file that is written, stems included, is named by them.

What stays: times of day, the devices used, who was the host, and the voices themselves.
"""

import base64
import hmac
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from recall_audio.errors import UsageError
from recall_audio.model.labels import make_labels
from recall_audio.model.meeting import MediaFile, Meeting, Participant
from recall_audio.model.outcome import Finding

SHORTEST_KEY_BYTES = 16
LEFT_OUT = "left_out"
"""Why a pseudonymised recording has no downloaded files (``MediaFile.problem``)."""

_EMAIL = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
_UUID = "-".join(rf"[0-9a-fA-F]{{{n}}}" for n in (8, 4, 4, 4, 12))
_BOT_KEEPS = ("join_at",)
_RECORDING_KEEPS = ("started_at", "completed_at", "expires_at")
_PLATFORMS = frozenset(
    {"zoom", "microsoft_teams", "microsoft_teams_live", "teams", "google_meet", "webex", "slack",
     "slack_authenticator", "slack_huddle_observer", "goto_meeting"}
)  # fmt: skip
"""Meeting platforms, which are no person's."""
_CLIENTS = frozenset(
    {"desktop", "mobile", "mobile_app", "phone", "dial_in", "web", "browser", "room", "unknown", "other"}
)
"""What a participant may have joined with."""
_FORMATS = frozenset({"mp3", "raw", "ogg", "opus", "wav", "flac", "mp4", "m4a", "aac", "webm"})
_ID_FIELDS = frozenset(
    {"id", "user_id", "conf_user_id", "static_participant_id", "webex_id", "participant_id", "tenant_id",
     "role_id", "guid", "account_id"}
)  # fmt: skip
"""Fields of ``extra_data`` whose values are ids. Keys are the platform's, so they too can hold a name."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
_PROBLEM = re.compile(r"[a-z_]{1,24}")


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Codes under one key.

    Attributes:
        key: the secret; at least 16 bytes. Keep it to give later meetings the same codes, throw it away to
            make the codes final.
    """

    key: bytes

    def __post_init__(self) -> None:
        if len(self.key) < SHORTEST_KEY_BYTES:
            raise UsageError(
                f"The pseudonyms' key has {len(self.key)} bytes; expected {SHORTEST_KEY_BYTES} or more."
            )

    def __repr__(self) -> str:
        return "Pseudonyms(key=...)"

    def code(self, kind: str, value: str) -> str:
        """Return the code of a value of a kind (``name``, ``email``): sixteen characters.

        Equal values have equal codes.
        """
        digest = hmac.digest(self.key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), "sha256")
        return base64.b32encode(digest).decode()[:16]

    def name(self, name: str) -> str:
        """Return a display name's code, the same in any case and spacing."""
        return f"P_{self.code('name', ' '.join(unicodedata.normalize('NFKC', name).casefold().split()))}"

    def email(self, email: str) -> str:
        """Return an email's code, an address that cannot exist (RFC 2606), the same in any case."""
        return f"{self.code('email', email.strip().casefold()).lower()}@pseudonym.invalid"

    def participant(self, person: Participant) -> Participant:
        """Return a participant under codes, with the platform's ids and no other of its fields."""
        return replace(
            person,
            name=None if person.name is None else self.name(person.name),
            email=None if person.email is None else self.email(person.email),
            extra_data=self._ids(person.extra_data or {}, ()) or None,
            platform=_known(person.platform, _CLIENTS | _PLATFORMS),
            is_host=person.is_host if isinstance(person.is_host, bool) else None,
        )

    def recode(self, meeting: Meeting, labels: Mapping[int, str] | None = None) -> "Recoded":
        """Return a meeting under codes, and what each identifier became.

        Args:
            meeting: what the API said.
            labels: participant id to label as processed, one for all ids of a person; None for one an id.
        """
        ids = [p.participant_id for p in meeting.participants]
        ids += [p.participant_id for p in meeting.parts] + [p.participant_id for p in meeting.presence]
        numbers = {old: new for new, old in enumerate(dict.fromkeys(ids), 1)}
        people = tuple(
            replace(self.participant(p), participant_id=numbers[p.participant_id])
            for p in meeting.participants
        )
        parts = {p.part_id: self.code("part", p.part_id) for p in meeting.parts}
        before = {**make_labels(meeting.participants), **(labels or {})}
        firsts: dict[str, int] = {}
        after = make_labels(
            people,
            {numbers[i]: numbers[firsts.setdefault(v, i)] for i, v in before.items() if i in numbers},
        )
        coded = Meeting(
            bot={
                **self._coded(meeting.bot, ("id", "meeting_id")),
                "platform": _known(meeting.bot.get("platform"), _PLATFORMS),
                **_times(meeting.bot, _BOT_KEEPS),
            },
            recording={
                **self._coded(meeting.recording, ("id",)),
                **_times(meeting.recording, _RECORDING_KEEPS),
            },
            participants=people,
            parts=tuple(
                replace(
                    p,
                    part_id=parts[p.part_id],
                    participant_id=numbers[p.participant_id],
                    media=_left_out(p.media),
                )
                for p in meeting.parts
            ),
            mix=None if meeting.mix is None else _left_out(meeting.mix),
            presence=tuple(replace(p, participant_id=numbers[p.participant_id]) for p in meeting.presence),
            spoke=None if meeting.spoke is None else tuple(numbers[i] for i in meeting.spoke if i in numbers),
        )
        renamed = {before[i]: after[numbers[i]] for i in before if i in numbers}
        recoded = Recoded(
            coded, numbers, renamed, after, parts, self._words(meeting, coded, renamed | parts), self
        )
        findings = tuple(recoded.finding(f) for f in meeting.findings)
        return replace(recoded, meeting=replace(coded, findings=findings))

    def _words(self, meeting: Meeting, coded: Meeting, known: Mapping[str, str]) -> dict[str, str]:
        """Return every identifier that may stand in a sentence, and what replaces it."""
        words = dict(known)
        for person, under_code in zip(meeting.participants, coded.participants, strict=True):
            words |= {person.name: under_code.name or ""} if person.name else {}
            words |= {person.email: under_code.email or ""} if person.email else {}
            words |= _leaves(person.extra_data, under_code.extra_data)
        for facts, codes in ((meeting.bot, coded.bot), (meeting.recording, coded.recording)):
            words |= {str(facts[k]): str(codes[k]) for k in ("id", "meeting_id") if facts.get(k)}
        words |= {str(meeting.bot["name"]): "the bot"} if meeting.bot.get("name") else {}
        return {old: new for old, new in words.items() if old.strip() and not _is_count(old)}

    def _coded(self, facts: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        found = {k: facts.get(k) for k in names if k in facts}
        return {k: None if v is None else self.code(k, str(v)) for k, v in found.items()}

    def _ids(self, extra: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        """Return the ids in a platform's own data as codes, without its other fields."""
        kept: dict[str, Any] = {}
        for name, value in extra.items():
            if name not in _PLATFORMS | _ID_FIELDS:
                continue
            if isinstance(value, Mapping):
                inner = self._ids(value, (*path, name))
                kept |= {name: inner} if inner else {}
            elif name in _ID_FIELDS and _is_id(value):
                kept[name] = self.code(".".join((*path, name)), str(value).strip())
        return kept


@dataclass(frozen=True, slots=True)
class Recoded:
    """A meeting under codes, and what each identifier became.

    Attributes:
        meeting: under codes: people, ids, parts; without the files as downloaded.
        participants: the API's participant id to a number from 1, in the API's order.
        labels: label to the label under codes.
        coded_labels: each number to the label under codes.
        parts: part id to its code.
        words: every identifier to what stands for it in a sentence.
        pseudonyms: by which.
    """

    meeting: Meeting
    participants: Mapping[int, int]
    labels: Mapping[str, str]
    coded_labels: Mapping[int, str]
    parts: Mapping[str, str]
    words: Mapping[str, str]
    pseudonyms: Pseudonyms

    def finding(self, finding: Finding) -> Finding:
        """Return a finding with codes instead of identifiers."""
        where = {**self.labels, **self.parts}.get(finding.where, self.text(finding.where))
        return replace(finding, message=self.text(finding.message), where=where)

    def text(self, sentence: str) -> str:
        """Return a sentence with every identifier in it replaced.

        Whole words only are replaced, the longest first. Unknown emails and UUIDs are replaced too, such as
        the id of an artifact or of a part that is gone.
        """
        longest_first = sorted(self.words, key=len, reverse=True)
        pattern = "|".join((*map(re.escape, longest_first), _EMAIL, _UUID))
        return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", self._code_of, sentence)

    def _code_of(self, found: re.Match[str]) -> str:
        word = found[0]
        unknown = self.pseudonyms.email if "@" in word else partial(self.pseudonyms.code, "id")
        return self.words[word] if word in self.words else unknown(word)


def _times(facts: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the times among some fields, None for whatever else stands there."""
    found = {k: facts[k] for k in names if k in facts}
    return {k: v if isinstance(v, str) and _TIME.fullmatch(v) else None for k, v in found.items()}


def _known(value: object, words: frozenset[str]) -> str | None:
    """Return a word that is one of `words`, else None: any other may name a person."""
    return value if isinstance(value, str) and value in words else None


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and bool(str(value).strip())


def _is_count(word: str) -> bool:
    """Return whether a word is a number so short that any sentence may hold it (no id is that short)."""
    return word.isdecimal() and len(word) < 6


def _left_out(media: MediaFile) -> MediaFile:
    """Return a file that is left out of the copy, or one missing for its own reason."""
    why = LEFT_OUT if media.file else media.problem
    if why is not None and why != LEFT_OUT and not _PROBLEM.fullmatch(why):
        why = "missing"
    return MediaFile(format=_known(media.format, _FORMATS), duration_s=media.duration_s, problem=why)


def _leaves(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the plain values of a nested mapping by those in the same places of another."""
    found: dict[str, str] = {}
    for name, value in (after or {}).items():
        old = (before or {})[name]
        found |= _leaves(old, value) if isinstance(value, Mapping) else {str(old).strip(): str(value)}
    return found
