"""Who is one person, within a meeting and across meetings, and what may not make them one."""

import json
from typing import Any

import pytest

from recall_audio.model.labels import make_labels, speakers_json
from recall_audio.model.meeting import MediaFile, Meeting, Part, Participant
from recall_audio.model.persons import (
    NOT_JOINED,
    PersonIndex,
    find_persons,
    lasting_keys,
    person_findings,
    shared_keys_of,
    with_persons,
)


def test_an_email_merges_only_where_no_id_of_the_platform_contradicts() -> None:
    index = PersonIndex()
    index.add("r1", "Ann", ("email:a@x.org", "zoom.conf_user_id:1"))
    index.add("r2", "Bob", ("email:a@x.org", "zoom.conf_user_id:2"))
    index.add("r3", "Ann", ("email:a@x.org",))
    index.add("r4", "Bob", ("zoom.conf_user_id:2",))
    index.add("r5", "Ann", ("email:a@x.org", "teams.user_id:9"))
    ann, bob, ann_3, bob_4, ann_5 = index.persons()
    assert ann == ann_3 == ann_5 != bob == bob_4
    assert [(m.key, m.recording_id) for m in index.merges] == [
        ("email:a@x.org", "r3"), ("zoom.conf_user_id:2", "r4"), ("email:a@x.org", "r5"),
    ]  # fmt: skip


def zoom(value: object) -> dict[str, Any]:
    """A platform's own fields with a lasting id."""
    return {"zoom": {"conf_user_id": value, "user_id": 1}}


def meeting(
    *people: tuple[int, str | None, dict[str, Any] | None],
    parts: tuple[tuple[int, float, float | None], ...] = (),
) -> Meeting:
    """A meeting of ids with email and extra data, and parts of ids with start and length."""
    participants = tuple(Participant(i, f"P{i}", email=email, extra_data=extra) for i, email, extra in people)
    rows = (Part(f"part-{n}", i, a, MediaFile(duration_s=s)) for n, (i, a, s) in enumerate(parts))
    return Meeting({"id": "b"}, {"id": "r"}, participants, tuple(rows), None)


ANN, BOB = "ann@x.org", "bob@x.org"
DIFFER = "their zoom.conf_user_id differ"


@pytest.mark.parametrize(
    ("one", "first_ids", "why"),
    [
        pytest.param(meeting((1, None, zoom("A")), (2, None, zoom("B")), (3, None, zoom("A"))), {1: 1, 3: 1},
                     [""], id="a lasting id, whatever the email"),
        pytest.param(meeting((1, ANN, zoom("A")), (2, BOB, zoom("A"))), {1: 1, 2: 1}, [""],
                     id="a lasting id before different emails"),
        pytest.param(meeting((1, ANN, None), (2, " Ann@X.org ", None), (3, BOB, None)), {1: 1, 2: 1}, [""],
                     id="an email that nothing contradicts"),
        pytest.param(meeting((1, ANN, zoom("A")), (2, ANN, zoom("B"))), {}, [DIFFER],
                     id="an email against lasting ids"),
        pytest.param(meeting((1, ANN, zoom("A")), (2, ANN, {"webex": {"webex_id": "w"}})), {1: 1, 2: 1}, [""],
                     id="ids of two platforms contradict nothing"),
        pytest.param(meeting((1, ANN, zoom("A")), (2, ANN, zoom("B")), (3, ANN, None)), {},
                     [DIFFER], id="an email of two people says nothing of a third"),
        pytest.param(meeting((1, ANN, zoom("A")), (2, None, zoom("A")), (3, ANN, None)), {1: 1, 2: 1, 3: 1},
                     ["", ""], id="by a lasting id, then by email"),
        pytest.param(meeting((2, ANN, None), (1, ANN, zoom("A")), (3, None, zoom("A"))), {1: 2, 2: 2, 3: 2},
                     ["", ""], id="the first of the list gives the label"),
        pytest.param(meeting((1, ANN, None), (2, ANN, None), parts=((1, 0.0, 40.0), (2, 44.0, 30.0))),
                     {1: 1, 2: 1}, [""], id="one after the other"),
        pytest.param(meeting((1, ANN, None), (2, ANN, None), parts=((1, 0.0, 40.0), (2, 30.0, 50.0))),
                     {1: 1, 2: 1}, [""], id="a connection that took ten seconds to die"),
        pytest.param(meeting((1, ANN, None), (2, ANN, None), parts=((1, 0.0, 60.0), (2, 10.0, 40.0))), {},
                     ["they are recorded at the same time"], id="both at once"),
        pytest.param(meeting((1, ANN, None), (2, ANN, None),
                             parts=((1, 0.0, 9.0), (1, 9.0, 9.0), (2, 1.0, 5.0), (2, 8.0, None))), {},
                     ["they are recorded at the same time"], id="both at once, in pieces"),
        pytest.param(meeting((1, None, zoom("A")), (2, None, zoom("A")), parts=((1, 0.0, 9.0), (2, 0.0, 9))),
                     {1: 1, 2: 1}, [""], id="two devices of one account"),
        pytest.param(meeting((1, None, zoom("0")), (2, None, zoom(0)), (3, None, zoom("null"))), {}, [],
                     id="what stands for no id is none"),
        pytest.param(meeting((1, None, zoom("A")), (1, None, zoom("A"))), {}, [], id="an id named twice"),
        pytest.param(meeting((1, "none", None), (2, "none", None)), {}, [], id="what is no email"),
    ],
)  # fmt: skip
def test_ids_that_last_make_one_person_and_emails_only_where_nothing_contradicts(
    one: Meeting, first_ids: dict[int, int], why: list[str]
) -> None:
    found = find_persons(one)
    assert found.first_ids == first_ids
    assert [key.apart for key in found.shared] == why


def test_without_joining_each_id_stays_a_speaker_and_what_they_share_is_named() -> None:
    one = meeting((1, ANN, zoom("A")), (2, ANN, zoom("A")))
    found = find_persons(one, join=False)
    assert found.first_ids == {}
    assert {key.apart for key in found.shared} == {NOT_JOINED}
    labels = make_labels(one.participants, found.first_ids)
    assert list(labels.values()) == ["P1", "P2"]
    assert [f.code for f in person_findings(labels, found)] == ["persons_apart"] * 2


def test_speakers_json_lists_the_ids_and_what_joined_them_or_did_not() -> None:
    she, account = {"zoom": {"pronouns": "she"}}, {"zoom": {"conf_user_id": "A"}}
    people = [(1, None, she), (2, ANN, None), (3, BOB, zoom("B")), (4, BOB, zoom("C"))]
    one = meeting(*people, (5, ANN, account), (1, None, zoom("A")))
    found = find_persons(one)
    labels = make_labels(one.participants, found.first_ids)
    assert labels == {1: "P1", 2: "P1", 3: "P3", 4: "P4", 5: "P1"}
    written = json.loads(json.dumps(with_persons(speakers_json(one.participants, labels), labels, found)))
    assert written["speakers"]["P1"] == {
        "participant_ids": [1, 2, 5], "name": "P1", "is_host": None, "platform": None, "email": ANN,
        "extra_data": {"zoom": {"pronouns": "she", "conf_user_id": "A", "user_id": 1}},
    }  # fmt: skip
    assert written["joined"] == [
        {"speaker": "P1", "participant_ids": [5, 1], "key": "zoom.conf_user_id:A"},
        {"speaker": "P1", "participant_ids": [2, 5], "key": f"email:{ANN}"},
    ]
    assert written["apart"] == [
        {"speakers": ["P3", "P4"], "participant_ids": [3, 4], "key": f"email:{BOB}",
         "reason": "their zoom.conf_user_id differ"},
    ]  # fmt: skip
    assert sorted(shared_keys_of(written), key=str) == sorted(found.shared, key=str)
    assert shared_keys_of({"joined": [{}, None], "apart": [{"participant_ids": ["x"], "key": 1}]}) == []


def test_a_thousand_people_with_one_email_and_one_id_in_pairs_are_told_apart_at_once() -> None:
    """Each id is looked at a few times, whatever the crowd: calls grow with it and not with its square."""
    people = [(i, ANN if i % 3 else BOB, zoom(f"id {i % 500}")) for i in range(1000)]
    parts = tuple((i, float(i), 5.0) for i in range(1000))
    found = find_persons(meeting(*people, parts=parts))
    assert len(set(found.first_ids.values())) == 500
    assert sorted(key.apart for key in found.shared)[-2:] == ["their zoom.conf_user_id differ"] * 2


def test_a_lasting_key_is_an_id_of_its_platform() -> None:
    assert lasting_keys(None, {"zoom": {"conf_user_id": True}, "teams": {"user_id": " "}}) == ()
    assert lasting_keys(None, {"microsoft_teams": {"user_id": 7}}) == ("teams.user_id:7",)
