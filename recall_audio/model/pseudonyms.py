"""Stable codes for names, ids and emails, for data that leaves the house.

A code is a keyed hash (HMAC-SHA256, RFC 2104): the same value gives the same code wherever the same key is
used, and without the key nobody can try names to see whose code it is. Take the codes before labels are made:
then everything that is written, stems included, is named by them.
"""

import base64
import hmac
from dataclasses import dataclass, replace
from typing import Any

from recall_audio.errors import UsageError
from recall_audio.model.meeting import Meeting, Participant

SHORTEST_KEY_BYTES = 16


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
            raise UsageError(f"The key has {len(self.key)} bytes; expected {SHORTEST_KEY_BYTES} or more.")

    def __repr__(self) -> str:
        return "Pseudonyms(key=...)"

    def code(self, kind: str, value: str) -> str:
        """Sixteen characters for a value of a kind (``name``, ``email``); equal values, equal codes."""
        digest = hmac.digest(self.key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), "sha256")
        return base64.b32encode(digest).decode()[:16]

    def participant(self, person: Participant) -> Participant:
        """The same participant under codes; ids of the platform survive as codes, other fields do not.

        The participant id, a number that means something within the meeting only, stays: parts refer to it.
        """
        return replace(
            person,
            name=None if person.name is None else f"P_{self.code('name', person.name)}",
            email=None if person.email is None else f"{self._email(person.email)}@pseudonym.invalid",
            extra_data=self._ids(person.extra_data or {}, ()) or None,
        )

    def meeting(self, meeting: Meeting) -> Meeting:
        """The same meeting under codes: people, bot, recording and parts.

        Paths of source files and findings are left out: they hold part ids and labels. Other files refer to
        a part by ``code("part", part_id)``.
        """
        id_fields = ("id", "meeting_id")
        bot = {k: self._coded(k, v) if k in id_fields else v for k, v in meeting.bot.items() if k != "name"}
        recording = {k: self._coded(k, v) if k == "id" else v for k, v in meeting.recording.items()}
        parts = tuple(
            replace(p, part_id=self.code("part", p.part_id), media=replace(p.media, file=None))
            for p in meeting.parts
        )
        return Meeting(
            bot=bot,
            recording=recording,
            participants=tuple(self.participant(p) for p in meeting.participants),
            parts=parts,
            mix=None if meeting.mix is None else replace(meeting.mix, file=None),
            presence=meeting.presence,
        )

    def _email(self, email: str) -> str:
        return self.code("email", email.strip().casefold()).lower()

    def _coded(self, kind: str, value: Any) -> Any:
        return None if value is None else self.code(kind, str(value))

    def _ids(self, extra: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        """The fields of a platform's own data that are ids, as codes; all else is left out."""
        kept: dict[str, Any] = {}
        for name, value in extra.items():
            if isinstance(value, dict):
                inner = self._ids(value, (*path, name))
                kept |= {name: inner} if inner else {}
            elif name.endswith("id") and isinstance(value, (str, int)):
                kept[name] = self.code(".".join((*path, name)), str(value))
        return kept
