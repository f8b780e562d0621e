"""Report whose voice is heard in whose track, for each pair and ten seconds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.speech.filters import highest
from recall_audio.core.speech.frames import FRAMES_PER_S
from recall_audio.core.speech.ownership import Stretch
from recall_audio.model.speech import Leak, LeakWindow
from recall_audio.typing import BoolArray, Float32Array

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
    widened = [highest(p, 3) for p in own]
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
