"""An own voice that comes back is an echo, two voices on one track are two, ordinary tracks hold neither."""

import makers
import numpy as np
import pytest

from recall_audio.core import spans as sp
from recall_audio.core.speech.diagnostics import (
    find_echo,
    find_two_voices,
    median_pitch,
    oddities,
    samples_alone,
)
from recall_audio.model.alignment import PlacedPart, TimeMap, Track

RATE_HZ = 16_000
MADE = makers.make(n_speakers=4, duration_s=240.0, seed=5, snr_db=25.0)
SEGMENTS = {s.name: s.spans for s in MADE.speakers}


def recorded(name: str) -> tuple[np.ndarray, TimeMap]:
    """A participant's only part."""
    (track,) = (t for t in MADE.tracks() if t.label == name)
    (part,) = track.parts
    return np.asarray(part.samples), part.time_map


def track(name: str, samples: np.ndarray, time_map: TimeMap) -> Track:
    """A track of one part."""
    return Track(name, (PlacedPart("p", samples, time_map),))


def test_ordinary_tracks_have_neither() -> None:
    assert oddities(MADE.tracks(), SEGMENTS) == ()


@pytest.mark.parametrize(("delay_s", "gain_db"), [(0.12, -14.0), (0.31, -20.0), (0.9, -24.0)])
def test_an_echo_is_found_at_its_delay_and_level(delay_s: float, gain_db: float) -> None:
    name = MADE.speakers[0].name
    samples, time_map = recorded(name)
    late = round(delay_s * RATE_HZ)
    heard = samples.astype(np.float64)
    heard[late:] += 10 ** (gain_db / 20) * samples[:-late]
    echo = find_echo(samples_alone(track(name, heard.astype(np.int16), time_map), SEGMENTS))
    assert echo is not None
    assert echo.delay_ms == pytest.approx(delay_s * 1000, abs=1.0)
    assert echo.gain_db == pytest.approx(gain_db, abs=4.0)


def test_a_room_with_a_low_and_a_high_voice_is_flagged() -> None:
    pitch = {
        s.name: median_pitch(np.concatenate(samples_alone(t, SEGMENTS)))
        for s, t in zip(MADE.speakers, MADE.tracks(), strict=True)
    }
    low, high = min(pitch, key=lambda k: pitch[k] or 999.0), max(pitch, key=lambda k: pitch[k] or 0.0)
    assert pitch[high] > 1.7 * pitch[low], "the voices of this test have to be far apart"
    (a, map_a), (b, map_b) = recorded(low), recorded(high)
    b = np.roll(b, round((map_b.start_s - map_a.start_s) * RATE_HZ))  # on the first one's clock
    n = min(len(a), len(b))
    room = track("room", a[:n] + b[:n], map_a)
    together = {"room": sp.union(SEGMENTS[low], SEGMENTS[high])} | {
        k: v for k, v in SEGMENTS.items() if k not in (low, high)
    }
    voices = find_two_voices(samples_alone(room, together))
    assert voices is not None
    assert voices.low_hz == pytest.approx(pitch[low], rel=0.1)
    assert voices.high_hz == pytest.approx(pitch[high], rel=0.1)
    assert [f.code for f in oddities([room], together)] == ["shared_room"]


def test_pitch_is_that_of_a_pulse_train() -> None:
    for hz in (80.0, 125.0, 210.0, 300.0):
        phase = np.cumsum(np.full(16_000, hz / 8000))
        pulses = np.diff(np.floor(phase), prepend=0.0).astype(np.float32)
        assert median_pitch(
            np.convolve(pulses, np.hanning(12), mode="same").astype(np.float32)
        ) == pytest.approx(hz, rel=0.02)
    assert median_pitch(np.random.default_rng(0).standard_normal(16_000).astype(np.float32)) is None
