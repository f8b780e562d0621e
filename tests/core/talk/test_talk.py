"""The figures of the schedule whose answers are known, and what happens where there is nothing to measure."""

import json

import pytest

from recall_audio.core.talk.measure import measure_talk
from recall_audio.errors import UsageError
from recall_audio.model.options import TalkOptions
from recall_audio.model.talk import Talk

FIXTURE = {
    "A": [[0, 5], [5.6, 8], [12, 13]],
    "B": [[4.5, 7], [9, 10.3]],
    "C": [[6, 6.4], [13.5, 20]],
    "D4": [],
}


@pytest.fixture(scope="module")
def talk() -> Talk:
    return measure_talk(FIXTURE, 21.0, presence={label: [[0, 21]] for label in FIXTURE})


def test_the_fixtures_times_are_exact(talk: Talk) -> None:
    assert [s.talk_s for s in talk.speakers.values()] == [8.4, 3.8, 6.9, 0]
    assert [s.exclusive_s for s in talk.speakers.values()] == [6.5, 1.9, 6.5, 0]
    assert (talk.talk_s, talk.speech_s, talk.overlap_s, talk.silence_s) == (19.1, 16.8, 1.9, 4.2)
    assert talk.time_by_speakers_s == (4.2, 14.9, 1.5, 0.4)
    assert {p.a + p.b: p.overlap_s for p in talk.pairs if p.overlap_s} == {"AB": 1.9, "AC": 0.4, "BC": 0.4}
    assert len(talk.pairs) == 6


def test_the_fixtures_shares_follow_their_denominators(talk: Talk) -> None:
    def shares(name: str) -> list[float]:
        return [round(getattr(s, name), 4) for s in talk.speakers.values()]

    assert shares("share_of_talk") == [0.4398, 0.1990, 0.3613, 0]
    assert shares("share_of_meeting") == [0.4, 0.1810, 0.3286, 0]
    assert shares("share_of_speech") == [0.5, 0.2262, 0.4107, 0]
    assert shares("share_of_presence") == shares("share_of_meeting")
    assert round(talk.overlap_of_speech or 0, 4) == 0.1131
    assert round(talk.overlap_of_meeting or 0, 4) == 0.0905


def test_the_fixtures_equality_counts_the_silent_participant(talk: Talk) -> None:
    everyone = talk.equality
    assert round(everyone.gini or 0, 4) == 0.3704
    assert round(everyone.gini_normalised or 0, 4) == 0.4939
    assert round(everyone.entropy or 0, 4) == 0.7577
    without = measure_talk({k: FIXTURE[k] for k in "ABC"}, 21.0).equality
    assert round(without.gini or 0, 4) == 0.1606
    assert round(without.entropy or 0, 4) == 0.9561


def test_the_fixtures_floor_goes_five_times_to_another(talk: Talk) -> None:
    moved = [(t.earlier + t.later, t.fto_s) for t in talk.events.transitions]
    assert moved == [("AB", -0.5), ("BA", -1.4), ("AB", 1.0), ("BA", 1.7), ("AC", 0.5)]
    turn_taking = talk.turn_taking
    assert turn_taking.switches == 5
    assert turn_taking.switches_per_hour == 5 * 3600 / 21
    assert (turn_taking.fto_s.median, turn_taking.fto_gaps, turn_taking.fto_overlaps) == (0.5, 3, 2)
    assert turn_taking.pauses.n == 0  # A is silent from 5 to 5.6, but B is not
    assert (turn_taking.gaps.n, turn_taking.gaps.total_s) == (3, 3.2)
    assert turn_taking.edge_silence_s == 1.0


def test_the_fixtures_overlaps_are_two_between_and_two_within(talk: Talk) -> None:
    seen = {(o.earlier + o.later, o.kind, round(o.end_s - o.start_s, 9)) for o in talk.events.overlaps}
    assert seen == {
        ("AB", "between", 0.5),
        ("BA", "between", 1.4),
        ("AC", "within", 0.4),
        ("BC", "within", 0.4),
    }


def test_the_fixtures_candidates_are_a_backchannel_and_an_interruption(talk: Talk) -> None:
    assert {k: s.backchannel_candidates for k, s in talk.speakers.items()} == {
        "A": 0,
        "B": 0,
        "C": 1,
        "D4": 0,
    }
    # A comes back into B's speech, so A did not yield; B says no more before 9 s, so B did.
    assert {(p.earlier + p.later): p.interruption_candidates for p in talk.turn_taking.directed} == {
        "AB": 0,
        "AC": 0,
        "BA": 1,
        "BC": 0,
    }
    assert talk.speakers["A"].interruptions_made == talk.speakers["B"].interruptions_received == 1


def test_the_fixtures_monologues_and_latencies(talk: Talk) -> None:
    # C's backchannel breaks nothing; B's real speech breaks A's at 4.5 s.
    assert [s.longest_monologue_s for s in talk.speakers.values()] == [4.5, 1.3, 6.5, None]
    assert [s.response_latency_s.median for s in talk.speakers.values()] == [1.7, 1.0, 0.5, None]
    assert [s.turns for s in talk.speakers.values()] == [2, 2, 2, 0]
    # A: 0-8 and 12-13; B: 4.5-7 and 9-10.3; C: 6-6.4 and 13.5-20.
    assert [s.turn_s.total_s for s in talk.speakers.values()] == [9.0, 3.8, 6.9, 0.0]


def test_a_pause_in_ones_own_turn_is_no_response() -> None:
    # A answers B after 1 s, and goes on after a pause of 0.5 s.
    answer = measure_talk({"B": [[0, 2]], "A": [[3, 5], [5.5, 7]]}, 8.0).speakers["A"]
    assert (answer.response_latency_s.n, answer.response_latency_s.median) == (1, 1.0)
    assert (answer.pause_s.n, answer.floor_taken) == (1, 1)


def test_pauses_inside_a_turn_add_up() -> None:
    spoken = measure_talk({"A": [[0, 1], [1.5, 2], [2.75, 4]]}, 5.0).speakers["A"]
    assert (spoken.turns, spoken.pause_s.n, spoken.pause_s.total_s) == (1, 2, 1.25)


def test_a_share_of_presence_is_of_the_time_present_and_not_of_the_meeting() -> None:
    presence = {"A": [[0, 20]], "B": [[4, 14]], "C": [[5, 21]], "D4": [[0, 1]]}
    shares = {
        k: s.share_of_presence for k, s in measure_talk(FIXTURE, 21.0, presence=presence).speakers.items()
    }
    assert shares == pytest.approx({"A": 8.4 / 20, "B": 3.8 / 10, "C": 6.9 / 16, "D4": 0.0})


def nulls_without_a_reason(value: object, path: str = "") -> list[str]:
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in nulls_without_a_reason(v, f"{path}[{i}]")]
    if not isinstance(value, dict):
        return []
    bare = [
        f"{path}.{k}"
        for k, v in value.items()
        if v is None
        and not (value.get(f"{k}_reason") or (k in ("median", "q1", "q3") and value.get("reason")))
    ]
    return bare + [p for k, v in value.items() for p in nulls_without_a_reason(v, f"{path}.{k}")]


@pytest.mark.parametrize(
    ("segments", "duration_s"),
    [
        ({}, 0.0),
        ({}, 60.0),
        ({"A": []}, 0.0),
        ({"A": [], "B": []}, 60.0),
        ({"A": [[1, 2]]}, 3.0),
        (FIXTURE, 21.0),
    ],
)
def test_what_cannot_be_computed_is_null_with_its_reason(
    segments: dict[str, list[list[float]]], duration_s: float
) -> None:
    written = json.loads(json.dumps(measure_talk(segments, duration_s).to_json(), allow_nan=False))
    assert nulls_without_a_reason(written) == []
    assert written["parameters"]["definitions"]


def test_a_meeting_without_speech_is_all_silence() -> None:
    talk = measure_talk({"A": [], "B": []}, 60.0)
    assert talk.time_by_speakers_s == (60.0,)
    assert talk.turn_taking.edge_silence_s == talk.silence_s == 60.0
    assert talk.overlap_of_speech is None
    assert talk.overlap_of_meeting == 0.0
    assert talk.speakers["A"].share_of_talk is None
    assert talk.speakers["A"].share_of_meeting == 0.0
    assert talk.equality.n_silent == 2


def test_somebody_present_without_segments_is_a_silent_participant() -> None:
    talk = measure_talk({"A": [[0, 5]]}, 10.0, presence={"A": [[0, 10]], "B": [[2, 6]]})
    assert talk.speakers["B"].presence_s == 4.0
    assert talk.speakers["B"].share_of_presence == 0.0
    assert talk.equality.gini_normalised == 1.0


def test_speech_proves_presence() -> None:
    talk = measure_talk({"A": [[1, 5]]}, 10.0, presence={"A": [[2, 7]]})
    assert talk.speakers["A"].presence_s == 6.0
    assert (talk.speakers["A"].share_of_presence or 0) <= 1.0


def test_the_raw_figures_stand_beside_the_cleaned_ones_only_where_given() -> None:
    raw = {"A": [[0, 5]], "B": [[0, 5], [6, 7]]}
    talk = measure_talk({"A": [[0, 5]], "B": [[6, 7]]}, 10.0, raw_segments=raw).to_json()
    assert (talk["overlap_s"], talk["overlap_raw_s"], talk["talk_raw_s"]) == (0.0, 5.0, 11.0)
    assert talk["speakers"]["B"]["talk_raw_s"] == 6.0
    assert "talk_raw_s" not in measure_talk(raw, 10.0).to_json()["speakers"]["B"]


def test_an_offset_is_null_where_the_alignment_is_less_certain_than_the_tolerance() -> None:
    segments = {"A": [[1, 2]], "B": [[2.5, 3]], "C": [[3.6, 5]]}
    talk = measure_talk(segments, 10.0, uncertainty_ms={"A": 0.1, "B": 0.1, "C": 60.0})
    assert [(t.later, t.fto_s, bool(t.reasons)) for t in talk.events.transitions] == [
        ("B", 0.5, False),
        ("C", None, True),
    ]
    assert talk.speakers["C"].response_latency_s.median is None
    assert "alignment" in talk.speakers["C"].response_latency_s.reason
    unknown = measure_talk(segments, 10.0, uncertainty_ms={"A": 0.1, "B": None, "C": 0.1})
    assert unknown.turn_taking.fto_s.median is None
    assert unknown.turn_taking.fto_left_out["uncertain"] == 2
    assert unknown.turn_taking.switches == 2  # that the floor moved is certain all the same


def test_own_parameters_change_the_figures_and_are_stamped() -> None:
    talk = measure_talk(FIXTURE, 21.0, TalkOptions(fto_window_s=1.2))
    assert talk.turn_taking.fto_left_out["window"] == 2
    assert talk.parameters["fto_window_s"] == 1.2
    assert talk.with_parameters(bridge_s=0.2).to_json()["parameters"]["bridge_s"] == 0.2


@pytest.mark.parametrize("rows", [[[2, 1]], [[float("nan"), 1]], [[0, float("inf")]], [[1, 2, 3]]])
def test_a_segment_that_is_none_is_refused_with_the_speakers_name(rows: list[list[float]]) -> None:
    with pytest.raises(UsageError, match="Ann"):
        measure_talk({"Ann": rows}, 10.0)


@pytest.mark.parametrize("duration_s", [-1.0, float("nan"), float("inf")])
def test_a_duration_that_is_none_is_refused(duration_s: float) -> None:
    with pytest.raises(UsageError):
        measure_talk({}, duration_s)
