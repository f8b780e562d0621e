"""Posteriors are kept, decided by one threshold, and say how far they can be trusted."""

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.speech.findings import ownership_findings
from recall_audio.core.speech.ownership import Posteriors, across_gates, unassigned_speech
from recall_audio.model.alignment import PlacedPart, TimeMap
from recall_audio.model.speech import PartEvidence
from recall_audio.typing import Float32Array, Spans

N = 3000  # frames: 60 s


def row(*stretches: tuple[float, float], value: float = 1.0) -> Float32Array:
    """Frames of a value in stretches given in seconds, 0 elsewhere."""
    found = np.zeros(N, dtype=np.float32)
    for start_s, end_s in stretches:
        found[round(start_s * 50) : round(end_s * 50)] = value
    return found


def kept(**tracks: tuple[Float32Array, Float32Array]) -> Posteriors:
    """Posteriors of tracks: probability of own speech, and the detector's."""
    posteriors = Posteriors(N)
    for label, (own, heard) in tracks.items():
        posteriors.put(label, 0, own, heard)
    return posteriors


def decided(posteriors: Posteriors) -> dict[str, Spans]:
    """Own speech at the usual threshold."""
    return {label: posteriors.spans(label, 0.5) for label in posteriors.own}


def test_the_threshold_decides_and_is_one_line() -> None:
    own = row((1, 3)) + row((10, 12), value=0.6)
    posteriors = kept(Ann=(own, own))
    assert sp.total(posteriors.spans("Ann", 0.5)) == 4 * 16_000
    assert sp.total(posteriors.spans("Ann", 0.7)) == 2 * 16_000
    assert sp.total(posteriors.spans("Bob", 0.5)) == 0


def test_a_track_without_surely_own_speech_has_none() -> None:
    unsure = row((1, 30), value=0.7)
    assert sp.total(kept(Ann=(unsure, unsure)).spans("Ann", 0.5)) == 0


def test_speech_heard_while_another_speaks_is_raw_and_other_sounds_are_not() -> None:
    talk = row((0, 10))
    posteriors = kept(Ann=(talk, talk), Bob=(row(), row((0.1, 10), (30, 40))))
    heard = posteriors.heard_spans(decided(posteriors), 0.5)
    assert abs(sp.total(heard["Bob"]) / 16_000 - 9.9) < 0.1
    assert heard["Ann"].tolist() == posteriors.spans("Ann", 0.5).tolist()


def test_doubt_is_of_utterances_and_not_of_edges() -> None:
    sure = row((1, 20))
    sure[[49, 1000]] = 0.5
    doubtful = row((1, 20)) + row((30, 40), value=0.6)
    assert kept(Ann=(sure, sure)).doubtful_s("Ann") == 0
    assert 3.5 < kept(Ann=(doubtful, doubtful)).doubtful_s("Ann") < 4.5
    assert kept().doubtful_s("Ann") == 0


def codes(posteriors: Posteriors, unassigned: Spans = sp.EMPTY) -> dict[tuple[str, str], str]:
    """Severity of each finding by code and speaker."""
    own = decided(posteriors)
    raw = posteriors.heard_spans(own, 0.5)
    found = ownership_findings(own, raw, (), posteriors, unassigned)
    return {(f.code, f.where): f.severity for f in found}


def test_what_was_taken_out_is_a_note_since_the_intervals_of_talk_say_what_hangs_on_it() -> None:
    talk = row((0, 20))
    sure = kept(Ann=(talk, talk), Bob=(row((30, 40)), row((0, 20), (30, 40))))
    assert codes(sure) == {("leakage_decides", "Bob"): "note"}
    doubt = row((0, 20), value=0.4) + row((30, 40))
    unsure = codes(kept(Ann=(talk, talk), Bob=(doubt, row((0, 20), (30, 40)))))
    assert unsure == {("leakage_decides", "Bob"): "note"}


def test_a_second_device_holds_one_voice_and_a_leak_holds_all() -> None:
    ann, bob = row((0, 20)), row((25, 45))
    second = kept(Ann=(ann, ann), Bob=(bob, bob), Phone=(row(), ann))
    assert ("same_person_twice", "Phone") in codes(second)
    leak = kept(Ann=(ann, ann), Bob=(bob, bob), Cem=(row(), ann + bob))
    assert ("same_person_twice", "Cem") not in codes(leak)
    only_two = kept(Ann=(ann, ann), Cem=(row(), ann))
    assert ("same_person_twice", "Cem") not in codes(only_two)


def test_a_hole_that_a_gate_cut_into_own_speech_is_filled_and_a_pause_is_not() -> None:
    own = row((0, 1), (1.4, 2), (2.6, 3), (3.4, 4), value=0.9)
    gated = row((1, 1.4), (2, 2.6)) == 0
    filled = across_gates(own, gated)
    assert np.array_equal(filled > 0.5, row((0, 2), (2.6, 3), (3.4, 4)) > 0)
    assert np.array_equal(across_gates(own, np.ones(N, dtype=bool)), own)


def test_a_voice_of_the_mix_on_no_track_is_reported_with_its_stretches() -> None:
    heard = np.zeros(1875, dtype=np.uint8)  # 60 s of 32 ms
    heard[int(5 / 0.032) : int(15 / 0.032)] = 255
    heard[int(30 / 0.032) : int(40 / 0.032)] = 255
    mix = PlacedPart("mix", np.zeros(60 * 16_000, dtype=np.int16), TimeMap.straight(0.0, 60.0))
    asked: list[Spans] = []

    def hear(where: Spans) -> PartEvidence:
        asked.append(where)
        return PartEvidence("mix", np.full(6000, 200, dtype=np.uint8), heard)

    own = {"Ann": (row((4.5, 15.5)) * 255).astype(np.uint8)}
    left = np.full(N, 255, dtype=np.uint8)
    found = unassigned_speech(mix, hear, own, left)
    assert np.allclose(sp.to_seconds(found), [[30, 40]], atol=0.05)
    assert np.allclose(sp.to_seconds(asked[0]), [[0, 4.2], [15.8, 60]], atol=0.05)
    assert sp.total(unassigned_speech(mix, hear, own, np.zeros(N, dtype=np.uint8))) == 0
    assert len(asked) == 1
    assert ("voice_without_track", "") in codes(kept(), found)
