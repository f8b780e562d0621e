"""Under codes nothing of a person is left, and everything about them still fits together."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.errors import UsageError
from recall_audio.model.labels import make_labels
from recall_audio.model.meeting import MediaFile, Meeting, Part, Participant
from recall_audio.model.pseudonyms import Pseudonyms

KEY = b"0123456789abcdef"
ANN = Participant(
    7,
    "Ann Lee",
    True,
    "desktop",
    "Ann@x.org",
    {"zoom": {"conf_user_id": "CUI-1", "pronouns": "she"}, "note": "hi"},
)
MEETING = Meeting(
    bot={"id": "bot-1", "name": "Ann's bot", "platform": "zoom", "meeting_id": "123-456"},
    recording={"id": "rec-1", "started_at": "2026-01-01T00:00:00Z"},
    participants=(ANN, Participant(8, None)),
    parts=(Part("part-1", 7, 0.0, MediaFile("source/part-1.ogg")),),
    mix=None,
)


def test_no_name_id_or_email_is_left_in_the_meeting() -> None:
    written = json.dumps(Pseudonyms(KEY).meeting(MEETING).to_json())
    for told in ("Ann", "Lee", "x.org", "CUI-1", "she", '"hi"', "bot-1", "rec-1", "part-1", "123-456"):
        assert told not in written, told


def test_what_fitted_together_still_does() -> None:
    coded = Pseudonyms(KEY).meeting(MEETING)
    assert [p.participant_id for p in coded.parts] == [7]
    assert make_labels(coded.participants)[7] == coded.participants[0].name
    assert make_labels(coded.participants)[8] == "participant_8"
    assert coded.recording["started_at"] == MEETING.recording["started_at"]


def test_codes_are_the_same_under_one_key_and_others_under_another() -> None:
    one, again, other = Pseudonyms(KEY), Pseudonyms(bytes(KEY)), Pseudonyms(KEY[::-1])
    assert one.participant(ANN) == again.participant(ANN)
    assert one.participant(ANN).name != other.participant(ANN).name
    assert one.participant(ANN).extra_data != other.participant(ANN).extra_data


def test_an_email_is_one_in_any_case() -> None:
    lower = Pseudonyms(KEY).participant(Participant(1, email="ann@x.org")).email
    assert lower == Pseudonyms(KEY).participant(ANN).email


@given(st.lists(st.text(), min_size=2, max_size=10, unique=True))
def test_different_values_have_different_codes(values: list[str]) -> None:
    codes = Pseudonyms(KEY)
    assert len({codes.code("name", v) for v in values}) == len(values)
    assert codes.code("name", "x") != codes.code("email", "x")


def test_the_key_is_not_shown_and_not_short() -> None:
    assert "0123" not in repr(Pseudonyms(KEY))
    with pytest.raises(UsageError, match="16"):
        Pseudonyms(b"short")
