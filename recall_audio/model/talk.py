"""Represent who talked how much, and over whom (``talk.json``).

Seconds are multiples of one sample (1/16000 s), so that the identities between them hold exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recall_audio.model.figures import Distribution, Figures
from recall_audio.model.transcript import SpokenCount
from recall_audio.model.turns import Ranks, TalkEvents, TurnTaking

DEFINITIONS = "1"
"""Version of the figures' definitions, in every output; changes when a figure's meaning does."""

WORD_FIGURES = ("words", "words_per_minute", "share_of_words", "questions")
"""Figures of a speaker that need a transcript."""


MOST_PAIRED = 50
"""Participants of whom every two are a pair; of more, only those who speak (1,000 make 499,500 pairs)."""


@dataclass(frozen=True, slots=True)
class SpeakerTalk(Figures):
    """One participant's figures.

    Where a participant's audio is not known, every figure that rests on it is None with the reason.

    Attributes:
        talk_s: speech, T_i.
        talk_raw_s: the same before leaked speech was taken out; None where nothing was.
        exclusive_s: only this participant speaks, E_i.
        overlapped_s: others speak too, T_i − E_i.
        presence_s: time present, P_i; None where it is not known.
        share_of_talk: T_i over the sum of everyone's talk; adds up to 1.
        share_of_speech: T_i over the time in which at least one speaks; may add up to more than 1.
        share_of_meeting: T_i over the meeting's duration.
        share_of_presence: T_i over P_i.
        ipus: inter-pausal units.
        turns: units joined across the speaker's short silences.
        turn_s: the turns' durations.
        pause_s: silences between two of the speaker's units in which no one speaks.
        longest_monologue_s: longest stretch of a turn in which no other speaks but for backchannels.
        response_latency_s: gaps from another's speech to this participant's.
        floor_taken: how often the floor came to this participant.
        floor_taken_per_hour: the same an hour of meeting.
        backchannel_candidates: short, isolated units while another speaks.
        interruption_attempts: times this participant came in on another's speech, backchannels apart.
        interruptions_made: those to which the other yielded (interruption candidates).
        interruptions_received: times this participant yielded to another.
        shares_over: whose talk is the whole of `share_of_talk` and `share_of_speech`: ``all speakers``, or
            ``known speakers`` where the audio of others is not known (``over`` of :class:`Talk` lists them).
        lost_s: declared length of this participant's parts that could not be used, which the figures leave
            out; None where the length was not declared.
        words: words that they said; None without a transcript, as the three figures after it.
        words_per_minute: words over a minute of their own speech.
        share_of_words: words over everyone's.
        questions: sentences of theirs that end in a question mark.
        talk_s_low: lower end of the 95 % interval of `talk_s`.
        talk_s_high: its upper end; likewise of the four shares.
        share_of_talk_low: see `talk_s_low`.
        share_of_talk_high: see `talk_s_high`.
        share_of_speech_low: see `talk_s_low`.
        share_of_speech_high: see `talk_s_high`.
        share_of_meeting_low: see `talk_s_low`.
        share_of_meeting_high: see `talk_s_high`.
        share_of_presence_low: see `talk_s_low`.
        share_of_presence_high: see `talk_s_high`.
        reasons: why a figure is None.
    """

    talk_s: float | None
    exclusive_s: float | None
    overlapped_s: float | None
    talk_raw_s: float | None
    presence_s: float | None
    share_of_talk: float | None
    share_of_speech: float | None
    share_of_meeting: float | None
    share_of_presence: float | None
    ipus: int | None
    turns: int | None
    turn_s: Distribution
    pause_s: Distribution
    longest_monologue_s: float | None
    response_latency_s: Distribution
    floor_taken: int | None
    floor_taken_per_hour: float | None
    backchannel_candidates: int | None
    interruption_attempts: int | None
    interruptions_made: int | None
    interruptions_received: int | None
    shares_over: str = "all speakers"
    lost_s: float | None = 0.0
    words: int | None = None
    words_per_minute: float | None = None
    share_of_words: float | None = None
    questions: int | None = None
    talk_s_low: float | None = None
    talk_s_high: float | None = None
    share_of_talk_low: float | None = None
    share_of_talk_high: float | None = None
    share_of_speech_low: float | None = None
    share_of_speech_high: float | None = None
    share_of_meeting_low: float | None = None
    share_of_meeting_high: float | None = None
    share_of_presence_low: float | None = None
    share_of_presence_high: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    def with_words(self, said: SpokenCount, n_words: int) -> "SpeakerTalk":
        """Return a copy with what the speaker said, of `n_words` by all."""
        reasons = dict(self.reasons)
        if self.talk_s is None:
            reasons |= dict.fromkeys(WORD_FIGURES, reasons.get("talk_s", "their audio is not known"))
            return replace(self, reasons=reasons)
        if not self.talk_s:
            reasons["words_per_minute"] = "they have no speech"
        if not n_words:
            reasons["share_of_words"] = "the transcript has no words"
        if said.n_questions is None:
            reasons["questions"] = "the transcript has no punctuation"
        return replace(
            self,
            words=said.n_words,
            words_per_minute=round(60.0 * said.n_words / self.talk_s, 3) if self.talk_s else None,
            share_of_words=round(said.n_words / n_words, 6) if n_words else None,
            questions=said.n_questions,
            reasons=reasons,
        )


@dataclass(frozen=True, slots=True)
class PairTalk(Figures):
    """The common speech of two participants, ``a`` before ``b`` in the order of the speakers.

    Attributes:
        a: a label.
        b: another.
        overlap_s: both speak, O_ab.
        overlap_of_shorter: O_ab over the shorter of the two talks; 1 where all of it is overlapped.
        overlap_s_low: lower end of the 95 % interval of `overlap_s`.
        overlap_s_high: its upper end.
        overlap_of_shorter_low: lower end of that of `overlap_of_shorter`.
        overlap_of_shorter_high: its upper end.
        reasons: why a figure is None.
    """

    a: str
    b: str
    overlap_s: float | None
    overlap_of_shorter: float | None
    overlap_s_low: float | None = None
    overlap_s_high: float | None = None
    overlap_of_shorter_low: float | None = None
    overlap_of_shorter_high: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Equality(Figures):
    """How evenly talk is spread over everyone present, silent people included.

    Attributes:
        gini: 0 (everyone the same) to 1 − 1/N (one speaks).
        gini_normalised: the same × N/(N − 1): 0 to 1.
        entropy: of the shares of talk, over ln N: 1 (everyone the same) to 0 (one speaks).
        n_participants: N.
        n_silent: those of N who said nothing.
        reasons: why a figure is None.
    """

    gini: float | None
    gini_normalised: float | None
    entropy: float | None
    n_participants: int
    n_silent: int
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Talk(Figures):
    """All figures of one meeting's talk, each over the speakers in `over`.

    Attributes:
        parameters: every parameter that the figures depend on, and the definitions' version.
        duration_s: the mix's duration, D.
        talk_s: sum of everyone's speech, S.
        speech_s: time in which at least one speaks, U.
        silence_s: time in which no one speaks, D_0 = D − U.
        overlap_s: time in which two or more speak, O.
        overlap_of_speech: O / U.
        overlap_of_meeting: O / D.
        talk_raw_s: S before leaked speech was taken out; None where nothing was.
        speech_raw_s: U before.
        overlap_raw_s: O before.
        time_by_speakers_s: D_0, D_1, ...: time with exactly so many speaking, up to the most at once.
        speakers: label to figures, everyone present.
        over: labels of the speakers that every figure of the meeting is over: those whose audio is known.
        unknown: label to the reason, for those whose audio is not known.
        n_known: speakers in `over`.
        n_unknown: speakers in `unknown`.
        pairs: every two participants; of more than 50 only every two who speak, since any other two have no
            overlap, or an unknown one.
        equality: how evenly talk is spread.
        turn_taking: pauses, gaps, overlaps, floor transfers.
        sensitivity: whether the speakers' ranks depend on a parameter; None where it was not asked for.
        events: the turns, transitions and overlaps one by one; for tables, not in ``talk.json``.
        reasons: why a figure is None.
        unassigned_s: speech of the mix that is on no participant's track; None where it was not looked for.
        talk_s_low: lower end of the 95 % interval of `talk_s`.
        talk_s_high: its upper end; likewise of the figures that follow.
        speech_s_low: see `talk_s_low`.
        speech_s_high: see `talk_s_high`.
        overlap_s_low: see `talk_s_low`.
        overlap_s_high: see `talk_s_high`.
        overlap_of_speech_low: see `talk_s_low`.
        overlap_of_speech_high: see `talk_s_high`.
        overlap_of_meeting_low: see `talk_s_low`.
        overlap_of_meeting_high: see `talk_s_high`.
        ranks: the order of the speakers by talk and how sure it is; None without intervals.
    """

    parameters: Mapping[str, Any]
    duration_s: float
    talk_s: float
    speech_s: float
    silence_s: float
    overlap_s: float
    overlap_of_speech: float | None
    overlap_of_meeting: float | None
    talk_raw_s: float | None
    speech_raw_s: float | None
    overlap_raw_s: float | None
    time_by_speakers_s: tuple[float, ...]
    speakers: Mapping[str, SpeakerTalk]
    pairs: tuple[PairTalk, ...]
    equality: Equality
    turn_taking: TurnTaking
    sensitivity: "Sensitivity | None"
    events: TalkEvents = field(metadata={"private": True})
    over: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    n_known: int = 0
    n_unknown: int = 0
    reasons: Mapping[str, str] = field(default_factory=dict)
    unassigned_s: float | None = None
    talk_s_low: float | None = None
    talk_s_high: float | None = None
    speech_s_low: float | None = None
    speech_s_high: float | None = None
    overlap_s_low: float | None = None
    overlap_s_high: float | None = None
    overlap_of_speech_low: float | None = None
    overlap_of_speech_high: float | None = None
    overlap_of_meeting_low: float | None = None
    overlap_of_meeting_high: float | None = None
    ranks: Ranks | None = None

    def with_unassigned(self, unassigned_s: float) -> "Talk":
        """Return a copy with the speech that is on no participant's track."""
        return replace(self, unassigned_s=unassigned_s)

    def with_parameters(self, **further: Any) -> "Talk":
        """Return a copy with further parameters stamped, e.g. the program's version."""
        return replace(self, parameters={**self.parameters, **further})

    def with_facts(
        self, lost_s: Mapping[str, float | None], presence_s: Mapping[str, float | None]
    ) -> "Talk":
        """Return a copy with each speaker's lost audio, and the presence of those whose speech is unknown.

        Args:
            lost_s: label to the declared length of parts that could not be used, where there are any.
            presence_s: label to the time present, where it is known.
        """
        speakers = {}
        for label, speaker in self.speakers.items():
            reasons = dict(speaker.reasons)
            present_s = speaker.presence_s
            if label in self.unknown and presence_s.get(label) is not None:
                present_s = presence_s[label]
                del reasons["presence_s"]
            lost = lost_s.get(label, 0.0)
            if lost is None:
                reasons["lost_s"] = "the API declared no length"
            speakers[label] = replace(speaker, lost_s=lost, presence_s=present_s, reasons=reasons)
        return replace(self, speakers=speakers)

    def with_words(self, said: Mapping[str, SpokenCount] | None, reason: str = "") -> "Talk":
        """Return a copy with what everyone said, or with the reason why it is not known."""
        if said is None:
            missing = dict.fromkeys(WORD_FIGURES, reason)
            speakers = {k: replace(s, reasons={**s.reasons, **missing}) for k, s in self.speakers.items()}
        else:
            n_words = sum(c.n_words for label, c in said.items() if label in self.speakers)
            nothing = SpokenCount(0, 0)
            speakers = {k: s.with_words(said.get(k, nothing), n_words) for k, s in self.speakers.items()}
        return replace(self, speakers=speakers)

    def with_sensitivity(self, sensitivity: "Sensitivity") -> "Talk":
        """Return a copy with a sensitivity table."""
        return replace(self, sensitivity=sensitivity)


@dataclass(frozen=True, slots=True)
class TalkWindow(Figures):
    """The base figures of one stretch of the meeting.

    Attributes:
        start_s: where it starts.
        end_s: where it ends.
        length_s: its length; the last window may be shorter than the others.
        speech_s: time in which at least one speaks.
        overlap_s: time in which two or more speak.
        talk_s: label to speech.
        equality: how evenly it is spread.
        share_of_talk: label to its share of all talk in the window; empty where no one speaks.
        talk_s_low: label to the lower end of the 95 % interval of `talk_s`; empty where it was not asked for.
        talk_s_high: label to its upper end.
        share_of_talk_low: label to the lower end of that of the share, None where no one speaks.
        share_of_talk_high: label to its upper end.
        overlap_s_low: lower end of the 95 % interval of `overlap_s`.
        overlap_s_high: its upper end.
        reasons: why a figure is None.
    """

    start_s: float
    end_s: float
    length_s: float
    speech_s: float
    overlap_s: float
    talk_s: Mapping[str, float]
    equality: Equality
    share_of_talk: Mapping[str, float] = field(default_factory=dict)
    talk_s_low: Mapping[str, float | None] = field(default_factory=dict)
    talk_s_high: Mapping[str, float | None] = field(default_factory=dict)
    share_of_talk_low: Mapping[str, float | None] = field(default_factory=dict)
    share_of_talk_high: Mapping[str, float | None] = field(default_factory=dict)
    overlap_s_low: float | None = None
    overlap_s_high: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variant(Figures):
    """The figures under one other choice of a parameter.

    Attributes:
        name: which choice: ``bridge 0.1 s`` (longest bridged pause), ``speech threshold 0.3`` (all
            else as chosen).
        talk_s: label to speech.
        share_of_talk: label to share; empty where no one spoke.
        rank: label to rank by talk, 1 for the most; equal talk, equal rank.
        overlap_s: time in which two or more speak.
        same_ranks: whether the ranks are those of the choice that was made.
        largest_change: largest change of a share of talk from the choice made; None where no one spoke.
        reasons: why a figure is None.
    """

    name: str
    talk_s: Mapping[str, float]
    share_of_talk: Mapping[str, float]
    rank: Mapping[str, int]
    overlap_s: float
    same_ranks: bool
    largest_change: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The comparison of the speakers' ranks under several choices of a parameter.

    Attributes:
        chosen: name of the variant that was chosen.
        variants: one entry a choice, the chosen one among them.
    """

    chosen: str
    variants: tuple[Variant, ...]

    @property
    def ranks_hold(self) -> bool:
        """Return whether the ranks are the same under every variant."""
        return all(v.same_ranks for v in self.variants)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        variants = [v.to_json() for v in self.variants]
        return {"chosen": self.chosen, "ranks_hold": self.ranks_hold, "variants": variants}
