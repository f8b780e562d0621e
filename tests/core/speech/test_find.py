"""Speech is found where it is, and others' leaked voices are not; truth from made meetings."""

from collections.abc import Mapping
from functools import cache

import makers
import numpy as np
import pytest

from recall_audio.core import spans as sp
from recall_audio.core.speech import find
from recall_audio.core.speech.leakage_paths import Sums, Way, gains, gather, n_windows, predict, solve, told
from recall_audio.core.speech.on_mix import read_half
from recall_audio.detector import load_detector
from recall_audio.model.alignment import PlacedPart, TimeMap, Track
from recall_audio.model.options import SpeechOptions
from recall_audio.model.speech import PartEvidence, SpeechResult
from recall_audio.typing import Spans

LOUD_LEAK_DB, FAINT_LEAK_DB = -14.0, -26.0


@cache
def made(leakage_db: float | None, *, room: bool = False) -> makers.Made:
    """A minute and a half of three people, one of whom never speaks."""
    return makers.make(
        n_speakers=4, duration_s=90.0, seed=11, silent=(3,), leakage_db=leakage_db, room=room, drift_ppm=30.0
    )


@cache
def evidence(meeting: makers.Made) -> dict[str, PartEvidence]:
    """What each part says by itself."""
    detector = load_detector()
    return {p.part_id: find.part_evidence(p.part_id, p.samples, detector) for p in meeting.parts}


def found(meeting: makers.Made, options: SpeechOptions | None = None) -> SpeechResult:
    """The result for tracks placed by the truth."""
    return find.join_speech(
        meeting.tracks(), evidence(meeting), meeting.recipe.duration_s, options or SpeechOptions()
    )


def error(got: Mapping[str, Spans], meeting: makers.Made) -> float:
    """Frame error, (missed + false) / truth, farther than 100 ms from a true boundary."""
    wrong = total = 0
    for person in meeting.speakers:
        n = int(meeting.recipe.duration_s * 100)
        right, heard = sp.to_mask(person.spans, 160, n), sp.to_mask(got[person.name], 160, n)
        edges = np.flatnonzero(np.diff(right.astype(np.int8))) + 1
        near = np.zeros(n, dtype=bool)
        for e in edges:
            near[max(0, e - 10) : e + 10] = True
        wrong += np.count_nonzero((right != heard) & ~near)
        total += np.count_nonzero(right)
    return wrong / total


def test_speech_is_found_where_it_is() -> None:
    assert error(found(made(None)).segments, made(None)) < 0.06


@pytest.mark.slow
@pytest.mark.parametrize(
    ("leakage_db", "room"), [(FAINT_LEAK_DB, False), (LOUD_LEAK_DB, False), (LOUD_LEAK_DB, True)]
)
def test_leaked_voices_are_taken_out_where_the_detector_alone_counts_them(
    leakage_db: float, room: bool
) -> None:
    meeting = made(leakage_db, room=room)
    result = found(meeting)
    assert error(result.raw, meeting) > 0.4
    assert error(result.segments, meeting) < 0.12


def test_someone_who_never_speaks_has_no_speech_whatever_leaks() -> None:
    meeting = made(LOUD_LEAK_DB)
    silent = meeting.speakers[3].name
    result = found(meeting)
    assert sp.total(result.segments[silent]) < 0.5 * 16_000 < sp.total(result.raw[silent])
    told = {(f.code, f.where) for f in result.findings}
    assert ("leakage_decides", silent) in told


def test_leaks_are_named_by_source_listener_gain_and_delay() -> None:
    meeting = made(FAINT_LEAK_DB)
    leaks = {(leak.source, leak.listener): leak for leak in found(meeting).leaks}
    speakers = [s.name for s in meeting.speakers[:3]]
    pairs = [(a, b) for a in speakers for b in speakers if a != b]
    assert set(pairs) <= set(leaks)
    assert all(-40 < leaks[p].gain_db < -10 for p in pairs)
    assert all(leak.windows for leak in leaks.values())


def test_where_nothing_leaks_no_leak_is_told_and_nothing_is_taken_out() -> None:
    result = found(made(None))
    assert result.leaks == ()
    assert result.findings == ()
    assert {k: v.tolist() for k, v in result.segments.items()} == {
        k: v.tolist() for k, v in result.raw.items()
    }


def test_switched_off_leakage_stays_in() -> None:
    result = found(made(LOUD_LEAK_DB), SpeechOptions(remove_leakage=False))
    assert error(result.segments, made(LOUD_LEAK_DB)) > 0.5
    assert result.leaks == ()


@pytest.mark.slow
def test_short_eras_find_what_one_long_era_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = made(FAINT_LEAK_DB)
    whole = error(found(meeting).segments, meeting)
    monkeypatch.setattr(find, "_FRAMES_OF_ALL_TRACKS", 4 * 3000)
    assert error(found(meeting).segments, meeting) < whole + 0.05


@pytest.mark.slow
def test_eras_cleaned_again_are_what_they_were_when_voices_were_learnt_from_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meeting = made(FAINT_LEAK_DB)
    monkeypatch.setattr(find, "_FRAMES_OF_ALL_TRACKS", 4 * 3000)
    kept = found(meeting)
    monkeypatch.setattr(find, "_MANY_ERAS", 2)
    again = found(meeting)
    assert again.to_json() == kept.to_json()
    assert again.leakage_json() == kept.leakage_json()


def test_one_person_on_two_devices_is_said_and_two_who_leak_are_not() -> None:
    meeting = made(None)
    tracks = meeting.tracks()
    part = tracks[0].parts[0]
    phone = PlacedPart("phone", (part.samples // 2).astype(np.int16), part.time_map)
    both = {**evidence(meeting), "phone": find.part_evidence("phone", phone.samples, load_detector())}
    result = find.join_speech(
        [*tracks, Track("phone", (phone,))], both, meeting.recipe.duration_s, SpeechOptions()
    )
    assert [f.code for f in result.findings] == ["same_person_twice"]
    assert sp.total(result.segments["phone"]) > 0.8 * sp.total(result.segments[tracks[0].label])
    assert "same_person_twice" not in {f.code for f in found(made(LOUD_LEAK_DB)).findings}


def test_a_result_survives_its_json() -> None:
    result = found(made(FAINT_LEAK_DB))
    again = SpeechResult.from_json(result.to_json(), result.leakage_json())
    assert again.to_json() == result.to_json()
    assert again.leakage_json() == result.leakage_json()


def test_a_lower_threshold_finds_more_speech_and_a_higher_one_less() -> None:
    result = found(made(FAINT_LEAK_DB))
    lower, higher = result.other_thresholds
    assert (lower.threshold, higher.threshold) == (0.3, 0.7)
    chosen_s = {k: sp.total(v) / 16_000 for k, v in result.segments.items()}
    assert sum(lower.talk_s.values()) > sum(chosen_s.values()) > sum(higher.talk_s.values())
    assert lower.talk_s.keys() == chosen_s.keys()


def test_another_threshold_is_told_as_it_would_have_been_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting, learn = made(None), find.learn
    told = found(meeting, SpeechOptions(remove_leakage=False)).other_thresholds
    monkeypatch.setattr(find, "learn", lambda frames, _threshold: learn(frames, 0.5))
    for other in told:
        decided = found(meeting, SpeechOptions(threshold=other.threshold, remove_leakage=False)).segments
        assert {k: sp.total(v) / 16_000 for k, v in decided.items()} == other.talk_s
        n = sp.counts(list(decided.values()), 0, round(meeting.recipe.duration_s * 16_000))
        assert sum(n[2:]) / 16_000 == other.overlap_s


def test_thresholds_to_compare_with_stay_within_their_range() -> None:
    assert SpeechOptions(threshold=0.1).other_thresholds == (0.05, 0.3)
    assert SpeechOptions(threshold=0.95).other_thresholds == (0.75,)
    assert SpeechOptions(threshold_change=0.0).other_thresholds == ()


def test_no_tracks_and_no_parts_are_ordinary() -> None:
    empty = find.find_speech([], 10.0, load_detector(), SpeechOptions())
    assert empty.segments == {}
    muted = find.find_speech([Track("Ann", ())], 10.0, load_detector(), SpeechOptions())
    assert muted.segments["Ann"].shape == (0, 2)


def learnt(signals: Mapping[str, np.ndarray], listener: str, sources: list[str]) -> Sums:
    """Sums over all windows, in which the sources are taken to speak all the time."""
    n = len(signals[listener])
    always = dict.fromkeys(sources, np.ones(n // 80, dtype=np.bool_))
    sums = gather(signals, listener, sources, np.arange(n_windows(n)), always)
    assert sums is not None
    return sums


def test_a_known_path_is_found_and_predicts_what_it_leaks_at_every_sample() -> None:
    rng = np.random.default_rng(5)
    source = (rng.standard_normal(40 * 8000 + 123) * 0.1).astype(np.float32)
    delay = 388
    leaked = np.zeros_like(source)
    leaked[delay:] = source[:-delay] / 10
    signals = {"a": source, "b": (leaked + rng.standard_normal(len(source)) * 1e-3).astype(np.float32)}
    sums = learnt(signals, "b", ["a"])
    [path] = solve(sums)
    assert abs(path.delay_ms - delay / 8) < 0.2
    predicted = predict(signals, {"b": [Way("a", path, gains(sums, [path])[:, 0])]})["b"]
    assert predicted.shape == leaked.shape
    assert np.mean((predicted - leaked) ** 2) < 0.01 * np.mean(leaked**2)
    # Each half second by itself: no block's edge is worse than its middle.
    blocks = ((predicted - leaked)[: 78 * 4096] ** 2).reshape(78, 4096)
    assert blocks.mean(axis=1).max() < 0.03 * np.mean(leaked**2)


def test_gains_are_found_together_where_sources_hold_each_other_and_follow_a_change() -> None:
    rng = np.random.default_rng(6)
    a, b = (rng.standard_normal((2, 320_000)) * 0.1).astype(np.float32)
    b += 0.8 * a
    change = np.where(np.arange(320_000) < 160_000, 1.0, 2.0).astype(np.float32)
    signals = {"a": a, "b": b, "c": change * (0.05 * a + 0.1 * b)}
    sums = learnt(signals, "c", ["a", "b"])
    paths = solve(sums)
    factor = gains(sums, paths)
    assert np.allclose(factor[2:] / factor[:2], 2.0, atol=0.25)
    gain_db, alike = told(sums, paths)
    assert np.allclose(gain_db, 20 * np.log10([0.05 * 1.5, 0.1 * 1.5]), atol=1.5)
    assert alike.min() > 0.5


def test_half_the_rate_holds_the_same_voice_and_nothing_folded_into_it() -> None:
    rate, n = 16_000, 200_000
    at = np.arange(n) / rate
    below = sum(np.sin(2 * np.pi * hz * at) for hz in (90, 700, 2500))
    above = np.sin(2 * np.pi * 5600 * at)
    samples = np.rint(3000 * (below + above)).astype(np.int16)
    part = PlacedPart("p", samples, TimeMap.straight(0.0, n / rate))
    found = read_half(Track("a", (part,)), 32_000, 131_072 + 50_001)
    wanted = (3000 * below / 32_768)[32_000::2][: len(found)]
    middle = slice(0, (n - 32_000) // 2 - 16)
    assert np.sqrt(np.mean((found[middle] - wanted[middle]) ** 2)) < 0.01 * np.sqrt(np.mean(wanted**2))
