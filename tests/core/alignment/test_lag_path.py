"""The steps of alignment by themselves: windows, correlation, lines, paths."""

import numpy as np
import pytest

from recall_audio.core.alignment import correlation
from recall_audio.core.alignment.candidates import CELL, Candidates, Cells, choose_spread, measure_cells
from recall_audio.core.alignment.lag_lines import common_slope, fit_lines
from recall_audio.core.alignment.lag_path import PathRules, best_path, find_lag_path, locate_steps
from recall_audio.core.alignment.search import unexplained_cells

RNG = np.random.default_rng(20)
RULES = PathRules(step_price=2.5, tolerance=4.0, creep=1e-6)


def noise(n: int, shift: float = 0.0) -> np.ndarray:
    """White noise below 7 kHz, delayed by `shift` samples exactly, in the frequency domain."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / 16_000)
    spectrum[hz > 7000] = 0.0
    return np.fft.irfft(spectrum * np.exp(-2j * np.pi * hz / 16_000 * shift), n).astype(np.float32) * 1000


@pytest.mark.parametrize("shift", [-0.9, -0.31, 0.0, 0.005, 0.5, 1.2])
def test_a_fraction_of_a_sample_is_read_from_the_phase(shift: float) -> None:
    # The mix later by `shift` than the part means: the part's window must move back by it.
    fine = correlation.refine_lags(noise(CELL)[None, :], noise(CELL, shift)[None, :])
    assert fine.shift[0] == pytest.approx(shift, abs=2e-3)
    assert fine.gain_db[0] == pytest.approx(0.0, abs=0.2)
    assert fine.coherence[0] > 0.95


def test_the_fine_sigma_is_the_spread_of_the_shifts() -> None:
    clean = noise(CELL * 64).reshape(64, CELL)
    noisy = clean + RNG.standard_normal(clean.shape).astype(np.float32) * clean.std()
    fine = correlation.refine_lags(clean, noisy)
    spread = float(np.std(fine.shift))
    assert 0.5 * spread < float(np.median(fine.sigma)) < 2.0 * spread


def test_the_gain_is_how_strongly_the_mix_is_in_the_part() -> None:
    voice, others = noise(CELL)[None, :], RNG.standard_normal((1, CELL)).astype(np.float32) * 10
    assert correlation.refine_lags(voice * 0.1 + others, voice).gain_db[0] == pytest.approx(-20.0, abs=1.0)


def test_the_peak_stands_where_the_window_was_cut() -> None:
    mix = noise(CELL * 3)[None, :]
    r = correlation.correlations(mix[:, 5000 : 5000 + CELL], mix)
    column, height = correlation.find_peaks(r, 2, 12)
    assert column[0, 0] == 5000
    assert height[0, 0] > 5 * height[0, 1]


def test_correlation_agrees_with_the_sum_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "WHITENING", 0.0)
    part, mix = noise(400)[None, :], noise(1000, 0.3)[None, :]
    r = correlation.correlations(part, mix)[0]
    direct = np.correlate(mix[0], part[0], mode="valid")
    # Only the band differs: both follow one another closely.
    assert np.corrcoef(r, direct)[0, 1] > 0.9


def test_reading_outside_the_audio_gives_silence() -> None:
    x = np.arange(1, 11, dtype=np.int16)
    rows = correlation.read_windows(x, np.array([-3, 8, 50]), 4)
    assert rows.tolist() == [[0, 0, 0, 1], [9, 10, 0, 0], [0, 0, 0, 0]]


def test_parallel_lines_are_found_among_outliers() -> None:
    at = np.sort(RNG.uniform(0, 5e6, 120))
    segment = (at > 2e6).astype(np.int64)
    lag = 50.0 + 40e-6 * at + 800.0 * segment + RNG.normal(0, 0.02, 120)
    lag[::11] += RNG.uniform(-30, 30, len(lag[::11]))
    lines = fit_lines(at, lag, np.full(120, 0.02), segment)
    assert lines.slope * 1e6 == pytest.approx(40.0, abs=0.02)
    assert lines.at(0.0, 0) == pytest.approx(50.0, abs=0.05)
    assert lines.at(0.0, 1) == pytest.approx(850.0, abs=0.1)


def test_the_slopes_sigma_is_its_spread() -> None:
    slopes, sigmas = [], []
    for _ in range(200):
        at = np.sort(RNG.uniform(0, 1e6, 40))
        lines = fit_lines(at, RNG.normal(0, 0.05, 40), np.full(40, 0.05), np.zeros(40, np.int64))
        slopes.append(lines.slope)
        sigmas.append(lines.slope_sigma)
    assert np.median(sigmas) == pytest.approx(np.std(slopes), rel=0.25)


def test_one_window_makes_a_level_and_no_slope() -> None:
    lines = fit_lines(np.array([5.0]), np.array([7.0]), np.array([0.1]), np.array([0]))
    assert (lines.slope, lines.level[0]) == (0.0, 7.0)
    assert np.isinf(lines.slope_sigma)


def test_no_window_makes_no_line() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit_lines(np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.int64))


def test_the_common_slope_is_that_of_neighbours_whatever_the_steps() -> None:
    at = np.sort(RNG.uniform(0, 5e6, 200))
    steps = 300.0 * RNG.integers(-2, 3, 20)[(at / 5e6 * 19).astype(int)]
    assert common_slope(at, -70e-6 * at + steps, np.ones(200)) * 1e6 == pytest.approx(-70.0, abs=2.0)


def test_a_path_leaves_single_outliers_aside_and_follows_a_step() -> None:
    at = np.arange(40) * 8000.0
    level = np.where(np.arange(40) < 20, 100.0, 900.0)
    level[[5, 6, 30]] = (500.0, -200.0, 100.0)
    rows, segment = best_path((np.arange(40), at, level, np.ones(40)), RULES)
    assert sorted(set(range(40)) - set(rows.tolist())) == [5, 6, 30]
    assert segment.tolist() == [0] * 18 + [1] * 19


def test_drift_alone_never_makes_a_step() -> None:
    at = np.arange(400) * 8000.0
    level = at * 0.9e-6 + RNG.normal(0, 0.3, 400)
    _, segment = best_path((np.arange(400), at, level, np.ones(400)), RULES)
    assert segment[-1] == 0


def test_a_cell_gives_at_most_one_answer() -> None:
    cell = np.repeat(np.arange(30), 3)
    level = np.tile((10.0, 400.0, -900.0), 30)
    score = np.tile((0.9, 0.5, 0.4), 30)
    rows, _ = best_path((cell, cell * 8000.0, level, score), RULES)
    assert np.unique(cell[rows]).tolist() == list(range(30))
    assert set(level[rows]) == {10.0}


def candidates_at(lags: dict[int, float], coherence: float = 0.9) -> Candidates:
    """Clear candidates, one a cell (number), each at its lag (samples)."""
    cell = np.array(sorted(lags), dtype=np.int64)
    n = len(cell)
    lag = np.array([lags[c] for c in cell.tolist()])
    at = cell * CELL + CELL / 2
    columns = (np.full(n, 0.02), np.full(n, 12.0), np.zeros(n), np.full(n, coherence))
    return Candidates(cell, at, lag, *columns)


@pytest.mark.parametrize(("step", "segments"), [(8.0, 1), (15.0, 1), (17.0, 2), (800.0, 2)])
@pytest.mark.parametrize("ppm", [0.0, 60.0])
def test_steps_below_a_millisecond_are_joined_and_longer_ones_kept(
    step: float, segments: int, ppm: float
) -> None:
    """A millisecond is 16 samples; what the clock's drift adds between the two is no step."""
    lags = {c: 100.0 + step * (c >= 20) + ppm * 1e-6 * (c + 0.5) * CELL for c in range(40)}
    path = find_lag_path(candidates_at(lags), np.ones(40))
    assert path is not None
    assert len(path.rows) == 40
    assert path.segment.tolist() == [int(segments > 1 and c >= 20) for c in range(40)]
    assert len(path.lines.level) == segments


def test_a_pause_is_narrowed_to_the_leaked_voices_about_the_step() -> None:
    """The own voice pauses from cell 9 to 30; a leaked one, 50 ms late, steps between cells 19 and 22."""
    own = {c: 0.0 if c < 10 else 1000.0 for c in (*range(10), *range(30, 40))}
    leaked = {c: -800.0 if c < 20 else 200.0 for c in (*range(2, 8), *range(10, 20), *range(22, 29))}
    path = find_lag_path(candidates_at(own), np.ones(len(own)))
    assert path is not None
    assert len(path.lines.level) == 2
    heard = Candidates.join([candidates_at(own), candidates_at(leaked)])
    silence = np.zeros(40 * CELL, np.int16)
    (step,) = locate_steps(silence, silence, path, heard)
    assert step == (19 + 23) / 2 * CELL


def test_what_is_high_but_hardly_coherent_moves_no_search() -> None:
    """Cells 0-2 have a peak each. That of cell 2 is high by chance: what follows is searched from 100."""
    cells = Cells(np.full(8, -20.0), floor_db=-60.0)
    clear, chance = candidates_at({0: 100.0, 1: 100.0}), candidates_at({2: 900.0}, coherence=0.2)
    unexplained, lag_before = unexplained_cells(cells, Candidates.join([clear, chance]))
    assert unexplained.tolist() == [3, 4, 5, 6, 7]
    assert lag_before.tolist() == [100] * 8
    assert [len(found) for found in unexplained_cells(cells, chance)] == [0, 0]


def test_no_evidence_is_no_path() -> None:
    nothing = np.empty(0)
    rows, segment = best_path((nothing.astype(np.int64), nothing, nothing, nothing), RULES)
    assert (len(rows), len(segment)) == (0, 0)


def test_levels_are_relative_to_full_scale_and_silence_is_minus_infinity() -> None:
    x = np.zeros(4 * CELL, np.int16)
    x[CELL : 2 * CELL] = (16384 * np.sign(np.sin(np.pi * (np.arange(CELL) + 0.5)))).astype(np.int16)
    cells = measure_cells(x)
    assert np.isneginf(cells.level_db[[0, 2, 3]]).all()
    # A square wave at half the rate, half of full scale: its difference is full scale.
    assert cells.level_db[1] == pytest.approx(0.0, abs=0.01)


def test_chosen_windows_are_apart_spread_and_score_something() -> None:
    score = RNG.uniform(0.1, 1.0, 400)
    score[200:] *= 0.05
    score[50:100] = 0.0
    chosen = choose_spread(score, 20, 4)
    assert len(chosen) == 20
    assert np.diff(chosen).min() >= 4
    assert np.all(score[chosen] > 0)
    assert np.sum(chosen >= 200) >= 5, "the quiet half is looked at as well"
    assert int(np.argmax(score)) in chosen
