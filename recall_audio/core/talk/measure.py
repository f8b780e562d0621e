"""Measure who talked how much, and over whom.

N participants are everyone who was present, silent people too. A_i is the speech of one, within ``[0, D]``:

    T_i = |A_i|      S = Σ T_i      U = |∪ A_i|      E_i: only i      O_ij = |A_i ∩ A_j|
    D_k: exactly k speak     O = Σ_{k≥2} D_k     Σ_k k·D_k = S     U + D_0 = D

All are counted in samples, so that the identities hold exactly. Every share names its denominator, because
tools disagree on it. A figure that cannot be computed is None with a reason, never 0.

Definitions of turn-taking, with their sources: :mod:`recall_audio.core.talk.turns` and
:mod:`recall_audio.core.talk.turn_taking`.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from typing import Any

import numpy as np

from recall_audio.core.activity import Activity, at_least, covered, measure_activity
from recall_audio.core.spans import total
from recall_audio.core.talk.annotation import (
    Annotation,
    AnnotationContext,
    Rows,
    inside,
    make_annotation,
    parameters,
    to_s,
)
from recall_audio.core.talk.turn_taking import (
    NO_TIME,
    Conversation,
    find_conversation,
    measure_turn_taking,
    per_hour,
    why_no_offset,
)
from recall_audio.core.talk.turns import distribution, longest_monologue
from recall_audio.errors import UsageError
from recall_audio.model.figures import Distribution
from recall_audio.model.options import TalkOptions
from recall_audio.model.talk import (
    DEFINITIONS,
    MOST_PAIRED,
    Equality,
    PairTalk,
    SpeakerTalk,
    Talk,
    TalkWindow,
)
from recall_audio.model.turns import TalkEvents
from recall_audio.units import to_samples

Segments = Mapping[str, Rows]

ALONE = "one participant has nobody to share with"
NO_PARTICIPANT = "nobody is present"
SILENT = "nobody spoke"


def measure_equality(talk: Sequence[int]) -> Equality:
    """Return the Gini coefficient and the normalised entropy of everyone's talk.

    Args:
        talk: samples (or any one unit) of speech of each participant, zeros included.

    The sums are integers and each figure is one division, so adding a silent person never lowers the
    normalised Gini, not even in the last bit.

    References: C. Gini, Variabilità e mutabilità, 1912; the factor N/(N − 1): G. Deltas, The small-sample
    bias of the Gini coefficient, Review of Economics and Statistics 85(1), 2003; entropy over ln N:
    E. C. Pielou's evenness, 1966.
    """
    n, talk_of_all = len(talk), sum(talk)
    silent = sum(t == 0 for t in talk)
    if talk_of_all == 0:
        why = SILENT if n else NO_PARTICIPANT
        return Equality(
            None, None, None, n, silent, dict.fromkeys(("gini", "gini_normalised", "entropy"), why)
        )
    # Σ_i Σ_j |T_i − T_j| of sorted values: each counts (2i + 1 − N) times, and twice.
    differences = 2 * sum((2 * i + 1 - n) * t for i, t in enumerate(sorted(talk)))
    gini = differences / (2 * n * talk_of_all)
    if n == 1:
        return Equality(gini, None, None, n, silent, dict.fromkeys(("gini_normalised", "entropy"), ALONE))
    shares = [t / talk_of_all for t in talk if t]
    entropy = -math.fsum(p * math.log(p) for p in shares) / math.log(n)
    return Equality(gini, differences / (2 * (n - 1) * talk_of_all), min(abs(entropy), 1.0), n, silent)


def slide_talk(
    segments: Mapping[str, Rows],
    duration_s: float,
    options: TalkOptions = TalkOptions(),  # noqa: B008 - a frozen value
) -> tuple[TalkWindow, ...]:
    """Measure talk, overlap and equality in sliding windows.

    Windows are ``options.window_s`` long, and one starts every ``options.step_s``. The last one ends with the
    meeting and may be shorter::

        |──────|      |──────|      |────|     meeting of 78 s, window and step 30 s: 30, 30 and 18 s

    Args:
        segments: label to ``[[start_s, end_s], ...]``; an empty list for a silent participant.
        duration_s: the mix's duration.
        options: the windows' length and step.

    Raises:
        UsageError: a time is not a finite number, or a window's length or step is not above 0.
    """
    window, step = to_samples(options.window_s), to_samples(options.step_s)
    if window < 1 or step < 1:
        raise UsageError("A window's length and step must be above 0 s.", "Try --window 150 --step 30.")
    annotation = make_annotation(segments, duration_s)
    width = min(window, annotation.duration)
    # One more start where the whole windows end before the meeting does.
    starts = np.arange(0, max(annotation.duration - width + step, 1), step, dtype=np.int64)
    starts = starts[starts < max(annotation.duration, 1)]
    ends = np.minimum(starts + width, annotation.duration)
    sets = [*annotation.speech.values(), *(at_least(list(annotation.speech.values()), k) for k in (1, 2))]
    held = np.array([covered(s, ends) - covered(s, starts) for s in sets]).reshape(len(sets), -1)
    windows = []
    for start, end, (*talk, speech, overlap) in zip(
        starts.tolist(), ends.tolist(), held.T.tolist(), strict=True
    ):
        talk_s = {label: to_s(t) for label, t in zip(annotation.speech, talk, strict=True)}
        whole = sum(talk)
        share = {x: t / whole for x, t in zip(annotation.speech, talk, strict=True)} if whole else {}
        times, equality = (to_s(start), to_s(end), to_s(end - start)), measure_equality(talk)
        windows.append(TalkWindow(*times, to_s(speech), to_s(overlap), talk_s, equality, share))
    return tuple(windows)


SILENCE = Conversation((), (), TalkEvents((), (), ()))
"""What those who say nothing take part in."""

NO_PRESENCE = "it is not known when they were present"
ABSENT = "they were never present"


def measure_talk(
    segments: Mapping[str, Rows],
    duration_s: float,
    options: TalkOptions = TalkOptions(),  # noqa: B008 - a frozen value
    *,
    presence: Mapping[str, Rows] | None = None,
    raw_segments: Mapping[str, Rows] | None = None,
    uncertainty_ms: Mapping[str, float | None] | None = None,
    cuts_s: Mapping[str, Sequence[float]] | None = None,
) -> Talk:
    """Measure every figure about a meeting's talk.

    Args:
        segments: label to ``[[start_s, end_s], ...]`` on the mix's clock, as ``segments.json`` holds them;
            an empty list for a silent participant.
        duration_s: the mix's duration.
        options: parameters of turn-taking.
        presence: label to the stretches in which they were present; where a label is missing, its presence
            is not known. Speech outside proves presence, and is added to it.
        raw_segments: the speech before leaked voices were taken out; gives the ``*_raw_s`` figures.
        uncertainty_ms: label to the alignment's 95 % half width, None where unknown; left out altogether,
            all are taken as exact. Offsets between two whose joint uncertainty exceeds
            ``options.same_onset_s`` are None.
        cuts_s: label to further moments at which a recording of theirs starts or stops.

    Raises:
        UsageError: a time is not a finite number, or a segment ends before it starts.
    """
    annotation = make_annotation(segments, duration_s, AnnotationContext(presence, cuts_s, uncertainty_ms))
    activity = measure_activity(list(annotation.speech.values()), annotation.duration)
    raw = None
    if raw_segments is not None:
        before = [
            inside(raw_segments.get(label, ()), annotation.duration, label) for label in annotation.speech
        ]
        raw = measure_activity(before, annotation.duration)
    found = find_conversation(annotation, options)
    return _talk(annotation, options, (activity, raw), found)


def _talk(
    annotation: Annotation,
    options: TalkOptions,
    activities: tuple[Activity, Activity | None],
    found: Conversation,
) -> Talk:
    """Return the meeting's figures as one value."""
    activity, raw = activities
    duration, speech, overlap = annotation.duration, activity.speech, activity.overlap
    most = max(k for k, held in enumerate(activity.held) if held or k == 0)
    reasons = {"overlap_of_speech": SILENT} if not speech else {}
    return Talk(
        parameters={"definitions": DEFINITIONS, **parameters(options)},
        duration_s=to_s(duration),
        talk_s=to_s(activity.talk.sum()),
        speech_s=to_s(speech),
        silence_s=to_s(activity.held[0]),
        overlap_s=to_s(overlap),
        overlap_of_speech=overlap / speech if speech else None,
        overlap_of_meeting=overlap / duration if duration else None,
        talk_raw_s=None if raw is None else to_s(raw.talk.sum()),
        speech_raw_s=None if raw is None else to_s(raw.speech),
        overlap_raw_s=None if raw is None else to_s(raw.overlap),
        time_by_speakers_s=tuple(to_s(held) for held in activity.held[: most + 1]),
        speakers=_speakers(annotation, options, activities, found),
        pairs=_pairs(list(annotation.speech), activity),
        equality=measure_equality(activity.talk.tolist()),
        turn_taking=measure_turn_taking(found, annotation),
        sensitivity=None,
        events=found.events,
        over=tuple(annotation.speech),
        n_known=len(annotation.speech),
        reasons=reasons if duration else {**reasons, "overlap_of_meeting": NO_TIME},
    )


def with_unknown(talk: Talk, unknown: Mapping[str, str], labels: Sequence[str]) -> Talk:
    """Add participants whose audio is not known to the figures of the others.

    Every figure that rests on their speech is None with the reason, never 0. The figures of the meeting stay
    as they are, over the speakers in ``over``::

        known      A ▬▬▬▬   B ▬▬          T, S, U, O, D_k and every share: over A and B
        unknown    C ?                    T_C, its shares, O_AC, O_BC: None

    Args:
        talk: the figures of the known speakers.
        unknown: label to the reason.
        labels: everyone, in the order of the result; further labels follow.
    """
    if not unknown:
        return talk
    known = {
        label: replace(speaker, shares_over="known speakers") for label, speaker in talk.speakers.items()
    }
    order = [x for x in dict.fromkeys([*labels, *known, *unknown]) if x in known or x in unknown]
    measured = {(pair.a, pair.b): pair for pair in talk.pairs}
    paired = [x for x in order if len(order) <= MOST_PAIRED or (x in known and known[x].talk_s)]
    pairs = [
        measured.get((a, b)) or _unknown_pair(a, b, unknown) for a, b in itertools.combinations(paired, 2)
    ]
    return replace(
        talk,
        speakers={x: known[x] if x in known else unknown_speaker(unknown[x]) for x in order},
        pairs=tuple(pairs),
        unknown=dict(unknown),
        n_unknown=len(unknown),
    )


def unknown_speaker(reason: str) -> SpeakerTalk:
    """Return the figures of a participant whose audio is not known: each None with the reason."""
    figures: dict[str, Any] = {}
    for field in fields(SpeakerTalk):
        if field.type is Distribution:
            figures[field.name] = Distribution(None, None, None, None, None, reason)
        elif field.name.endswith(("_low", "_high")) or (
            field.default is MISSING and field.default_factory is MISSING
        ):
            figures[field.name] = None
    missing = [name for name, value in figures.items() if value is None]
    return SpeakerTalk(
        **figures, shares_over="known speakers", lost_s=None, reasons=dict.fromkeys(missing, reason)
    )


def _unknown_pair(a: str, b: str, unknown: Mapping[str, str]) -> PairTalk:
    label = a if a in unknown else b
    reason = f"{label}: {unknown[label]}"
    names = [f"{name}{end}" for name in ("overlap_s", "overlap_of_shorter") for end in ("", "_low", "_high")]
    return PairTalk(a, b, None, None, reasons=dict.fromkeys(names, reason))


def _speakers(
    annotation: Annotation,
    options: TalkOptions,
    activities: tuple[Activity, Activity | None],
    found: Conversation,
) -> dict[str, SpeakerTalk]:
    """Return the figures of every participant, silent ones included."""
    activity, raw = activities
    everyone: dict[str, SpeakerTalk] = {}
    for i, label in enumerate(annotation.speech):
        talk, exclusive = int(activity.talk[i]), int(activity.exclusive[i])
        shares, reasons = _shares(talk, activity, annotation, label)
        presence = annotation.presence[label]
        everyone[label] = SpeakerTalk(
            talk_s=to_s(talk),
            talk_raw_s=None if raw is None else to_s(raw.talk[i]),
            exclusive_s=to_s(exclusive),
            overlapped_s=to_s(talk - exclusive),
            presence_s=None if presence is None else to_s(total(presence)),
            **shares,
            **_turns_of(label, annotation, options, found if talk else SILENCE),
            reasons=reasons,
        )
    return everyone


def _shares(
    talk: int, activity: Activity, annotation: Annotation, label: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the four shares of one participant, and the reasons where one is None."""
    presence = annotation.presence[label]
    known = NO_PRESENCE if presence is None else ABSENT
    denominators = {
        "share_of_talk": (int(activity.talk.sum()), SILENT),
        "share_of_speech": (activity.speech, SILENT),
        "share_of_meeting": (annotation.duration, NO_TIME),
        "share_of_presence": (0 if presence is None else total(presence), known),
    }
    shares = {name: talk / whole if whole else None for name, (whole, _) in denominators.items()}
    reasons = {name: why for name, (whole, why) in denominators.items() if not whole}
    if presence is None:
        reasons["presence_s"] = NO_PRESENCE
    if not talk:
        reasons["longest_monologue_s"] = "they said nothing"
    if not annotation.duration:
        reasons["floor_taken_per_hour"] = NO_TIME
    return shares, reasons


def _turns_of(
    label: str, annotation: Annotation, options: TalkOptions, found: Conversation
) -> dict[str, Any]:
    """Return one participant's figures of turn-taking."""
    turns = [to_samples(t.end_s) - to_samples(t.start_s) for t in found.events.turns if t.speaker == label]
    taken = [s for s in found.steps if s.switch and label in s.after]
    gaps = [s.offset for s in taken if not s.left_out and s.offset >= 0]
    own = [u for u in found.units if u.speaker == label]
    pauses = [s.offset for s in found.steps if s.offset > 0 and label in s.before and label in s.after]
    made = [o.interruption for o in found.events.overlaps if o.later == label and o.interruption]
    # Only a switch over a gap has a latency.
    why = why_no_offset([s for s in taken if s.offset >= 0])
    return {
        "ipus": len(own),
        "turns": len(turns),
        "turn_s": distribution(turns, "no turn", with_total=True),
        "pause_s": distribution(pauses, "no pause", with_total=True),
        "longest_monologue_s": to_s(longest_monologue(found.units, label, options)) if own else None,
        "response_latency_s": distribution(gaps, why),
        "floor_taken": len(taken),
        "floor_taken_per_hour": per_hour(len(taken), annotation),
        "backchannel_candidates": sum(u.backchannel for u in own),
        "interruption_attempts": len(made),
        "interruptions_made": made.count("candidate"),
        "interruptions_received": sum(
            o.earlier == label and o.interruption == "candidate" for o in found.events.overlaps
        ),
    }


def _pairs(labels: Sequence[str], activity: Activity) -> tuple[PairTalk, ...]:
    """Return the overlap of every two participants, of a crowd only of those who speak."""
    pairs = []
    talk = activity.talk.tolist()
    paired = [i for i in range(len(labels)) if talk[i] or len(labels) <= MOST_PAIRED]
    for i, j in itertools.combinations(paired, 2):
        both, shorter = int(activity.pairs[i, j]), min(talk[i], talk[j])
        silent = {} if shorter else {"overlap_of_shorter": "one of them said nothing"}
        share = both / shorter if shorter else None
        pairs.append(PairTalk(labels[i], labels[j], to_s(both), share, reasons=silent))
    return tuple(pairs)
