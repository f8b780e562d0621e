"""The timeline by itself: frames with true timestamps end where those say, whatever is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.media.timeline import Placed, Timeline

RATE = 1000
DAY = 86_400 * RATE


def timeline(tolerance: int = 10, limit: int = DAY) -> Timeline:
    return Timeline(RATE, tolerance, limit)


def run(line: Timeline, frames: list[tuple[int | None, int, str]]) -> list[tuple[int, Placed]]:
    """Where each frame's first sample comes to lie, and how it was placed."""
    placed, at = [], 0
    lengths = {name: n for _, n, name in frames}

    def lay(some: list[Placed]) -> None:
        nonlocal at
        for p in some:
            at += p.n_silence
            placed.append((at, p))
            at += lengths[p.item]

    for frame in frames:
        lay(list(line.place(*frame)))
    lay(list(line.flush()))
    assert at == line.count
    return placed


@given(st.lists(st.tuples(st.integers(20, 60), st.booleans()), min_size=1, max_size=60))
def test_lost_frames_leave_the_others_in_their_place(frames: list[tuple[int, bool]]) -> None:
    at, kept, truth = 0, [], {}
    for i, (n, lost) in enumerate(frames):
        if not lost:
            kept.append((at, n, str(i)))
            truth[str(i)] = at
        at += n
    assert {p.item: start for start, p in run(timeline(), kept)} == truth


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=60))
def test_timestamps_that_are_only_rounded_move_nothing(errors: list[int]) -> None:
    frames = [(i * 20 + e, 20, str(i)) for i, e in enumerate(errors)]
    assert all(p.n_silence == p.n_back == 0 for _, p in run(timeline(), frames))


def test_timestamps_that_go_back_drop_nothing_and_say_by_how_much() -> None:
    placed = run(timeline(), [(0, 100, "a"), (60, 100, "b"), (160, 100, "c")])
    assert [(at, p.n_back) for at, p in placed] == [(0, 0), (100, 40), (200, 0)]


@given(st.data())
def test_one_page_of_wrong_timestamps_moves_nothing(data: st.DataObject) -> None:
    """Whatever it claims and wherever it stands, what was lost elsewhere leaves its silence."""
    n, length = 400, 40
    lost = data.draw(st.integers(5, n - 200))
    gap = data.draw(st.integers(0, 5000))
    first = data.draw(st.integers(1, n - 180))
    size, wrong = data.draw(st.integers(1, 60)), data.draw(st.integers(-20_000, 20_000))
    truth = [i * length + (gap if i >= lost else 0) for i in range(n)]
    said = [t + wrong if first <= i < first + size else t for i, t in enumerate(truth)]
    placed = run(timeline(limit=40_000), [(t, length, str(i)) for i, t in enumerate(said)])
    after = max(first + size, lost) + 1
    tolerance = 2 * 10
    if first > lost or first + size < lost:  # else the loss is inside the page, and its place unknown
        assert [at for at, _ in placed] == pytest.approx(truth, abs=tolerance)
    assert [at for at, _ in placed[after:]] == pytest.approx(truth[after:], abs=tolerance)


def test_frames_without_a_timestamp_wait_for_one_that_has_it() -> None:
    placed = run(timeline(), [(0, 100, "a"), (None, 100, "b"), (None, 100, "c"), (700, 100, "d")])
    assert [at for at, _ in placed] == [0, 500, 600, 700]


def test_frames_without_any_timestamp_follow_each_other() -> None:
    placed = run(timeline(), [(None, 100, str(i)) for i in range(50)])
    assert [at for at, _ in placed] == [100 * i for i in range(50)]


def test_a_jump_is_the_least_one_its_next_frames_agree_on() -> None:
    frames = [(0, 100, "a"), (530, 100, "b"), (600, 100, "c"), (700, 100, "d"), (800, 100, "e")]
    assert [at for at, _ in run(timeline(tolerance=40), frames)] == [0, 500, 600, 700, 800]


def test_timestamps_that_begin_anew_go_on_where_the_count_is() -> None:
    frames = [(i * 100, 100, f"a{i}") for i in range(30)] + [(i * 100, 100, f"b{i}") for i in range(30)]
    placed = run(timeline(), frames)
    assert [at for at, _ in placed] == [100 * i for i in range(60)]
    assert [(p.item, p.n_back) for _, p in placed if p.n_back] == [("b0", 3000)]


def test_a_place_beyond_the_limit_is_a_broken_timestamp() -> None:
    placed = run(timeline(limit=10_000), [(0, 100, "a"), (10**12, 100, "b"), (10**12 + 100, 100, "c")])
    assert [at for at, _ in placed] == [0, 100, 200]
