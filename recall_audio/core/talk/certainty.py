"""Say how sure the order of the speakers is, and which figures may be off by more than a reader expects.

Two speakers' order is open where the intervals of their talk overlap::

    A  ├──────●──────┤
    B        ├───●───┤        open: B may have spoken more
    C  ├─●─┤                  A before C: open too; C before B is sure
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import atan, hypot, prod, sqrt

import numpy as np

from recall_audio.core.talk.measure import SILENT
from recall_audio.model.outcome import Finding
from recall_audio.model.talk import SpeakerTalk, Talk
from recall_audio.model.turns import Ranked, Ranks

_T3_QUANTILE = 3.1824
"""97.5 % quantile of Student's t with 3 degrees of freedom, whose tails the errors have (fitted likelihood is
highest for 1.5 to 3 on the meetings of ``tests/benchmarks/intervals.py``)."""
MOST_OFF_SHARE = 0.02
"""Half width of a share of talk above which there is a warning: two points. It names 95 % of the shares that
are off by more than two points in ``tests/benchmarks/intervals.py``."""
MOST_OFF_OVERLAP = 0.3
"""Half width of the overlap, over the overlap, above which there is a warning. It names 97 % of the
overlaps that are off by more than 10 % there: half of the meetings of 90 s are, and most half widths are
wider."""
LEAST_OFF_OVERLAP_S = 0.5
"""A narrower half width of the overlap is not warned of: a tenth of very little is less than an edge."""
_MAINLY = 0.7
"""Part of a half width from which one speaker is named as its cause."""


def with_ranks(talk: Talk) -> Talk:
    """Add the order of the known speakers by talk, and how sure it is.

    Without intervals, nothing is added.
    """
    known = {label: talk.speakers[label] for label in talk.over}
    if not known or any(s.talk_s_low is None or s.talk_s_high is None for s in known.values()):
        return talk
    order = sorted(known, key=lambda label: -(known[label].talk_s or 0.0))
    spoke = [label for label in order if known[label].talk_s]
    neighbours = tuple(_ranked(a, b, known) for a, b in pairwise(spoke))
    first = spoke[0] if spoke else None
    most = None
    if first is not None:
        most = prod(probability_of_more(known[first], known[x]) for x in order if x != first)
    rivals = [x for x in order if first is not None and x != first and _overlap(known[first], known[x])]
    reasons = {} if first is not None else dict.fromkeys(("most", "most_probability"), SILENT)
    return replace(talk, ranks=Ranks(tuple(order), first, most, tuple(rivals), neighbours, reasons))


def _ranked(a: str, b: str, known: dict[str, SpeakerTalk]) -> Ranked:
    return Ranked(a, b, probability_of_more(known[a], known[b]), _overlap(known[a], known[b]))


def _overlap(more: SpeakerTalk, less: SpeakerTalk) -> bool:
    return (more.talk_s_low or 0.0) < (less.talk_s_high or 0.0)


def probability_of_more(more: SpeakerTalk, less: SpeakerTalk) -> float:
    """Return how likely it is that the first, who has no less talk, spoke at least as much as the second.

    The two are wrong apart from each other. The difference is taken for Student's t with 3 degrees of
    freedom, with the interval's half width at 97.5 %.
    """
    apart_s = (more.talk_s or 0.0) - (less.talk_s or 0.0)
    half_s = hypot(
        (more.talk_s or 0.0) - (more.talk_s_low or 0.0), (less.talk_s_high or 0.0) - (less.talk_s or 0.0)
    )
    if not half_s:
        return 1.0 if apart_s else 0.5
    x = apart_s / half_s * _T3_QUANTILE / sqrt(3)
    return 0.5 + (x / (1 + x * x) + atan(x)) / np.pi


@dataclass(frozen=True, slots=True)
class UncertainFigure:
    """A figure that may be off by more than a reader expects.

    Attributes:
        label: the speaker whose share of talk it is; empty for the overlap of the meeting.
        value: the figure.
        low: lower end of its interval.
        high: upper end.
        cause: label of the speaker whose talk is in doubt, where one mainly is; else empty.
        is_over: whether the cause may have spoken less, rather than more, than is counted.
    """

    label: str
    value: float
    low: float
    high: float
    cause: str = ""
    is_over: bool = False


def uncertain_figures(talk: Talk) -> list[UncertainFigure]:
    """Return the shares of talk and the overlap whose half widths are above the bounds."""
    found = []
    for label in talk.over:
        s = talk.speakers[label]
        low, high, value = s.share_of_talk_low, s.share_of_talk_high, s.share_of_talk
        if low is None or high is None or value is None:
            continue
        if _off(value, low, high) > MOST_OFF_SHARE:
            found.append(UncertainFigure(label, value, low, high, *_cause(label, talk)))
    value, low, high = talk.overlap_s, talk.overlap_s_low, talk.overlap_s_high
    if (
        low is None
        or high is None
        or _off(value, low, high) <= max(MOST_OFF_OVERLAP * value, LEAST_OFF_OVERLAP_S)
    ):
        return found
    return [*found, UncertainFigure("", value, low, high)]


def _off(value: float, low: float, high: float) -> float:
    return max(value - low, high - value)


def _cause(label: str, talk: Talk) -> tuple[str, bool]:
    """Return who mainly makes a share uncertain, and whether by less talk than is counted."""
    sides = {
        x: ((s.talk_s or 0.0) - (s.talk_s_low or 0.0), (s.talk_s_high or 0.0) - (s.talk_s or 0.0))
        for x, s in ((x, talk.speakers[x]) for x in talk.over)
    }
    share = talk.speakers[label].share_of_talk or 0.0
    part = {x: max(two) * ((1 - share) if x == label else share) for x, two in sides.items()}
    most = max(part, key=lambda x: part[x])
    whole = float(np.sqrt(sum(p * p for p in part.values())))
    if not whole or part[most] < _MAINLY * whole:
        return "", False
    return most, sides[most][0] > sides[most][1]


def uncertainty_findings(talk: Talk) -> list[Finding]:
    """Return a warning for each figure that may be off by more than a reader expects."""
    return [_finding(figure, talk) for figure in uncertain_figures(talk)]


def _finding(figure: UncertainFigure, talk: Talk) -> Finding:
    """Return the warning that a figure may be off by more than a reader expects."""
    if not figure.label:
        text = (
            f"The overlap of {figure.value:.1f} s may be off by more than a tenth: it lies between "
            f"{figure.low:.1f} and {figure.high:.1f} s (95 %)."
        )
        return Finding("overlap_uncertain", text)
    text = (
        f"{figure.label}: the share of talk, {100 * figure.value:.1f} %, may be off by more than two points: "
        f"it lies between {100 * figure.low:.1f} and {100 * figure.high:.1f} % (95 %)"
    )
    return Finding("share_uncertain", f"{text}{_why(figure, talk)}.", figure.label)


def _why(figure: UncertainFigure, talk: Talk) -> str:
    """Return whose talk mainly makes a share uncertain, and in which way."""
    if not figure.cause:
        return ", because how much several speakers said is in doubt"
    whose = "they" if figure.cause == figure.label else figure.cause
    speaker = talk.speakers[figure.cause]
    leaked_s = (speaker.talk_raw_s or 0.0) - (speaker.talk_s or 0.0)
    heard = f"; {leaked_s:.0f} s of others' voices were taken out of that track" if leaked_s >= 1 else ""
    amount = "less" if figure.is_over else "more"
    return f", because {whose} may have spoken {amount} than the {speaker.talk_s:.1f} s counted{heard}"
