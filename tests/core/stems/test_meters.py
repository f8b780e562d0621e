"""Loudness and true peak agree with libebur128, ffmpeg and the standard's own test signals."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from meters import babble, libebur128, ours, sine

from recall_audio.core.stems.meters import (
    EnergyMeter,
    block_energies,
    gated_lufs,
    k_weighting,
    step_samples,
)

RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)


def signals(rate_hz: int) -> dict[str, np.ndarray]:
    """Signals of several kinds, full scale 1."""
    rng = np.random.default_rng(rate_hz)
    n = round(6.3 * rate_hz)
    white = 0.1 * rng.standard_normal(n)
    brown = np.cumsum(white)
    sparse = white * (np.sin(np.arange(n) / rate_hz * 2) > 0.6)
    return {
        "white": white,
        "brown": 0.8 * (brown - brown.mean()) / np.abs(brown).max(),
        "sparse, over a faint hiss": sparse + 1e-5 * rng.standard_normal(n),
        "clipped": np.clip(white * 20.0, -1.0, 1.0),
        "faint": white * 1e-2,
        "a quarter of the rate, between samples": sine(rate_hz / 4, -3.0, 6.3, rate_hz, np.pi / 4),
    }


@pytest.mark.parametrize("rate_hz", RATES)
def test_loudness_and_true_peak_are_libebur128s_at_every_rate(rate_hz: int) -> None:
    for name, signal in signals(rate_hz).items():
        (lufs, dbtp), (want_lufs, want_dbtp) = ours(signal, rate_hz), libebur128(signal, rate_hz)
        assert lufs == pytest.approx(want_lufs, abs=0.01), name
        assert dbtp == pytest.approx(want_dbtp, abs=0.01), name


@settings(max_examples=25)
@example(seconds=0.05, level_db=0.0, rate_hz=16_000, seed=75, block=1)  # the peak is in the last six samples
@given(
    st.floats(0.05, 3.0),
    st.floats(-75.0, 0.0),
    st.sampled_from((16_000, 44_100)),
    st.integers(0, 99),
    st.integers(1, 40_000),
)
def test_any_length_level_and_block_size_gives_what_libebur128_gives(
    seconds: float, level_db: float, rate_hz: int, seed: int, block: int
) -> None:
    signal = babble(seconds, seed, rate_hz) * 10.0 ** (level_db / 20.0)
    lufs, dbtp = ours(signal, rate_hz, max(block, len(signal) // 50))
    want_lufs, want_dbtp = libebur128(signal, rate_hz)
    assert lufs == pytest.approx(want_lufs, abs=0.01)
    assert dbtp == pytest.approx(want_dbtp, abs=0.01)


def test_silence_and_less_than_400_ms_are_minus_infinity_and_never_nan() -> None:
    assert ours(np.zeros(48_000), 16_000) == (-np.inf, -np.inf)
    assert ours(np.zeros(0), 16_000) == (-np.inf, -np.inf)
    assert ours(babble(0.39, 1), 16_000)[0] == -np.inf
    assert np.isfinite(ours(babble(0.41, 1), 16_000)[0])


def tech_3341(rate_hz: int) -> dict[str, tuple[list[np.ndarray], list[float], float]]:
    """EBU Tech 3341, table 1, cases 1 to 6: channels, their weights, expected loudness (±0.1)."""

    def tone(*steps: tuple[float, float]) -> np.ndarray:
        return np.concatenate([sine(1000.0, level_db, s, rate_hz) for level_db, s in steps])

    stereo = [1.0, 1.0]
    three = tone((-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0))
    four = tone((-72.0, 10.0), (-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0), (-72.0, 10.0))
    five = tone((-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0))
    surround = [tone((level, 20.0)) for level in (-28.0, -28.0, -24.0, -30.0, -30.0)]
    return {
        "1": ([tone((-23.0, 20.0))] * 2, stereo, -23.0),
        "2": ([tone((-33.0, 20.0))] * 2, stereo, -33.0),
        "3": ([three] * 2, stereo, -23.0),
        "4": ([four] * 2, stereo, -23.0),
        "5": ([five] * 2, stereo, -23.0),
        "6": (surround, [1.0, 1.0, 1.0, 1.41, 1.41], -23.0),
    }


@pytest.mark.parametrize("case", ["1", "2", "3", "4", "5", "6"])
def test_tech_3341_signals_read_what_the_table_says(case: str) -> None:
    channels, weights, expected = tech_3341(48_000)[case]
    total = 0.0
    for channel, weight in zip(channels, weights, strict=True):
        meter = EnergyMeter(48_000)
        meter.add(channel.astype(np.float32))
        total = total + weight * meter.energies()
    assert gated_lufs(block_energies(total)) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("divisor", "phase_deg", "peak", "expected"),
    # EBU Tech 3341, table 1, cases 15 to 19: a sine of rate/4 ... rate/8, whose crests lie between samples.
    [
        (4, 0.0, 0.5, -6.0),
        (4, 45.0, 0.5, -6.0),
        (6, 60.0, 0.5, -6.0),
        (8, 67.5, 0.5, -6.0),
        (4, 45.0, 1.41, 3.0),
    ],
)
def test_tech_3341_true_peaks_are_within_the_tolerance(
    divisor: int, phase_deg: float, peak: float, expected: float
) -> None:
    n = 48_000
    tone = peak * np.sin(2 * np.pi * np.arange(n) / divisor + np.deg2rad(phase_deg))
    fade = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / 480.0)
    _, dbtp = ours(tone * fade, 48_000)
    assert expected - 0.4 <= dbtp <= expected + 0.2


def test_the_loudness_after_a_gain_is_that_of_the_louder_signal() -> None:
    quiet = babble(8.0, 3) * 10 ** (-45 / 20)
    quiet[40_000:90_000] *= 0.02
    meter = EnergyMeter(16_000)
    meter.add(quiet.astype(np.float32))
    blocks = block_energies(meter.energies())
    for gain_db in (-20.0, 0.0, 12.0, 30.0):
        wanted, _ = libebur128(quiet * 10 ** (gain_db / 20), 16_000)
        assert gated_lufs(blocks, gain_db) == pytest.approx(wanted, abs=0.01)


def test_the_weighting_is_the_standards_at_48_khz_and_close_to_it_elsewhere() -> None:
    hz = np.array([50.0, 200.0, 997.0, 2000.0, 3500.0])
    at_48k = 20 * np.log10(np.abs(k_weighting(48_000, hz)))
    # BS.1770-4: 0 LUFS offset of 0.691 dB is the gain at 997 Hz; the shelf adds 4 dB to the highs.
    assert at_48k[2] == pytest.approx(0.691, abs=0.01)
    assert at_48k[4] == pytest.approx(3.8, abs=0.25)
    at_16k = 20 * np.log10(np.abs(k_weighting(16_000, hz)))
    assert np.abs(at_16k - at_48k).max() < 0.15
    assert step_samples(11_025) == 1103


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not on the PATH")
def test_ffmpegs_ebur128_reads_the_same(tmp_path: Path) -> None:
    signal = babble(20.0, 5)
    sf.write(tmp_path / "a.wav", signal.astype(np.float32), 16_000, subtype="FLOAT")
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-i", str(tmp_path / "a.wav")]
    command += ["-af", "ebur128=peak=true", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    summary = said[said.rindex("Summary:") :]
    lufs = float(re.search(r"I:\s+(-?[\d.]+) LUFS", summary)[1])
    dbtp = float(re.search(r"Peak:\s+(-?[\d.]+) dBFS", summary)[1])
    ours_lufs, ours_dbtp = ours(signal, 16_000)
    # ffmpeg prints one decimal, and measures loudness at 48 kHz, where the high-pass is 0.09 dB lower.
    assert ours_lufs == pytest.approx(lufs, abs=0.16)
    assert ours_dbtp == pytest.approx(dbtp, abs=0.2)
