"""Speech is found where it is, and others' leaked voices are not; truth from made meetings."""

from collections.abc import Mapping
from functools import cache

import makers
import numpy as np
import pytest

from recall_audio.core import spans as sp
from recall_audio.core.speech import find
from recall_audio.core.speech.evidence import part_evidence
from recall_audio.core.speech.on_mix import read_half
from recall_audio.detector import load_detector
from recall_audio.detector.ownership import load_ownership
from recall_audio.model.alignment import PlacedPart, TimeMap, Track
from recall_audio.model.options import SpeechOptions
from recall_audio.model.speech import PartEvidence, SpeechResult
from recall_audio.pipeline.stages import find_speech
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
    return {p.part_id: part_evidence(p.part_id, p.samples, detector) for p in meeting.parts}


def found(meeting: makers.Made, options: SpeechOptions | None = None) -> SpeechResult:
    """The result for tracks placed by the truth."""
    duration_s = meeting.recipe.duration_s
    return find.join_speech(
        meeting.tracks(), evidence(meeting), duration_s, options or SpeechOptions(), load_ownership()
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
    meeting = made(LOUD_LEAK_DB)
    leaks = {(leak.source, leak.listener): leak for leak in found(meeting).leaks}
    speakers = [s.name for s in meeting.speakers[:3]]
    pairs = [(a, b) for a in speakers for b in speakers if a != b]
    assert set(pairs) <= set(leaks)
    assert all(-25 < leaks[p].gain_db < -5 for p in pairs)
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
def test_short_stretches_find_what_one_long_stretch_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = made(FAINT_LEAK_DB)
    whole = error(found(meeting).segments, meeting)
    monkeypatch.setattr(find, "_FRAMES_OF_ALL_TRACKS", 4 * 1500)
    assert error(found(meeting).segments, meeting) < whole + 0.05


def test_one_person_on_two_devices_is_said_and_two_who_leak_are_not() -> None:
    meeting = made(None)
    tracks = meeting.tracks()
    part = tracks[0].parts[0]
    phone = PlacedPart("phone", (part.samples // 2).astype(np.int16), part.time_map)
    both = {**evidence(meeting), "phone": part_evidence("phone", phone.samples, load_detector())}
    result = find.join_speech(
        [*tracks, Track("phone", (phone,))],
        both,
        meeting.recipe.duration_s,
        SpeechOptions(),
        load_ownership(),
    )
    assert ("same_person_twice", "phone") in {(f.code, f.where) for f in result.findings}
    assert sp.total(result.segments["phone"]) == 0
    alone = found(meeting).segments[tracks[0].label]
    assert sp.total(result.segments[tracks[0].label]) > 0.8 * sp.total(alone)
    assert "same_person_twice" not in {f.code for f in found(made(LOUD_LEAK_DB)).findings}


def test_a_track_that_holds_the_whole_mix_owns_nothing_and_spoils_nothing() -> None:
    meeting = made(None)
    duration_s = meeting.recipe.duration_s
    mix = PlacedPart("mix", meeting.mix, TimeMap.straight(0.0, duration_s))
    recorder = Track("Recorder", (PlacedPart("copy", meeting.mix // 2, mix.time_map),))
    heard = {**evidence(meeting), "copy": part_evidence("copy", recorder.parts[0].samples, load_detector())}
    tracks = [recorder, *meeting.tracks()]
    result = find.join_speech(tracks, heard, duration_s, SpeechOptions(), load_ownership(), mix)
    assert sp.total(result.segments["Recorder"]) == 0
    assert error(result.segments, meeting) < 0.06


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


def test_another_threshold_is_reported_as_it_would_have_been_decided() -> None:
    meeting = made(None)
    for other in found(meeting).other_thresholds:
        decided = found(meeting, SpeechOptions(threshold=other.threshold)).segments
        assert {k: sp.total(v) / 16_000 for k, v in decided.items()} == other.talk_s
        n = sp.counts(list(decided.values()), 0, round(meeting.recipe.duration_s * 16_000))
        assert sum(n[2:]) / 16_000 == other.overlap_s


def test_thresholds_to_compare_with_stay_within_their_range() -> None:
    assert SpeechOptions(threshold=0.1).other_thresholds == (0.05, 0.3)
    assert SpeechOptions(threshold=0.95).other_thresholds == (0.75,)
    assert SpeechOptions(threshold_change=0.0).other_thresholds == ()


def test_no_tracks_and_no_parts_are_ordinary() -> None:
    empty = find_speech([], 10.0, load_detector(), SpeechOptions())
    assert empty.segments == {}
    muted = find_speech([Track("Ann", ())], 10.0, load_detector(), SpeechOptions())
    assert muted.segments["Ann"].shape == (0, 2)


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
