"""Parts land where their time maps say, between samples, without folding, doubling or clicks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meters import clicks, int16, landing, sine

from recall_audio.core.resample import read_at, read_near, taps
from recall_audio.core.stems.placement import EDGE_FADE_S, Source, plan, render
from recall_audio.model.alignment import TimeMap

RATE_HZ = 16_000
FADE = round(EDGE_FADE_S * RATE_HZ)


def placed(parts: list[tuple[np.ndarray, TimeMap]], n_samples: int, block: int = 50_000) -> np.ndarray:
    """The track of several parts, rendered in blocks."""
    sources = [Source(x, m) for x, m in parts]
    stretches = plan(sources, n_samples, RATE_HZ)
    starts = range(0, n_samples, block)
    return np.concatenate([render(stretches, sources, a, min(a + block, n_samples)) for a in starts])


LSB = 1.0 / 32768.0

MAPS = {
    "0.37 samples": TimeMap.straight(0.37 / RATE_HZ, 20.0),
    "+80 ppm": TimeMap.straight(1.0 + 0.37 / RATE_HZ, 20.0, 80.0),
    "-300 ppm": TimeMap.straight(1.0, 20.0, -300.0),
    "wandering by 1 %": TimeMap(((0.0, 0.5), (7.0, 7.57), (13.0, 13.5), (20.0, 20.4))),
    "0.2 s lost": TimeMap(((0.0, 0.1), (10.0, 10.1), (10.0, 10.3), (20.0, 20.3))),
    "0.3 s repeated": TimeMap(((0.0, 1.0), (10.0, 11.0), (10.0, 10.7), (20.0, 20.7))),
    "begins before the mix": TimeMap.straight(-3.3, 20.0, 20.0),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_click_train_lands_within_a_fiftieth_of_a_millisecond(name: str) -> None:
    time_map, n_samples = MAPS[name], 22 * RATE_HZ
    local_s = np.arange(0.623, 19.9, 1.0)
    track = placed([(clicks(20 * RATE_HZ, local_s * RATE_HZ), time_map)], n_samples)
    repeated = (local_s > 10.0) & (local_s < 10.31) if name == "0.3 s repeated" else np.zeros(20, bool)
    checked = 0
    for at_s in time_map.to_mix(local_s[~repeated[: len(local_s)]]):
        if at_s > 0.1:
            assert abs(landing(track, at_s * RATE_HZ) / RATE_HZ - at_s) < 2e-6
            checked += 1
    assert checked >= 15


@pytest.mark.parametrize("drift_ppm", [0.0, 80.0, -80.0, 900.0])
def test_a_sweep_leaves_nothing_above_minus_90_db_but_itself(drift_ppm: float) -> None:
    step = 1.0 + drift_ppm * 1e-6
    amplitude = 32000.0 / 32768.0
    for hz in (200.0, 3000.0, 6000.0, 7000.0, 7200.0, 7500.0, 7900.0):
        # As floats, so that the rounding of the source to 16 bits (-98 dB) does not hide anything.
        whole = 2 * np.pi * hz / RATE_HZ * np.arange(20_000)
        wave = np.rint(32000.0 * np.sin(whole)).astype(np.int16)
        got = read_at(wave, 1000.37, step, 16_000)
        at = 1000.37 + np.arange(16_000) * step
        basis = np.stack([np.sin(2 * np.pi * hz / RATE_HZ * at), np.cos(2 * np.pi * hz / RATE_HZ * at)])
        weights = np.linalg.lstsq(basis.T, got.astype(np.float64), rcond=None)[0]
        rest = got - weights @ basis
        spectrum = np.abs(np.fft.rfft(rest * np.hanning(16_000))) / 4000.0
        assert 20 * np.log10(spectrum.max() / amplitude) < -90.0, hz
        assert 10 * np.log10(np.mean(rest**2) / (amplitude**2 / 2)) < -90.0, hz
        if hz <= 7200.0:
            assert np.hypot(*weights) == pytest.approx(amplitude, rel=0.001), hz


@settings(max_examples=40)
@given(
    st.floats(-300.0, 2500.0),
    st.sampled_from([1.0, 1.00002, 0.99991, 1.0007, 1.004, 0.98, 1.3]),
    st.integers(1, 3000),
    st.integers(0, 9),
)
def test_reading_by_matrices_is_the_sum_it_stands_for(at: float, step: float, n: int, seed: int) -> None:
    x = np.random.default_rng(seed).integers(-20_000, 20_000, 2000).astype(np.int16)
    position = at + np.arange(n) * step
    base = np.floor(position).astype(int)
    index = base[:, None] - 64 + np.arange(130)
    inside = np.where((index >= 0) & (index < len(x)), x[np.clip(index, 0, len(x) - 1)] / 32768.0, 0.0)
    wanted = (inside * taps(position - base)).sum(axis=1)
    got = read_at(x, at, step, n)
    if step == 1.0 and abs(at - round(at)) < 1e-4:
        return  # passes untouched: claimed below
    assert np.abs((np.zeros(n) if got is None else got) - wanted).max() < LSB
    near = read_near(x, at, step, n)
    # Half-way between two samples, either is the nearest.
    allowed = []
    for slack in (-1e-6, 1e-6):
        k = np.floor(at + np.arange(n) * (step - 1.0) + 0.5 + slack).astype(int) + np.arange(n)
        allowed.append(np.where((k >= 0) & (k < len(x)), x[np.clip(k, 0, len(x) - 1)] / 32768.0, 0.0))
    got = np.zeros(n) if near is None else near
    assert ((got == allowed[0]) | (got == allowed[1])).all()


def test_a_whole_start_without_drift_passes_every_sample_untouched() -> None:
    x = np.random.default_rng(0).integers(-32768, 32767, 5 * RATE_HZ).astype(np.int16)
    track = placed([(x, TimeMap.straight(1.0, 5.0))], 7 * RATE_HZ)
    inner = track[RATE_HZ + FADE : 6 * RATE_HZ - FADE]
    assert np.array_equal(inner * 32768.0, x[FADE:-FADE])
    assert not track[:RATE_HZ].any()
    assert not track[6 * RATE_HZ :].any()


@settings(max_examples=30)
@given(st.sampled_from(list(MAPS)), st.integers(37, 9000))
def test_blocks_put_side_by_side_are_the_whole_track(name: str, block: int) -> None:
    x = np.random.default_rng(1).integers(-9000, 9000, 20_000).astype(np.int16)
    parts = [(x, MAPS[name]), (x, TimeMap.straight(1.1, 1.25, 30.0))]
    assert np.abs(placed(parts, 50_000, 50_000) - placed(parts, 50_000, block)).max() < LSB


def test_overlapping_parts_of_one_person_are_not_doubled() -> None:
    whole = int16(sine(440.0, -6.0, 10.0, RATE_HZ))
    for cut, again in ((6.0, 4.0), (5.001, 5.0), (8.0, 0.0)):
        first, second = whole[: round(cut * RATE_HZ)], whole[round(again * RATE_HZ) :]
        track = placed(
            [(first, TimeMap.straight(0.0, cut)), (second, TimeMap.straight(again, 10.0 - again))], len(whole)
        )
        inner = slice(FADE, len(whole) - FADE)
        assert np.abs(track[inner] - whole[inner] / 32768.0).max() < 1e-4


def test_touching_parts_are_put_end_to_end_even_between_samples() -> None:
    for start_s in (1.0, 1.0 + 0.41 / RATE_HZ):
        whole = int16(sine(440.0, -6.0, 4.0, RATE_HZ))
        parts = [
            (whole[: 2 * RATE_HZ], TimeMap.straight(start_s, 2.0)),
            (whole[2 * RATE_HZ :], TimeMap.straight(start_s + 2.0, 2.0)),
        ]
        one = placed([(whole, TimeMap.straight(start_s, 4.0))], 6 * RATE_HZ)
        assert np.abs(placed(parts, 6 * RATE_HZ) - one).max() < 1e-4


def test_of_two_devices_the_one_that_hears_something_is_heard() -> None:
    voice = int16(sine(300.0, -12.0, 6.0, RATE_HZ))
    muted = np.random.default_rng(2).integers(-3, 3, 8 * RATE_HZ).astype(np.int16)
    track = placed([(muted, TimeMap.straight(0.0, 8.0)), (voice, TimeMap.straight(1.0, 6.0))], 8 * RATE_HZ)
    heard = slice(round(1.2 * RATE_HZ), round(6.8 * RATE_HZ))
    wanted = voice[heard.start - RATE_HZ : heard.stop - RATE_HZ] / 32768.0
    assert np.array_equal(track[heard].astype(np.float64), wanted)


def test_edges_and_steps_fade_without_a_click_and_gaps_are_silent() -> None:
    loud = int16(sine(50.0, -1.0, 10.0, RATE_HZ, np.pi / 2))
    time_map = TimeMap(((0.0, 0.5), (5.0, 5.5), (5.0, 6.0), (10.0, 11.0)))
    track = placed([(loud, time_map)], 12 * RATE_HZ)
    steepest = np.abs(np.diff(loud / 32768.0)).max()
    assert np.abs(np.diff(track)).max() < steepest + 1.6 / FADE
    assert not track[round(5.51 * RATE_HZ) : round(5.99 * RATE_HZ)].any()
    assert not track[: RATE_HZ // 2 - 1].any()


def test_a_part_outside_of_the_mix_and_one_without_samples_leave_silence() -> None:
    x = int16(sine(300.0, -6.0, 2.0, RATE_HZ))
    empty = np.empty(0, dtype=np.int16)
    parts = [
        (x, TimeMap.straight(-5.0, 2.0)),
        (x, TimeMap.straight(9.0, 2.0)),
        (empty, TimeMap.straight(1.0, 0.0)),
    ]
    assert not placed(parts, 8 * RATE_HZ).any()


def test_of_two_parts_that_begin_together_and_are_as_loud_the_first_is_heard() -> None:
    first = int16(sine(440.0, -6.0, 2.0, RATE_HZ))
    both = [(first, TimeMap.straight(1.0, 2.0)), (-first, TimeMap.straight(1.0, 2.0))]
    track = placed(both, 4 * RATE_HZ)
    inner = slice(RATE_HZ + FADE, 3 * RATE_HZ - FADE)
    assert np.array_equal(track[inner] * 32768.0, first[FADE:-FADE])
