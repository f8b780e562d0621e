"""The gain follows what is said, and says what held it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meters import babble, libebur128

from recall_audio.core.spans import EMPTY, spans
from recall_audio.core.stems.dynamics import gate
from recall_audio.core.stems.gain import AGREE_LU, Level, choose_gain, measure_level
from recall_audio.core.stems.meters import EnergyMeter, PeakMeter
from recall_audio.model.options import StemOptions
from recall_audio.typing import Spans

RATE_HZ = 16_000


def measured(signal: np.ndarray, speech: Spans | None, rate_hz: int = RATE_HZ) -> Level:
    """The level of a signal."""
    energy, peak = EnergyMeter(rate_hz), PeakMeter(rate_hz)
    energy.add(signal.astype(np.float32))
    peak.add(signal.astype(np.float32))
    return measure_level(energy.energies(), peak.dbtp, speech, rate_hz)


def track(
    duty_s: list[tuple[float, float]], seconds: float, hiss_db: float, seed: int = 0
) -> tuple[np.ndarray, Spans]:
    """Babble at about −20 dBFS in stretches, over hiss; and the stretches."""
    speech = spans((round(a * RATE_HZ), round(b * RATE_HZ)) for a, b in duty_s)
    signal = 10 ** (hiss_db / 20) * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
    for a, b in speech:
        signal[a:b] += babble((b - a) / RATE_HZ, seed)[: b - a]
    return signal, speech


ORDINARY = track([(2.0, 6.0), (9.0, 10.5), (14.0, 19.0)], 25.0, -55.0)


@pytest.mark.parametrize("level_db", [-30.0, -12.0, 0.0, 6.0])
@pytest.mark.parametrize("target_lufs", [-23.0, -16.0])
def test_an_ordinary_track_reads_the_target_by_libebur128(level_db: float, target_lufs: float) -> None:
    signal, speech = ORDINARY
    signal = signal * 10 ** (level_db / 20)
    options = StemOptions(lufs=target_lufs, peak_dbtp=20.0, max_gain_db=60.0)
    gain = choose_gain(measured(signal, speech), options)
    assert (gain.set_by, gain.measured_over) == ("target", "file")
    assert libebur128(signal * 10 ** (gain.gain_db / 20), RATE_HZ)[0] == pytest.approx(target_lufs, abs=0.02)


@pytest.mark.slow
def test_a_little_speech_in_much_noise_is_levelled_by_the_speech() -> None:
    # 20 s of speech in an hour of noise at -60 dBFS, a tenth of both.
    signal, speech = track([(100.0, 102.0)], 360.0, -42.0)
    signal *= 10 ** (-18 / 20)
    alone = np.where(gate(speech, 0, len(signal), RATE_HZ) > 0, signal, 0.0)
    gain = choose_gain(measured(signal, speech), StemOptions(max_gain_db=60.0, peak_dbtp=20.0))
    assert (gain.set_by, gain.measured_over) == ("target", "speech")
    assert libebur128(alone * 10 ** (gain.gain_db / 20), RATE_HZ)[0] == pytest.approx(-23.0, abs=0.3)
    blind = choose_gain(measured(signal, None), StemOptions(max_gain_db=60.0, peak_dbtp=20.0))
    assert blind.gain_db > gain.gain_db + 10.0, "a meter alone would raise the noise"


def test_voices_that_leak_into_the_pauses_do_not_move_the_gain() -> None:
    signal, speech = track([(2.0, 5.0)], 40.0, -60.0)
    others, _ = track([(6.0, 39.0)], 40.0, -90.0, seed=4)
    clean = choose_gain(measured(signal, speech), StemOptions(peak_dbtp=20.0))
    leaky = choose_gain(measured(signal + 0.2 * others, speech), StemOptions(peak_dbtp=20.0))
    assert leaky.measured_over == "speech"
    assert leaky.gain_db == pytest.approx(clean.gain_db, abs=0.1)


def test_noise_without_speech_digital_silence_and_crumbs_are_left_alone() -> None:
    hiss, _ = track([], 5.0, -50.0)
    for signal, speech in (
        (hiss, EMPTY),
        (np.zeros(5 * RATE_HZ), spans([(0, 16_000)])),
        (babble(0.3, 0), spans([(0, 4_800)])),
        (hiss * 1e-4, None),
    ):
        gain = choose_gain(measured(signal, speech), StemOptions())
        assert (gain.gain_db, gain.set_by) == (0.0, "silence")
        assert gain.reason


def test_the_cap_and_the_peak_hold_the_gain_and_say_so() -> None:
    signal, speech = ORDINARY
    level = measured(signal, speech)
    capped = choose_gain(measured(signal * 1e-3, speech), StemOptions(max_gain_db=20.0))
    assert (capped.gain_db, capped.set_by) == (20.0, "cap")
    held = choose_gain(level, StemOptions(lufs=-3.0, peak_dbtp=-1.0))
    assert held.set_by == "peak"
    assert level.peak_dbtp + held.gain_db == pytest.approx(-1.0)
    assert choose_gain(level, StemOptions(lufs=-3.0, limit=True)).set_by == "target"
    assert choose_gain(level, StemOptions(normalize="none")).gain_db == 0.0
    by_peak = choose_gain(level, StemOptions(normalize="peak", peak_dbtp=-6.0))
    assert level.peak_dbtp + by_peak.gain_db == pytest.approx(-6.0)


@settings(max_examples=30)
@given(
    st.lists(st.floats(1e-9, 0.1), min_size=1, max_size=60),
    st.lists(st.booleans(), min_size=60, max_size=60),
    st.floats(-60.0, 3.0),
)
def test_no_gain_passes_the_cap_or_the_ceiling_and_the_target_is_met_where_it_says_so(
    blocks: list[float], spoken: list[bool], peak_dbtp: float
) -> None:
    level = Level(np.array(blocks), np.array(spoken[: len(blocks)]), peak_dbtp)
    options = StemOptions(max_gain_db=25.0)
    gain = choose_gain(level, options)
    assert gain.gain_db <= options.max_gain_db
    if gain.set_by != "silence":
        assert level.peak_dbtp + gain.gain_db <= options.peak_dbtp + 1e-9
    if gain.set_by == "target" and gain.measured_over == "file":
        assert level.lufs(gain.gain_db) == pytest.approx(options.lufs, abs=0.05)
        assert abs(level.speech_lufs(gain.gain_db) - options.lufs) <= 2 * AGREE_LU + 1.0
