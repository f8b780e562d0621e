"""Two implementations that share no line agree on every figure of a thousand random meetings."""

from collections import Counter
from itertools import pairwise
from typing import Any

import frame_matrix as frames
import numpy as np
import pytest

from recall_audio.core.talk.measure import measure_talk
from recall_audio.model.figures import Distribution
from recall_audio.model.options import TalkOptions
from recall_audio.model.talk import Talk

RATE = 10  # frames a second


def meeting(seed: int) -> frames.Matrix:
    """Up to five people who speak and pause for random times; long enough for every kind of event."""
    random = np.random.default_rng(seed)
    n_people, n_frames = int(random.integers(1, 6)), int(random.integers(1, 400))
    quiet = random.random() < 0.15
    active = np.zeros((min(n_people, 2) if quiet else n_people, n_frames), dtype=np.bool_)
    for row in active:
        if random.random() < 0.15:
            continue
        at = int(random.integers(0, 60)) if random.random() < 0.8 else 0
        while at < n_frames:
            length = int(random.choice([random.integers(1, 12), random.integers(5, 60)]))
            row[at : at + length] = True
            silences = [(80, 180)] if quiet else [(1, 8), (5, 100)]
            at += length + int(random.integers(*random.choice(silences)))
    return active


def cuts(active: frames.Matrix, seed: int) -> frames.Cuts:
    """Each speaker's: the meeting's edges; in half of the meetings others too, some where they speak."""
    random = np.random.default_rng(seed + 1_000_000)
    n_frames = active.shape[1]
    found = [{0, n_frames} for _ in active]
    if random.random() < 0.5:
        for row, own in zip(active, found, strict=True):
            edges = [f for run in frames.runs(row) for f in run]
            own |= {int(random.choice(edges)) for _ in range(2) if edges}
            own |= {int(random.integers(n_frames))}
    return found


def measured(active: frames.Matrix, seed: int | None = None) -> Talk:
    """Without a seed, nothing but the meeting's edges cuts anything."""
    segments = {str(i): [[a / RATE, b / RATE] for a, b in frames.runs(row)] for i, row in enumerate(active)}
    known = cuts(active, seed) if seed is not None else []
    cuts_s = {str(i): [f / RATE for f in own] for i, own in enumerate(known)}
    # Cuts are looked for within 10 ms: in frames, exactly at the edge.
    return measure_talk(segments, active.shape[1] / RATE, TalkOptions(edge_s=0.01), cuts_s=cuts_s)


def in_frames(seconds: Any) -> Any:
    return [in_frames(s) for s in seconds] if isinstance(seconds, (list, tuple)) else round(seconds * RATE)


@pytest.mark.parametrize("block", range(10))
def test_base_figures_agree_over_a_thousand_meetings(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        compare_base(meeting(seed), seed)


def compare_base(active: frames.Matrix, seed: int) -> None:
    """Times and shares."""
    talk, other = measured(active), frames.base(active)
    people = talk.speakers.values()
    assert in_frames([s.talk_s for s in people]) == other["talk"], seed
    assert in_frames([s.exclusive_s for s in people]) == other["exclusive"], seed
    assert in_frames(talk.time_by_speakers_s) == other["held"], seed
    assert in_frames([talk.speech_s, talk.overlap_s]) == [other["speech"], other["overlap"]], seed
    for pair in talk.pairs:
        a, b = int(pair.a), int(pair.b)
        assert in_frames(pair.overlap_s) == other["pairs"][a][b], seed
        shorter = min(other["talk"][a], other["talk"][b])
        assert pair.overlap_of_shorter == same(other["pairs"][a][b], shorter), seed
    wholes = {"talk": sum(other["talk"]), "speech": other["speech"], "meeting": active.shape[1]}
    for speaker, talked in zip(people, other["talk"], strict=True):
        for name, whole in wholes.items():
            assert getattr(speaker, f"share_of_{name}") == same(talked, whole), seed
    assert talk.equality.gini == pytest.approx(frames.gini(other["talk"]), abs=1e-12), seed
    assert talk.equality.n_silent == other["talk"].count(0), seed


def same(part: int, whole: int) -> Any:
    """A share to compare with; None of nothing."""
    return pytest.approx(part / whole, abs=1e-12) if whole else None


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_turn_taking_agrees_over_a_thousand_meetings(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        compare_turns(meeting(seed), seed)


def compare_turns(active: frames.Matrix, seed: int) -> None:
    """Everything about turn-taking in one meeting."""
    talk, known = measured(active, seed), cuts(active, seed)
    units = np.array([frames.filled(row, frames.IPU_GAP) for row in active])
    compare_floor(talk, units, known, seed)
    compare_offsets(talk, units, known, seed)
    compare_overlaps(talk, units, known, seed)
    compare_people(talk, units, known, seed)


def compare_floor(talk: Talk, units: frames.Matrix, known: frames.Cuts, seed: int) -> None:
    """Pauses, gaps, switches and who took over from whom."""
    steps = frames.floor(units)
    switches = [s for s in steps if s.switch]
    found = talk.turn_taking
    assert found.switches == len(switches), seed
    assert found.switches_per_hour == pytest.approx(len(switches) * 36000 / units.shape[1]), seed
    assert in_frames(found.gaps.total_s) == sum(s.offset for s in switches if s.offset > 0), seed
    assert found.gaps.n == sum(s.offset > 0 for s in switches), seed
    assert in_frames(found.pauses.total_s) == sum(s.offset for s in steps if not s.switch), seed
    pairs = sorted((str(i), str(j), s.offset) for s in switches for i in s.before for j in s.after)
    offsets = [
        (t.earlier, t.later, in_frames(t.later_start_s - t.earlier_end_s)) for t in talk.events.transitions
    ]
    assert sorted(offsets) == pairs, seed
    taken = Counter((a, b) for a, b, _ in pairs)
    assert {(p.earlier, p.later): p.switches for p in found.directed if p.switches} == taken, seed


def compare_offsets(talk: Talk, units: frames.Matrix, known: frames.Cuts, seed: int) -> None:
    """Floor-transfer offsets of the meeting and of each ordered pair, and everybody's response latency."""
    steps = frames.counted(frames.floor(units), known)
    found = talk.turn_taking
    same_spread(found.fto_s, [s.offset for s in steps], seed)
    assert (found.fto_gaps, found.fto_overlaps) == (
        sum(s.offset >= 0 for s in steps),
        sum(s.offset < 0 for s in steps),
    ), seed
    assert sum(found.fto_left_out.values()) == found.switches - len(steps), seed
    for pair in found.directed:
        own = [s.offset for s in steps if int(pair.earlier) in s.before and int(pair.later) in s.after]
        same_spread(pair.fto_s, own, seed)
    for i, speaker in enumerate(talk.speakers.values()):
        gaps = [s.offset for s in steps if i in s.after and s.offset >= 0]
        same_spread(speaker.response_latency_s, gaps, seed)


def same_spread(found: Distribution, wanted: list[int], seed: int) -> None:
    """Count, median and quartiles."""
    assert found.n == len(wanted), seed
    if wanted:
        assert found.q1 is not None
        quartiles = [found.q1 * RATE, (found.median or 0.0) * RATE, (found.q3 or 0.0) * RATE]
        assert quartiles == pytest.approx(frames.quartiles(wanted), abs=1e-6), seed
    else:
        assert (found.median, bool(found.reason)) == (None, True), seed


def compare_overlaps(talk: Talk, units: frames.Matrix, known: frames.Cuts, seed: int) -> None:
    """Every overlap's class, and what of it is an interruption."""
    marked = [dict(zip((a for a, _ in frames.runs(r)), m, strict=True)) for r, m in
              zip(units, frames.backchannels(units, known), strict=True)]  # fmt: skip
    wanted = frames.overlaps(units, known)
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


def compare_people(talk: Talk, units: frames.Matrix, known: frames.Cuts, seed: int) -> None:
    """Units, turns, pauses, backchannels and monologues of everyone."""
    marked = frames.backchannels(units, known)
    steps = frames.floor(units)
    for i, speaker in enumerate(talk.speakers.values()):
        assert speaker.ipus == len(frames.runs(units[i])), seed
        assert speaker.turns == len(frames.runs(frames.filled(units[i], frames.TURN_JOIN))), seed
        assert speaker.backchannel_candidates == sum(marked[i]), seed
        pauses = [s.offset for s in steps if s.offset > 0 and i in s.before and i in s.after]
        same_spread(speaker.pause_s, pauses, seed)
        assert speaker.floor_taken == sum(s.switch and i in s.after for s in steps), seed
        assert in_frames(speaker.longest_monologue_s or 0) == frames.monologue(units, marked, i), seed


def test_the_random_meetings_hold_every_kind_of_event() -> None:
    talks = [measured(meeting(seed), seed) for seed in range(100)]
    kinds = Counter(o.kind for t in talks for o in t.events.overlaps)
    assert min(kinds[k] for k in ("within", "between", "simultaneous_onset", "undetermined")) >= 5
    assert sum(t.turn_taking.backchannel_candidates for t in talks) > 10
    assert sum(t.turn_taking.interruption_candidates for t in talks) > 10
    assert sum(t.turn_taking.pauses.n for t in talks) > 100
    left_out = Counter[str]()
    for seed in range(300):
        left_out.update(measured(meeting(seed), seed).turn_taking.fto_left_out)
    assert min(left_out[why] for why in ("cut", "lead", "window")) >= 5
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
