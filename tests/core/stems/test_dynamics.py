"""The gate opens for speech alone, and the limiter holds true peaks for as long as it says."""

import numpy as np
import pytest
from meters import babble, libebur128

from recall_audio.core.spans import EMPTY, spans
from recall_audio.core.stems.dynamics import (
    ATTACK_S,
    GATE_FADE_S,
    GATE_MARGIN_S,
    HOLD_S,
    gate,
    limit,
    margin_samples,
)

RATE_HZ = 16_000


def test_the_gate_is_open_over_speech_shut_elsewhere_and_the_same_in_any_blocks() -> None:
    speech = spans([(16_000, 20_000), (21_000, 22_000), (60_000, 70_000)])
    for rate_hz in (16_000, 48_000):
        n, ratio = 5 * rate_hz, rate_hz / RATE_HZ
        whole = gate(speech, 0, n, rate_hz)
        pieces = [gate(speech, a, min(a + 777, n), rate_hz) for a in range(0, n, 777)]
        assert np.array_equal(whole, np.concatenate(pieces))
        for a, b in speech:
            assert (whole[round(a * ratio) : round(b * ratio)] == 1.0).all()
        reach = round((GATE_MARGIN_S + GATE_FADE_S) * rate_hz)
        assert not whole[: round(16_000 * ratio) - reach].any()
        assert np.abs(np.diff(whole)).max() < 2.0 / (GATE_FADE_S * rate_hz)
    assert not gate(EMPTY, 0, 100, 16_000).any()


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_the_limiter_holds_the_true_peak_and_is_the_same_in_any_blocks(rate_hz: int) -> None:
    signal = babble(6.0, 1, rate_hz).astype(np.float32) * 3.0
    signal[: 2 * rate_hz] *= 0.01
    signal[3 * rate_hz] = 4.0
    margin, ceiling = margin_samples(rate_hz), 10 ** (-1 / 20)
    padded = np.pad(signal, margin)
    whole, least = limit(padded, ceiling, rate_hz)
    step = 7001
    pieces = [limit(padded[a : min(a + step, len(signal)) + 2 * margin], ceiling, rate_hz)[0]
              for a in range(0, len(signal), step)]  # fmt: skip
    assert np.abs(np.concatenate(pieces) - whole).max() < 1e-6
    assert -1.1 < libebur128(whole, rate_hz)[1] <= -1.0
    assert least < 0.3
    assert np.array_equal(whole[:rate_hz], signal[:rate_hz]), "what is below the ceiling passes untouched"


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_the_gain_is_down_before_a_peak_and_stays_down_after_it(rate_hz: int) -> None:
    """10 ms before a peak the gain begins to fall, at the peak it is down, 50 ms later it begins to rise."""
    peak_at, margin = rate_hz, margin_samples(rate_hz)
    signal = np.full(2 * rate_hz, 0.1, dtype=np.float32)
    signal[peak_at] = 1.0
    limited, least = limit(np.pad(signal, margin, constant_values=0.1), 0.25, rate_hz)
    gain = limited / signal
    down = np.flatnonzero(gain < 1.0 - 1e-4)
    ms = rate_hz // 1000
    assert peak_at - down[0] == pytest.approx(2 * ATTACK_S * rate_hz, abs=2 * ms)
    assert down[-1] - peak_at == pytest.approx((2 * ATTACK_S + HOLD_S) * rate_hz, abs=2 * ms)
    lowest = np.flatnonzero(gain < least * (1.0 + 1e-5))
    assert lowest[0] <= peak_at
    assert lowest[-1] - peak_at == pytest.approx(HOLD_S * rate_hz, abs=ms)
    assert (ATTACK_S, HOLD_S) == (0.005, 0.05), "the figures that the documentation names"
    assert least == pytest.approx(gain.min(), rel=1e-6)
