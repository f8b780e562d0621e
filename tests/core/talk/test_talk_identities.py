"""What must hold exactly for any meeting (metrics.md, Base), tried on meetings down to single samples."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recall_audio.core.activity import at_least, covered, measure_activity
from recall_audio.core.spans import spans, total
from recall_audio.core.talk.annotation import make_annotation
from recall_audio.core.talk.measure import measure_equality, measure_talk
from recall_audio.model.talk import Talk

RATE = 16_000
D = 40 * RATE

# Half of the times on a coarse grid, where starts and stops coincide; half anywhere.
TIMES = st.one_of(st.integers(0, 80).map(lambda t: t * RATE // 2), st.integers(0, D))
PERSON = st.lists(TIMES, max_size=12, unique=True).map(
    lambda t: [[a / RATE, b / RATE] for a, b in zip(sorted(t)[::2], sorted(t)[1::2], strict=False)]
)
MEETINGS = st.lists(PERSON, min_size=1, max_size=5).map(
    lambda people: dict(zip("ABCDE", people, strict=False))
)
Segments = dict[str, list[list[float]]]


def n(seconds: float) -> int:
    """Samples; seconds are those of a whole number of them, to the last bit."""
    samples = round(seconds * RATE)
    assert seconds == samples / RATE
    return samples


def comparable(talk: Talk, names: dict[str, str] | None = None) -> Any:
    """All figures, under other names, in an order that does not depend on them."""
    name = names or {label: label for label in talk.speakers}
    people = {name[k]: s.to_json() for k, s in talk.speakers.items()}
    pairs = {frozenset((name[p.a], name[p.b])): (p.overlap_s, p.overlap_of_shorter) for p in talk.pairs}
    whole = talk.turn_taking.to_json()
    directed = {(name[p.pop("earlier")], name[p.pop("later")]): p for p in whole.pop("directed")}
    base = (talk.talk_s, talk.speech_s, talk.overlap_s, talk.time_by_speakers_s, talk.equality)
    return people, pairs, whole, directed, base


@given(MEETINGS)
def test_sums_of_times_are_exact(segments: Segments) -> None:
    talk = measure_talk(segments, D / RATE)
    held = [n(s) for s in talk.time_by_speakers_s]
    assert (
        sum(k * d for k, d in enumerate(held))
        == n(talk.talk_s)
        == sum(n(s.talk_s) for s in talk.speakers.values())
    )
    assert n(talk.speech_s) + held[0] == D
    assert n(talk.silence_s) == held[0]
    assert n(talk.overlap_s) == sum(held[2:])
    assert sum(n(s.exclusive_s) for s in talk.speakers.values()) == (held[1] if len(held) > 1 else 0)
    assert all(n(s.exclusive_s) + n(s.overlapped_s) == n(s.talk_s) for s in talk.speakers.values())


@given(MEETINGS)
def test_a_pairs_overlap_is_no_more_than_the_shorter_talk(segments: Segments) -> None:
    talk = measure_talk(segments, D / RATE)
    for pair in talk.pairs:
        shorter = min(n(talk.speakers[label].overlapped_s) for label in (pair.a, pair.b))
        assert n(pair.overlap_s) <= shorter
        assert pair.overlap_of_shorter is None or 0 <= pair.overlap_of_shorter <= 1


@given(MEETINGS)
def test_shares_of_talk_add_up_to_one(segments: Segments) -> None:
    talk = measure_talk(segments, D / RATE)
    shares = [s.share_of_talk for s in talk.speakers.values()]
    if talk.talk_s:
        assert abs(math.fsum(s or 0.0 for s in shares) - 1.0) < 1e-15 * len(shares)
    else:
        assert set(shares) == {None}


@given(MEETINGS, st.permutations("ABCDE"))
def test_nothing_changes_under_a_relabelling(segments: Segments, names: list[str]) -> None:
    renamed = dict(zip("ABCDE", names, strict=True))
    other = {renamed[label]: segments[label] for label in sorted(segments, key=lambda k: renamed[k])}
    assert comparable(measure_talk(segments, D / RATE), renamed) == comparable(measure_talk(other, D / RATE))


@given(MEETINGS, st.integers(0, 10 * RATE))
def test_nothing_but_the_silence_at_the_edges_changes_under_a_shift(segments: Segments, shift: int) -> None:
    # A margin at both ends keeps the recording's edges from cutting anything before and after the shift.
    margin = 5 * RATE
    moved = [
        {k: [[a + by / RATE, b + by / RATE] for a, b in rows] for k, rows in segments.items()}
        for by in (margin, margin + shift)
    ]
    first, second = (measure_talk(m, (D + 20 * RATE) / RATE) for m in moved)
    assert comparable(first) == comparable(second)


@given(MEETINGS)
def test_mirrored_time_keeps_talk_speech_and_overlap(segments: Segments) -> None:
    mirrored = {k: [[D / RATE - b, D / RATE - a] for a, b in reversed(rows)] for k, rows in segments.items()}
    one, other = measure_talk(segments, D / RATE), measure_talk(mirrored, D / RATE)
    assert one.time_by_speakers_s == other.time_by_speakers_s
    assert one.pairs == other.pairs
    assert [s.talk_s for s in one.speakers.values()] == [s.talk_s for s in other.speakers.values()]


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=12).filter(any), st.integers(1, 5))
def test_a_silent_person_added_never_lowers_the_normalised_gini(talk: list[int], silent: int) -> None:
    before, after = measure_equality(talk), measure_equality(talk + [0] * silent)
    assert before.gini_normalised is not None
    assert after.gini_normalised is not None
    assert after.gini_normalised >= before.gini_normalised
    assert after.n_silent == before.n_silent + silent


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=12).filter(any))
def test_gini_and_entropy_stay_within_their_bounds(talk: list[int]) -> None:
    found = measure_equality(talk)
    assert 0 <= (found.gini or 0) <= 1 - 1 / len(talk) + 1e-15
    assert 0 <= (found.gini_normalised or 0) <= 1
    assert 0 <= (found.entropy or 0) <= 1


def test_equality_has_its_two_ends() -> None:
    even, one = measure_equality([5, 5, 5]), measure_equality([7, 0, 0])
    assert (even.gini, even.gini_normalised, even.entropy) == (0, 0, pytest.approx(1, abs=1e-15))
    assert (one.gini_normalised, one.entropy) == (1, 0)
    alone = measure_equality([5])
    assert (alone.gini, alone.gini_normalised, alone.entropy) == (0, None, None)


@given(MEETINGS, st.integers(1, 4))
def test_levels_and_coverage_agree_with_the_sweep(segments: Segments, k: int) -> None:
    annotation = make_annotation(segments, D / RATE)
    speech = list(annotation.speech.values())
    level = at_least(speech, k)
    assert total(level) == int(measure_activity(speech, D).held[k:].sum())
    assert spans(level.tolist()).tolist() == level.tolist()  # sorted, apart, none empty
    assert covered(level, make_annotation({}, 0.0).duration + level.ravel()).tolist() == [
        total(level[level[:, 0] < at].clip(max=at)) for at in level.ravel().tolist()
    ]


@settings(max_examples=30)
@given(MEETINGS)
def test_raw_and_cleaned_figures_are_the_same_where_nothing_was_taken_out(segments: Segments) -> None:
    talk = measure_talk(segments, D / RATE, raw_segments=segments)
    assert (talk.talk_raw_s, talk.speech_raw_s, talk.overlap_raw_s) == (
        talk.talk_s,
        talk.speech_s,
        talk.overlap_s,
    )
    assert all(s.talk_raw_s == s.talk_s for s in talk.speakers.values())
