"""Measure how many speak at once, and who with whom, by one sweep over all starts and stops.

::

    A        |-----------|                  active at once   0 1  2 1 2 1 0
    B            |--|  |------|             O_AB                  ==  =
                                            E_A              ====   =
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_audio.core.spans import EMPTY
from recall_audio.typing import IntArray, Spans

BLOCK_STRETCHES = 4096
"""Stretches between two starts or stops that are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """How long how many speak, who alone, and who with whom, in samples.

    Attributes:
        held: D_0, D_1, ...: time in which exactly so many speak, shape (N + 1,).
        exclusive: E_i: time in which only i speaks, shape (N,), speakers in the order given.
        pairs: O_ij, time in which i and j speak, shape (N, N), symmetric; T_i on the diagonal.
    """

    held: IntArray
    exclusive: IntArray
    pairs: IntArray

    @property
    def talk(self) -> IntArray:
        """Return T_i, the time in which i speaks, shape (N,)."""
        return np.diagonal(self.pairs)

    @property
    def speech(self) -> int:
        """Return U, the time in which one or more speak."""
        return int(self.held[1:].sum())

    @property
    def overlap(self) -> int:
        """Return O, the time in which two or more speak."""
        return int(self.held[2:].sum())


def measure_activity(speech: Sequence[Spans], duration: int) -> Activity:
    """Measure the activity of speakers.

    Args:
        speech: spans of each speaker within ``[0, duration)``.
        duration: length of the meeting, samples.
    """
    n = len(speech)
    held = np.zeros(n + 1, dtype=np.int64)
    exclusive = np.zeros(n, dtype=np.int64)
    pairs = np.zeros((n, n), dtype=np.int64)
    talking = [i for i in range(n) if len(speech[i])]
    for active, width in _stretches([speech[i] for i in talking]):
        at_once = active.sum(axis=1)
        held += np.bincount(at_once, weights=width, minlength=n + 1).astype(np.int64)
        exclusive[talking] += width[at_once == 1] @ active[at_once == 1]
        # Sums of samples stay far below 2**53: products in float64 (BLAS) are exact.
        weighted = active.T.astype(np.float64) * width
        pairs[np.ix_(talking, talking)] += np.rint(weighted @ active).astype(np.int64)
    held[0] = duration - held[1:].sum()
    return Activity(held, exclusive, pairs)


def at_least(speech: Sequence[Spans], k: int) -> Spans:
    """Return the time in which `k` or more speak."""
    cut = np.concatenate((EMPTY, *speech))
    at, change = _edges(cut)
    level = np.cumsum(change)
    # Where several edges share a moment, only the level after the last of them lasts.
    last = np.flatnonzero(np.r_[at[1:] != at[:-1], np.ones(min(len(at), 1), dtype=np.bool_)])
    above = np.r_[False, level[last] >= k]
    changes = np.flatnonzero(above[1:] != above[:-1])
    return np.asarray(at[last][changes].reshape(-1, 2), dtype=np.int64)


def covered(spans: Spans, at: IntArray) -> IntArray:
    """Return the samples of `spans` before each moment of `at`.

    Differences of two are the speech between two moments.
    """
    if len(spans) == 0:
        return np.zeros(np.shape(at), dtype=np.int64)
    before = np.r_[0, np.cumsum(spans[:, 1] - spans[:, 0])]
    i = np.searchsorted(spans[:, 0], at, side="left")
    inside = np.minimum(at, spans[np.maximum(i - 1, 0), 1]) - spans[np.maximum(i - 1, 0), 0]
    return np.asarray(np.where(i > 0, before[np.maximum(i - 1, 0)] + inside, 0), dtype=np.int64)


def _edges(cut: Spans) -> tuple[IntArray, IntArray]:
    """Return the moments of all starts and stops in order of time, and +1 or −1 for each."""
    at = cut.T.ravel()
    change = np.repeat(np.array([1, -1], dtype=np.int64), len(cut))
    order = np.argsort(at, kind="stable")
    return at[order], change[order]


def _stretches(speech: Sequence[Spans]) -> Iterator[tuple[npt.NDArray[np.int8], IntArray]]:
    """Yield who is active, shape (m, N), and for how long, shape (m,), in blocks."""
    n = len(speech)
    cut = np.concatenate((EMPTY, *speech))
    who = np.tile(np.repeat(np.arange(n), [len(a) for a in speech]), 2)
    at = cut.T.ravel()
    order = np.argsort(at, kind="stable")
    change = np.repeat(np.array([1, -1], dtype=np.int8), len(cut))[order]
    at, who = at[order], who[order]
    carried = np.zeros(n, dtype=np.int8)
    for first in range(0, len(at) - 1, BLOCK_STRETCHES):
        last = min(first + BLOCK_STRETCHES, len(at) - 1)
        active = np.zeros((last - first, n), dtype=np.int8)
        active[np.arange(last - first), who[first:last]] = change[first:last]
        active[0] += carried
        active = np.cumsum(active, axis=0, dtype=np.int8)
        carried = active[-1]
        yield active, np.diff(at[first : last + 1])
