"""Turn-taking as values: each turn, transition and overlap, and the figures over them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from recall_audio.model.figures import Distribution, Figures

OverlapClass = Literal["within", "between", "simultaneous_onset", "undetermined"]
OVERLAP_CLASSES: tuple[OverlapClass, ...] = ("within", "between", "simultaneous_onset", "undetermined")


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker's inter-pausal units, joined across short silences of theirs.

    Attributes:
        speaker: label.
        start_s: start of the first unit.
        end_s: end of the last.
        talk_s: speech in it, silences left out.
        ipus: units in it.
        backchannel_candidate: a short, isolated unit while another speaks.
    """

    speaker: str
    start_s: float
    end_s: float
    talk_s: float
    ipus: int
    backchannel_candidate: bool


@dataclass(frozen=True, slots=True)
class Transition(Figures):
    """The floor went from one speaker to another.

    Attributes:
        earlier: who had the floor.
        later: who has it next.
        earlier_end_s: when the one stopped.
        later_start_s: when the other started.
        kind: ``gap`` (silence between), ``overlap``, or ``latch`` (neither).
        fto_s: floor-transfer offset, later_start_s − earlier_end_s; positive is a gap; None where it cannot
            be given or does not count.
        reasons: why ``fto_s`` is None.
    """

    earlier: str
    later: str
    earlier_end_s: float
    later_start_s: float
    kind: Literal["gap", "overlap", "latch"]
    fto_s: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overlap:
    """One started while another spoke, up to the earlier stop.

    Attributes:
        earlier: who was speaking.
        later: who came in.
        start_s: when.
        end_s: when the first of the two stopped.
        kind: ``within``: the later stopped first; ``between``: outlasted the earlier; ``simultaneous_onset``;
            ``undetermined``: a cut hides which.
        backchannel: the later one's unit is a backchannel candidate.
        interruption: ``attempt``: came in, not with a backchannel, and stopped first or was talked back into;
            ``candidate``: the earlier yielded; empty for neither.
    """

    earlier: str
    later: str
    start_s: float
    end_s: float
    kind: OverlapClass
    backchannel: bool
    interruption: Literal["", "attempt", "candidate"]


@dataclass(frozen=True, slots=True)
class TalkEvents:
    """Turn-taking one by one, in order of time.

    Attributes:
        turns: every speaker's.
        transitions: of the floor; one entry a pair where speakers were exactly tied.
        overlaps: one entry for every two whose units overlap.
    """

    turns: tuple[Turn, ...]
    transitions: tuple[Transition, ...]
    overlaps: tuple[Overlap, ...]


@dataclass(frozen=True, slots=True)
class DirectedPair(Figures):
    """What went on from one speaker to another.

    Attributes:
        earlier: who was speaking.
        later: who came next, or in.
        switches: times the floor went from the earlier to the later.
        fto_s: their floor-transfer offsets.
        overlaps_within: overlaps that the later stopped first.
        overlaps_between: overlaps in which the later outlasted the earlier.
        backchannel_candidates: the later one's, coming in on the earlier.
        interruption_attempts: of the later on the earlier.
        interruption_candidates: those to which the earlier yielded.
        interruption_success: candidates over attempts.
        reasons: why a figure is None.
    """

    earlier: str
    later: str
    switches: int
    fto_s: Distribution
    overlaps_within: int
    overlaps_between: int
    backchannel_candidates: int
    interruption_attempts: int
    interruption_candidates: int
    interruption_success: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnTaking(Figures):
    """Turn-taking of the whole meeting, after Heldner & Edlund (2010).

    Attributes:
        ipus: inter-pausal units of everyone.
        turns: turns of everyone.
        pauses: silences between two units of one speaker, nobody speaking.
        gaps: silences between different speakers.
        edge_silence_s: silence before the first and after the last speech; neither pause nor gap.
        overlaps: class to durations.
        switches: times the floor went to another speaker.
        switches_per_hour: the same an hour of meeting.
        fto_s: floor-transfer offsets: gap > 0, overlap < 0.
        fto_gaps: offsets of 0 or more among them.
        fto_overlaps: offsets below 0 among them.
        fto_left_out: why other transitions have no offset, and how many: ``cut``, ``uncertain``, ``lead``,
            ``window``.
        backchannel_candidates: of everyone.
        interruption_attempts: of everyone.
        interruption_candidates: of everyone.
        directed: every ordered pair between which anything happened.
        reasons: why a figure is None.
    """

    ipus: int
    turns: int
    pauses: Distribution
    gaps: Distribution
    edge_silence_s: float
    overlaps: Mapping[OverlapClass, Distribution]
    switches: int
    switches_per_hour: float | None
    fto_s: Distribution
    fto_gaps: int
    fto_overlaps: int
    fto_left_out: Mapping[str, int]
    backchannel_candidates: int
    interruption_attempts: int
    interruption_candidates: int
    directed: tuple[DirectedPair, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
