"""Say what a reader should know about who owns what, and only where figures hang on it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.speech.frames import FRAMES_PER_S, near
from recall_audio.core.speech.ownership import Posteriors, Stretch
from recall_audio.core.transforms import sliding_highest
from recall_audio.model.outcome import Finding
from recall_audio.model.speech import Leak, LeakWindow
from recall_audio.typing import BoolArray, Float32Array, Spans
from recall_audio.units import RATE_HZ

_WINDOW = 10 * FRAMES_PER_S
_FEWEST = FRAMES_PER_S  # a second in which only the source speaks
_OWN, _NOT_OWN = 0.5, 0.3
_HEARD = 0.3  # detector probability in the listener's track
_CHANCE, _SURE = 0.2, 0.45  # likeness of unrelated voices, and of a leak that is certain
_MS_PER_FRAME = 1000 / FRAMES_PER_S


@dataclass(frozen=True, slots=True)
class Observed:
    """One pair in one window.

    Attributes:
        source: label of who speaks.
        listener: label of the track that holds the voice.
        window: what was found.
    """

    source: str
    listener: str
    window: LeakWindow


def observe(stretch: Stretch, own: Sequence[Float32Array], inner: slice) -> list[Observed]:
    """Return every pair's windows in which a source speaks and is heard in a listener's track.

    Args:
        stretch: the tracks.
        own: probability of own speech of each, shapes (n,).
        inner: the frames that count, without margins.
    """
    found = []
    widened = [sliding_highest(p, 3) for p in own]
    for k, one in enumerate(stretch.evidence):
        silent = (own[k] < _NOT_OWN) & one.frames.candidate & (one.frames.likely > _HEARD)
        if not silent[inner].any():
            continue
        for j, pair in one.pairs.items():
            labels = (stretch.evidence[j].frames.label, one.frames.label)
            windows = _windows(stretch.first, pair, silent, widened[j], inner)
            found += [Observed(*labels, window) for window in windows]
    return found


def _windows(
    first: int, pair: Float32Array, silent: BoolArray, source: Float32Array, inner: slice
) -> Iterator[LeakWindow]:
    likeness, lag, gain_db = pair.T
    at = np.clip(np.arange(len(lag)) - lag.astype(np.int64), 0, len(lag) - 1)
    heard = silent & (source[at] > _OWN)
    for start in range(inner.start, inner.stop, _WINDOW):
        here = slice(start, min(start + _WINDOW, inner.stop))
        chosen = heard[here]
        if np.count_nonzero(chosen) < _FEWEST:
            continue
        alike = float(likeness[here][chosen].mean())
        certainty = float(np.clip((alike - _CHANCE) / (_SURE - _CHANCE), 0, 1))
        if certainty > 0:
            yield LeakWindow(
                start_s=round((first + start) / FRAMES_PER_S, 2),
                gain_db=round(float(np.median(gain_db[here][chosen])), 2),
                certainty=round(certainty, 3),
                delay_ms=round(float(np.median(lag[here][chosen])) * _MS_PER_FRAME, 1),
                likeness=round(alike, 3),
            )


def leaks_of(observed: Sequence[Observed]) -> tuple[Leak, ...]:
    """Return one leak for each ordered pair of tracks, over the whole meeting."""
    by_pair: dict[tuple[str, str], list[LeakWindow]] = {}
    for o in observed:
        by_pair.setdefault((o.source, o.listener), []).append(o.window)
    return tuple(_leak(*pair, windows) for pair, windows in sorted(by_pair.items()))


def _leak(source: str, listener: str, windows: Sequence[LeakWindow]) -> Leak:
    return Leak(
        source,
        listener,
        gain_db=round(float(np.median([w.gain_db for w in windows])), 2),
        delay_ms=round(float(np.median([w.delay_ms for w in windows])), 1),
        certainty=round(float(np.percentile([w.certainty for w in windows], 75)), 3),
        windows=tuple(windows),
    )


def sources_by_listener(leaks: Sequence[Leak], least: float = 0.3) -> Mapping[str, list[str]]:
    """Return the labels heard in each track, those at least `least` sure."""
    found: dict[str, list[str]] = {}
    for leak in leaks:
        if leak.certainty >= least:
            found.setdefault(leak.listener, []).append(leak.source)
    return found


_DECIDES_SHARE, _DECIDES_S = 0.1, 2.0
_FEWEST_UNASSIGNED_S = 2.0
_FEWEST_S = 5.0  # speech from which two tracks are compared
_SAME, _SILENT, _HARDLY_OWN = 0.85, 0.15, 0.2
_LAG_FRAMES = 40


def ownership_findings(
    segments: Mapping[str, Spans],
    raw: Mapping[str, Spans],
    leaks: Sequence[Leak],
    posteriors: Posteriors,
    unassigned: Spans | None,
) -> tuple[Finding, ...]:
    """Return the findings about leakage, doubtful speech, one person on two devices, and missing tracks."""
    found = [
        *_leakage_decides(segments, raw, leaks, posteriors),
        *_same_person_twice(segments, posteriors),
    ]
    unassigned_s = sp.total(unassigned) / RATE_HZ if unassigned is not None else 0.0
    if unassigned_s >= _FEWEST_UNASSIGNED_S:
        text = (
            f"{unassigned_s:.0f} s of speech in the mixed recording are on no participant's track: a "
            "telephone, a track that is missing, or a shared screen. Shares of talk leave them out."
        )
        found.append(Finding("voice_without_track", text))
    return tuple(found)


def _leakage_decides(
    segments: Mapping[str, Spans], raw: Mapping[str, Spans], leaks: Sequence[Leak], posteriors: Posteriors
) -> Iterator[Finding]:
    sources = sources_by_listener(leaks)
    for label, heard in raw.items():
        kept_s, heard_s = (sp.total(s) / RATE_HZ for s in (segments[label], heard))
        gone_s = sp.total(sp.subtract(heard, segments[label])) / RATE_HZ
        if gone_s <= _DECIDES_S or gone_s <= _DECIDES_SHARE * heard_s:
            continue
        whose = f" ({', '.join(sources[label])})" if label in sources else ""
        doubtful_s = posteriors.doubtful_s(label)
        text = (
            f"{gone_s:.0f} s of the speech heard in this track is others' voices{whose} and was taken out: "
            f"{kept_s:.0f} s are the participant's own, {doubtful_s:.1f} s of the decision may be wrong."
        )
        # How far figures may be off because of it is said once, by their intervals.
        yield Finding("leakage_decides", text, where=label, severity="note")


def _same_person_twice(segments: Mapping[str, Spans], posteriors: Posteriors) -> Iterator[Finding]:
    """Yield tracks that hold one other participant's voice and no other.

    A loudspeaker plays all participants, so a track that leaks holds all others; a second device
    holds that person alone. Where only one other speaks, the two cannot be told apart, and nothing is said.
    """
    own = {k: row > 127 for k, row in posteriors.own.items()}
    fewest = _FEWEST_S * FRAMES_PER_S
    alone = {k: mask & (np.sum(list(own.values()), axis=0) == 1) for k, mask in own.items()}
    for label, heard in posteriors.heard.items():
        there = heard > 127
        if there.sum() < fewest or own[label].sum() > _HARDLY_OWN * there.sum():
            continue
        others = {
            k: mask for k, mask in alone.items() if k != label and mask.sum() >= _FEWEST_S * FRAMES_PER_S
        }
        same = [k for k in others if _share(there, near(own[k], _LAG_FRAMES)) > _SAME]
        silent = [k for k in others if _share(others[k], near(there, _LAG_FRAMES // 2)) < _SILENT]
        if len(same) == 1 and len(silent) == len(others) - 1 and silent:
            text = (
                f"This track holds the voice of {same[0]} and no other: one person on two devices, most "
                f"likely. The speech is counted for {same[0]} alone."
            )
            yield Finding("same_person_twice", text, where=label)


def _share(part: BoolArray, whole: BoolArray) -> float:
    return int(np.count_nonzero(part & whole)) / max(int(np.count_nonzero(part)), 1)
