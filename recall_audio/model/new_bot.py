"""Build the body that asks for a new bot, and check it against the published description.

::

    defaults  ◁  --config FILE  ◁  flags          a later one overrides an earlier one, key by key
        └────────────┴──────────────┴──▶ body ──▶ check ──▶ problems (nothing is sent), notes (sent as is)

``new_bot.json`` beside this module is the description's schema of the body, shortened. A key that it does not
hold is a note, because keys are added without notice. A known key with an impossible value is a problem.
"""

import datetime
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from recall_audio.errors import UsageError

_SCHEMA_FILE = Path(__file__).with_name("new_bot.json")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
}  # fmt: skip
_HOURS = {"h": 1, "d": 24, "w": 168}
"""Hours of the units of a retention."""

_PLATFORM_BY_HOST = {
    "zoom.us": "zoom",
    "zoomgov.com": "zoom",
    "meet.google.com": "google_meet",
    "teams.microsoft.com": "microsoft_teams",
    "teams.live.com": "microsoft_teams",
    "webex.com": "webex",
}
"""The platform of a meeting by the host of its URL, or by a domain above it."""

_MOST_PROBLEMS = 5
"""Problems that one message names."""


@dataclass(frozen=True, slots=True)
class NewBot:
    """What a new bot is asked to do.

    Attributes:
        meeting_url: the meeting to join.
        name: the bot's display name, or None for the API's default.
        join_at: when to join, ISO 8601, or None for now. A time without a zone is this machine's.
        separate: format of the separate audio, or None for ``mp3`` unless `config` names one.
        variant: the machine that runs the bot: ``native``, or ``zoom=native`` where the URL does not tell
            the platform; or None.
        metadata: the bot's metadata.
        retention: how long media are kept: ``forever``, or a time such as ``48h``, ``7d``; or None.
        start_recording_on: when the recording starts, or None.
        transcript: the provider that makes a transcript from the separate audio, or None.
        config: further keys of the body.
    """

    meeting_url: str
    name: str | None = None
    join_at: str | None = None
    separate: Literal["mp3", "raw"] | None = None
    variant: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    retention: str | None = None
    start_recording_on: str | None = None
    transcript: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def body_of(new_bot: NewBot, now: datetime.datetime) -> tuple[dict[str, Any], list[str]]:
    """Return the body of the request for a bot, and notes about it.

    Args:
        new_bot: what is asked for.
        now: the time, with a zone; no bot joins before it.

    Raises:
        UsageError: the body cannot be right; the message names each key with its problem.
    """
    if not re.match(r"https?://[^/\s]+", new_bot.meeting_url):
        raise UsageError("This is not a meeting URL.", "Expected one that begins with https://.")
    if new_bot.name is not None and not new_bot.name.strip():
        raise UsageError("A bot's name has 1 to 100 characters, not 0.")
    body = merged({"recording_config": _default_audio(new_bot)}, new_bot.config)
    notes = []
    if body.get("meeting_url", new_bot.meeting_url) != new_bot.meeting_url:
        notes.append("The meeting URL of the command is sent, not the one of the configuration file.")
    body = merged(body, _chosen(new_bot))
    if body.get("join_at") is not None:
        body["join_at"], zone_notes = _join_time(body["join_at"], now)
        notes += zone_notes
    problems, unknown = check_body(body)
    if problems:
        shown = "; ".join(problems[:_MOST_PROBLEMS])
        raise UsageError(f"The bot was not created: {shown}.", "`--dry-run` prints the body.")
    if unknown:
        notes.append(
            f"Sent as given, because the published description does not hold it: {', '.join(unknown)}."
        )
    return body, notes


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` overridden by `over`, objects key by key."""
    result = dict(base)
    for key, value in over.items():
        before = result.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[key] = merged(before, value) if both else value  # type: ignore[arg-type]
    return result


def _default_audio(new_bot: NewBot) -> dict[str, Any]:
    """Return the artifacts that this tool needs, unless the configuration orders them in another way."""
    config = new_bot.config.get("recording_config")
    ordered = config if isinstance(config, Mapping) else {}
    audio: dict[str, Any] = {}
    if not any(key.startswith("audio_mixed_") for key in ordered):
        audio["audio_mixed_mp3"] = {}
    if new_bot.separate is None and not any(key.startswith("audio_separate_") for key in ordered):
        audio["audio_separate_mp3"] = {}
    return audio


def _chosen(new_bot: NewBot) -> dict[str, Any]:
    """Return the part of the body that stands for arguments that were given."""
    config: dict[str, Any] = {}
    if new_bot.separate is not None:
        config[f"audio_separate_{new_bot.separate}"] = {}
    if new_bot.retention is not None:
        config["retention"] = _retention(new_bot.retention)
    if new_bot.start_recording_on is not None:
        config["start_recording_on"] = new_bot.start_recording_on
    if new_bot.transcript is not None:
        separate_streams = {"use_separate_streams_when_available": True}
        config["transcript"] = {"provider": {new_bot.transcript: {}}, "diarization": separate_streams}
    chosen: dict[str, Any] = {"meeting_url": new_bot.meeting_url}
    given = {"bot_name": new_bot.name, "join_at": new_bot.join_at}
    chosen |= {key: value for key, value in given.items() if value is not None}
    if new_bot.variant is not None:
        chosen["variant"] = _variant(new_bot.variant, new_bot.meeting_url)
    if new_bot.metadata:
        chosen["metadata"] = dict(new_bot.metadata)
    return chosen | ({"recording_config": config} if config else {})


def _variant(text: str, meeting_url: str) -> dict[str, str]:
    """Return the machines by platform: the one that is named, the meeting's, or else all that may have it."""
    platform, equals, name = text.rpartition("=")
    if equals:
        return {platform: name}
    named = platform_of(meeting_url)
    if named is not None:
        return {named: name}
    by_platform = _schema()["properties"]["variant"]["properties"]
    # Of an unknown platform, a name that none has is sent to all: the check then shows what there is.
    return {p: name for p, has in by_platform.items() if name in has["enum"]} or dict.fromkeys(
        by_platform, name
    )


def platform_of(meeting_url: str) -> str | None:
    """Return the platform of a meeting by its URL's host, or None where it is not known."""
    try:
        host = (urlsplit(meeting_url).hostname or "").lower()
    except ValueError:
        return None
    known = (p for domain, p in _PLATFORM_BY_HOST.items() if host == domain or host.endswith(f".{domain}"))
    return next(known, None)


def _retention(text: str) -> dict[str, Any]:
    if text == "forever":
        return {"type": "forever"}
    found = re.fullmatch(r"([1-9]\d{0,5})([hdw])", text)
    if not found:
        raise UsageError(f"{text!r} is no time to keep media.", "Expected forever, or e.g. 48h, 7d, 2w.")
    return {"type": "timed", "hours": int(found[1]) * _HOURS[found[2]]}


def _join_time(value: Any, now: datetime.datetime) -> tuple[str, list[str]]:
    """Return a time with its zone as it is sent, and a note where the zone is this machine's.

    Raises:
        UsageError: it is no time, or it has passed.
    """
    expected = "E.g. 2026-01-31T09:00:00Z, or 2026-01-31T09:00 in this machine's zone."
    if isinstance(value, datetime.date):  # TOML has times of its own
        value = value.isoformat()
    try:
        given = datetime.datetime.fromisoformat(value)
        has_zone = given.tzinfo is not None
        joins = given if has_zone else given.astimezone()
        sent = value if has_zone else joins.isoformat()
        is_past = joins < now
    except (ValueError, TypeError, OverflowError, OSError):
        raise UsageError("The time to join is not an ISO 8601 time.", expected) from None
    if is_past:
        raise UsageError(f"The time to join, {sent}, has passed.", "Leave --join-at out to join now.")
    note = f"The time to join names no zone: it is taken in this machine's, and {sent} is sent."
    return sent, [] if has_zone else [note]


@cache
def _schema() -> Any:
    return json.loads(_SCHEMA_FILE.read_text("utf-8"))


def check_body(body: Any) -> tuple[list[str], list[str]]:
    """Return what is wrong in a body, and the keys that the description does not hold."""
    found = list(_differences(body, _schema(), ""))
    return [text for text, is_wrong in found if is_wrong], [text for text, is_wrong in found if not is_wrong]


Difference = tuple[str, bool]
"""A text, and whether it is a problem (else the path of an unknown key)."""


def _differences(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[Difference]:
    """Yield how a value differs from a schema."""
    where = path or "the body"
    if value is None and schema.get("nullable"):
        return
    if "anyOf" in schema:
        yield from _closest(value, schema["anyOf"], path)
        return
    kind = schema.get("type")
    is_kind = kind is None or isinstance(value, _TYPES[kind])
    if not is_kind or (isinstance(value, bool) and kind in ("integer", "number")):
        yield f"{where} is expected to be of type {kind}", True
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is expected to be one of {', '.join(schema['enum'])}", True
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{where} is expected to be at least {schema['minimum']}", True
    if isinstance(value, str):
        yield from _differences_of_text(value, schema, where)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _differences(item, schema["items"], f"{path}[{index}]")
    if isinstance(value, dict):
        yield from _differences_of_keys(value, schema, path)


def _differences_of_text(value: str, schema: Mapping[str, Any], where: str) -> Iterator[Difference]:
    if len(value) > schema.get("maxLength", len(value)):
        yield f"{where} has more than {schema['maxLength']} characters", True
    if schema.get("format") == "uuid":
        try:
            uuid.UUID(value)
        except ValueError:
            yield f"{where} is expected to be a UUID", True


def _differences_of_keys(
    value: Mapping[str, Any], schema: Mapping[str, Any], path: str
) -> Iterator[Difference]:
    known, further = schema.get("properties", {}), schema.get("additionalProperties")
    below = f"{path}." if path else ""
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{below}{key} is missing", True
    for key, item in value.items():
        if key in known or further is not None:
            yield from _differences(item, known.get(key, further), f"{below}{key}")
        elif known:
            yield f"{below}{key}", False


def _closest(value: Any, alternatives: list[Any], path: str) -> list[Difference]:
    """Return the differences from the alternative that differs least."""
    found = [list(_differences(value, alternative, path)) for alternative in alternatives]
    return min(found, key=lambda differences: (sum(wrong for _, wrong in differences), len(differences)))
