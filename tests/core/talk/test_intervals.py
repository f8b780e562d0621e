"""The 95 % interval of every figure holds it, follows the doubt about speech, and keeps to what can be."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recall_audio.core import spans as sp
from recall_audio.core.talk.certainty import uncertain_figures, uncertainty_findings, with_ranks
from recall_audio.core.talk.doubt import measure_doubt
from recall_audio.core.talk.intervals import EDGE_S, FITTED, with_intervals, with_window_intervals
from recall_audio.core.talk.measure import measure_talk, slide_talk, with_unknown
from recall_audio.model.options import TalkOptions
from recall_audio.model.talk import Talk
from recall_audio.typing import ByteArray

FRAME = 320
Rows = Mapping[str, list[list[float]]]
FIXTURE: Rows = {
    "A": [[0, 5], [5.6, 8], [12, 13]],
    "B": [[4.5, 7], [9, 10.3]],
    "C": [[6, 6.4], [13.5, 20]],
    "D4": [],
}
SURE: Mapping[str, float | None] = {}


def sure(rows: Rows, duration_s: float) -> dict[str, ByteArray]:
    """Probabilities of exactly 0 and 1."""
    n = round(duration_s * 50)
    return {k: np.uint8(255) * sp.to_mask(sp.from_seconds(v), FRAME, n) for k, v in rows.items()}


def doubtful(rows: Rows, duration_s: float, seed: int = 1) -> dict[str, ByteArray]:
    """Probabilities that are in doubt here and there, for longer and for shorter."""
    rng, found = np.random.default_rng(seed), sure(rows, duration_s)
    for row in found.values():
        for start in rng.integers(0, len(row), 12):
            row[start : start + rng.integers(2, 60)] = rng.integers(0, 256)
    return found


def measured(
    rows: Rows,
    duration_s: float,
    posteriors: Mapping[str, ByteArray],
    places_ms: Mapping[str, float | None] = SURE,
    lost_s: Mapping[str, float | None] = SURE,
) -> Talk:
    """A meeting with intervals and ranks."""
    spans = {label: sp.from_seconds(r) for label, r in rows.items()}
    talk = measure_talk(rows, duration_s, presence={label: [[0, duration_s]] for label in rows})
    return with_ranks(with_intervals(talk, spans, posteriors, places_ms, lost_s))


def ends_of(value: Any) -> dict[str, tuple[float, float, float]]:
    """Lower end, figure and upper end, by name, of everything that has an interval."""
    found = {}
    for name in value.__slots__:
        if name.endswith("_low") and (figure := getattr(value, name.removesuffix("_low"))) is not None:
            stem = name.removesuffix("_low")
            found[stem] = (getattr(value, name), figure, getattr(value, f"{stem}_high"))
    return found


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_every_interval_holds_its_figure_and_stays_within_what_can_be(seed: int) -> None:
    talk = measured(FIXTURE, 21.0, doubtful(FIXTURE, 21.0, seed))
    for value in (talk, *talk.speakers.values(), *talk.pairs):
        for name, (low, figure, high) in ends_of(value).items():
            assert 0 <= low <= figure <= high, name
            most = 1.0 if "_of_" in name else 21.0 * len(FIXTURE) if value is talk else 21.0
            assert high <= most, name
    for pair in talk.pairs:
        shorter = min(talk.speakers[x].talk_s_high or 0.0 for x in (pair.a, pair.b))
        assert (pair.overlap_s_high or 0.0) <= max(shorter, pair.overlap_s or 0.0)


def test_where_every_frame_is_sure_only_the_edges_are_in_doubt() -> None:
    talk = measured(FIXTURE, 21.0, sure(FIXTURE, 21.0))
    for label, rows in FIXTURE.items():
        low, talk_s, high = ends_of(talk.speakers[label])["talk_s"]
        assert (talk_s - low, high - talk_s) == pytest.approx((EDGE_S * len(rows),) * 2)
    assert ends_of(talk)["overlap_s"] == pytest.approx((1.9, 1.9, 1.9))
    assert uncertainty_findings(talk) == []


def test_a_speaker_without_probabilities_is_in_no_doubt_and_one_with_some_may_have_spoken() -> None:
    posteriors = sure(FIXTURE, 21.0)
    del posteriors["D4"]
    assert ends_of(measured(FIXTURE, 21.0, posteriors).speakers["D4"])["talk_s"] == (0.0, 0.0, 0.0)
    posteriors["D4"] = np.zeros(1050, dtype=np.uint8)
    posteriors["D4"][100:110] = 102  # 0.2 s at 0.4: an edge's length
    low, talk_s, high = ends_of(measured(FIXTURE, 21.0, posteriors).speakers["D4"])["talk_s"]
    assert (low, talk_s, high) == pytest.approx((0, 0, FITTED.missed_high * 0.2 * 0.4))
    posteriors["D4"][100:150] = 102  # 1 s: a run
    high = ends_of(measured(FIXTURE, 21.0, posteriors).speakers["D4"])["talk_s"][2]
    assert high == pytest.approx(FITTED.run_high * 0.4)


def test_doubt_counts_for_a_figure_only_where_the_others_leave_it_to_that_speaker() -> None:
    r"""One second each::

    A  ══════════          counted
    B       ══════════     counted
    C  · ? · · ? · · ? ·   0.2 each, not counted
    """
    rows = {"A": [[0, 2]], "B": [[1, 3]], "C": []}
    spans = [sp.from_seconds(r) for r in rows.values()]
    p = [np.full(200, 204, np.uint8), np.full(200, 204, np.uint8), np.full(200, 51, np.uint8)]
    doubt = measure_doubt(spans, p, 0, 4 * 16_000)
    in_runs = {
        name: (getattr(doubt, name).over_run.tolist(), getattr(doubt, name).missed_run.tolist())
        for name in ("talk", "speech", "overlap")
    }
    assert in_runs["talk"][0] == pytest.approx([0.4, 0.4, 0])  # 2 s at 1 − 0.8
    assert in_runs["talk"][1] == pytest.approx([1.6, 1.6, 0.8])
    assert in_runs["speech"][0] == pytest.approx([0.2, 0.2, 0])  # where no other speaks: 0–1 s, 2–3 s
    assert in_runs["speech"][1] == pytest.approx([0.8, 0.8, 0.2])  # 3–4 s
    assert in_runs["overlap"][0] == pytest.approx([0.2, 0.2, 0])  # 1–2 s
    assert in_runs["overlap"][1] == pytest.approx([0.8, 0.8, 0.4])  # C where one speaks: 0–1 s, 2–3 s
    assert doubt.pairs.over_run[0, 1] == pytest.approx(0.2)
    assert doubt.pairs.missed_run[2, 0] == pytest.approx(0.4)
    assert not np.any([doubt.talk.over, doubt.talk.missed])


def test_a_relabelling_and_a_shift_in_time_change_no_interval() -> None:
    posteriors = doubtful(FIXTURE, 21.0)
    talk = measured(FIXTURE, 21.0, posteriors)
    order = ["C", "D4", "B", "A"]
    other = measured({k: FIXTURE[k] for k in order}, 21.0, {k: posteriors[k] for k in order})
    late_s = 3.0
    later = {k: [[a + late_s, b + late_s] for a, b in rows] for k, rows in FIXTURE.items()}
    padded = {k: np.r_[np.zeros(150, np.uint8), row] for k, row in posteriors.items()}
    shifted = measured(later, 24.0, padded)
    for label in FIXTURE:
        expected = ends_of(talk.speakers[label])
        for name, ends in ends_of(other.speakers[label]).items():
            assert ends == pytest.approx(expected[name]), name
        for name in ("talk_s", "share_of_talk", "share_of_speech"):
            # Factors are kept in single precision.
            assert ends_of(shifted.speakers[label])[name] == pytest.approx(expected[name], rel=1e-5), name
    assert ends_of(other)["overlap_s"] == pytest.approx(ends_of(talk)["overlap_s"])
    assert ends_of(shifted)["overlap_s"] == pytest.approx(ends_of(talk)["overlap_s"])


def test_speakers_who_are_wrong_apart_leave_truth_inside_as_often_as_is_said() -> None:
    """An oracle: every voice's truth is drawn from the model's own spread, half of it on each side."""
    rows = {k: [[3.0 * i + 12 * j, 3.0 * i + 12 * j + 4] for j in range(8)] for i, k in enumerate("ABCD")}
    posteriors = sure(rows, 100.0)
    for row in posteriors.values():
        for edge in np.flatnonzero(np.diff(row.astype(int))):
            row[max(0, edge - 4) : edge + 5] = 128
    spans = {k: sp.from_seconds(v) for k, v in rows.items()}
    model = replace(FITTED, share=1.0)
    talk = with_intervals(measure_talk(rows, 100.0), spans, posteriors, {}, {}, model)
    found = np.array([s.talk_s for s in talk.speakers.values()])
    half = {
        k: np.array([abs(getattr(s, f"talk_s_{k}") - s.talk_s) for s in talk.speakers.values()])
        for k in ("low", "high")
    }
    rng = np.random.default_rng(7)
    z = rng.standard_normal((4000, 4)) / 1.96
    true = found - np.where(z > 0, z * half["low"], z * half["high"])
    shares = true / true.sum(axis=1, keepdims=True)
    ends = [ends_of(s)["share_of_talk"] for s in talk.speakers.values()]
    inside = [(low <= shares[:, i]) & (shares[:, i] <= high) for i, (low, _, high) in enumerate(ends)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_a_place_that_is_not_known_leaves_overlap_open_and_talk_alone() -> None:
    posteriors = sure(FIXTURE, 21.0)
    placed, open_ = measured(FIXTURE, 21.0, posteriors), measured(FIXTURE, 21.0, posteriors, {"B": None})
    assert ends_of(open_.speakers["B"]) == ends_of(placed.speakers["B"])
    pairs = {(p.a, p.b): ends_of(p)["overlap_s"] for p in open_.pairs if p.overlap_s is not None}
    assert pairs["A", "B"] == (0.0, 1.9, open_.speakers["B"].talk_s_high)
    assert pairs["A", "C"] == pytest.approx((0.4, 0.4, 0.4))
    assert ends_of(open_)["overlap_s"][::2] == pytest.approx((0.0, 1.9 + 3.8))
    vague = measured(FIXTURE, 21.0, posteriors, {"B": 100.0})
    low, overlap_s, high = ends_of(vague)["overlap_s"]
    assert high - overlap_s == pytest.approx(FITTED.overlap * 0.1 * np.sqrt(2))
    assert overlap_s - low == pytest.approx(high - overlap_s)


def test_lost_audio_may_all_be_speech() -> None:
    posteriors = sure(FIXTURE, 21.0)
    whole, part = measured(FIXTURE, 21.0, posteriors), measured(FIXTURE, 21.0, posteriors, SURE, {"B": 4.0})
    of = {k: ends_of(t.speakers["B"])["talk_s"] for k, t in (("whole", whole), ("part", part))}
    assert of["part"][0] == of["whole"][0]
    assert of["part"][2] == pytest.approx(of["whole"][2] + 4.0)
    unknown = measured(FIXTURE, 21.0, posteriors, SURE, {"B": None}).speakers["B"]
    assert unknown.talk_s_high == 21.0


def test_talk_in_leaked_speech_may_be_missed() -> None:
    spans = {k: sp.from_seconds(v) for k, v in FIXTURE.items()}
    raw = {**FIXTURE, "A": [[0, 20]]}
    talk = measure_talk(FIXTURE, 21.0, raw_segments=raw)
    posteriors = sure(FIXTURE, 21.0)
    found = with_intervals(talk, spans, posteriors, {}, {}, replace(FITTED, leaked_high=0.5))
    high = found.speakers["A"].talk_s_high or 0.0
    assert high - 8.4 == pytest.approx(np.hypot(0.5 * 8.4 * (20 - 8.4) / 21, 3 * EDGE_S))
    assert found.speakers["A"].talk_s_low == pytest.approx(8.4 - 3 * EDGE_S)


def test_ends_are_null_with_the_reason_where_the_figure_is() -> None:
    silent = measured({"A": [], "B": []}, 10.0, {})
    speaker = silent.speakers["A"].to_json()
    assert speaker["share_of_talk_low"] is None
    assert speaker["share_of_talk_low_reason"] == speaker["share_of_talk_reason"]
    assert silent.ranks is not None
    assert silent.ranks.to_json()["most_reason"] == "nobody spoke"
    known = measured(FIXTURE, 21.0, sure(FIXTURE, 21.0))
    eve = with_unknown(known, {"Eve": "lost"}, [*FIXTURE, "Eve"])
    assert eve.speakers["Eve"].to_json()["talk_s_high_reason"] == "lost"
    assert eve.pairs[-1].to_json()["overlap_s_low_reason"] == "Eve: lost"
    assert eve.ranks == known.ranks


def test_windows_of_the_whole_meeting_have_its_intervals_and_parts_add_up() -> None:
    posteriors = doubtful(FIXTURE, 21.0)
    spans = {k: sp.from_seconds(v) for k, v in FIXTURE.items()}
    nothing = dict.fromkeys(FIXTURE, sp.EMPTY)
    talk = measured(FIXTURE, 21.0, posteriors)

    def windows(length_s: float, places_ms: Mapping[str, float | None] = SURE) -> Any:
        found = slide_talk(FIXTURE, 21.0, TalkOptions(window_s=length_s, step_s=length_s))
        return with_window_intervals(found, spans, nothing, posteriors, places_ms)

    (whole,) = windows(21.0)
    for label, speaker in talk.speakers.items():
        ends = (whole.talk_s_low[label], speaker.talk_s, whole.talk_s_high[label])
        assert ends == pytest.approx(ends_of(speaker)["talk_s"])
        ends = (whole.share_of_talk_low[label], whole.share_of_talk[label], whole.share_of_talk_high[label])
        assert ends == pytest.approx(ends_of(speaker)["share_of_talk"])
    assert (whole.overlap_s_low, whole.overlap_s_high) == pytest.approx(ends_of(talk)["overlap_s"][::2])
    for window in windows(7.0):
        for label, talk_s in window.talk_s.items():
            assert 0 <= window.talk_s_low[label] <= talk_s <= window.talk_s_high[label] <= 7.0
    (open_, *_) = windows(7.0, {"C": None})
    assert (open_.talk_s_low["C"], open_.talk_s_high["C"]) == pytest.approx((0.0, 7.0), abs=0.2)


@pytest.mark.parametrize(
    ("talk_s", "half_s", "least", "most", "is_open"),
    [(20.0, 0.1, 0.9999, 1.0, False), (10.2, 2.0, 0.5, 0.7, True), (13.0, 1.0, 0.98, 1.0, False)],
)
def test_who_spoke_most_is_said_with_how_sure_it_is(
    talk_s: float, half_s: float, least: float, most: float, is_open: bool
) -> None:
    rows = {"B": [[30.0, 40.0]], "A": [[0.0, talk_s]], "D": []}
    talk = measured(rows, 60.0, sure(rows, 60.0))
    wide = {
        k: replace(s, talk_s_low=(s.talk_s or 0.0) - half_s, talk_s_high=(s.talk_s or 0.0) + half_s)
        for k, s in talk.speakers.items()
        if k != "D"
    }
    ranks = with_ranks(replace(talk, speakers={**talk.speakers, **wide})).ranks
    assert ranks is not None
    assert (ranks.most, ranks.order) == ("A", ("A", "B", "D"))
    assert ranks.most_probability is not None
    assert least < ranks.most_probability <= most
    assert [(n.more, n.less, n.is_open) for n in ranks.neighbours] == [("A", "B", is_open)]
    assert ranks.rivals == (("B",) if is_open else ())


def test_equal_talk_is_a_toss() -> None:
    rows = {"A": [[0.0, 5.0]], "B": [[5.0, 10.0]]}
    ranks = measured(rows, 10.0, sure(rows, 10.0)).ranks
    assert ranks is not None
    assert ranks.most_probability == pytest.approx(0.5)


def test_a_warning_names_whose_share_may_be_off_and_why() -> None:
    rows = {"Ann": [[0.0, 30.0]], "Ben": [[30.0, 50.0]], "Cem": []}
    posteriors = sure(rows, 60.0)
    posteriors["Ben"][1500:1750] = 200  # 5 s of the 20 s counted are in doubt
    talk = measured(rows, 60.0, posteriors)
    warned = {f.where: f.message for f in uncertainty_findings(talk) if f.code == "share_uncertain"}
    assert set(warned) == {"Ann", "Ben"}
    assert "because they may have spoken less than the 20.0 s counted" in warned["Ben"]
    assert "because Ben may have spoken less" in warned["Ann"]
    assert {u.cause for u in uncertain_figures(talk)} == {"Ben"}
