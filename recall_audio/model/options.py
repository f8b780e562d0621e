"""Hold the options of each step, one frozen class a step: the only place where a default is written.

:data:`OPTION_FIELDS` lists every field of every step as ``STEP.NAME``, the name that ``--set`` takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 0.05, 0.95
"""Limits of the detector's threshold, a probability."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """Options of downloading a meeting.

    Attributes:
        wait_s: how long to poll artifacts that are still processing; 0 asks once.
        at_once: media files of a bot downloaded side by side.
        bots_at_once: bots fetched side by side, so that a slow one holds up no other; the API's limits hold
            for them together.
        longest_s: longest time that one bot may take, waiting (`wait_s`) left out; what arrived is kept.
        allow_hosts: further hosts that media may come from, beside Recall's own.
        known_artifacts: recording id, kind (``audio_separate``, ``audio_mixed``) and id of artifacts that a
            webhook named. They are retrieved, not listed: the rate limit of lists is the lowest.
        transcript: fetch the transcript that Recall.ai made, where there is one.
    """

    wait_s: float = 0.0
    at_once: int = 4
    bots_at_once: int = 4
    longest_s: float = 6 * 3600.0
    allow_hosts: tuple[str, ...] = ()
    known_artifacts: tuple[tuple[str, str, str], ...] = ()
    transcript: bool = False


@dataclass(frozen=True, slots=True)
class PeopleOptions:
    """Options of telling participants apart.

    Attributes:
        join: give one label to participants who are one person: who left, and came back under another id.
    """

    join: bool = True


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """Options of decoding files.

    Attributes:
        rate_hz: sample rate of the working file.
        longest_s: no file decodes to more than this, whatever it claims.
        cap_factor: of the declared duration, this many times are decoded at most, and
        cap_more_s: this many seconds more.
    """

    rate_hz: int = 16_000
    longest_s: float = 24 * 3600.0
    cap_factor: float = 1.05
    cap_more_s: float = 5.0


@dataclass(frozen=True, slots=True)
class AlignOptions:
    """Options of placing parts on the mix's clock.

    Attributes:
        search_s: how wrong a nominal start may be, each way, in seconds.
        whole_mix: look for every part over the whole mix, wherever its nominal start says.
        enabled: False keeps every nominal start.
    """

    search_s: float = 2.0
    whole_mix: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """Options of finding a participant's speech (metrics.md, Segmentation).

    Attributes:
        bridge_s: pauses up to this long are bridged (inter-pausal unit), seconds.
        shortest_s: shorter speech is dropped, after bridging, seconds.
        threshold: probability of own speech from which a frame counts, 0 to 1.
        remove_leakage: take out speech that others' leaked voices explain.
        threshold_change: the speakers' ranks are compared under thresholds this much lower and higher.
    """

    bridge_s: float = 0.20
    shortest_s: float = 0.10
    threshold: float = 0.5
    remove_leakage: bool = True
    threshold_change: float = 0.2

    @property
    def other_thresholds(self) -> tuple[float, ...]:
        """Return the thresholds to compare the chosen one with, within the limits."""
        wanted = (self.threshold - self.threshold_change, self.threshold + self.threshold_change)
        found = (round(min(max(t, LOWEST_THRESHOLD), HIGHEST_THRESHOLD), 6) for t in wanted)
        return tuple(dict.fromkeys(t for t in found if t != self.threshold))


@dataclass(frozen=True, slots=True)
class TalkOptions:
    """Options of measuring turn-taking (metrics.md, Segmentation and Turn-taking).

    Attributes:
        ipu_gap_s: own silence up to this long does not end an inter-pausal unit (Heldner & Edlund 2010).
        turn_join_s: one speaker's units across up to this much are one turn (Cooney & Reece 2024).
        backchannel_longest_s: longest backchannel candidate (Ekstedt & Skantze 2022).
        backchannel_silence_s: own silence wanted on both sides of a backchannel candidate.
        same_onset_s: starts within this are one onset; also the most by which the alignment of two speakers
            may be uncertain for an offset between them to be given.
        fto_window_s: longest floor-transfer offset counted, each way.
        fto_lead_s: the earlier turn began at least this long before.
        edge_s: speech that starts or stops this close to where its recording does was cut there.
        window_s: length of a sliding window.
        step_s: from one sliding window's start to the next one's.
        bridge_choices_s: longest bridged pauses under which the speakers' ranks are compared.
    """

    ipu_gap_s: float = 0.20
    turn_join_s: float = 1.5
    backchannel_longest_s: float = 1.0
    backchannel_silence_s: float = 1.0
    same_onset_s: float = 0.05
    fto_window_s: float = 10.0
    fto_lead_s: float = 0.2
    edge_s: float = 0.05
    window_s: float = 150.0
    step_s: float = 30.0
    bridge_choices_s: tuple[float, ...] = (0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class FeatureOptions:
    """Options of measuring a voice, turn by turn.

    Attributes:
        longest_s: of a turn, at most this much is analysed, in pieces spread evenly over it.
        piece_s: longest piece analysed at once.
        shortest_s: shorter stretches of speech alone are left out.
        guard_s: others' speech counts as longer by this on either side: their leaked voices come late, and
            ring on.
        f0_lowest_hz: lowest fundamental frequency looked for; 50 at least, two periods in a window.
        f0_highest_hz: highest.
        active_db: frames this far below a turn's loud ones (95 % quantile) are not speech.
        dip_db: a syllable nucleus stands out from the level around it by this (De Jong & Wempe 2009).
        voiced_s: least voiced time for an F0.
        rate_s: least time for a syllable rate.
    """

    longest_s: float = 30.0
    piece_s: float = 10.0
    shortest_s: float = 0.1
    guard_s: float = 0.1
    f0_lowest_hz: float = 60.0
    f0_highest_hz: float = 500.0
    active_db: float = 25.0
    dip_db: float = 2.0
    voiced_s: float = 0.2
    rate_s: float = 1.0


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """Options of cutting speech into clips for a transcriber.

    Attributes:
        longest_s: longest clip (Whisper hears 30 s at a time).
        join_s: silences up to this long may lie within a clip.
        pad_s: a clip reaches this far into the silence around it, but no further than its middle.
    """

    longest_s: float = 30.0
    join_s: float = 2.0
    pad_s: float = 0.2


@dataclass(frozen=True, slots=True)
class TranscriptOptions:
    """Options of giving a transcript's words to their speakers.

    Attributes:
        word_share: a word of a stem is its speaker's where at least this share of it lies in their own
            speech, 0 to 1.
        segment_share: the same for a segment whose words have no times.
        edge_s: own speech counts as longer by this on either side where no one else speaks, seconds.
        keep_outside: keep words outside their speaker's own speech, instead of dropping and counting them.
    """

    word_share: float = 0.3
    segment_share: float = 0.1
    edge_s: float = 0.2
    keep_outside: bool = False


@dataclass(frozen=True, slots=True)
class StemOptions:
    """Options of writing stems.

    Attributes:
        normalize: ``lufs`` sets integrated loudness, ``peak`` true peak, ``none`` leaves the level.
        lufs: target integrated loudness of what the participant says, LUFS.
        peak_dbtp: ceiling of the true peak, dBTP.
        max_gain_db: cap on the gain that is applied, dB.
        limit: reach the target with a look-ahead limiter instead of stopping at the peak ceiling.
        gate: mute what is not the participant's own speech, with fades.
        rate_hz: sample rate of the stems; 0 keeps each source's own.
        bits: ``16``, ``24`` or ``32f``.
        format: ``wav``, ``flac``, ``mp3`` or ``opus``.
        speakers: labels to write; empty writes all.
        silent: also write files for participants without speech of their own; recognisers make words up on
            them.
        mixdown: also write the sum of the stems.
        poly: also write one multichannel WAV.
    """

    normalize: Literal["lufs", "peak", "none"] = "lufs"
    lufs: float = -23.0
    peak_dbtp: float = -1.0
    max_gain_db: float = 30.0
    limit: bool = False
    gate: bool = False
    rate_hz: int = 16_000
    bits: Literal["16", "24", "32f"] = "16"
    format: Literal["wav", "flac", "mp3", "opus"] = "wav"
    speakers: tuple[str, ...] = ()
    silent: bool = False
    mixdown: bool = False
    poly: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """All options of processing one recording, a field a step."""

    align: AlignOptions = AlignOptions()
    speech: SpeechOptions = SpeechOptions()
    talk: TalkOptions = TalkOptions()
    stems: StemOptions = StemOptions()
    people: PeopleOptions = PeopleOptions()


STEPS: Mapping[str, type] = {
    "fetch": FetchOptions,
    "people": PeopleOptions,
    "align": AlignOptions,
    "speech": SpeechOptions,
    "talk": TalkOptions,
    "stems": StemOptions,
    "features": FeatureOptions,
    "clips": ClipOptions,
    "transcript": TranscriptOptions,
}
"""Each step's name and the class of its options."""


@dataclass(frozen=True, slots=True)
class OptionField:
    """One option of one step.

    Attributes:
        step: the step, a key of :data:`STEPS`.
        name: the field of that step's class.
        type: the field's type, e.g. ``float`` or ``Literal["16", "24", "32f"]``.
        default: its default.
    """

    step: str
    name: str
    type: Any
    default: Any


OPTION_FIELDS: Mapping[str, OptionField] = {
    f"{step}.{field.name}": OptionField(step, field.name, field.type, field.default)
    for step, options in STEPS.items()
    for field in fields(options)
}
"""Every option of every step by ``STEP.NAME``."""


def with_changes(steps: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of several steps with some of their fields changed.

    Args:
        steps: step to its options, e.g. ``{"talk": TalkOptions()}``.
        changes: ``STEP.NAME`` to the new value; every step has to be one of `steps`.
    """
    changed = dict(steps)
    for key, value in changes.items():
        field = OPTION_FIELDS[key]
        changed[field.step] = replace(changed[field.step], **{field.name: value})
    return changed
