"""Parts that only all parts together can place: short ones, listeners, crowds, recorders."""

from dataclasses import replace
from functools import cache
from typing import Any

import makers
import numpy as np
import pytest

from recall_audio.core.alignment.align import align
from recall_audio.core.alignment.confidence import Placed, expected_places
from recall_audio.core.alignment.lag_lines import find_background
from recall_audio.model.alignment import Alignment, PartAudio
from recall_audio.model.options import AlignOptions
from recall_audio.typing import Samples

RATE_HZ = makers.RATE_HZ
PLAIN = AlignOptions()


@cache
def meeting(**changes: Any) -> makers.Made:
    return makers.make(n_speakers=3, duration_s=60.0, **{"seed": 71, "leakage_db": -30.0, **changes})


def later(samples: Samples, delay_s: float, gain_db: float = 0.0) -> Samples:
    delayed = np.concatenate([np.zeros(round(delay_s * RATE_HZ), np.int16), samples])[: len(samples)]
    return np.clip(delayed * 10.0 ** (gain_db / 20.0), -32767, 32767).astype(np.int16)


def pieces(made: makers.Made, seconds: float, errors_s: tuple[float, ...]) -> list[tuple[PartAudio, float]]:
    """Every track cut into parts of some seconds, and where each begins on the mix's clock.

    All parts of one track have one error of their nominal start and a jitter of 20 ms; with more errors, the
    track has one after the other.
    """
    rng, cut, found = np.random.default_rng(5), round(seconds * RATE_HZ), []
    for part in made.parts:
        starts = range(0, len(part.samples) - cut, cut)
        for k, first in enumerate(starts):
            true_s = part.time_map.start_s + first / RATE_HZ
            error_s = errors_s[k * len(errors_s) // len(starts)] * (-1) ** part.speaker
            nominal_s = true_s + error_s + rng.uniform(-0.02, 0.02)
            name = f"{part.part_id}-{k:02d}"
            samples = part.samples[first : first + cut]
            found.append((PartAudio(name, part.participant_id, nominal_s, samples), true_s))
    return found


def speech_s(made: makers.Made, participant_id: int, start_s: float, end_s: float) -> float:
    (speaker,) = (s for s in made.speakers if s.participant_id == participant_id)
    rows = np.clip(speaker.spans / RATE_HZ, start_s, end_s)
    return float(np.sum(rows[:, 1] - rows[:, 0]))


@pytest.mark.parametrize(
    ("seconds", "errors_s"),
    [(2.0, (0.3, -0.2)), pytest.param(1.3, (-0.25,), marks=pytest.mark.slow)],
    ids=str,
)
def test_short_parts_lie_where_all_parts_of_their_recorder_say(
    seconds: float, errors_s: tuple[float, ...]
) -> None:
    made = meeting()
    cut = pieces(made, seconds, errors_s)
    result = align(made.mix, [part for part, _ in cut], PLAIN)
    spoken = [
        (found, abs(found.start_s - true_s) * 1e3)
        for found, (part, true_s) in zip(result.parts, cut, strict=True)
        if speech_s(made, part.participant_id, true_s, true_s + seconds) >= 0.3
    ]
    assert len(spoken) > 20
    assert "no_match" not in {found.status for found, _ in spoken}
    assert np.percentile([error_ms for _, error_ms in spoken], 95) <= 20.0
    covered = [error_ms <= (found.uncertainty_ms or 0.0) for found, error_ms in spoken]
    assert np.mean(covered) >= 0.9


def test_a_part_is_expected_by_its_participants_other_parts_before_all_others() -> None:
    placed = [Placed(1, t, 0.4 + d) for t, d in ((0.0, 0.01), (10.0, -0.01), (20.0, 0.0))]
    placed += [Placed(i, 0.0, -0.5) for i in (2, 3, 4)]
    (place,) = expected_places(1, 30.0, placed)
    assert (place.source, place.start_s) == ("participant", pytest.approx(30.4))
    assert place.half_width_s == pytest.approx(0.06, rel=0.5), "a few times the jitter of 10 to 20 ms"
    assert place.agreement == pytest.approx(3 / 4)
    (by_all,) = expected_places(9, 30.0, [p for p in placed if p.participant_id != 1])
    assert (by_all.source, by_all.start_s, by_all.tells) == ("all", pytest.approx(29.5), False)
    assert expected_places(9, 30.0, placed[:2]) == [], "two are too few to tell of a third"


def test_intervals_of_expected_places_hold_what_they_promise() -> None:
    rng, inside = np.random.default_rng(6), []
    for n in (1, 2, 5, 12) * 200:
        offsets = 0.3 + rng.uniform(-0.02, 0.02, n + 1)
        places = expected_places(1, 0.0, [Placed(1, 0.0, float(o)) for o in offsets[1:]])
        inside.append(abs(places[0].start_s - offsets[0]) <= places[0].half_width_s)
    assert np.mean(inside) >= 0.95


def test_parts_that_contradict_each_other_expect_nothing() -> None:
    assert expected_places(1, 0.0, [Placed(1, t, 0.9 * t) for t in (0.0, 1.0, 2.0)]) == []
    places = expected_places(1, 29.0, [Placed(1, t, 0.1 if t < 15.0 else 0.7) for t in range(0, 30, 5)])
    assert [p.start_s for p in places] == pytest.approx([29.7, 29.1]), "the nearest in time first"


@pytest.mark.parametrize("level_db", [-14.0, -20.0, -32.0])
@pytest.mark.parametrize("in_mix", [False, True])
def test_a_listener_lies_by_its_own_background_or_else_by_the_leak(level_db: float, in_mix: bool) -> None:
    made = meeting(leakage_db=level_db, silent=(1,), seed=9, snr_db=42.0)
    part, audio = made.parts[1], made.audio()
    mix = made.mix
    if in_mix:  # as where the mix is the sum of all tracks
        first = round(part.time_map.start_s * RATE_HZ)
        mix = mix.astype(np.int32)
        mix[first : first + len(part.samples)] += part.samples[: len(mix) - first]
        mix = np.clip(mix, -32767, 32767).astype(np.int16)
    result = align(mix, audio, PLAIN)
    found = result.parts[1]
    error_ms = abs(found.start_s - part.time_map.start_s) * 1e3
    if in_mix:
        assert found.placed_by in {"background", "itself"}
        assert error_ms < 0.5
    else:
        assert found.placed_by == "leak"
        assert error_ms <= (found.uncertainty_ms or 0.0) <= 1000.0
        (finding,) = (f for f in result.findings if f.where == part.part_id)
        assert (finding.code, finding.severity) == ("placed_by_leak", "warning")


def test_silent_and_foreign_tracks_have_no_background_in_the_mix() -> None:
    made, other = meeting(), makers.make(n_speakers=1, duration_s=30.0, seed=72)
    noise = (np.random.default_rng(3).standard_normal(30 * RATE_HZ) * 60).astype(np.int16)
    for samples in (noise, np.zeros_like(noise), *(p.samples for p in other.parts)):
        assert find_background(samples, made.mix, (-0.5, 0.5)) is None


@pytest.mark.parametrize("n_people", [8, pytest.param(25, marks=pytest.mark.slow)])
def test_in_a_crowd_most_of_whom_are_silent_the_few_are_placed_and_no_other_claims_them(
    n_people: int,
) -> None:
    made = meeting()
    rng = np.random.default_rng(n_people)
    audio = made.audio()
    for k in range(3, n_people):
        noise = rng.standard_normal(len(made.mix)) * 40
        heard = later(made.mix, rng.uniform(0.05, 0.4), rng.uniform(-34.0, -22.0)) if k % 3 == 0 else 0
        audio.append(
            PartAudio(f"guest-{k}", 200 + k, rng.uniform(-0.3, 0.3), (noise + heard).astype(np.int16))
        )
    result = align(made.mix, audio, PLAIN)
    for part, found in zip(made.parts, result.parts[:3], strict=True):
        assert found.start_s == pytest.approx(part.time_map.start_s, abs=5e-5)
    for found in result.parts[3:]:
        assert found.placed_by != "itself"
        assert found.status in {"silent", "no_match"} or found.placed_by == "leak"
        if found.uncertainty_ms is not None:
            assert abs(found.start_s) * 1e3 <= found.uncertainty_ms


def with_recorder(gain_db: float) -> tuple[makers.Made, Alignment]:
    made = meeting()
    audio = [*made.audio(), PartAudio("recorder", 200, 0.2, later(made.mix, 0.35, gain_db))]
    return made, align(made.mix, audio, PLAIN)


@pytest.mark.parametrize("gain_db", [-4.0, 0.0, 9.0])
def test_a_recording_of_the_whole_mix_is_named_and_takes_no_voice_from_its_owner(gain_db: float) -> None:
    made, result = with_recorder(gain_db)
    for part, found in zip(made.parts, result.parts[:3], strict=True):
        assert found.start_s == pytest.approx(part.time_map.start_s, abs=5e-5)
        assert found.placed_by == "itself"
    recorder = result.parts[3]
    assert abs(recorder.start_s) * 1e3 <= (recorder.uncertainty_ms or 0.0) <= 1000.0
    codes = {f.code for f in result.findings if f.where == "recorder"}
    assert codes <= {"holds_whole_mix", "placed_by_leak"}
    assert recorder.holds_mix or gain_db < 0.0


def test_two_parts_that_collide_are_named() -> None:
    made = meeting()
    part = made.parts[0]
    half = len(part.samples) // 2
    start_s = part.time_map.start_s
    first = PartAudio("first", 1, start_s, part.samples[:half])
    again = PartAudio("again", 1, start_s + half / RATE_HZ, part.samples[: half // 2])
    result = align(made.mix, [first, again], PLAIN)
    (collision,) = (f for f in result.findings if f.code == "parts_collide")
    assert (collision.where in {"first", "again"}, f"{half / 2 / RATE_HZ:.1f} s" in collision.message) == (
        True,
        True,
    )
    apart = replace(again, samples=part.samples[half:])
    assert "parts_collide" not in {f.code for f in align(made.mix, [first, apart], PLAIN).findings}


def test_pieces_that_lie_all_over_the_mix_are_another_meetings() -> None:
    """The same recordings in another order, as where one speaker reads the same text in two meetings."""
    made = meeting(silent=(1, 2), leakage_db=None)
    samples = made.parts[0].samples[15 * RATE_HZ :]
    third = len(samples) // 3
    mixed_up = np.concatenate([samples[k * third : (k + 1) * third] for k in (2, 0, 1)])
    (found,) = align(made.mix, [PartAudio("other", 1, 200.0, mixed_up)], PLAIN).parts
    assert found.status == "no_match"
    assert "another meeting's" in found.reason


def test_what_is_not_found_says_what_was_searched() -> None:
    made = meeting()
    foreign = makers.make(n_speakers=1, duration_s=30.0, seed=72, snr_db=42.0).audio()
    (found,) = align(made.mix, foreign, PLAIN).parts
    assert (found.status, found.start_s) == ("no_match", found.nominal_start_s)
    assert "searched from end to end, upright and upside down" in found.reason
