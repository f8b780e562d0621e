"""Alignment of whole meetings whose truth is known exactly."""

import math
import pickle
import re
from dataclasses import replace
from functools import cache
from typing import Any

import makers
import numpy as np
import pytest

from recall_audio.core.alignment.align import align, reconcile
from recall_audio.core.alignment.search import search_part
from recall_audio.model.alignment import Alignment, PartAlignment, PartAudio
from recall_audio.model.options import AlignOptions

PLAIN = AlignOptions()
PLACED = {"aligned", "drift_unobservable", "step"}


@cache
def meeting(**changes: Any) -> makers.Made:
    """A meeting of a minute; each is made once."""
    return makers.make(n_speakers=3, duration_s=60.0, **changes)


@cache
def aligned(**changes: Any) -> Alignment:
    """That meeting, aligned."""
    made = meeting(**changes)
    return align(made.mix, made.audio(), PLAIN, None, True)


def worst_ms(part: makers.MadePart, found: PartAlignment) -> float:
    """Greatest error of a part's map over the whole part."""
    local_s = np.linspace(0.0, len(part.samples) / makers.RATE_HZ, 500)
    return float(np.max(np.abs(found.time_map.to_mix(local_s) - part.time_map.to_mix(local_s)))) * 1e3


def wrong_share(seed: int, part: makers.MadePart, found: PartAlignment) -> float:
    """Share of a part's speech that a map puts off by more than 0.2 ms."""
    local_s = np.arange(0.0, len(part.samples) / makers.RATE_HZ, 0.01)
    mix_s = part.time_map.to_mix(local_s)
    rows = meeting(seed=seed).speakers[part.speaker].spans / makers.RATE_HZ
    spoken = np.any((mix_s[:, None] >= rows[:, 0]) & (mix_s[:, None] < rows[:, 1]), axis=1)
    return float(np.mean(np.abs(found.time_map.to_mix(local_s) - mix_s)[spoken] > 2e-4))


def pairs(**changes: Any) -> list[tuple[makers.MadePart, PartAlignment]]:
    return list(zip(meeting(**changes).parts, aligned(**changes).parts, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"seed": 2, "offset_error_s": 2.0},
        {"seed": 3, "leakage_db": -26.0},
        {"seed": 4, "leakage_db": -14.0, "room": True},
        {"seed": 5, "snr_db": 14.0},
    ],
    ids=str,
)
def test_a_part_without_drift_lies_where_it_belongs_to_20_microseconds(changes: dict[str, Any]) -> None:
    for part, found in pairs(**changes):
        assert found.status == "aligned"
        assert worst_ms(part, found) < 0.02
        assert abs(found.drift_ppm or 0.0) < 0.5


def test_a_clock_that_drifts_is_known_to_half_a_ppm() -> None:
    for part, found in pairs(seed=6, drift_ppm=(90.0, -40.0, 15.0)):
        assert found.drift_ppm == pytest.approx(part.drift_ppm, abs=0.5)
        assert worst_ms(part, found) < 0.05


def test_the_interval_covers_the_truth_and_is_not_idle() -> None:
    several: list[dict[str, Any]] = [
        {"seed": 1},
        {"seed": 6, "drift_ppm": (90.0, -40.0, 15.0)},
        {"seed": 3, "leakage_db": -26.0},
    ]
    for changes in several:
        for part, found in pairs(**changes):
            assert found.uncertainty_ms is not None
            assert worst_ms(part, found) <= found.uncertainty_ms < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("step_s", [0.05, 1.0, 12.0, -0.3, -5.0])
def test_a_step_is_found_with_its_size(step_s: float) -> None:
    seed = 7
    for part, found in pairs(seed=seed, step_s=step_s):
        assert found.status == "step"
        (_, before), (local_s, at), (again_s, after), (_, end) = found.time_map.knots
        assert local_s == again_s
        rate = found.time_map.pieces()[0].rate
        assert after - at == pytest.approx(step_s, abs=2e-4)
        assert wrong_share(seed, part, found) < 0.01, "it stands in the pause where it happened"
        assert end - after == pytest.approx((part.time_map.knots[3][0] - local_s) * rate, abs=1e-6)
        assert before == pytest.approx(part.time_map.start_s, abs=2e-5)


def test_leaked_voices_tell_where_a_silent_participants_track_stepped() -> None:
    seed, step_s = 11, 0.5
    for part, found in pairs(seed=seed, step_s=step_s, leakage_db=-26.0):
        spoken = meeting(seed=seed).speakers[part.speaker].spans / makers.RATE_HZ
        assert found.status == "step" or not np.any(spoken[:, 0] > part.time_map.knots[2][1])
        if found.status == "step":
            assert abs(found.time_map.knots[1][0] - part.time_map.knots[1][0]) < 2.5


@pytest.mark.slow
def test_a_lag_that_wanders_is_followed_where_there_is_speech() -> None:
    made = meeting(seed=8)
    part, rng = made.parts[0], np.random.default_rng(1)
    cuts = np.sort(rng.choice(np.arange(8, 52, 6), 5, replace=False)) * makers.RATE_HZ
    moves = np.array([300, -420, 250, 350, -280])
    pieces, source, local, edges = [], 0, 0, [(0, 0)]
    for cut, move in zip(cuts.tolist(), moves.tolist(), strict=True):
        pieces.append(part.samples[source:cut])
        local += cut - source
        source = cut + move
        edges.append((local, source))
    pieces.append(part.samples[source:])
    changed = replace(made.audio()[0], samples=np.concatenate(pieces))
    others = made.audio()[1:]
    found = align(made.mix, [changed, *others], PLAIN, None, True).parts[0]
    t = np.arange(0, len(changed.samples), 160)
    k = np.searchsorted([e[0] for e in edges], t, side="right") - 1
    truth_s = (t + np.array([b - a for a, b in edges])[k]) / makers.RATE_HZ + part.time_map.start_s
    spoken = np.any(
        [(truth_s * makers.RATE_HZ >= a) & (truth_s * makers.RATE_HZ < b) for a, b in made.speakers[0].spans],
        axis=0,
    )
    error_ms = np.abs(found.time_map.to_mix(t / makers.RATE_HZ) - truth_s)[spoken] * 1e3
    assert found.status == "step"
    assert np.median(error_ms) < 0.1
    assert np.percentile(error_ms, 90) < 12.0
    assert (found.uncertainty_ms or 0.0) > 10.0, "what wanders unseen is said"


@pytest.mark.slow
def test_a_track_of_another_meeting_is_never_placed() -> None:
    for mine, other in ((1, 2), (2, 3), (3, 1)):
        foreign = meeting(seed=other + 40).audio()
        for part, found in zip(foreign, align(meeting(seed=mine).mix, foreign, PLAIN).parts, strict=True):
            assert found.status in {"no_match", "silent"}
            assert found.start_s == part.nominal_start_s
            assert found.uncertainty_ms is None
            assert found.drift_ppm is None
            assert found.reason


@pytest.mark.parametrize("level", [0.0, 1e-3, 0.05])
def test_a_part_without_speech_is_silent_and_gets_no_number(level: float) -> None:
    made = meeting(seed=1)
    noise = (np.random.default_rng(0).standard_normal(30 * makers.RATE_HZ) * level * 32767).astype(np.int16)
    found = align(made.mix, [PartAudio("hush", 7, 1.25, noise)], PLAIN).parts[0]
    assert found.status == "silent"
    assert (found.start_s, found.confidence, found.uncertainty_ms) == (1.25, None, None)


@pytest.mark.slow
@pytest.mark.parametrize("room", [False, True])
def test_a_listener_lies_by_the_voices_that_leak_in_and_its_interval_says_how_late_they_may_be(
    room: bool,
) -> None:
    for part, found in pairs(seed=9, leakage_db=-20.0, silent=(1,), room=room):
        if part.speaker == 1:
            assert (found.placed_by, found.uncertainty_ms is not None) == ("leak", True)
            assert 500.0 <= (found.uncertainty_ms or 0.0) <= 1000.0
            assert worst_ms(part, found) <= (found.uncertainty_ms or 0.0)
        else:
            assert found.placed_by == "itself"
            assert worst_ms(part, found) < 0.05


def test_without_a_mix_every_nominal_start_stands() -> None:
    made = meeting(seed=1)
    found = align(None, made.audio(), PLAIN)
    assert [p.status for p in found.parts] == ["no_mix"] * 3
    assert [p.start_s for p in found.parts] == [p.nominal_start_s for p in made.audio()]
    assert found.duration_s == max(p.nominal_start_s + len(p.samples) / 16_000 for p in made.audio())
    assert found.encoder_delay_known is None


def test_alignment_can_be_switched_off() -> None:
    made = meeting(seed=1)
    found = align(made.mix, made.audio(), AlignOptions(enabled=False), None, True)
    assert [p.start_s for p in found.parts] == [p.nominal_start_s for p in made.audio()]
    assert found.duration_s == 60.0


def test_an_empty_recording_and_an_empty_part_are_ordinary() -> None:
    made = meeting(seed=1)
    assert align(made.mix, [], PLAIN).parts == ()
    assert align(np.empty(0, np.int16), made.audio(), PLAIN).parts[0].status == "no_match"
    for n in (0, 100, 9000):
        found = align(made.mix, [PartAudio("short", 1, 0.5, np.zeros(n, np.int16))], PLAIN).parts[0]
        assert (found.status, found.start_s) == ("silent", 0.5)


def one_word(part: makers.MadePart, spans: np.ndarray) -> np.ndarray:
    """A part's samples, all but 0.75 s of its longest phrase muted."""
    inside = spans[spans[:, 0] > part.time_map.start_s * makers.RATE_HZ]
    a, _ = max(inside, key=lambda row: row[1] - row[0])
    first = int(part.time_map.to_local(a / makers.RATE_HZ) * makers.RATE_HZ) + makers.RATE_HZ // 2
    heard = np.zeros_like(part.samples)
    heard[first : first + 12_000] = part.samples[first : first + 12_000]
    return heard


def test_a_word_places_a_part_but_does_not_show_its_drift() -> None:
    made = meeting(seed=6, drift_ppm=(90.0, -40.0, 15.0))
    part = made.parts[1]
    heard = one_word(part, made.speakers[1].spans)
    found = align(made.mix, [PartAudio("word", 1, part.nominal_start_s, heard)], PLAIN).parts[0]
    assert found.status == "drift_unobservable"
    assert found.drift_ppm is None
    assert (found.drift_bound_ppm or 0.0) >= 40.0
    assert worst_ms(part, found) <= (found.uncertainty_ms or 0.0) < 10.0
    assert "drift" in found.reason


def test_drift_is_borrowed_from_the_same_participants_other_parts() -> None:
    made = meeting(seed=6, drift_ppm=(90.0, -40.0, 15.0))
    whole = made.parts[0]
    word = one_word(whole, made.speakers[0].spans)
    parts = [
        PartAudio("long", 1, whole.nominal_start_s, whole.samples),
        PartAudio("short", 1, whole.nominal_start_s, word),
        PartAudio("stranger", 2, whole.nominal_start_s, word),
    ]
    _, lent, alone = align(made.mix, parts, PLAIN).parts
    assert lent.drift_from == "long"
    assert worst_ms(whole, lent) < 0.05
    assert (lent.drift_ppm, lent.status) == (None, "drift_unobservable"), "lent, not seen"
    assert (lent.drift_bound_ppm or 0.0) > 2.0, "one other part may have been another device"
    assert worst_ms(whole, lent) <= (lent.uncertainty_ms or 0.0)
    assert alone.drift_from is None
    assert worst_ms(whole, alone) > 1.0


def test_drift_that_two_other_parts_agree_on_is_known_to_a_ppm() -> None:
    made = meeting(seed=6, drift_ppm=(90.0, -40.0, 15.0))
    whole = made.parts[0]
    half = len(whole.samples) // 2
    parts = [
        PartAudio("first", 1, whole.nominal_start_s, whole.samples[:half]),
        PartAudio("second", 1, whole.nominal_start_s + half / makers.RATE_HZ, whole.samples[half:]),
        PartAudio("short", 1, whole.nominal_start_s, one_word(whole, made.speakers[0].spans)),
    ]
    *_, lent = align(made.mix, parts, PLAIN).parts
    assert lent.drift_from in {"first", "second"}
    assert lent.drift_bound_ppm == 1.0
    assert worst_ms(whole, lent) <= (lent.uncertainty_ms or 0.0) < 0.2


def test_residuals_are_lag_errors_in_milliseconds_about_the_line() -> None:
    # From a third to two thirds of the part 8 samples are missing: too few for a step, 0.5 ms for the lag.
    made = meeting(seed=1)
    part = made.parts[0]
    first, second = len(part.samples) // 3, 2 * len(part.samples) // 3
    changed = np.concatenate(
        (part.samples[:first], part.samples[first + 8 : second], np.zeros(8, np.int16), part.samples[second:])
    )
    audio = [replace(made.audio()[0], samples=changed), *made.audio()[1:]]
    found = align(made.mix, audio, PLAIN).parts[0]
    mix_s, error_ms, weight = np.array(found.residuals).T
    at = (mix_s - part.time_map.start_s) * makers.RATE_HZ
    missing = np.where((at > first) & (at < second), 8, 0)
    clear = np.minimum(np.abs(at - first), np.abs(at - second)) > 8000
    true_ms = (mix_s - found.time_map.to_mix((at - missing) / makers.RATE_HZ)) * 1e3
    assert np.abs(error_ms - true_ms)[clear].max() < 0.02
    assert np.ptp(true_ms[clear]) > 0.3, "there is an error to be told"
    assert ((weight >= 0.0) & (weight <= 1.0)).all()


def test_confidence_tells_what_is_placed_from_what_is_refused() -> None:
    placed = [f.confidence or 0.0 for changes in ({"seed": 1}, {"seed": 2, "offset_error_s": 2.0})
              for _, f in pairs(**changes)]  # fmt: skip
    foreign = align(meeting(seed=1).mix, meeting(seed=42).audio(), PLAIN).parts
    refused = [f.confidence or 0.0 for f in foreign]
    assert min(placed) > 0.95
    assert max(refused) < 0.4


def test_a_part_that_is_refused_is_less_sure_by_the_share_that_is_explained() -> None:
    """A third of the part is of this meeting, at one lag; the rest is of another meeting."""
    made, other = meeting(seed=1), meeting(seed=42)
    part = made.parts[0]
    cut = round(0.35 * len(part.samples))
    mixed = np.concatenate((part.samples[:cut], other.parts[0].samples[cut:]))
    found = align(made.mix, [replace(made.audio()[0], samples=mixed), *made.audio()[1:]], PLAIN).parts[0]
    assert found.status == "no_match"
    named = re.search(r"only (\d+)% of what is loud", found.reason)
    assert named is not None
    share = int(named[1]) / 100
    assert share == pytest.approx(0.35, abs=0.1)
    assert found.confidence == pytest.approx(share / 0.8 * share, rel=0.1), "a placed part's, times the share"


def test_a_part_is_found_anywhere_if_asked() -> None:
    made = meeting(seed=1)
    part = made.parts[2]
    audio = PartAudio("lost", 1, 0.0, part.samples[20 * makers.RATE_HZ :])
    found = align(made.mix, [audio], AlignOptions(whole_mix=True)).parts[0]
    assert found.start_s == pytest.approx(part.time_map.start_s + 20.0, abs=2e-5)


def test_a_wider_search_finds_a_start_that_is_farther_off() -> None:
    made = meeting(seed=1)
    part = made.parts[0]
    audio = PartAudio("off", 1, part.time_map.start_s + 7.5, part.samples)
    assert len(search_part(made.mix, audio, PLAIN).candidates) == 0
    assert len(search_part(made.mix, audio, AlignOptions(search_s=8.0)).candidates) > 0
    found = align(made.mix, [audio], AlignOptions(search_s=8.0)).parts[0]
    assert worst_ms(part, found) < 0.02


def test_the_nominal_start_decides_nothing_but_where_to_look() -> None:
    made = meeting(seed=3, leakage_db=-26.0)
    moved = [replace(p, nominal_start_s=p.nominal_start_s + 0.7) for p in made.audio()]
    again = align(made.mix, moved, PLAIN)
    for one, two in zip(aligned(seed=3, leakage_db=-26.0).parts, again.parts, strict=True):
        assert one.start_s == pytest.approx(two.start_s, abs=2e-6)


def test_silence_before_the_mix_moves_every_start_by_its_length() -> None:
    made = meeting(seed=1)
    later = np.concatenate((np.zeros(12_345, np.int16), made.mix))
    for one, two in zip(aligned(seed=1).parts, align(later, made.audio(), PLAIN).parts, strict=True):
        assert two.start_s - one.start_s == pytest.approx(12_345 / makers.RATE_HZ, abs=2e-6)


def test_parts_may_be_measured_elsewhere_and_reconciled_here() -> None:
    made = meeting(seed=3, leakage_db=-26.0)
    sent = [pickle.loads(pickle.dumps(search_part(made.mix, p, PLAIN))) for p in made.audio()]  # noqa: S301
    assert reconcile(made.mix, made.audio(), sent, True) == aligned(seed=3, leakage_db=-26.0)


def test_an_alignment_survives_json() -> None:
    found = aligned(seed=7, step_s=1.0)
    again = Alignment.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert not any(isinstance(x, float) and not math.isfinite(x) for p in again.parts for x in (p.start_s,))


def test_what_a_reader_should_know_is_a_finding() -> None:
    codes = {f.code: f.where for f in aligned(seed=7, step_s=1.0).findings}
    assert "step" in codes
    made = meeting(seed=1)
    foreign = align(made.mix, meeting(seed=42).audio(), PLAIN, None, False)
    assert {f.code for f in foreign.findings} == {"nominal_start_kept", "encoder_delay_unknown"}


def test_progress_counts_the_parts() -> None:
    made = meeting(seed=1)
    seen: list[tuple[int, int]] = []
    align(made.mix, made.audio(), PLAIN, lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


class Watched(np.ndarray):
    """Samples that remember the longest stretch that was read of them at once."""

    longest = 0

    def __getitem__(self, key: Any) -> Any:
        value = np.asarray(self)[key]
        Watched.longest = max(Watched.longest, int(np.size(value)))
        return value


def test_tracks_are_read_in_stretches_of_a_minute_and_a_half_at_most() -> None:
    made = meeting(seed=1)
    long = np.tile(made.parts[0].samples, 4).view(Watched)
    mix = np.tile(made.mix, 4).view(Watched)
    Watched.longest = 0
    align(mix, [PartAudio("long", 1, made.parts[0].nominal_start_s, long)], PLAIN)
    assert 0 < Watched.longest <= 90 * makers.RATE_HZ


@pytest.mark.parametrize("wrong_s", [-40.0, -15.0, 4.0, 15.0, 40.0])
def test_a_start_that_is_far_off_is_found_in_the_whole_mix_and_named(wrong_s: float) -> None:
    made = makers.make(n_speakers=2, duration_s=90.0, seed=61)
    audio = [
        replace(made.audio()[0], nominal_start_s=made.parts[0].time_map.start_s + wrong_s),
        made.audio()[1],
    ]
    result = align(made.mix, audio, PLAIN)
    found = result.parts[0]
    assert found.start_s == pytest.approx(made.parts[0].time_map.start_s, abs=0.001)
    (far,) = (f for f in result.findings if f.code == "found_far")
    assert (far.where, f"{abs(wrong_s):.1f} s" in far.message) == ("part-00", True)
    assert ("before" in far.message) == (wrong_s > 0)


@pytest.mark.parametrize("wrong_s", [0.5, 20.0])
def test_a_part_upside_down_is_aligned_and_its_polarity_noted(wrong_s: float) -> None:
    made = makers.make(n_speakers=2, duration_s=60.0, seed=62, drift_ppm=30.0, leakage_db=-26.0)
    first, second = made.audio()
    start_s = made.parts[0].time_map.start_s
    turned = replace(first, samples=-np.maximum(first.samples, -32767), nominal_start_s=start_s + wrong_s)
    upright = align(made.mix, [replace(first, nominal_start_s=start_s + wrong_s), second], PLAIN)
    result = align(made.mix, [turned, second], PLAIN)
    assert result.parts[0].opposite
    assert not result.parts[1].opposite
    assert result.parts[0].time_map.knots == pytest.approx(
        np.array(upright.parts[0].time_map.knots), abs=2e-5
    )
    assert result.parts[0].status == upright.parts[0].status
    assert [f.where for f in result.findings if f.code == "opposite_polarity"] == ["part-00"]


def test_a_part_that_is_nowhere_says_that_the_whole_mix_was_searched() -> None:
    made, other = (makers.make(n_speakers=2, duration_s=60.0, seed=seed) for seed in (63, 64))
    result = align(made.mix, other.audio(), PLAIN)
    assert [p.status for p in result.parts] == ["no_match", "no_match"]
    assert all("searched from end to end" in p.reason for p in result.parts)
