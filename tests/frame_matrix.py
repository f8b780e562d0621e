"""Compute talk figures a second way: from a matrix of 100 ms frames, one frame after another.

Independent of the package, slow and plain, so that it can be checked by reading. `cuts` are the frames at
which a speaker's recording starts or stops, the meeting's own edges included.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.bool_]
Cuts = list[set[int]]
FRAME_S = 0.1
IPU_GAP, TURN_JOIN, BACKCHANNEL, SILENCE, LEAD, WINDOW = 2, 15, 10, 10, 2, 100  # frames


class Step(NamedTuple):
    """A move of the floor from one holder to the next; times in frames."""

    before: set[int]
    after: set[int]
    began: int
    ended: int
    starts: int

    @property
    def offset(self) -> int:
        """Return the floor-transfer offset."""
        return self.starts - self.ended

    @property
    def switch(self) -> bool:
        """Return whether the floor moves to another speaker."""
        return not self.before & self.after


def runs(row: Matrix) -> list[tuple[int, int]]:
    """Return ``[start, stop)`` of each run of true frames."""
    found, since = [], None
    for f, value in enumerate([*row.tolist(), False]):
        if value and since is None:
            since = f
        elif not value and since is not None:
            found.append((since, f))
            since = None
    return found


def filled(row: Matrix, gap: int) -> Matrix:
    """Return the row with inner silences of up to `gap` frames filled."""
    out = row.copy()
    edge = [runs(row)[0][0], runs(row)[-1][1]] if row.any() else [0, 0]
    for a, b in runs(~row):
        if b - a <= gap and a > edge[0] and b < edge[1]:
            out[a:b] = True
    return out


def base(active: Matrix) -> dict[str, Any]:
    """Return talk T, exclusive E, pairs O_ij, held D_k, speech U and overlap O in frames."""
    at_once = active.sum(axis=0)
    return {
        "talk": active.sum(axis=1).tolist(),
        "exclusive": [int((row & (at_once == 1)).sum()) for row in active],
        "pairs": [[int((a & b).sum()) for b in active] for a in active],
        "held": [int((at_once == k).sum()) for k in range(int(at_once.max(initial=0)) + 1)],
        "speech": int(active.any(axis=0).sum()),
        "overlap": int((at_once >= 2).sum()),
    }


def gini(talk: list[int]) -> float | None:
    """Return the Gini coefficient by the double sum, without N/(N − 1)."""
    n, total = len(talk), sum(talk)
    return sum(abs(a - b) for a in talk for b in talk) / (2 * n * total) if total else None


def quartiles(values: Sequence[int]) -> tuple[float, float, float] | None:
    """Return first quartile, median and third, interpolated between neighbours in order."""
    if not values:
        return None
    line = sorted(values)
    found = []
    for part in (0.25, 0.5, 0.75):
        at = part * (len(line) - 1)
        low = int(at)
        high = min(low + 1, len(line) - 1)
        found.append(line[low] + (at - low) * (line[high] - line[low]))
    return found[0], found[1], found[2]


def backchannels(units: Matrix, cuts: Cuts) -> list[list[bool]]:
    """Mark units that are short, alone for a second on both sides, and within others' speech."""
    marked = []
    for i, row in enumerate(units):
        others = np.delete(units, i, axis=0).any(axis=0)
        marked.append(
            [
                b - a <= BACKCHANNEL
                and not any(a - SILENCE < c <= a or b <= c < b + SILENCE for c in cuts[i])
                and not row[a - SILENCE : a].any()
                and not row[b : b + SILENCE].any()
                and bool(others[a:b].any())
                for a, b in runs(row)
            ]
        )
    return marked


def floor(units: Matrix) -> list[Step]:
    """Find the moves of the floor by walking through the frames.

    The holder keeps the floor to the end of the unit. Then it goes to the current speaker whose unit began
    first, of equal ones to the unit that ends last; where all are silent, to the next speaker.
    """
    ends = [dict(runs(row)) for row in units]
    starts = [{b: a for a, b in runs(row)} for row in units]
    steps: list[Step] = []
    holder: tuple[int, int, set[int]] | None = None
    for f in range(units.shape[1]):
        if holder and f < holder[1]:
            continue
        speaking = []
        for i, row in enumerate(units):
            if row[f]:
                a = next(a for a in range(f, -1, -1) if a in ends[i])
                speaking.append((a, -ends[i][a], i))
        if not speaking:
            continue
        first = min(speaking)[:2]
        after = {i for a, b, i in speaking if (a, b) == first}
        if holder:
            steps.append(Step(holder[2], after, holder[0], holder[1], first[0]))
        holder = (first[0], -first[1], after)
        assert all(starts[i][holder[1]] == holder[0] for i in after)
    return steps


def counted(steps: Sequence[Step], cuts: Cuts) -> list[Step]:
    """Return switches whose offset counts: not cut, after enough speech, not too far apart."""
    return [
        s
        for s in steps
        if s.switch
        and not any(s.ended in cuts[i] for i in s.before)
        and not any(s.starts in cuts[i] for i in s.after)
        and s.starts - s.began >= LEAD
        and abs(s.offset) <= WINDOW
    ]


def overlaps(units: Matrix, cuts: Cuts) -> list[tuple[int, int, str, bool]]:
    """Return ``(earlier, later, class, the earlier yielded)`` of each overlap, each pair once."""
    n_frames = units.shape[1]
    ends = [dict(runs(row)) for row in units]
    found = []
    for i, j in ((i, j) for i in range(len(units)) for j in range(len(units)) if i != j):
        for a, b in ends[j].items():
            if not units[i, a] or (a in ends[i] and (ends[i][a], i) < (b, j)):
                continue  # i is silent, or both start here and the pair is counted the other way round
            stop = next(
                f for f in range(a, n_frames + 1) if f == n_frames or not (units[i, f] and units[j, f])
            )
            goes_on = {k: bool(stop < n_frames and units[k, stop]) for k in (i, j)}
            began_unseen = a in cuts[j] or (a in ends[i] and a in cuts[i])
            if began_unseen or any(stop in cuts[k] for k in (i, j) if not goes_on[k]):
                kind = "undetermined"
            elif a in ends[i]:
                kind = "simultaneous_onset"
            else:
                kind = "between" if goes_on[j] and not goes_on[i] else "within"
            found.append((i, j, kind, kind == "between" and not units[i, stop:b].any()))
    return found


def monologue(units: Matrix, marked: list[list[bool]], i: int) -> int:
    """Return the longest part of a turn of `i`, speech to speech, broken by backchannels at most."""
    broken = np.zeros(units.shape[1], dtype=np.bool_)
    for j, row in enumerate(units):
        for (a, b), candidate in zip(runs(row), marked[j], strict=True):
            if j != i and not candidate:
                broken[a:b] = True
    best = 0
    for a, b in runs(filled(units[i], TURN_JOIN) & ~broken):
        spoken = np.flatnonzero(units[i, a:b])
        if len(spoken):
            best = max(best, int(spoken[-1] - spoken[0] + 1))
    return best
