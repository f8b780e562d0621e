"""The timeline by itself: frames with true timestamps end where those say, whatever is missing."""

from hypothesis import given
from hypothesis import strategies as st

from recall_audio.media.timeline import Placed, Timeline

RATE = 1000
DAY = 86_400 * RATE


def timeline(tolerance: int = 10, look_ahead: int = 1, limit: int = DAY) -> Timeline:
    return Timeline(RATE, tolerance, look_ahead, limit)


def run(line: Timeline, frames: list[tuple[int | None, int, str]]) -> list[tuple[int, Placed]]:
    """Where each frame's first sample comes to lie, and how it was placed."""
    placed, at = [], 0
    lengths = {name: n for _, n, name in frames}

    def lay(some: list[Placed]) -> None:
        nonlocal at
        for p in some:
            at += p.n_silence
            placed.append((at, p))
            at += lengths[p.item] - p.n_skipped

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
    assert all(p.n_silence == p.n_skipped == 0 for _, p in run(timeline(), frames))


def test_an_overlap_is_trimmed_from_the_later_frame() -> None:
    placed = run(timeline(), [(0, 100, "a"), (60, 100, "b"), (160, 100, "c")])
    assert [(at, p.n_skipped) for at, p in placed] == [(0, 0), (100, 40), (160, 0)]


def test_frames_without_a_timestamp_wait_for_one_that_has_it() -> None:
    placed = run(timeline(), [(0, 100, "a"), (None, 100, "b"), (None, 100, "c"), (700, 100, "d")])
    assert [at for at, _ in placed] == [0, 500, 600, 700]


def test_frames_without_any_timestamp_follow_each_other() -> None:
    placed = run(timeline(), [(None, 100, str(i)) for i in range(50)])
    assert [at for at, _ in placed] == [100 * i for i in range(50)]


def test_a_jump_is_the_least_one_its_next_frames_agree_on() -> None:
    frames = [(0, 100, "a"), (530, 100, "b"), (600, 100, "c"), (700, 100, "d"), (800, 100, "e")]
    assert [at for at, _ in run(timeline(tolerance=40, look_ahead=4), frames)] == [0, 500, 600, 700, 800]


def test_timestamps_that_begin_anew_go_on_where_the_count_is() -> None:
    frames = [(i * 100, 100, f"a{i}") for i in range(30)] + [(i * 100, 100, f"b{i}") for i in range(30)]
    placed = run(timeline(), frames)
    assert [at for at, _ in placed] == [100 * i for i in range(60)]
    assert [p.item for _, p in placed if p.restarted] == ["b0"]


def test_a_place_beyond_the_limit_is_a_broken_timestamp() -> None:
    placed = run(timeline(limit=10_000), [(0, 100, "a"), (10**12, 100, "b"), (10**12 + 100, 100, "c")])
    assert [at for at, _ in placed] == [0, 100, 200]
