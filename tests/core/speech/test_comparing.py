"""Tracks are compared whatever their gain, colour and lag: oracles are signals that were put there."""

import numpy as np
import pytest

from recall_audio.core.speech.frames import (
    N_BANDS,
    TrackFrames,
    band_power,
    decibels,
    distances,
    log_odds,
    make_frames,
    near,
    runs,
)
from recall_audio.core.speech.likeness import (
    AT,
    MOST_LAG,
    compare,
    excess_over,
    explain,
    likeness_score,
    quantile,
)
from recall_audio.typing import Float32Array

N = 1500  # frames: 30 s
FLOOR_DB = -80.0


def speech_like(seed: int) -> Float32Array:
    """Levels of bands that come and go as syllables do, dB, shape (N, 24)."""
    rng = np.random.default_rng(seed)
    syllables = np.repeat(rng.uniform(-60, -20, (N // 10, N_BANDS)), 10, axis=0)
    voiced = np.repeat(rng.random(N // 50) < 0.7, 50)
    return np.where(voiced[:, None], syllables, FLOOR_DB).astype(np.float32)


def track(level_db: Float32Array, label: str = "a") -> TrackFrames:
    """A track of these band levels over a background of −80 dB, all of it probably speech."""
    power = np.full((N, N_BANDS + 1), 10 ** (FLOOR_DB / 10), dtype=np.float32)
    power[:, :N_BANDS] += 10 ** (level_db / 10)
    noise = np.full(N_BANDS + 1, 10 ** (FLOOR_DB / 10), dtype=np.float32)
    heard = (np.ones(N, dtype=np.float32), level_db.max(axis=1))
    return make_frames(label, power, (noise, 2 * noise), heard, np.ones(N, dtype=np.bool_))


def later(level_db: Float32Array, frames: int) -> Float32Array:
    """The same, `frames` later."""
    return np.vstack((np.full((frames, N_BANDS), FLOOR_DB), level_db[: N - frames])).astype(np.float32)


@pytest.mark.parametrize("lag", [0, 3, 35])
def test_a_leak_is_found_at_its_lag_and_gain_whatever_its_colour(lag: int) -> None:
    voice = speech_like(1)
    colour = np.linspace(-6, 6, N_BANDS, dtype=np.float32)
    pair = compare(track(later(voice, lag) - 20 + colour), track(voice))
    middle = pair.columns[200:-200]
    assert np.median(middle[:, AT["late_long_lag"]]) == lag
    assert np.median(middle[:, AT["late_long"]]) > 0.9
    assert np.median(middle[:, AT["slow_gain_db"]]) == pytest.approx(-20, abs=4)


def test_the_owner_sees_its_leak_come_later() -> None:
    voice = speech_like(2)
    owner, listener = track(voice), track(later(voice, 10) - 20)
    owner_s = compare(owner, listener).columns[200:-200]
    assert np.median(owner_s[:, AT["early_now"]]) > 0.9 > np.median(owner_s[:, AT["late_now"]]) + 0.3
    assert np.median(owner_s[:, AT["early_now_lag"]]) == 10


def test_other_voices_are_not_alike() -> None:
    columns = compare(track(speech_like(3)), track(speech_like(4))).columns
    assert np.median(columns[:, AT["late_long"]]) < 0.3
    same = compare(track(speech_like(3)), track(speech_like(3))).columns
    assert np.median(likeness_score(same)) > np.median(likeness_score(columns)) + 0.5


def test_patterns_do_not_change_with_gain() -> None:
    voice = np.maximum(speech_like(5), -60)
    louder, softer = track(voice), track(voice - 12)
    assert np.corrcoef(louder.pattern.ravel(), softer.pattern.ravel())[0, 1] > 0.95


def test_own_speech_on_top_of_a_leak_is_left_over_and_the_leak_is_not() -> None:
    leak, own = speech_like(6), speech_like(7)
    own[: N // 2] = FLOOR_DB
    heard = decibels(10 ** ((later(leak, 5) - 20) / 10) + 10 ** (own / 10))
    listener, source = track(heard), track(leak, "b")
    at = np.maximum(np.arange(N) - 5, 0)
    explained = explain(listener, source, slice(None), at)
    over = excess_over(listener, slice(None), explained.level_db).mean(axis=1)
    speaking = own.max(axis=1) > -40
    assert np.median(over[200 : N // 2]) < 2
    assert np.median(over[N // 2 :][speaking[N // 2 :]]) > 5


def test_the_quantile_of_a_histogram_is_that_of_its_values() -> None:
    values = np.random.default_rng(8).normal(-20, 8, 4000)
    counts = np.bincount(np.floor((values + 70) / 2).astype(int), minlength=55)[:55]
    found = quantile(np.vstack((counts, np.zeros(55))).astype(np.float32))
    assert found[0] == pytest.approx(np.quantile(values, 0.3), abs=0.3)
    assert np.isnan(found[1])


def test_a_sine_is_in_its_band_at_its_power() -> None:
    at = np.arange(8000) / 8000
    power = band_power((0.5 * np.sin(2 * np.pi * 1000 * at)).astype(np.float32), np.ones(50, dtype=np.bool_))
    bands = power[10:40].mean(axis=0)
    assert decibels(bands.sum()) == pytest.approx(10 * np.log10(0.125), abs=0.3)
    assert bands.max() > 0.6 * bands.sum()


def test_only_tracks_that_may_hold_a_voice_at_one_time_are_compared() -> None:
    voice = track(speech_like(9))
    silent = track(np.full((N, N_BANDS), FLOOR_DB, dtype=np.float32))
    quiet = np.zeros(N, dtype=np.bool_)
    object.__setattr__(silent, "candidate", quiet)
    assert not compare(voice, silent).columns.any()
    assert pytest.approx(0.8) == MOST_LAG * 0.02


def test_frames_since_and_until_are_counted_up_to_a_limit() -> None:
    since, until = distances(np.array([False, True, False, False, True]), 2)
    assert since.tolist() == [2, 0, 1, 2, 0]
    assert until.tolist() == [1, 0, 2, 1, 0]


def test_runs_and_neighbours_of_a_mask() -> None:
    mask = np.array([False, True, True, False, False, False, True])
    assert runs(mask) == [(1, 3), (6, 7)]
    assert near(mask, 1).tolist() == [True, True, True, True, False, True, True]


def test_log_odds_are_kept_finite() -> None:
    found = log_odds(np.array([0.0, 0.5, 1.0], dtype=np.float32), 0.01)
    assert found == pytest.approx([-np.log(99), 0, np.log(99)], rel=1e-4)
