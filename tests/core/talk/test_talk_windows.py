"""Windows and variants: each says what the whole meeting's figures would say of that stretch or choice."""

from itertools import pairwise

import pytest

from recall_audio.core.talk.measure import measure_talk, slide_talk
from recall_audio.core.talk.sensitivity import bridge_variants, measure_sensitivity, rank
from recall_audio.errors import UsageError
from recall_audio.model.options import TalkOptions
from recall_audio.model.speech import OtherThreshold

SEGMENTS = {"A": [[0, 40], [100, 190]], "B": [[30, 60], [150, 151]], "C": []}


def cut(start_s: float, end_s: float) -> dict[str, list[list[float]]]:
    """What was said between two moments, on a clock that starts at the first."""
    rows = {k: [[max(a, start_s), min(b, end_s)] for a, b in v] for k, v in SEGMENTS.items()}
    return {k: [[a - start_s, b - start_s] for a, b in v if b > a] for k, v in rows.items()}


def test_a_window_has_the_figures_of_its_stretch_alone() -> None:
    windows = slide_talk(SEGMENTS, 200.0, TalkOptions(window_s=70.0, step_s=20.0))
    assert [w.start_s for w in windows] == [0, 20, 40, 60, 80, 100, 120, 140]
    for w in windows:
        alone = measure_talk(cut(w.start_s, w.end_s), w.end_s - w.start_s)
        assert (w.speech_s, w.overlap_s) == (alone.speech_s, alone.overlap_s)
        assert w.talk_s == {label: s.talk_s for label, s in alone.speakers.items()}
        assert w.equality == alone.equality


def test_windows_side_by_side_add_up_to_the_meeting() -> None:
    windows = slide_talk(SEGMENTS, 200.0, TalkOptions(window_s=20.0, step_s=20.0))
    whole = measure_talk(SEGMENTS, 200.0)
    assert all(a.end_s == b.start_s for a, b in pairwise(windows))
    assert sum(w.talk_s["A"] for w in windows) == whole.speakers["A"].talk_s
    assert sum(w.overlap_s for w in windows) == whole.overlap_s


def test_a_meeting_shorter_than_a_window_is_one_window() -> None:
    (only,) = slide_talk({"A": [[1, 2]], "B": []}, 10.0)
    assert (only.start_s, only.end_s, only.speech_s) == (0.0, 10.0, 1.0)
    (empty,) = slide_talk({}, 0.0)
    assert empty.to_json()["equality"]["gini_reason"] == "nobody is present"


@pytest.mark.parametrize("options", [TalkOptions(window_s=0.0), TalkOptions(step_s=-1.0)])
def test_a_window_without_length_is_refused(options: TalkOptions) -> None:
    with pytest.raises(UsageError, match="above 0"):
        slide_talk(SEGMENTS, 200.0, options)


def test_ranks_that_hang_on_the_bridged_pause_are_found_out() -> None:
    # B's speech is in pieces 0.25 s apart: only the longest bridge makes B talk more than A.
    unbridged = {"A": [[0, 4]], "B": [[5, 6.8], [7.05, 8.8], [9.05, 9.4]], "C": [[1, 1.05]]}
    table = measure_sensitivity(bridge_variants(unbridged, 0.1), "bridge 0.2 s", 10.0)
    assert [v.name for v in table.variants] == ["bridge 0.1 s", "bridge 0.2 s", "bridge 0.3 s"]
    assert [v.same_ranks for v in table.variants] == [True, True, False]
    assert not table.ranks_hold
    assert table.variants[1].largest_change == 0.0
    assert table.variants[2].talk_s == {"A": 4.0, "B": 4.4, "C": 0.0}
    assert table.variants[2].rank == {"A": 2, "B": 1, "C": 3}
    changed = 4.4 / 8.4 - 3.9 / 7.9
    assert table.variants[2].largest_change == pytest.approx(changed, abs=1e-12)


def test_ranks_that_hang_on_the_detectors_threshold_are_found_out() -> None:
    chosen = {"now": {"A": [[0, 4]], "B": [[5, 8]]}}
    others = (
        OtherThreshold(0.3, {"A": 4.0, "B": 4.5}, 0.25),
        OtherThreshold(0.7, {"B": 3.0, "A": 3.5}, 0.0),
    )
    table = measure_sensitivity(chosen, "now", 10.0, others)
    assert [v.name for v in table.variants] == ["now", "speech threshold 0.3", "speech threshold 0.7"]
    assert [v.same_ranks for v in table.variants] == [True, False, True]
    assert (table.variants[1].talk_s, table.variants[1].overlap_s) == ({"A": 4.0, "B": 4.5}, 0.25)
    assert table.variants[1].largest_change == pytest.approx(4 / 7 - 4 / 8.5, abs=1e-12)


def test_a_table_goes_into_talk_json() -> None:
    table = measure_sensitivity({"now": SEGMENTS, "other": SEGMENTS}, "now", 200.0)
    written = measure_talk(SEGMENTS, 200.0).with_sensitivity(table).to_json()["sensitivity"]
    assert written["ranks_hold"] is True
    assert written["variants"][1]["overlap_s"] == 11.0


def test_a_silent_meeting_has_no_change_to_speak_of() -> None:
    table = measure_sensitivity({"now": {"A": []}, "other": {"A": [[0, 1]]}}, "now", 10.0)
    assert [v.largest_change for v in table.variants] == [None, None]
    assert all(v["largest_change_reason"] for v in table.to_json()["variants"])


def test_equal_talk_is_an_equal_rank() -> None:
    assert rank([5, 7, 5, 1]) == [2, 1, 2, 4]


def test_variants_must_be_of_the_same_people() -> None:
    with pytest.raises(UsageError, match="different speakers"):
        measure_sensitivity({"a": {"A": []}, "b": {"B": []}}, "a", 1.0)
    with pytest.raises(UsageError, match="not among"):
        measure_sensitivity({"a": {"A": []}}, "c", 1.0)
    with pytest.raises(UsageError, match="different speakers"):
        measure_sensitivity({"a": {"A": []}}, "a", 1.0, (OtherThreshold(0.3, {"A": 0.0, "B": 0.0}, 0.0),))


@pytest.mark.parametrize(
    ("duration_s", "window_s", "step_s", "lengths_s"),
    [
        (78.0, 30.0, 30.0, [30.0, 30.0, 18.0]),
        (90.0, 30.0, 30.0, [30.0, 30.0, 30.0]),
        (78.0, 30.0, 20.0, [30.0, 30.0, 30.0, 18.0]),
        (78.0, 10.0, 50.0, [10.0, 10.0]),
        (78.0, 10.0, 35.0, [10.0, 10.0, 8.0]),
    ],
)
def test_the_last_window_ends_with_the_meeting_and_says_its_length(
    duration_s: float, window_s: float, step_s: float, lengths_s: list[float]
) -> None:
    windows = slide_talk({"A": [[0, duration_s]]}, duration_s, TalkOptions(window_s=window_s, step_s=step_s))
    assert [w.length_s for w in windows] == lengths_s
    assert [w.start_s for w in windows] == [step_s * i for i in range(len(lengths_s))]
    assert [w.talk_s["A"] for w in windows] == lengths_s
