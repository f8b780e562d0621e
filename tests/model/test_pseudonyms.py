"""Under codes nothing of a person is left, and everything about them still fits together."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.errors import UsageError
from recall_audio.model import pseudonyms
from recall_audio.model.labels import make_labels
from recall_audio.model.meeting import MediaFile, Meeting, Part, Participant, Presence
from recall_audio.model.outcome import Finding
from recall_audio.model.persons import lasting_keys
from recall_audio.model.pseudonyms import Pseudonyms, sentence_of

KEY = b"0123456789abcdef"
ANN = Participant(
    16778240,
    "Ann Lee",
    True,
    "desktop",
    "Ann@x.org",
    {"zoom": {"conf_user_id": "CUI-1", "pronouns": "she"}, "note": "hi", "is_paid": True},
)
MEETING = Meeting(
    bot={"id": "bot-1", "name": "Ann's bot", "platform": "zoom", "meeting_id": "123-456", "owner": "Ann"},
    recording={"id": "rec-1", "started_at": "2026-01-01T00:00:00Z", "title": "Ann's meeting"},
    participants=(ANN, Participant(8, None)),
    parts=(Part("part-1", 16778240, 0.0, MediaFile("source/part-1.ogg", sha256="f00")),),
    mix=None,
    presence=(Presence(16778240, 1.0, None),),
    findings=(Finding("f", "Part part-1 of Ann_Lee (Ann@x.org) in bot-1 has 1000 s.", "part-1"),),
)
NAMES = st.lists(st.text(min_size=1), min_size=1, max_size=5)


def test_no_name_id_or_email_is_left_in_the_meeting() -> None:
    written = json.dumps(Pseudonyms(KEY).recode(MEETING).meeting.to_json())
    told = ("Ann", "Lee", "x.org", "CUI-1", "she", '"hi"', "paid", "bot-1", "rec-1", "part-1", "123-456")
    for secret in (*told, "16778240", "owner", "f00", "source/"):
        assert secret not in written, secret


def test_what_fitted_together_still_does() -> None:
    known = Pseudonyms(KEY).recode(MEETING)
    coded = known.meeting
    assert [p.participant_id for p in coded.participants] == [1, 2]
    assert [p.participant_id for p in (*coded.parts, *coded.presence)] == [1, 1]
    assert make_labels(coded.participants) == {1: coded.participants[0].name, 2: "participant_2"}
    assert known.labels == {"Ann_Lee": coded.participants[0].name, "participant_8": "participant_2"}
    assert coded.recording["started_at"] == MEETING.recording["started_at"]
    assert coded.parts[0].media.problem == "left_out"


def test_a_part_that_never_came_keeps_its_own_reason() -> None:
    lost = replace(MEETING.parts[0], media=MediaFile(problem="gone"))
    coded = Pseudonyms(KEY).recode(replace(MEETING, parts=(lost,))).meeting
    assert coded.parts[0].media.problem == "gone"


def test_a_finding_keeps_its_code_and_place_and_no_sentence() -> None:
    known = Pseudonyms(KEY).recode(MEETING)
    (finding,) = known.meeting.findings
    assert finding.where == known.meeting.parts[0].part_id
    assert finding.message == sentence_of(finding.code)
    assert "1000" not in finding.message
    other = known.finding(Finding("ann_lee_left", "Ann Lee left.", "Ann Lee"))
    assert (other.code, other.where) == ("other", "")
    assert "ann" not in other.message.casefold()


def test_every_code_that_the_package_writes_is_kept() -> None:
    written = set()
    for path in Path(pseudonyms.__file__).parents[1].rglob("*.py"):
        for call in (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)):
            named = [k.value for k in call.keywords if k.arg == "code"]
            if isinstance(call.func, ast.Name) and call.func.id == "Finding":
                named += call.args[:1]
            written |= {n.value for n in named if isinstance(n, ast.Constant) and n.value}
    assert written - pseudonyms.CODES == set(), "add them to CODES"


def test_codes_are_the_same_under_one_key_and_others_under_another() -> None:
    one, again, other = Pseudonyms(KEY), Pseudonyms(bytes(KEY)), Pseudonyms(KEY[::-1])
    assert one.participant(ANN) == again.participant(ANN)
    assert one.participant(ANN).name != other.participant(ANN).name
    assert one.participant(ANN).email != other.participant(ANN).email
    assert one.participant(ANN).extra_data != other.participant(ANN).extra_data


def test_a_name_and_an_email_are_one_in_any_case_and_spacing() -> None:
    codes = Pseudonyms(KEY)
    assert codes.email("ann@x.org ") == codes.email("Ann@X.org")
    assert codes.name("ann  lee") == codes.name("Ann Lee ")
    assert codes.name("Ann Lee") != codes.name("Annlee")


@given(st.sampled_from(["zoom", "microsoft_teams"]), st.text("ab1 ", max_size=4), st.text("ab1 ", max_size=4))
def test_who_is_one_person_over_meetings_is_so_under_codes(platform: str, one: str, other: str) -> None:
    field = "conf_user_id" if platform == "zoom" else "user_id"
    people = [Participant(i, None, extra_data={platform: {field: v}}) for i, v in enumerate((one, other))]
    coded = [Pseudonyms(KEY).participant(p) for p in people]
    before, after = ([lasting_keys(p.email, p.extra_data) for p in each] for each in (people, coded))
    assert [bool(k) for k in before] == [bool(k) for k in after]
    assert (before[0] == before[1]) == (after[0] == after[1])


@given(NAMES)
def test_every_label_has_one_code_and_no_two_have_the_same(names: list[str]) -> None:
    people = tuple(Participant(i, name) for i, name in enumerate(names))
    known = Pseudonyms(KEY).recode(replace(MEETING, participants=people, parts=(), presence=()))
    assert set(known.labels) == set(make_labels(people).values())
    assert len(set(known.labels.values())) == len(names)
    assert all(label.startswith(("P_", "participant_")) for label in known.labels.values())


@given(st.lists(st.text(), min_size=2, max_size=10, unique=True))
def test_different_values_have_different_codes(values: list[str]) -> None:
    codes = Pseudonyms(KEY)
    assert len({codes.code("name", v) for v in values}) == len(values)
    assert codes.code("name", "x") != codes.code("email", "x")


def test_the_key_is_not_shown_and_not_short() -> None:
    assert "0123" not in repr(Pseudonyms(KEY))
    with pytest.raises(UsageError, match="16"):
        Pseudonyms(b"short")
