"""Every number that ``talk.json`` publishes, on a meeting small enough to be worked out by hand.

Nobody is present for the whole meeting but Cem, so no share can take one denominator for another::

    s     0    10   20   30   40   50   60   70   80   90   100  110  120
    Ann        [#######.......#####.....###............##........]
    Bob     [....'.....######....#####...#..#]                           ' a backchannel
    Cem   [................................................#..........]  unknown uncertainty
    Dee                                      [..##.....###..]            joined 6 s before her part
    Eve             [...................]                                silent, by events alone
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from recall_audio import __version__
from recall_audio.core.talk.measure import measure_talk
from recall_audio.model.alignment import Alignment, PartAlignment, TimeMap
from recall_audio.model.labels import make_labels, speakers_json
from recall_audio.model.meeting import MediaFile, Meeting, Part, Participant, Presence
from recall_audio.model.options import SpeechOptions, TalkOptions
from recall_audio.pipeline.documents import Documents
from recall_audio.pipeline.talk import talk_findings, talk_of, with_sensitivity

DURATION_S = 120.0

SPEECH = {
    "Ann": [[12, 20], [21, 25], [40, 50], [60, 66], [91, 93]],
    "Bob": [[15, 15.5], [26, 38], [47, 55], [62, 63.5], [68.4, 69.9]],
    "Cem": [[98, 99.5]],
    "Dee": [[76, 78], [91.1, 95]],
    "Eve": [],
}
RAW = {**SPEECH, "Ann": [*SPEECH["Ann"], [105, 107]], "Cem": [[30, 31], *SPEECH["Cem"]]}
"""Before two stretches of leaked speech were taken out; one lies in Bob's speech."""

PARTS = {1: (10.0, 110.0, 1.0), 2: (5.0, 70.0, 2.0), 3: (0.0, 120.0, None), 4: (76.0, 100.0, 1.0)}
"""Participant to start, end, and uncertainty in ms of their part."""

PRESENCE = (Presence(4, 70.0, 100.0), Presence(5, 20.0, 60.0))


def undecided() -> dict[str, list[list[float]]]:
    """Speech as the decision leaves it: Ann pauses for 0.15 s, which the chosen bridge of 0.2 s closes."""
    rows = {label: [[a, b] for a, b in spans] for label, spans in SPEECH.items()}
    i = SPEECH["Ann"].index([40, 50])
    rows["Ann"][i : i + 1] = [[40, 45.0], [45.15, 50]]
    return rows


def meeting_documents() -> Documents:
    """The meeting's files as the stages before talk leave them."""
    people = tuple(Participant(i, name) for i, name in enumerate(SPEECH, 1))
    parts = tuple(
        Part(f"p{i}", i, start, MediaFile(f"source/p{i}.ogg")) for i, (start, _, _) in PARTS.items()
    )
    placed = tuple(
        PartAlignment(f"p{i}", i, start, TimeMap(((0.0, start), (end - start, end))), "aligned", 0.0, 1.0, ms)
        for i, (start, end, ms) in PARTS.items()
    )
    segments: dict[str, Any] = {
        "speakers": SPEECH,
        "raw": RAW,
        "unbridged": undecided(),
        "other_thresholds": [
            {"threshold": 0.3, "overlap_s": 8.0,
             "talk_s": {"Ann": 31.0, "Bob": 32.0, "Cem": 2.0, "Dee": 6.0, "Eve": 0.0}},
        ],
        "parameters": asdict(SpeechOptions()),
    }  # fmt: skip
    spoke = (1, 2, 3, 4)  # by the platform's events, which report others than Eve
    recording = Meeting({"id": "b"}, {"id": "r"}, people, parts, None, PRESENCE, spoke=spoke)
    return {
        "recording": recording.to_json(),
        "speakers": speakers_json(people, make_labels(people)),
        "alignment": Alignment(placed, DURATION_S, True).to_json(),
        "segments": segments,
    }


def spread(median: Any, q1: Any, q3: Any, n: int, total_s: float | None = None) -> dict[str, Any]:
    """A distribution, with a total where it has one."""
    found = {"median": median, "q1": q1, "q3": q3, "n": n}
    return found if total_s is None else {**found, "total_s": total_s}


def one(value: float) -> dict[str, Any]:
    """A distribution of one offset."""
    return spread(value, value, value, 1)


NO_OFFSET = spread(None, None, None, 0)
NO_TIME = spread(None, None, None, 0, 0.0)

TALK_S = {"Ann": 30.0, "Bob": 23.5, "Cem": 1.5, "Dee": 5.9, "Eve": 0.0}
ALL_TALK_S, SPEECH_S, OVERLAP_S = 60.9, 54.0, 6.9
"""Ann and Bob overlap for 0.5 + 3 + 1.5 s, Ann and Dee for 1.9 s."""


WORDS = ("words", "words_per_minute", "share_of_words", "questions")
"""What only a transcript can tell."""


def shares(label: str, presence_s: float) -> dict[str, Any]:
    """The times and shares that follow from a speaker's talk."""
    talk_s = TALK_S[label]
    return {
        "talk_s": talk_s,
        "presence_s": presence_s,
        "share_of_talk": talk_s / ALL_TALK_S,
        "share_of_speech": talk_s / SPEECH_S,
        "share_of_meeting": talk_s / DURATION_S,
        "share_of_presence": talk_s / presence_s,
        "lost_s": 0.0,
        **dict.fromkeys(WORDS),  # there is no transcript
    }


SPEAKERS = {
    "Ann": shares("Ann", 100.0) | {
        "talk_raw_s": 32.0, "exclusive_s": 23.1, "overlapped_s": 6.9,
        # 12-20 and 21-25 are one turn: her silence between them is under 1.5 s.
        "ipus": 5, "turns": 4, "turn_s": spread(8.0, 5.0, 10.75, 4, 31.0),
        "pause_s": spread(1.0, 1.0, 1.0, 1, 1.0),
        "longest_monologue_s": 13.0,
        # Of 2, 5 and 13 s the last is beyond the window of 10 s.
        "response_latency_s": spread(3.5, 2.75, 4.25, 2), "floor_taken": 3, "floor_taken_per_hour": 90.0,
        "backchannel_candidates": 0, "interruption_attempts": 0, "interruptions_made": 0,
        "interruptions_received": 2,
    },
    "Bob": shares("Bob", 65.0) | {
        "talk_raw_s": 23.5, "exclusive_s": 18.5, "overlapped_s": 5.0,
        "ipus": 5, "turns": 5, "turn_s": spread(1.5, 1.5, 8.0, 5, 23.5), "pause_s": NO_TIME,
        "longest_monologue_s": 12.0,
        "response_latency_s": spread(1.7, 1.35, 2.05, 2), "floor_taken": 3, "floor_taken_per_hour": 90.0,
        "backchannel_candidates": 1, "interruption_attempts": 2, "interruptions_made": 1,
        "interruptions_received": 0,
    },
    "Cem": shares("Cem", 120.0) | {
        "talk_raw_s": 2.5, "exclusive_s": 1.5, "overlapped_s": 0.0,
        "ipus": 1, "turns": 1, "turn_s": spread(1.5, 1.5, 1.5, 1, 1.5), "pause_s": NO_TIME,
        "longest_monologue_s": 1.5,
        "response_latency_s": NO_OFFSET, "floor_taken": 1, "floor_taken_per_hour": 30.0,
        "backchannel_candidates": 0, "interruption_attempts": 0, "interruptions_made": 0,
        "interruptions_received": 0,
    },
    "Dee": shares("Dee", 30.0) | {
        "talk_raw_s": 5.9, "exclusive_s": 4.0, "overlapped_s": 1.9,
        "ipus": 2, "turns": 2, "turn_s": spread(2.95, 2.475, 3.425, 2, 5.9), "pause_s": NO_TIME,
        "longest_monologue_s": 2.0,
        "response_latency_s": NO_OFFSET, "floor_taken": 2, "floor_taken_per_hour": 60.0,
        "backchannel_candidates": 0, "interruption_attempts": 1, "interruptions_made": 1,
        "interruptions_received": 0,
    },
    "Eve": shares("Eve", 40.0) | {
        "talk_raw_s": 0.0, "exclusive_s": 0.0, "overlapped_s": 0.0,
        "ipus": 0, "turns": 0, "turn_s": NO_TIME, "pause_s": NO_TIME,
        "longest_monologue_s": None,
        "response_latency_s": NO_OFFSET, "floor_taken": 0, "floor_taken_per_hour": 0.0,
        "backchannel_candidates": 0, "interruption_attempts": 0, "interruptions_made": 0,
        "interruptions_received": 0,
    },
}  # fmt: skip


def pair(overlap_s: float, of_shorter: float | None) -> dict[str, Any]:
    """Two speakers' common speech."""
    return {"overlap_s": overlap_s, "overlap_of_shorter": of_shorter}


PAIRS = [
    pair(5.0, 5.0 / 23.5),  # Ann with Bob, Cem, Dee, Eve
    pair(0.0, 0.0),
    pair(1.9, 1.9 / 5.9),
    pair(0.0, None),
    *(pair(0.0, 0.0), pair(0.0, 0.0), pair(0.0, None)),  # Bob with Cem, Dee, Eve
    *(pair(0.0, 0.0), pair(0.0, None)),  # Cem with Dee, Eve
    pair(0.0, None),  # Dee with Eve
]


def directed(switches: int, fto_s: dict[str, Any], **others: Any) -> dict[str, Any]:
    """One ordered pair; counts are 0 where none is given."""
    counts = ("overlaps_within", "overlaps_between", "backchannel_candidates", "interruption_attempts",
              "interruption_candidates")  # fmt: skip
    found = {"switches": switches, "fto_s": fto_s, **dict.fromkeys(counts, 0), "interruption_success": None}
    return found | others


DIRECTED = [
    directed(3, spread(1.0, -1.0, 1.7, 3), overlaps_within=2, overlaps_between=1, backchannel_candidates=1,
             interruption_attempts=2, interruption_candidates=1, interruption_success=0.5),
    directed(1, NO_OFFSET, overlaps_between=1, interruption_attempts=1, interruption_candidates=1,
             interruption_success=1.0),
    directed(2, spread(3.5, 2.75, 4.25, 2)),
    directed(1, NO_OFFSET),
    directed(1, NO_OFFSET),
    directed(1, NO_OFFSET),
]  # fmt: skip
"""Ann to Bob, Ann to Dee, Bob to Ann, Bob to Dee, Dee to Ann, Dee to Cem."""

TURN_TAKING = {
    "ipus": 13, "turns": 12,
    "pauses": spread(1.0, 1.0, 1.0, 1, 1.0),
    "gaps": spread(3.0, 2.2, 5.55, 7, 32.5),  # 1, 2, 2.4, 3, 5, 6.1, 13
    "edge_silence_s": 12.0 + 20.5,
    "overlaps": {
        "within": spread(1.0, 0.75, 1.25, 2, 2.0), "between": spread(2.45, 2.175, 2.725, 2, 4.9),
        "simultaneous_onset": NO_TIME, "undetermined": NO_TIME,
    },
    "switches": 9, "switches_per_hour": 270.0,
    "fto_s": spread(2.0, 1.0, 2.4, 5), "fto_gaps": 4, "fto_overlaps": 1,  # -3, 1, 2, 2.4, 5
    # Dee's recording begins with her speech; nothing is known of Cem's place; Ann had begun 0.1 s before Dee;
    # Ann answers Dee after 13 s.
    "fto_left_out": {"cut": 1, "uncertain": 1, "lead": 1, "window": 1},
    "backchannel_candidates": 1, "interruption_attempts": 3, "interruption_candidates": 2,
    "directed": DIRECTED,
}  # fmt: skip

EQUALITY = {
    # Sum of all differences between two of 0, 1.5, 5.9, 23.5 and 30: 1.5 + 5.9 + 23.5 + 30 + 4.4 + 22 + 28.5
    # + 17.6 + 24.1 + 6.5.
    "gini": 164.0 / (5 * 60.9),
    "gini_normalised": 164.0 / (4 * 60.9),
    "entropy": -sum(t / 60.9 * math.log(t / 60.9) for t in (30.0, 23.5, 5.9, 1.5)) / math.log(5),
    "n_participants": 5,
    "n_silent": 1,
}


def variant(talk_s: dict[str, float], ranks: list[int], overlap_s: float, change: float) -> dict[str, Any]:
    """One row of the sensitivity table."""
    whole = sum(talk_s.values())
    return {
        "talk_s": talk_s,
        "share_of_talk": {label: t / whole for label, t in talk_s.items()},
        "rank": dict(zip(talk_s, ranks, strict=True)),
        "overlap_s": overlap_s,
        "same_ranks": ranks == [1, 2, 4, 3, 5],
        "largest_change": change,
    }


SENSITIVITY = {
    "ranks_hold": False,
    "variants": [
        # Without the bridge Ann's pause of 0.15 s is no speech.
        variant(TALK_S | {"Ann": 29.85}, [1, 2, 4, 3, 5], OVERLAP_S, 30 / 60.9 - 29.85 / 60.75),
        variant(TALK_S, [1, 2, 4, 3, 5], OVERLAP_S, 0.0),
        variant(TALK_S, [1, 2, 4, 3, 5], OVERLAP_S, 0.0),
        variant({"Ann": 31.0, "Bob": 32.0, "Cem": 2.0, "Dee": 6.0, "Eve": 0.0}, [2, 1, 4, 3, 5], 8.0,
                32 / 71 - 23.5 / 60.9),
    ],
}  # fmt: skip

EXPECTED = {
    "parameters": {
        "ipu_gap_s": 0.2, "turn_join_s": 1.5, "backchannel_longest_s": 1.0, "backchannel_silence_s": 1.0,
        "same_onset_s": 0.05, "fto_window_s": 10.0, "fto_lead_s": 0.2, "edge_s": 0.05, "window_s": 150.0,
        "step_s": 30.0, "bridge_choices_s": [0.1, 0.2, 0.3], "frame_s": 0.01,
        "speech": {"bridge_s": 0.2, "shortest_s": 0.1, "threshold": 0.5, "remove_leakage": True,
                   "threshold_change": 0.2},
    },
    "duration_s": DURATION_S, "talk_s": ALL_TALK_S, "speech_s": SPEECH_S, "silence_s": 66.0,
    "overlap_s": OVERLAP_S, "overlap_of_speech": 6.9 / 54.0, "overlap_of_meeting": 6.9 / 120.0,
    "talk_raw_s": 63.9, "speech_raw_s": 56.0, "overlap_raw_s": 7.9,
    "time_by_speakers_s": [66.0, 47.1, 6.9],
    "n_known": 5, "n_unknown": 0, "speakers": SPEAKERS, "pairs": PAIRS,
    "equality": EQUALITY, "turn_taking": TURN_TAKING,
    "sensitivity": SENSITIVITY,
}  # fmt: skip


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, float | None]]:
    """Every number, truth value and null with its place; words and reasons are left out."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{place}.{name}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{place}[{i}]")
    elif not isinstance(value, str):
        yield place, value


def equal(value: float | None, expected: float | None) -> bool:
    """Whether two leaves are equal, up to the rounding of binary numbers."""
    if value is None or expected is None:
        return value is expected
    return isinstance(value, bool) == isinstance(expected, bool) and math.isclose(
        value, expected, rel_tol=0.0, abs_tol=1e-9
    )


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """``talk.json`` of the meeting, read back."""
    found = meeting_documents()
    talk = with_sensitivity(talk_of(found, TalkOptions()), found, TalkOptions())
    value: dict[str, Any] = json.loads(json.dumps(talk.to_json()))
    return value


def test_every_published_number_is_the_one_worked_out_by_hand(published: dict[str, Any]) -> None:
    found, expected = dict(leaves(published)), dict(leaves(EXPECTED))
    assert found.keys() == expected.keys(), "a number without an expectation, or one that is not published"
    wrong = {p: (value, expected[p]) for p, value in found.items() if not equal(value, expected[p])}
    assert not wrong


def test_what_is_null_has_a_reason_beside_it(published: dict[str, Any]) -> None:
    text = json.dumps(published)
    nulls = [place for place, value in leaves(published) if value is None]
    assert len(nulls) == text.count("null") > 0

    def without_reason(value: Any, place: str = "") -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                if inner is None and not (value.get(f"{name}_reason") or value.get("reason")):
                    yield f"{place}.{name}"
                yield from without_reason(inner, f"{place}.{name}")
        elif isinstance(value, list):
            for inner in value:
                yield from without_reason(inner, place)

    assert not list(without_reason(published))


def test_the_words_name_the_choices(published: dict[str, Any]) -> None:
    sensitivity = published["sensitivity"]
    assert sensitivity["chosen"] == "bridge 0.2 s"
    assert [v["name"] for v in sensitivity["variants"]] == [
        "bridge 0.1 s", "bridge 0.2 s", "bridge 0.3 s", "speech threshold 0.3",
    ]  # fmt: skip
    assert [(p["a"], p["b"]) for p in published["pairs"]][:4] == [
        ("Ann", x) for x in ("Bob", "Cem", "Dee", "Eve")
    ]
    assert [(p["earlier"][0], p["later"][0]) for p in published["turn_taking"]["directed"]] == [
        tuple(pair) for pair in ("AB", "AD", "BA", "BD", "DA", "DC")
    ]
    assert (published["parameters"]["definitions"], published["parameters"]["version"]) == ("1", __version__)


# Unknown is not zero --------------------------------------------------------------------------------------

HEARD = "the platform reports that they spoke, but there is no separate audio of them"
KNOWN = ("Ann", "Bob", "Cem", "Dee")


def documents_where(
    spoke: tuple[int, ...] | None, unassigned: list[list[float]] | None = None, *parts: Part
) -> Documents:
    """The meeting's files where the platform reports these speakers, with speech of the mix on no track."""
    found = meeting_documents()
    found["recording"] |= {"spoke": spoke, "parts": [*found["recording"]["parts"], *map(asdict, parts)]}
    found["segments"] |= {} if unassigned is None else {"unassigned": unassigned}
    return found


@pytest.mark.parametrize(
    ("documents", "why"),
    [
        (documents_where((1, 2)), ""),
        (documents_where((1, 2, 5)), "the platform reports that they spoke"),
        (documents_where(None), "nothing that shows whether they spoke"),
        (documents_where(None, []), ""),
        (documents_where((1, 2), [[70, 96]]), "26 s of speech in the mix are on no track"),
        (documents_where((1, 2), [[70, 70.9]]), ""),
        (
            documents_where((1, 2), None, Part("x", 5, 0.0, MediaFile(problem="gone", duration_s=9.0))),
            "(gone)",
        ),
        (documents_where((1, 2), None, Part("x", 5, 0.0, MediaFile("source/x.mp3"))), "cannot be decoded"),
        (documents_where((1, 2), None, Part("x", 5, 0.0, MediaFile(problem="gone", duration_s=0.0))), ""),
    ],
    ids=[
        "never-heard",
        "heard",
        "no-events",
        "all-assigned",
        "unassigned",
        "a-breath",
        "gone",
        "bad",
        "empty",
    ],
)
def test_someone_without_audio_is_silent_only_where_something_shows_it(
    documents: Documents, why: str
) -> None:
    talk = talk_of(documents, TalkOptions())
    assert list(talk.speakers) == ["Ann", "Bob", "Cem", "Dee", "Eve"]
    assert list(talk.unknown) == (["Eve"] if why else [])
    assert why in talk.unknown.get("Eve", "")
    assert talk.speakers["Eve"].talk_s == (None if why else 0.0)
    assert [f.code for f in talk_findings(talk)] == (["speaker_unknown"] if why else [])
    assert talk.speakers["Eve"].presence_s == 40.0  # by events: it does not rest on audio


def test_every_figure_of_an_unknown_speaker_is_null_and_the_others_are_over_the_known() -> None:
    found = documents_where((1, 2, 3, 4, 5))
    talk = with_sensitivity(talk_of(found, TalkOptions()), found, TalkOptions())
    eve = talk.speakers["Eve"].to_json()
    reasons = {name for name in eve if name.endswith("_reason")}
    kept = {"presence_s", "shares_over", "lost_s", *WORDS}
    for name, value in eve.items():
        if name not in kept | reasons:
            assert (
                (value["median"], value["n"], value["reason"]) == (None, None, HEARD)
                if isinstance(value, dict)
                else (value is None and eve[f"{name}_reason"] == HEARD)
            ), name
    without = {k: v for k, v in SPEECH.items() if k != "Eve"}
    alone = measure_talk(without, DURATION_S, raw_segments={k: RAW[k] for k in without})
    assert (talk.talk_s, talk.speech_s, talk.overlap_s) == (alone.talk_s, alone.speech_s, alone.overlap_s)
    assert talk.equality == alone.equality
    assert talk.over == KNOWN
    assert (talk.n_known, talk.n_unknown) == (4, 1)
    assert {s.shares_over for s in talk.speakers.values()} == {"known speakers"}
    shares = [talk.speakers[label].share_of_talk for label in KNOWN]
    assert shares == [alone.speakers[label].share_of_talk for label in KNOWN]
    assert math.isclose(sum(s for s in shares if s is not None), 1.0)
    with_eve = [pair for pair in talk.pairs if "Eve" in (pair.a, pair.b)]
    assert [(p.overlap_s, p.overlap_of_shorter) for p in with_eve] == [(None, None)] * 4
    assert talk.sensitivity is not None
    assert all(set(v.talk_s) == set(KNOWN) for v in talk.sensitivity.variants)


def test_a_lost_part_of_a_known_speaker_is_said_with_its_length() -> None:
    lost = Part("x", 2, 70.0, MediaFile(problem="gone", duration_s=12.5))
    talk = talk_of(documents_where((1, 2), None, lost), TalkOptions())
    assert (talk.speakers["Bob"].lost_s, talk.speakers["Ann"].lost_s) == (12.5, 0.0)
    (finding,) = talk_findings(talk)
    assert (finding.code, finding.where) == ("speaker_incomplete", "Bob")
    assert "12.5 s" in finding.message
