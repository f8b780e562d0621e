"""Test whether the speakers' ranks depend on a chosen parameter."""

import bisect
from collections.abc import Mapping, Sequence

from recall_audio.core.activity import measure_activity
from recall_audio.core.spans import finished, from_seconds, to_seconds
from recall_audio.core.talk.annotation import Rows, make_annotation, to_s
from recall_audio.errors import UsageError
from recall_audio.model.options import TalkOptions
from recall_audio.model.speech import OtherThreshold
from recall_audio.model.talk import Sensitivity, Variant
from recall_audio.units import to_samples

Segments = Mapping[str, Rows]
Measured = tuple[list[int], int]
"""Talk of each participant and the overlap, samples."""


def bridge_variants(
    unbridged: Segments,
    shortest_s: float,
    options: TalkOptions = TalkOptions(),  # noqa: B008 - a frozen value
) -> dict[str, dict[str, list[list[float]]]]:
    """Return the segments under several longest bridged pauses, by name.

    The result is ``{"bridge 0.1 s": {label: rows}, ...}``.

    Args:
        unbridged: label to speech as the decision left it: no pause bridged, edges not set right.
        shortest_s: shorter speech is dropped, after bridging.
        options: the choices, ``bridge_choices_s``.
    """
    shortest = to_samples(shortest_s)
    spans = {label: from_seconds(rows) for label, rows in unbridged.items()}
    return {
        f"bridge {choice:g} s": {
            label: to_seconds(finished(a, to_samples(choice), shortest)) for label, a in spans.items()
        }
        for choice in options.bridge_choices_s
    }


def measure_sensitivity(
    variants: Mapping[str, Segments],
    chosen: str,
    duration_s: float,
    thresholds: Sequence[OtherThreshold] = (),
) -> Sensitivity:
    """Compare shares of talk and ranks under every variant with those of `chosen`.

    Args:
        variants: name to segments, e.g. those of :func:`bridge_variants`.
        chosen: name of the variant that the other figures rest on.
        duration_s: the mix's duration.
        thresholds: talk under other thresholds of the detector, as the speech step left it; rows
            ``speech threshold 0.3``.

    Raises:
        UsageError: `chosen` is not among the variants, or two name different speakers.
    """
    if chosen not in variants:
        raise UsageError(f"{chosen!r} is not among the variants {sorted(variants)}.")
    labels = list(variants[chosen])
    named = [*variants.values(), *(other.talk_s for other in thresholds)]
    if any(set(speakers) != set(labels) for speakers in named):
        raise UsageError("The variants name different speakers; a silent one has an empty list.")
    measured = {name: _measured(segments, labels, duration_s) for name, segments in variants.items()}
    measured |= {f"speech threshold {o.threshold:g}": _under_threshold(o, labels) for o in thresholds}
    reference = _variant(chosen, labels, measured[chosen], None)
    rows = (_variant(name, labels, one, reference) for name, one in measured.items())
    return Sensitivity(chosen, tuple(rows))


def rank(talk: Sequence[int]) -> list[int]:
    """Return ranks, 1 for the most, with equal talk sharing the better rank (1, 2, 2, 4)."""
    ordered = sorted(talk)
    return [1 + len(talk) - bisect.bisect_right(ordered, t) for t in talk]


def _measured(segments: Segments, labels: Sequence[str], duration_s: float) -> Measured:
    annotation = make_annotation(segments, duration_s)
    activity = measure_activity([annotation.speech[label] for label in labels], annotation.duration)
    return activity.talk.tolist(), activity.overlap


def _under_threshold(other: OtherThreshold, labels: Sequence[str]) -> Measured:
    return [to_samples(other.talk_s[label]) for label in labels], to_samples(other.overlap_s)


def _variant(name: str, labels: Sequence[str], measured: Measured, reference: Variant | None) -> Variant:
    """Return one row of the table, compared with `reference` where there is one."""
    talk, overlap = measured
    whole = sum(talk)
    share = {label: t / whole for label, t in zip(labels, talk, strict=True)} if whole else {}
    ranks = dict(zip(labels, rank(talk), strict=True))
    other = share if reference is None else reference.share_of_talk
    change = (
        max((abs(share[label] - other[label]) for label in labels), default=None) if share and other else None
    )
    return Variant(
        name=name,
        talk_s={label: to_s(t) for label, t in zip(labels, talk, strict=True)},
        share_of_talk=share,
        rank=ranks,
        overlap_s=to_s(overlap),
        same_ranks=reference is None or ranks == reference.rank,
        largest_change=change,
        reasons={} if change is not None else {"largest_change": "nobody spoke under one of the two"},
    )
