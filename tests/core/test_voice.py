"""Features of voices that are known: pulse trains of one pitch and pace, sines, silence."""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import voices
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.core import spans as sp
from recall_audio.core.voice import (
    HOP,
    NEVER_ALONE,
    SILENT,
    VoiceFrames,
    choose_pieces,
    clear_speech,
    count_nuclei,
    measure_voice,
    widen,
)
from recall_audio.model.options import FeatureOptions
from recall_audio.model.turns import VOICE_FIGURES, VoiceFeatures
from recall_audio.typing import Spans

RATE_HZ = 16_000
Floats = npt.NDArray[np.float32]


def pulses(f0_hz: float, seconds: float, syllables_per_s: float = 0.0, level: float = 0.1) -> Floats:
    """Harmonics that fall by 6 dB an octave, up to 4 kHz, swelling once a syllable by 20 dB."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    glottis = sum(np.cos(2 * np.pi * k * f0_hz * t) / k for k in range(1, int(4000 / f0_hz)))
    swell = 0.1 + 0.9 * np.sin(np.pi * syllables_per_s * t) ** 2 if syllables_per_s else 1.0
    return (level * swell * glottis / np.sqrt(np.mean(np.square(glottis)))).astype(np.float32)


def sine(hz: float, seconds: float, level: float = 0.5) -> Floats:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("f0_hz", [75.0, 118.0, 210.0, 390.0])
def test_a_pulse_train_has_its_own_pitch_and_next_to_no_range(f0_hz: float) -> None:
    found = measure_voice([pulses(f0_hz, 2.0)])
    assert found.f0_median_hz is not None
    assert abs(12 * math.log2(found.f0_median_hz / f0_hz)) <= 0.2
    assert found.f0_range_semitones is not None
    assert found.f0_range_semitones <= 0.4
    assert found.voiced_share is not None
    assert found.voiced_share > 0.9


def test_pitch_that_moves_an_octave_has_its_edges_and_range() -> None:
    steps = [pulses(hz, 1.0) for hz in (110.0, 220.0)]
    found = measure_voice(steps)
    for figure, hz in ((found.f0_low_hz, 110.0), (found.f0_high_hz, 220.0)):
        assert figure == pytest.approx(hz, rel=0.012)
    assert found.f0_range_semitones == pytest.approx(12.0, abs=0.4)


@pytest.mark.parametrize("rate", [2.0, 3.5, 5.0, 6.5])
def test_swells_of_a_voice_are_counted_as_its_syllables(rate: float) -> None:
    found = measure_voice([pulses(140.0, 6.0, rate)])
    assert found.syllables_per_s == pytest.approx(rate, abs=1.01 / 6.0)


@pytest.mark.parametrize(
    ("level_db", "nuclei"),
    [
        pytest.param([-20.0, -19.0, -18.5, -19.0, -20.0], 1, id="a vowel that fills the piece"),
        pytest.param([-20.0, -19.0, -18.0, -19.0, -25.0, -19.0, -18.0, -19.0, -20.0], 2, id="first and last"),
        pytest.param([-20.0, -19.0, -18.5, -19.0, -18.0, -19.0, -20.0], 1, id="a dip of half a dB"),
    ],
)
def test_the_edge_of_a_piece_counts_as_a_dip(level_db: list[float], nuclei: int) -> None:
    n = len(level_db)
    frames = VoiceFrames(1.0, n * HOP, np.array(level_db), np.zeros(n), np.full(n, 120.0))
    assert count_nuclei(frames, -19.5, FeatureOptions(dip_db=2.0)) == nuclei


@pytest.mark.parametrize(("low_hz", "high_hz"), [(60.0, 90.0), (75.0, 80.0), (70.0, 120.0), (60.0, 101.0)])
def test_a_narrow_range_of_pitch_is_searched_like_any_other(low_hz: float, high_hz: float) -> None:
    options = FeatureOptions(f0_lowest_hz=low_hz, f0_highest_hz=high_hz)
    found = measure_voice([pulses(77.0, 2.0)], options)
    assert found.f0_median_hz is not None
    assert abs(12 * math.log2(found.f0_median_hz / 77.0)) <= 0.2
    for hz in (140.0, 310.0):
        outside = measure_voice([pulses(hz, 2.0)], options).f0_median_hz
        assert outside is None or low_hz <= outside <= high_hz


def test_swells_of_noise_are_no_syllables_and_have_no_pitch() -> None:
    rng = np.random.default_rng(3)
    swell = 0.1 + 0.9 * np.sin(np.pi * 4 * np.arange(3 * RATE_HZ) / RATE_HZ) ** 2
    found = measure_voice([(0.05 * swell * rng.standard_normal(len(swell))).astype(np.float32)])
    assert found.syllables_per_s is not None
    assert found.syllables_per_s < 0.7
    assert found.f0_median_hz is None
    assert "voiced" in found.reasons["f0_median_hz"]


@pytest.mark.parametrize("voice", voices.VOICES[:4], ids=lambda v: v.name)
def test_a_synthetic_voice_has_the_pitch_it_was_made_with(voice: voices.Voice) -> None:
    found = measure_voice([voices.speak(voice, 4.0, seed=5)])
    assert found.f0_median_hz is not None
    # Accents raise it: they are drawn from −0.5 to 1 times 0.6 of the melody.
    low, high = (voice.pitch_hz * (1 + voice.melody * x) for x in (-0.1, 0.4))
    assert low * 0.98 <= found.f0_median_hz <= high * 1.02


@pytest.mark.slow
def test_of_synthetic_voices_syllables_three_in_four_are_found_or_more_and_few_made_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoken, found = [], 0.0
    make = voices._syllable
    monkeypatch.setattr(voices, "_syllable", lambda *a: spoken.append(1) or make(*a))
    for voice in voices.VOICES:
        sound, phrases = voices.speak_spans(voice, 8.0, seed=4)
        features = measure_voice([sound[a:b] for a, b in phrases])
        found += (features.syllables_per_s or 0.0) * features.analysed_s
    assert 0.75 <= found / len(spoken) <= 0.95


@pytest.mark.parametrize("hz", [300.0, 1000.0, 3000.0])
def test_the_centroid_of_a_sine_is_the_sine(hz: float) -> None:
    assert measure_voice([sine(hz, 1.0)]).centroid_hz == pytest.approx(hz, rel=0.02)


def test_a_level_is_the_root_mean_square_and_what_was_amplified_is_taken_out() -> None:
    tone = sine(440.0, 1.0, level=0.25)
    as_it_is, as_recorded = measure_voice([tone]), measure_voice([tone], gain_db=9.5)
    assert as_it_is.level_dbfs == pytest.approx(20 * math.log10(0.25 / math.sqrt(2)), abs=0.01)
    assert as_recorded.level_dbfs == pytest.approx(20 * math.log10(0.25 / math.sqrt(2)) - 9.5, abs=0.01)


def test_louder_by_6_db_changes_the_level_by_6_db_and_nothing_else() -> None:
    voice = voices.speak(voices.VOICES[1], 2.0, seed=2)
    quiet, loud = measure_voice([voice]), measure_voice([voice * np.float32(2.0)])
    assert quiet.level_dbfs is not None
    assert loud.level_dbfs == pytest.approx(quiet.level_dbfs + 20 * math.log10(2), abs=0.011)
    for name in ("f0_median_hz", "f0_range_semitones", "syllables_per_s", "centroid_hz", "voiced_share"):
        assert getattr(loud, name) == pytest.approx(getattr(quiet, name), rel=0.02)


def test_rumble_below_the_lowest_pitch_is_no_voice() -> None:
    rumble = sine(25.0, 2.0, level=0.3)
    alone_, under_a_voice = measure_voice([rumble]), measure_voice([pulses(180.0, 2.0) + rumble])
    assert alone_.f0_median_hz is None or alone_.f0_median_hz > 55.0
    assert under_a_voice.f0_median_hz == pytest.approx(180.0, rel=0.012)


def test_silence_has_reasons_and_no_figures() -> None:
    for found, why in (
        (measure_voice([np.zeros(RATE_HZ, np.float32)]), SILENT),
        (measure_voice([]), NEVER_ALONE),
    ):
        assert found == VoiceFeatures.missing(why)
        assert all(getattr(found, name) is None and found.reasons[name] == why for name in VOICE_FIGURES)


def test_a_word_has_a_level_and_a_pitch_but_no_rate() -> None:
    found = measure_voice([pulses(150.0, 0.4)])
    assert found.level_dbfs is not None
    assert found.f0_median_hz is not None
    assert found.syllables_per_s is None
    assert "0.40 s" in found.reasons["syllables_per_s"]


def test_a_level_is_set_against_the_speakers_own() -> None:
    found = VoiceFeatures(1.0, level_dbfs=-30.0)
    assert found.against(-27.5).level_to_own_median_db == -2.5
    assert VoiceFeatures.missing(SILENT).against(-27.5).reasons["level_to_own_median_db"] == SILENT


def test_a_louder_voice_that_leaks_in_late_does_not_reach_the_features() -> None:
    options = FeatureOptions()
    own, other = sp.from_seconds([[0.0, 3.0], [4.0, 6.0]]), sp.from_seconds([[1.0, 5.0]])
    track = np.zeros(6 * RATE_HZ, np.float32)
    for start, end in own:
        track[start:end] = pulses(120.0, (end - start) / RATE_HZ)
    clean = track.copy()
    late = round(0.08 * RATE_HZ)
    track[RATE_HZ + late : 5 * RATE_HZ + late] += pulses(270.0, 4.0, level=0.3)

    def features(sound: Floats, rows: Spans) -> VoiceFeatures:
        return measure_voice([sound[a:b] for a, b in choose_pieces(rows, options)], options)

    clear = clear_speech(0, len(track), own, widen([other], options.guard_s), options)
    assert features(track, clear) == features(clean, clear)
    assert features(track, own).f0_median_hz == pytest.approx(270.0, rel=0.02), "the leak would be heard"


moments = st.integers(0, 40_000)
speech = st.lists(st.tuples(moments, moments).map(sorted), max_size=6).map(sp.spans)
turn = st.tuples(moments, moments).map(sorted)


@given(turn, speech, speech)
def test_alone_is_own_speech_of_the_turn_clear_of_everyone_by_the_guard(
    edges: list[int], own: Spans, others: Spans
) -> None:
    options = FeatureOptions(guard_s=0.05, shortest_s=0.1)
    found = clear_speech(*edges, own, widen([others], options.guard_s), options)
    at = np.arange(0, 42_000, 160)
    near = np.zeros(len(at), dtype=bool)
    for start, end in others:
        near |= (at >= start - 800) & (at < end + 800)
    free = sp.covers(own, at) & (at >= edges[0]) & (at < edges[1]) & ~near
    assert not np.any(sp.covers(found, at) & ~free)
    assert all(end - start >= 1600 for start, end in found)
    # What is free and left out lies in stretches too short to tell.
    assert all(n * 160 < 1600 + 320 for n in runs(free & ~sp.covers(found, at)))


def runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Lengths of the stretches of true."""
    edges = np.flatnonzero(np.diff(np.r_[0, mask.astype(int), 0])).reshape(-1, 2)
    return [int(b - a) for a, b in edges]


@given(st.lists(st.integers(1600, 400_000), max_size=12), st.floats(0.5, 60.0))
def test_pieces_stay_within_the_limits_and_spread_over_all_of_it(
    lengths: list[int], longest_s: float
) -> None:
    options = FeatureOptions(longest_s=longest_s, piece_s=5.0)
    starts = np.cumsum([0, *(n + 16_000 for n in lengths)])[:-1]
    stretches = np.array([(a, a + n) for a, n in zip(starts, lengths, strict=True)], np.int64).reshape(-1, 2)
    found = choose_pieces(stretches, options)
    used = sum(b - a for a, b in found)
    whole = sp.total(stretches)
    assert used <= round(longest_s * RATE_HZ)
    assert all(1600 <= b - a <= 5 * RATE_HZ for a, b in found)
    assert all(a2 >= b1 for (_, b1), (a2, _) in pairwise(found))
    assert sp.total(sp.subtract(sp.spans(found), stretches)) == 0
    if whole <= longest_s * RATE_HZ:
        assert used == whole
    # Up to any stretch's end, what was taken is its share, give or take a piece.
    share = min(1.0, longest_s * RATE_HZ / whole) if whole else 1.0
    for _, end in stretches:
        passed, taken = sp.total(sp.clip(stretches, 0, end)), sum(b - a for a, b in found if a < end)
        assert abs(taken - share * passed) <= 5 * RATE_HZ
