"""Represent turns, floor transitions, overlaps, ranks by talk, and how a voice sounds in a turn."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from recall_audio.model.figures import Distribution, Figures

OverlapClass = Literal["within", "between", "simultaneous_onset", "undetermined"]
OVERLAP_CLASSES: tuple[OverlapClass, ...] = ("within", "between", "simultaneous_onset", "undetermined")


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn: one speaker's inter-pausal units, joined across their short silences.

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
    """A transition of the floor from one speaker to another.

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
    """An overlap: one speaker starts while another speaks, up to the earlier end.

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
    """Turns, transitions and overlaps one by one, in order of time.

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
    """The figures from one speaker to another.

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
        pauses: silences between two units of one speaker, while no one speaks.
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


VOICE_FIGURES = (
    "f0_median_hz",
    "f0_low_hz",
    "f0_high_hz",
    "f0_range_semitones",
    "voiced_share",
    "level_dbfs",
    "level_to_own_median_db",
    "syllables_per_s",
    "centroid_hz",
)
"""Fields of :class:`VoiceFeatures` that may be None for a reason."""


@dataclass(frozen=True, slots=True)
class VoiceFeatures(Figures):
    """Figures of one voice in some stretches of sound, None with a reason and never NaN.

    Attributes:
        analysed_s: sound that they rest on, seconds.
        f0_median_hz: median fundamental frequency of the voiced frames, on a grid of a fifth of a semitone.
        f0_low_hz: their 5 % quantile.
        f0_high_hz: their 95 % quantile.
        f0_range_semitones: from the one to the other.
        voiced_share: voiced frames among the active ones, 0 to 1.
        level_dbfs: root mean square of the sound as recorded; 0 is a full-scale square wave, −3.01 a sine.
        level_to_own_median_db: the same against the median of the speaker's turns.
        syllables_per_s: syllable nuclei a second of speech, a proxy of the articulation rate: pauses over
            0.2 s are not in it; of synthetic voices' syllables a sixth is missed.
        centroid_hz: median spectral centroid of the active frames; it hangs on the codec's bandwidth too.
        reasons: why a figure is None.
    """

    analysed_s: float
    f0_median_hz: float | None = None
    f0_low_hz: float | None = None
    f0_high_hz: float | None = None
    f0_range_semitones: float | None = None
    voiced_share: float | None = None
    level_dbfs: float | None = None
    level_to_own_median_db: float | None = None
    syllables_per_s: float | None = None
    centroid_hz: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def missing(reason: str) -> "VoiceFeatures":
        """Return features without any figure, for one reason."""
        return VoiceFeatures(0.0, reasons=dict.fromkeys(VOICE_FIGURES, reason))

    def against(self, own_median_dbfs: float | None) -> "VoiceFeatures":
        """Return the features with the level relative to the median of the speaker's turns."""
        if self.level_dbfs is None or own_median_dbfs is None:
            why = self.reasons.get("level_dbfs", "no turn of the speaker has a level")
            return replace(self, reasons={**self.reasons, "level_to_own_median_db": why})
        return replace(self, level_to_own_median_db=round(self.level_dbfs - own_median_dbfs, 2) + 0.0)


@dataclass(frozen=True, slots=True)
class TurnFeatures:
    """A turn, and how the voice sounds where its speaker speaks alone.

    Attributes:
        speaker: label.
        start_s: the turn's start on the mix's clock.
        end_s: its end.
        talk_s: the speaker's speech in it.
        alone_s: that part of the speech which is clear of everyone else's.
        backchannel_candidate: a short, isolated turn while another speaks.
        voice: the figures.
    """

    speaker: str
    start_s: float
    end_s: float
    talk_s: float
    alone_s: float
    backchannel_candidate: bool
    voice: VoiceFeatures


@dataclass(frozen=True, slots=True)
class Ranked:
    """Two speakers who follow each other in the order of talk.

    Attributes:
        more: who has more talk.
        less: who has less.
        probability: that the first really spoke at least as much as the second, 0.5 to 1.
        is_open: whether the 95 % intervals of their talk overlap.
    """

    more: str
    less: str
    probability: float
    is_open: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ranks(Figures):
    """The order of the known speakers by talk, and how sure it is.

    Attributes:
        order: labels, most talk first.
        most: who spoke most; None where no one spoke.
        most_probability: that this one really did; None where no one spoke.
        rivals: others whose intervals of talk overlap that of `most`: any of them may have spoken most.
        neighbours: every two that follow each other in the order, of those who spoke.
        reasons: why a figure is None.
    """

    order: tuple[str, ...]
    most: str | None
    most_probability: float | None
    rivals: tuple[str, ...]
    neighbours: tuple[Ranked, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
