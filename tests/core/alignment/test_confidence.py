"""Figures that say how sure a place is, each beside a value that follows from its definition."""

import math
from typing import Any

import numpy as np
import pytest

from recall_audio.core.alignment.candidates import Candidates, Cells
from recall_audio.core.alignment.confidence import (
    AGREE_PPM,
    CODEC_MS,
    WORST_CLOCK_PPM,
    confidence,
    drift_bound_ppm,
    drift_is_observable,
    explained_share,
    path_spread,
    share_drift,
    uncertainty_ms,
)
from recall_audio.core.alignment.lag_lines import Lines, fit_lines
from recall_audio.core.alignment.lag_path import LagPath
from recall_audio.core.alignment.search import PartSearch

RATE_HZ = 16_000
CELL = RATE_HZ // 2


def lines(ppm: float = 0.0, sigma_ppm: float = 0.1, **changes: Any) -> Lines:
    """Lines with a slope that is known, without having been fitted."""
    facts: dict[str, Any] = {
        "slope": ppm * 1e-6,
        "slope_sigma": sigma_ppm * 1e-6,
        "level": np.array([0.0]),
        "level_sigma": np.array([0.01]),
        "centre": np.array([30.0 * RATE_HZ]),
        "weight": np.ones(100),
        "residual": np.zeros(100),
        "freedom": 150.0,
    }
    return Lines(**facts | changes)


def found(
    level_db: list[float], on_path: list[int], lags: dict[int, float], heights: float = 12.0
) -> tuple[PartSearch, LagPath]:
    """A part of cells of given levels, with candidates at `lags` (samples) and some of them on the path."""
    cell = np.array(sorted(lags), dtype=np.int64)
    lag = np.array([lags[c] for c in cell.tolist()])
    n = len(cell)
    candidates = Candidates(
        cell, cell * CELL + 4000.0, lag, np.full(n, 0.02), np.full(n, heights), np.zeros(n), np.full(n, 0.9)
    )
    rows = candidates.take(np.isin(cell, on_path))
    segment = np.zeros(len(rows), dtype=np.int64)
    path = LagPath(rows, np.ones(len(rows)), segment, fit_lines(rows.at, rows.lag, rows.sigma, segment))
    return PartSearch(Cells(np.array(level_db), -60.0), candidates), path


def test_ninety_five_percent_are_students() -> None:
    # Student's t, 0.975 quantile: 3, 5, 10 and 1000 degrees of freedom.
    for freedom, quantile in ((3.0, 3.182), (5.0, 2.571), (10.0, 2.228), (1000.0, 1.962)):
        assert lines(freedom=freedom).sigmas_95 == pytest.approx(quantile, rel=0.08)


def test_drift_from_one_other_part_is_bounded_by_the_parts_own_windows() -> None:
    # Two devices may have two clocks: one other part alone never gives the narrow bound.
    own = lines(ppm=20.0, sigma_ppm=30.0)
    shared = share_drift(own, [("a", lines(ppm=40.0, sigma_ppm=0.1))])
    assert shared is not None
    assert (shared.part_id, shared.drift_ppm) == ("a", pytest.approx(40.0))
    assert shared.bound_ppm == pytest.approx(20.0 + own.sigmas_95 * 30.0)
    assert shared.bound_ppm > 10 * AGREE_PPM


def test_drift_from_two_parts_that_agree_is_known_to_a_ppm() -> None:
    own = lines(ppm=20.0, sigma_ppm=30.0)
    shared = share_drift(own, [("a", lines(40.4, 0.3)), ("b", lines(40.0, 0.1))])
    assert shared is not None
    assert shared.part_id == "b", "the better known of the two"
    assert (shared.drift_ppm, shared.bound_ppm) == (pytest.approx(40.0), 1.0)


def test_no_drift_is_shared_where_the_others_or_the_part_itself_contradict_it() -> None:
    own = lines(ppm=20.0, sigma_ppm=30.0)
    assert share_drift(own, []) is None
    assert share_drift(own, [("a", lines(40.0)), ("b", lines(43.0))]) is None, "two devices"
    assert share_drift(lines(ppm=0.0, sigma_ppm=5.0), [("a", lines(40.0))]) is None, "its own windows say no"
    half_width_ppm = own.sigmas_95 * 30.0
    limit_ppm = 20.0 + 1.5 * half_width_ppm + AGREE_PPM
    assert share_drift(own, [("a", lines(limit_ppm - 0.5))]) is not None, "within one and a half half widths"
    assert share_drift(own, [("a", lines(limit_ppm + 0.5))]) is None, "just beyond them"
    blind = lines(sigma_ppm=math.inf)
    assert share_drift(blind, [("a", lines(40.0))]) is not None, "without a slope nothing contradicts"


def test_the_bound_of_a_drift_is_its_distance_and_its_half_width() -> None:
    own = lines(ppm=3.0, sigma_ppm=2.0)
    assert drift_bound_ppm(own) == pytest.approx(3.0 + own.sigmas_95 * 2.0)
    assert drift_bound_ppm(own, 10.0) == pytest.approx(7.0 + own.sigmas_95 * 2.0)
    assert drift_bound_ppm(lines(sigma_ppm=math.inf)) == WORST_CLOCK_PPM
    assert drift_bound_ppm(lines(sigma_ppm=500.0)) == WORST_CLOCK_PPM


def test_a_drift_is_observable_where_it_is_known_or_large_and_more_than_one_window_says_so() -> None:
    assert drift_is_observable(lines(ppm=0.0, sigma_ppm=0.2))
    assert not drift_is_observable(lines(ppm=0.0, sigma_ppm=0.3))
    assert not drift_is_observable(lines(ppm=15.0, sigma_ppm=5.0)), "less than two half widths"
    assert drift_is_observable(lines(ppm=25.0, sigma_ppm=5.0))
    assert not drift_is_observable(lines(ppm=25.0, sigma_ppm=0.1, freedom=1.0))


def test_confidence_takes_enough_candidates_and_little_that_is_unexplained() -> None:
    _, path = found([-20.0] * 4, [0, 1, 2], {0: 5.0, 1: 5.0, 2: 5.0})
    whole = 1.0 - math.exp(-3.0 / 1.5)
    assert confidence(path, 1.0) == pytest.approx(whole, abs=1e-4)
    assert confidence(path, 0.8) == pytest.approx(whole, abs=1e-4)
    assert confidence(path, 0.4) == pytest.approx(whole / 2, abs=1e-4)
    assert confidence(path, 0.0) == 0.0


def test_the_explained_share_counts_loud_cells_that_are_in_the_mix() -> None:
    # Cells 0-3 are on the path, 4 and 5 as loud and nowhere in the mix; 6 is 12 dB below: it has no weight.
    search, path = found([-20.0] * 6 + [-32.0], [0, 1, 2, 3], {0: 5.0, 1: 5.0, 2: 5.0, 3: 5.0})
    assert explained_share(search, path) == pytest.approx(4 / 6)
    # Louder by 6 dB counts twice as much, and no more than that.
    for above_db, weight in ((3.0, 1.5), (6.0, 2.0), (20.0, 2.0)):
        search, path = found([-20.0] * 4 + [-20.0 + above_db], [0, 1, 2, 3], dict.fromkeys(range(4), 5.0))
        assert explained_share(search, path) == pytest.approx(4 / (4 + weight))


def test_what_recurs_at_one_lag_is_in_the_mix_however_faint() -> None:
    # 20 faint cells share a lag that is not the path's: a voice through a room. Scattered lags are chance.
    same = dict.fromkeys(range(4, 24), -900.0)
    level_db = [-20.0] * 24
    faint_search, faint_path = found(level_db, [0, 1, 2, 3], dict.fromkeys(range(4), 5.0) | same, heights=6.0)
    assert explained_share(faint_search, faint_path) == pytest.approx(1.0)
    rng = np.random.default_rng(0)
    scattered = {c: float(rng.uniform(-2500.0, 2500.0)) for c in range(4, 24)}
    search, path = found(level_db, [0, 1, 2, 3], dict.fromkeys(range(4), 5.0) | scattered, heights=6.0)
    assert explained_share(search, path) == pytest.approx(4 / 24)


def test_the_spread_is_the_share_of_a_parts_eighths_that_the_path_visits() -> None:
    lags = dict.fromkeys(range(80), 5.0)
    for on_path, visited in (([0, 1, 2], 1), ([0, 15, 79], 3), (list(range(0, 80, 10)), 8)):
        search, path = found([-20.0] * 80, on_path, lags)
        assert path_spread(search, path) == visited / 8


def test_uncertainty_adds_level_drift_and_codec_as_squares() -> None:
    n_samples = 100 * RATE_HZ
    straight = lines(level_sigma=np.array([0.02]), centre=np.array([30.0 * RATE_HZ]))
    level_ms = straight.sigmas_95 * 0.02 / 16.0
    drift_ms = 2e-6 * 70.0 * 1e3  # 2 ppm over the 70 s from the middle of the speech to the part's end
    expected = math.sqrt(level_ms**2 + drift_ms**2 + CODEC_MS**2)
    assert uncertainty_ms(straight, n_samples, 2.0) == pytest.approx(expected)
    early = lines(level_sigma=np.array([0.02]), centre=np.array([90.0 * RATE_HZ]))
    assert uncertainty_ms(early, n_samples, 2.0) > uncertainty_ms(straight, n_samples, 2.0)


def test_a_lag_that_wanders_is_uncertain_by_its_range() -> None:
    centre = np.arange(6) * 10.0 * RATE_HZ
    level = np.array([0.0, 160.0, -160.0, 80.0, 0.0, 40.0])  # 20 ms from the lowest to the highest
    wandering = lines(level=level, level_sigma=np.full(6, 0.01), centre=centre)
    assert uncertainty_ms(wandering, 60 * RATE_HZ, 0.1) == pytest.approx(1.2 * 20.0)
    few = lines(level=level[:4], level_sigma=np.full(4, 0.01), centre=centre[:4])
    assert uncertainty_ms(few, 60 * RATE_HZ, 0.1) < 0.1, "four segments are steps, each at its place"
