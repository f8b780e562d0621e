"""Turn-taking in the cases that timing alone can decide, and null or undetermined in those it cannot."""

import pytest

from recall_audio.core.talk.measure import measure_talk
from recall_audio.model.options import TalkOptions
from recall_audio.model.talk import Talk

Segments = dict[str, list[list[float]]]


def kinds(talk: Talk) -> list[tuple[str, str]]:
    return [(o.earlier + o.later, o.kind) for o in talk.events.overlaps]


@pytest.mark.parametrize(
    ("segments", "kind"),
    [
        ({"A": [[1, 5]], "B": [[2, 3]]}, "within"),
        ({"A": [[1, 5]], "B": [[2, 5]]}, "within"),  # both stop at once: nobody outlasts anybody
        ({"A": [[1, 5]], "B": [[4, 7]]}, "between"),
        ({"A": [[1, 5]], "B": [[1.04, 7]]}, "simultaneous_onset"),
        ({"A": [[1, 5]], "B": [[1.06, 7]]}, "between"),
        ({"A": [[0, 5]], "B": [[2, 3]]}, "within"),  # A began before the recording, but B came in on A
        ({"A": [[0, 5]], "B": [[0, 3]]}, "undetermined"),  # who began first is not known
        ({"A": [[1, 10]], "B": [[2, 10]]}, "undetermined"),  # nor who would have stopped first
        ({"A": [[1, 10]], "B": [[2, 9]]}, "within"),
    ],
)
def test_an_overlap_is_classed_by_who_stops_first_unless_an_edge_hides_it(
    segments: Segments, kind: str
) -> None:
    assert kinds(measure_talk(segments, 10.0)) == [("AB", kind)]


@pytest.mark.parametrize(
    ("presence", "kind"),
    [
        ({"A": [[0, 10]], "B": [[0, 10]]}, "within"),
        ({"A": [[0, 10]], "B": [[0, 3]]}, "undetermined"),  # B left while speaking
        ({"A": [[0, 10]], "B": [[2, 10]]}, "undetermined"),  # B was cut into speaking
        ({"A": [[0, 5]], "B": [[0, 10]]}, "within"),  # A left, but B had stopped before
        ({"A": [[1, 10]], "B": [[0, 10]]}, "within"),
    ],
)
def test_a_leave_makes_the_overlap_undetermined_only_where_it_decides(presence: Segments, kind: str) -> None:
    assert kinds(measure_talk({"A": [[1, 5]], "B": [[2, 3]]}, 10.0, presence=presence)) == [("AB", kind)]


def test_a_parts_edge_cuts_like_a_leave() -> None:
    segments: Segments = {"A": [[1, 5]], "B": [[2, 3]]}
    assert kinds(measure_talk(segments, 10.0, cuts_s={"B": [3.0]})) == [("AB", "undetermined")]
    assert kinds(measure_talk(segments, 10.0, cuts_s={"A": [3.0]})) == [("AB", "within")]


@pytest.mark.parametrize(
    "presence",
    [
        pytest.param({"A": [[0, 5]], "B": [[0, 10]]}, id="the earlier one leaves"),
        pytest.param({"A": [[0, 10]], "B": [[6, 10]]}, id="the later one joins"),
    ],
)
def test_an_offset_beside_a_cut_is_null_and_says_so(presence: Segments) -> None:
    talk = measure_talk({"A": [[1, 5]], "B": [[6, 7]]}, 10.0, presence=presence)
    (move,) = talk.events.transitions
    assert move.fto_s is None
    assert "recording starts or stops" in move.reasons["fto_s"]
    assert talk.turn_taking.fto_left_out["cut"] == 1


def test_an_offset_counts_only_after_a_lead_and_within_the_window() -> None:
    talk = measure_talk({"A": [[1, 1.25]], "B": [[1.15, 2], [20, 21]], "C": [[9, 9.5]]}, 30.0)
    assert [(t.earlier + t.later, t.fto_s) for t in talk.events.transitions] == [
        ("AB", None),  # A had begun 0.15 s before
        ("BC", 7.0),
        ("CB", None),  # 10.5 s later
    ]
    assert talk.turn_taking.fto_left_out == {"cut": 0, "uncertain": 0, "lead": 1, "window": 1}


def test_a_silence_between_two_units_of_one_speaker_is_a_pause_though_others_spoke_within() -> None:
    found = measure_talk({"A": [[1, 5], [5.5, 7]], "B": [[2, 3]]}, 10.0).turn_taking
    assert (found.pauses.n, found.pauses.total_s, found.gaps.n, found.switches) == (1, 0.5, 0, 0)


def test_own_silence_of_exactly_200_ms_is_still_one_unit() -> None:
    assert measure_talk({"A": [[1, 2], [2.2, 3]]}, 10.0).turn_taking.ipus == 1
    assert measure_talk({"A": [[1, 2], [2.2001, 3]]}, 10.0).turn_taking.ipus == 2


def test_speakers_tied_to_the_sample_share_the_floor() -> None:
    talk = measure_talk({"A": [[1, 2], [3, 4]], "B": [[1, 2]], "C": [[5, 6]]}, 10.0)
    assert talk.turn_taking.pauses.n == 1  # A had the floor, and has it again
    assert [t.earlier + t.later for t in talk.events.transitions] == ["AC"]
    tied = measure_talk({"A": [[1, 2]], "B": [[1, 2]], "C": [[5, 6]]}, 10.0)
    assert [t.earlier + t.later for t in tied.events.transitions] == ["AC", "BC"]
    assert (tied.turn_taking.switches, tied.turn_taking.gaps.n) == (1, 1)


def test_one_starting_as_another_stops_is_neither_gap_nor_overlap() -> None:
    (move,) = measure_talk({"A": [[1, 3]], "B": [[3, 5]]}, 10.0).events.transitions
    assert (move.kind, move.fto_s) == ("latch", 0.0)


@pytest.mark.parametrize(
    ("b", "is_candidate"),
    [
        ([[4, 5]], True),
        ([[4, 5.1]], False),  # too long
        ([[4, 4.5], [5.4, 8]], False),  # 0.9 s of own silence after
        ([[4, 4.5], [5.5, 8]], True),
        ([[0.5, 0.9]], False),  # the second before is not all on the recording
        ([[12, 12.5]], False),  # nobody else is speaking
    ],
)
def test_a_backchannel_is_short_alone_and_heard_by_a_speaker(
    b: list[list[float]], is_candidate: bool
) -> None:
    talk = measure_talk({"A": [[0, 10]], "B": b}, 20.0)
    assert talk.speakers["B"].backchannel_candidates == int(is_candidate)


def test_others_backchannels_do_not_break_a_monologue_and_their_speech_does() -> None:
    backchannel = measure_talk({"A": [[1, 8], [9, 15]], "B": [[7.8, 8.4]]}, 20.0)
    assert backchannel.speakers["A"].longest_monologue_s == 14.0
    speech = measure_talk({"A": [[1, 8], [9, 15]], "B": [[5, 7]]}, 20.0)
    assert speech.speakers["A"].longest_monologue_s == 8.0  # from 7 to 15


@pytest.mark.parametrize(
    ("a", "made", "attempts"),
    [
        ([[1, 5]], 1, 1),  # A stops and says no more
        ([[1, 5], [8, 9]], 1, 1),  # A waits for B's end
        ([[1, 5], [6, 9]], 0, 1),  # A comes back into B's speech
        ([[1, 12]], 0, 1),  # B gives up
    ],
)
def test_who_comes_in_interrupts_only_where_the_first_yields(
    a: list[list[float]], made: int, attempts: int
) -> None:
    talk = measure_talk({"A": a, "B": [[4, 7]]}, 20.0)
    assert talk.speakers["B"].interruptions_made == talk.speakers["A"].interruptions_received == made
    assert talk.speakers["B"].interruption_attempts == attempts
    (pair,) = [p for p in talk.turn_taking.directed if (p.earlier, p.later) == ("A", "B")]
    assert pair.interruption_success == made / attempts


def test_response_latency_takes_gaps_and_no_overlaps() -> None:
    segments: Segments = {"A": [[1, 2], [5, 6], [10, 11]], "B": [[2.3, 3], [6.7, 8], [10.5, 12]]}
    latency = measure_talk(segments, 20.0).speakers["B"].response_latency_s
    assert (latency.median, latency.n) == (0.5, 2)


def test_an_hour_of_meeting_gives_rates_an_hour() -> None:
    talk = measure_talk({"A": [[1, 2]], "B": [[3, 4]]}, 1800.0)
    assert talk.turn_taking.switches_per_hour == 2.0
    assert talk.speakers["B"].floor_taken_per_hour == 2.0


def test_a_joint_uncertainty_is_that_of_two_independent_errors() -> None:
    segments: Segments = {"A": [[1, 2]], "B": [[3, 4]]}

    def fto(**uncertainty_ms: float | None) -> float | None:
        return measure_talk(segments, 9.0, uncertainty_ms=uncertainty_ms).events.transitions[0].fto_s

    assert fto(A=35.0, B=35.0) == 1.0  # 49.5 ms together
    assert fto(A=36.0, B=36.0) is None
    assert measure_talk(segments, 9.0, TalkOptions(same_onset_s=0.1)).events.transitions[0].fto_s == 1.0
