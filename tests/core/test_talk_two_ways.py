"""Two implementations that share no line agree on every figure of a thousand random meetings."""

from collections import Counter
from itertools import pairwise
from typing import Any

import frame_matrix as frames
import numpy as np
import pytest

from recall_audio.core.talk import measure_talk
from recall_audio.model.options import TalkOptions
from recall_audio.model.talk import Talk

RATE = 10  # frames a second


def meeting(seed: int) -> frames.Matrix:
    """Up to five people who speak and pause for random times; long enough for every kind of event."""
    random = np.random.default_rng(seed)
    n_people, n_frames = int(random.integers(1, 6)), int(random.integers(1, 400))
    active = np.zeros((n_people, n_frames), dtype=np.bool_)
    for row in active:
        if random.random() < 0.15:
            continue
        at = int(random.integers(0, 60)) if random.random() < 0.8 else 0
        while at < n_frames:
            length = int(random.choice([random.integers(1, 12), random.integers(5, 60)]))
            row[at : at + length] = True
            at += length + int(random.choice([random.integers(1, 8), random.integers(5, 100)]))
    return active


def measured(active: frames.Matrix) -> Talk:
    segments = {str(i): [[a / RATE, b / RATE] for a, b in frames.runs(row)] for i, row in enumerate(active)}
    # Cuts are looked for within 10 ms: in frames, exactly at the edge.
    return measure_talk(segments, active.shape[1] / RATE, TalkOptions(edge_s=0.01))


def in_frames(seconds: Any) -> Any:
    return [in_frames(s) for s in seconds] if isinstance(seconds, (list, tuple)) else round(seconds * RATE)


@pytest.mark.parametrize("block", range(10))
def test_base_figures_agree_over_a_thousand_meetings(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        active = meeting(seed)
        talk, other = measured(active), frames.base(active)
        people = talk.speakers.values()
        assert in_frames([s.talk_s for s in people]) == other["talk"], seed
        assert in_frames([s.exclusive_s for s in people]) == other["exclusive"], seed
        assert in_frames(talk.time_by_speakers_s) == other["held"], seed
        assert in_frames([talk.speech_s, talk.overlap_s]) == [other["speech"], other["overlap"]], seed
        for pair in talk.pairs:
            assert in_frames(pair.overlap_s) == other["pairs"][int(pair.a)][int(pair.b)], seed
        assert talk.equality.gini == pytest.approx(frames.gini(other["talk"]), abs=1e-12), seed


@pytest.mark.parametrize("block", range(10))
def test_turn_taking_agrees_over_a_thousand_meetings(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        active = meeting(seed)
        talk = measured(active)
        units = np.array([frames.filled(row, frames.IPU_GAP) for row in active])
        compare_floor(talk, units, seed)
        compare_overlaps(talk, units, seed)
        compare_people(talk, units, seed)


def compare_floor(talk: Talk, units: frames.Matrix, seed: int) -> None:
    """Pauses, gaps, switches and floor-transfer offsets."""
    steps = frames.floor(units)
    switches = [s for s in steps if not s[0] & s[1]]
    found = talk.turn_taking
    assert found.switches == len(switches), seed
    assert in_frames(found.gaps.total_s) == sum(d for *_, d in switches if d > 0), seed
    assert found.gaps.n == sum(d > 0 for *_, d in switches), seed
    assert in_frames(found.pauses.total_s) == sum(d for a, b, d in steps if a & b), seed
    pairs = sorted((str(i), str(j), d) for a, b, d in switches for i in a for j in b)
    offsets = [
        (t.earlier, t.later, in_frames(t.later_start_s - t.earlier_end_s)) for t in talk.events.transitions
    ]
    assert sorted(offsets) == pairs, seed


def compare_overlaps(talk: Talk, units: frames.Matrix, seed: int) -> None:
    """Every overlap's class, and what of it is an interruption."""
    marked = [dict(zip((a for a, _ in frames.runs(r)), m, strict=True)) for r, m in
              zip(units, frames.backchannels(units), strict=True)]  # fmt: skip
    wanted = frames.overlaps(units)
    found = talk.events.overlaps
    one_onset = ("simultaneous_onset", "undetermined")  # who is the earlier means nothing there
    assert Counter(
        (o.kind, *((o.earlier, o.later) if o.kind not in one_onset else ())) for o in found
    ) == Counter((k, *((str(i), str(j)) if k not in one_onset else ())) for i, j, k, _ in wanted), seed
    for o in found:
        assert o.backchannel == marked[int(o.later)][in_frames(o.start_s)], seed
    yielded = Counter((str(i), str(j)) for i, j, _, y in wanted if y)
    candidates = Counter((o.earlier, o.later) for o in found if o.interruption == "candidate")
    between = Counter((o.earlier, o.later) for o in found if o.backchannel and o.kind == "between")
    assert candidates <= yielded <= candidates + between, seed


def compare_people(talk: Talk, units: frames.Matrix, seed: int) -> None:
    """Units, turns, backchannels and monologues of everyone."""
    marked = frames.backchannels(units)
    for i, speaker in enumerate(talk.speakers.values()):
        assert speaker.ipus == len(frames.runs(units[i])), seed
        assert speaker.turns == len(frames.runs(frames.filled(units[i], frames.TURN_JOIN))), seed
        assert speaker.backchannel_candidates == sum(marked[i]), seed
        assert in_frames(speaker.longest_monologue_s or 0) == frames.monologue(units, marked, i), seed


def test_the_random_meetings_hold_every_kind_of_event() -> None:
    talks = [measured(meeting(seed)) for seed in range(100)]
    kinds = Counter(o.kind for t in talks for o in t.events.overlaps)
    assert min(kinds[k] for k in ("within", "between", "simultaneous_onset", "undetermined")) >= 5
    assert sum(t.turn_taking.backchannel_candidates for t in talks) > 10
    assert sum(t.turn_taking.interruption_candidates for t in talks) > 10
    assert sum(t.turn_taking.pauses.n for t in talks) > 100
    assert any(len(t.time_by_speakers_s) == 6 for t in talks)


def test_silences_are_pauses_gaps_and_edges_and_nothing_else() -> None:
    for seed in range(200):
        talk = measured(meeting(seed))
        units = np.array([frames.filled(row, frames.IPU_GAP) for row in meeting(seed)])
        found = talk.turn_taking
        silence_s = found.pauses.total_s + found.gaps.total_s + found.edge_silence_s  # type: ignore[operator]
        assert in_frames(silence_s) == int((~units.any(axis=0)).sum())


def test_turns_of_one_speaker_are_apart_by_more_than_what_joins_them() -> None:
    for seed in range(100):
        talk = measured(meeting(seed))
        for label in talk.speakers:
            own = [t for t in talk.events.turns if t.speaker == label]
            assert all(b.start_s - a.end_s > 1.5 for a, b in pairwise(own))
            assert sum(t.ipus for t in own) == talk.speakers[label].ipus
            assert sum(t.talk_s for t in own) == pytest.approx(talk.speakers[label].talk_s, abs=1e-9)
