"""Spans are sets of samples: each operator does what it does to the sets, and gives spans back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.core import spans as sp
from recall_audio.typing import Spans

N = 60
ROWS = st.lists(st.tuples(st.integers(0, N), st.integers(0, N)).map(sorted), max_size=8)
SPANS = ROWS.map(sp.spans)


def samples(a: Spans) -> set[int]:
    """The set, sample by sample; fails where the rows are not sorted, apart and full."""
    rows = a.tolist()
    assert all(start < end for start, end in rows)
    assert all(a[1] < b[0] for a, b in zip(rows, rows[1:], strict=False))  # noqa: RUF007 - short
    assert a.dtype == np.int64
    assert a.shape == (len(rows), 2)
    return {x for start, end in rows for x in range(start, end)}


@given(ROWS)
def test_spans_of_any_rows_cover_what_the_rows_cover(rows: list[list[int]]) -> None:
    assert samples(sp.spans(rows)) == {x for a, b in rows for x in range(a, b)}


@given(SPANS, SPANS, SPANS)
def test_union_is_the_union_of_sets(a: Spans, b: Spans, c: Spans) -> None:
    assert samples(sp.union(a, b, c)) == samples(a) | samples(b) | samples(c)


@given(SPANS, SPANS)
def test_intersect_subtract_and_total_are_those_of_sets(a: Spans, b: Spans) -> None:
    assert samples(sp.intersect(a, b)) == samples(a) & samples(b)
    assert samples(sp.subtract(a, b)) == samples(a) - samples(b)
    assert sp.total(a) == len(samples(a))


@given(SPANS, st.tuples(st.integers(0, N), st.integers(0, N)).map(sorted))
def test_complement_and_clip_share_a_stretch_between_them(a: Spans, stretch: list[int]) -> None:
    start, end = stretch
    inside = set(range(start, end))
    assert samples(sp.clip(a, start, end)) == samples(a) & inside
    assert samples(sp.complement(a, start, end)) == inside - samples(a)


@given(SPANS, st.integers(0, 10))
def test_bridging_fills_inner_gaps_up_to_the_size_and_no_others(a: Spans, gap: int) -> None:
    wanted = samples(a)
    for (_, end), (start, _) in zip(a.tolist(), a.tolist()[1:], strict=False):
        wanted |= set(range(end, start)) if start - end <= gap else set()
    assert samples(sp.bridge(a, gap)) == wanted


@given(SPANS, st.integers(0, 20))
def test_what_is_short_is_dropped_whole(a: Spans, shortest: int) -> None:
    assert sp.drop_short(a, shortest).tolist() == [r for r in a.tolist() if r[1] - r[0] >= shortest]


@given(SPANS)
def test_covers_says_of_each_sample_whether_it_is_in_the_set(a: Spans) -> None:
    at = np.arange(-2, N + 2)
    assert sp.covers(a, at).tolist() == [x in samples(a) for x in at.tolist()]


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 7), st.integers(0, 9))
def test_a_mask_comes_back_from_its_spans(mask: list[bool], step: int, start: int) -> None:
    a = sp.from_mask(np.array(mask, dtype=np.bool_), step, start)
    assert sp.to_mask(a, step, len(mask), start).tolist() == mask
    assert sp.total(a) == step * sum(mask)


@given(st.lists(SPANS, max_size=4))
def test_counts_are_the_samples_in_exactly_so_many_sets(several: list[Spans]) -> None:
    sets = [samples(a) for a in several]
    held = [sum(x in s for s in sets) for x in range(10, 50)]
    assert sp.counts(several, 10, 50) == [held.count(k) for k in range(len(sets) + 1)]


@given(SPANS)
def test_seconds_come_back_as_the_same_samples(a: Spans) -> None:
    assert sp.from_seconds(sp.to_seconds(a)).tolist() == a.tolist()


def test_a_row_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before it starts"):
        sp.spans([(2, 1)])


@given(SPANS, st.integers(1, 9), st.integers(0, 12))
def test_bins_hold_the_samples_that_fall_into_them(a: Spans, width: int, n_bins: int) -> None:
    expected = [len(samples(a) & set(range(i * width, (i + 1) * width))) for i in range(n_bins)]
    assert sp.totals_by_bin(a, width, n_bins) == expected


@given(st.dictionaries(st.sampled_from("abcd"), SPANS))
def test_simultaneous_stretches_name_the_sets_that_hold_each_sample(
    sets: dict[str, Spans],
) -> None:
    held = {x: tuple(k for k in sorted(sets) if x in samples(sets[k])) for x in range(N)}
    found = sp.simultaneous({label: a.tolist() for label, a in sets.items()})
    told = {x: labels for start, end, labels in found for x in range(int(start), int(end))}
    assert told == {x: labels for x, labels in held.items() if len(labels) > 1}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted), max_size=5))
def test_seconds_are_read_on_any_clock(rows: list[list[int]]) -> None:
    assert samples(sp.from_seconds(rows, rate_hz=10)) == samples(
        sp.spans([[10 * a, 10 * b] for a, b in rows])
    )
