"""The body for a new bot says what was asked for, and nothing impossible is ever sent."""

import datetime
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.errors import UsageError
from recall_audio.model import new_bot
from recall_audio.model.new_bot import NewBot, body_of, check_body, platform_of

NOW = datetime.datetime(2026, 12, 1, 12, 0, tzinfo=datetime.UTC)
ZOOM, TEAMS = "https://us02web.zoom.us/j/1?pwd=x", "https://teams.microsoft.com/l/meetup-join/1"
SCHEMA = json.loads(Path(new_bot.__file__).with_name("new_bot.json").read_text("utf-8"))


def body(meeting_url: str = ZOOM, **choices: Any) -> dict[str, Any]:
    return body_of(NewBot(meeting_url, **choices), NOW)[0]


def as_json_schema(schema: Any) -> Any:
    """OpenAPI's ``nullable`` as JSON Schema has it."""
    if isinstance(schema, list):
        return [as_json_schema(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {k: as_json_schema(v) for k, v in schema.items() if k != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.sampled_from(["", "web", "timed", "forever", "mp3"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "hours", "zoom", "metadata", "provider", "url", "events", "new"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from([*SCHEMA["properties"]["recording_config"]["properties"], "new"])
BODIES = st.fixed_dictionaries(
    {"meeting_url": st.just(ZOOM) | VALUES},
    optional={
        **dict.fromkeys(
            ("bot_name", "variant", "metadata", "chat", "automatic_leave", "breakout_room"), VALUES
        ),
        "recording_config": st.dictionaries(KEYS, VALUES, max_size=3),
    },
)


@given(BODIES)
def test_a_body_has_problems_exactly_where_another_validator_finds_some(sent: dict[str, Any]) -> None:
    fits = jsonschema.Draft202012Validator(as_json_schema(SCHEMA)).is_valid(sent)
    assert (check_body(sent)[0] == []) is fits


def test_both_kinds_of_audio_are_ordered_unless_the_configuration_orders_others() -> None:
    assert body() == {
        "recording_config": {"audio_mixed_mp3": {}, "audio_separate_mp3": {}},
        "meeting_url": ZOOM,
    }
    raw = {"recording_config": {"audio_separate_raw": {}, "audio_mixed_mp3": None}}
    assert body(config=raw)["recording_config"] == raw["recording_config"]
    assert body(separate="raw")["recording_config"] == {"audio_mixed_mp3": {}, "audio_separate_raw": {}}


def test_arguments_override_the_configuration_key_by_key() -> None:
    config = {
        "bot_name": "A",
        "metadata": {"a": "1", "b": "2"},
        "automatic_leave": {"waiting_room_timeout": 60},
    }
    made = body(name="B", metadata={"b": "3"}, retention="2w", start_recording_on="call_join", config=config)
    assert made["bot_name"] == "B"
    assert made["metadata"] == {"a": "1", "b": "3"}
    assert made["automatic_leave"] == {"waiting_room_timeout": 60}
    assert made["recording_config"]["retention"] == {"type": "timed", "hours": 336}
    assert made["recording_config"]["start_recording_on"] == "call_join"
    assert body(retention="forever")["recording_config"]["retention"] == {"type": "forever"}


def test_a_transcript_is_made_from_the_separate_audio() -> None:
    assert body(transcript="recallai_streaming")["recording_config"]["transcript"] == {
        "provider": {"recallai_streaming": {}},
        "diarization": {"use_separate_streams_when_available": True},
    }


@pytest.mark.parametrize(
    ("url", "variant", "expected"),
    [
        (ZOOM, "native", {"zoom": "native"}),
        (TEAMS, "web_4_core", {"microsoft_teams": "web_4_core"}),
        ("https://meet.google.com/abc-defg-hij", "web_gpu", {"google_meet": "web_gpu"}),
        ("https://lab.webex.com/meet/x", "web", {"webex": "web"}),
        ("https://vanity.example/j/1", "zoom=native", {"zoom": "native"}),
        ("https://vanity.example/j/1", "native", {"zoom": "native"}),
        ("https://vanity.example/j/1", "web",
         dict.fromkeys(["zoom", "google_meet", "microsoft_teams", "webex"], "web")),
    ],
)  # fmt: skip
def test_a_variant_is_of_the_meetings_platform(url: str, variant: str, expected: dict[str, str]) -> None:
    assert body(url, variant=variant)["variant"] == expected


def test_a_host_that_only_looks_like_zoom_is_none() -> None:
    assert platform_of("https://notzoom.us/j/1") is None
    assert platform_of("https://zoom.us.example/j/1") is None
    assert platform_of("https://[broken") is None


@pytest.mark.parametrize(
    ("choices", "key"),
    [
        ({"variant": "native", "meeting_url": TEAMS}, "variant.microsoft_teams"),
        ({"variant": "huge"}, "variant.zoom"),
        ({"name": "n" * 101}, "bot_name"),
        ({"name": ""}, "name"),
        ({"retention": "a while"}, "a while"),
        ({"start_recording_on": "dawn"}, "recording_config.start_recording_on"),
        ({"config": {"recording_config": {"transcript": {}}}}, "recording_config.transcript.provider"),
        ({"config": {"recording_config": []}}, "recording_config"),
        ({"config": {"metadata": {"a": 1}}}, "metadata.a"),
        ({"config": {"automatic_leave": {"waiting_room_timeout": 5}}}, "waiting_room_timeout"),
        ({"config": {"automatic_leave": {"waiting_room_timeout": True}}}, "waiting_room_timeout"),
        ({"config": {"recording_config": {"retention": {"type": "timed", "hours": 0}}}}, "retention.hours"),
        ({"join_at": "2026-12-01T11:59:59Z"}, "passed"),
        ({"join_at": "2026-12-01T13:59:59+02:00"}, "passed"),
        ({"join_at": "2020-01-01T00:00"}, "passed"),
        ({"join_at": "tomorrow"}, "ISO 8601"),
        ({"config": {"join_at": 5}}, "ISO 8601"),
        ({"meeting_url": "zoom"}, "meeting URL"),
    ],
)
def test_what_cannot_be_right_is_refused_by_the_name_of_its_key(choices: dict[str, Any], key: str) -> None:
    with pytest.raises(UsageError) as caught:
        body(**choices)
    assert key in caught.value.message


def test_unknown_keys_are_sent_and_named() -> None:
    config = {"new_thing": 1, "recording_config": {"audio_3d": {}}, "variant": {"slack": "web"}}
    made, notes = body_of(NewBot(ZOOM, config=config), NOW)
    assert made["new_thing"] == 1
    assert made["recording_config"]["audio_3d"] == {}
    assert [
        all(key in note for key in ("new_thing", "recording_config.audio_3d", "variant.slack"))
        for note in notes
    ] == [True]


def test_a_time_keeps_its_zone_and_a_bare_one_gets_this_machines() -> None:
    assert (
        body_of(NewBot(ZOOM, join_at="2026-12-24T09:00:00+05:00"), NOW)[0]["join_at"]
        == "2026-12-24T09:00:00+05:00"
    )
    made, (note,) = body_of(NewBot(ZOOM, join_at="2026-12-24T09:00"), NOW)
    expected = datetime.datetime(2026, 12, 24, 9, 0).astimezone().isoformat()
    assert made["join_at"] == expected
    assert expected in note
    toml_time = datetime.datetime(2026, 12, 24, 9, 0, tzinfo=datetime.UTC)
    assert body(config={"join_at": toml_time})["join_at"] == "2026-12-24T09:00:00+00:00"
