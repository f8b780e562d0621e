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
from typing import Any

from recall_audio.errors import UsageError
from recall_audio.model.labels import make_labels
from recall_audio.model.meeting import MediaFile, Meeting, Participant
from recall_audio.model.outcome import Finding

SHORTEST_KEY_BYTES = 16
LEFT_OUT = "left_out"
"""Why a pseudonymised recording has no downloaded files (``MediaFile.problem``)."""

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
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
CODES = frozenset(
    """
    absurd_times bad_payload bad_segment bad_webhook_secret cannot_listen cannot_write
    changed_input crashed cut_short damaged_audio damaged_file deadline deleted disk_full
    drift_borrowed drift_unobservable duration_differs duration_mismatch empty_audio
    encoder_delay_unknown engine_failed engine_refused expires_soon failed found_far gone
    holds_whole_mix interrupted leakage_decides lost missing missing_file mix_from_video
    mix_unexplained network no_audio no_audio_mixed no_audio_separate no_bot_id no_bucket
    no_cluster no_credit no_detector no_encoder no_key no_model no_ownership no_participant_events
    no_parts no_result no_room no_sample no_scorer no_segments no_speaker no_stem no_timeline
    no_transcript no_url no_webhook_secret no_worker nominal_start_kept not_audio not_rttm
    not_shared odd_byte odd_name offset_removed opposite_polarity other_place other_schema
    other_version overlap_uncertain overload overtaken own_echo pagination_loop part_missing
    parts_collide persons_apart persons_joined placed_by_all placed_by_background placed_by_leak
    placed_by_participant pseudonymised queue_taken raw_undeclared restarted rows_dropped
    same_person_twice set_aside share_uncertain shared_room short slow speaker_incomplete
    speaker_unknown speech_uncertain stem_below_target step store_failed store_refused timeout tls
    too_large too_long transcript_mended unexpected unexpected_encoding unexpected_redirect
    unknown_text unsafe_path url_not_allowed voice_without_track waf_blocked waiting words_dropped
    words_unassigned wrong_region
    """.split()  # noqa: SIM905 - words are easier to read and to add to than a list of strings
)
"""Codes of this package's findings and errors; any other text in their place may name a person."""
OTHER_CODE = "other"
"""Stands for a code that is not of :data:`CODES`."""
KEPT_APART = "the recording itself says why"
"""Stands for the reason why two persons are kept apart."""


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
        recoded = Recoded(coded, numbers, renamed, after, parts, self)
        findings = tuple(recoded.finding(f) for f in meeting.findings)
        return replace(recoded, meeting=replace(coded, findings=findings))

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
        pseudonyms: by which.
    """

    meeting: Meeting
    participants: Mapping[int, int]
    labels: Mapping[str, str]
    coded_labels: Mapping[int, str]
    parts: Mapping[str, str]
    pseudonyms: Pseudonyms

    def finding(self, finding: Finding) -> Finding:
        """Return a finding with its code in words instead of its sentence, which may name anyone."""
        code = finding.code if finding.code in CODES else OTHER_CODE
        where = {**self.labels, **self.parts}.get(finding.where, "")
        return Finding(code, sentence_of(code), where, "note" if finding.severity == "note" else "warning")


def sentence_of(code: str) -> str:
    """Return the sentence of a finding in a copy."""
    return f"{code.replace('_', ' ').capitalize()}; the recording itself says more."


def _times(facts: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the times among some fields, None for whatever else stands there."""
    found = {k: facts[k] for k in names if k in facts}
    return {k: v if isinstance(v, str) and TIME.fullmatch(v) else None for k, v in found.items()}


def _known(value: object, words: frozenset[str]) -> str | None:
    """Return a word that is one of `words`, else None: any other may name a person."""
    return value if isinstance(value, str) and value in words else None


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and bool(str(value).strip())


def _left_out(media: MediaFile) -> MediaFile:
    """Return a file that is left out of the copy, or one missing for its own reason."""
    why = LEFT_OUT if media.file else media.problem
    if why is not None and why != LEFT_OUT and why not in CODES:
        why = "missing"
    return MediaFile(format=_known(media.format, _FORMATS), duration_s=media.duration_s, problem=why)
