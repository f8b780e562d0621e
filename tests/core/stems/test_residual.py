"""What is in the mix and in no track is found, and nothing else is."""

import numpy as np
import pytest
from meters import babble

from recall_audio.core.spans import to_seconds
from recall_audio.core.stems.residual import (
    HOP_S,
    LOW_HZ,
    MARGIN,
    low_rate_windows,
    residual_energy,
    unexplained_spans,
)

RATE_HZ = 16_000


def found(mix: np.ndarray, stems: list[np.ndarray]) -> tuple[float | None, list[list[float]]]:
    """Share explained, and the unexplained stretches in seconds."""
    low = [low_rate_windows(np.pad(x, MARGIN).astype(np.float32)) for x in (mix, *stems)]
    share, where = unexplained_spans(*residual_energy(low[0], low[1:]))
    return share, to_seconds(where)


def voice(seed: int, on: list[tuple[int, int]], seconds: int = 40) -> np.ndarray:
    """Babble in stretches of seconds."""
    signal = np.zeros(seconds * RATE_HZ)
    for a, b in on:
        signal[a * RATE_HZ : b * RATE_HZ] = babble(b - a, seed)
    return signal


A, B, C = voice(1, [(0, 12), (30, 36)]), voice(2, [(10, 20)]), voice(3, [(22, 30)])


def test_a_sum_with_any_gains_and_a_small_delay_is_explained() -> None:
    late = np.concatenate((np.zeros(1), A[:-1]))  # 0.06 ms
    share, where = found(0.3 * late + 1.7 * B + C, [A, B, C])
    assert share > 0.97
    assert where == []


def test_somebody_without_a_track_is_found_where_they_speak() -> None:
    share, where = found(A + B + C, [A, B])
    assert share < 0.9
    assert len(where) == 1
    assert abs(where[0][0] - 22.0) <= HOP_S
    assert abs(where[0][1] - 30.0) <= HOP_S


def test_a_sound_under_a_voice_counts_only_where_it_is_heard_beside_it() -> None:
    jingle = voice(7, [(2, 11)])
    assert found(A + 0.9 * jingle, [A])[1] == [[2.0, 12.0]]
    assert found(A + 0.1 * jingle, [A])[1] == []


def test_the_share_explained_is_that_of_the_energy() -> None:
    speech, sound = voice(1, [(0, 40)]), voice(3, [(0, 40)])
    for gain in (0.2, 0.5, 1.0):
        low, low_sound = (
            low_rate_windows(np.pad(x, MARGIN).astype(np.float32))
            for x in (speech + gain * sound, gain * sound)
        )
        expected = 1.0 - float(np.sum(low_sound**2) / np.sum(low**2))
        assert found(speech + gain * sound, [speech])[0] == pytest.approx(expected, abs=0.02)


def test_a_silent_mix_has_nothing_to_explain_and_no_tracks_explain_nothing() -> None:
    assert found(np.zeros(8 * RATE_HZ), [A[: 8 * RATE_HZ]]) == (None, [])
    share, where = found(C, [])
    assert abs(share) < 1e-9
    assert where == [[22.0, 30.0]]


def test_two_tracks_with_one_voice_are_no_difficulty() -> None:
    share, where = found(A, [A, A * 0.5])
    assert share > 0.99
    assert where == []


def test_the_low_rate_signal_is_the_windows_below_1600_hz() -> None:
    at = np.arange(6 * RATE_HZ + 2 * MARGIN) / RATE_HZ
    low = low_rate_windows((np.sin(2 * np.pi * 700 * at) + np.sin(2 * np.pi * 2500 * at)).astype(np.float32))
    t = (np.arange(LOW_HZ) / LOW_HZ + np.array([[0.0], [2.0], [4.0]])).ravel() + MARGIN / RATE_HZ
    assert np.abs(low - np.sin(2 * np.pi * 700 * t)).max() < 1e-3
