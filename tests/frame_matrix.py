"""Talk figures a second way: by looking at a matrix of 100 ms frames, one after the other.

Nothing of the package is used here. Slow and plain: what it computes can be checked by eye. `cuts` are each
speaker's frames at which a recording of theirs starts or stops, the meeting's own edges among them.
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
    """The floor's way from one holder to the next, frames."""

    before: set[int]
    after: set[int]
    began: int
    ended: int
    starts: int

    @property
    def offset(self) -> int:
        """Floor-transfer offset."""
        return self.starts - self.ended

    @property
    def switch(self) -> bool:
        """To somebody else."""
        return not self.before & self.after


def runs(row: Matrix) -> list[tuple[int, int]]:
    """First and last-but-one frame of each stretch of true."""
    found, since = [], None
    for f, value in enumerate([*row.tolist(), False]):
        if value and since is None:
            since = f
        elif not value and since is not None:
            found.append((since, f))
            since = None
    return found


def filled(row: Matrix, gap: int) -> Matrix:
    """The row with inner silences of up to `gap` frames filled."""
    out = row.copy()
    edge = [runs(row)[0][0], runs(row)[-1][1]] if row.any() else [0, 0]
    for a, b in runs(~row):
        if b - a <= gap and a > edge[0] and b < edge[1]:
            out[a:b] = True
    return out


def base(active: Matrix) -> dict[str, Any]:
    """Times in frames: what metrics.md calls T, E, O_ij, D_k, U, O."""
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
    """By the double sum, without N/(N − 1)."""
    n, total = len(talk), sum(talk)
    return sum(abs(a - b) for a in talk for b in talk) / (2 * n * total) if total else None


def quartiles(values: Sequence[int]) -> tuple[float, float, float] | None:
    """First quartile, median, third: between the two nearest of the values in order."""
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
    """For each speaker's units: short, seen to be alone for a second on both sides, while another speaks."""
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
    """Who had the floor and who has it next, found by walking through the frames.

    Whoever holds the floor keeps it to the end of their unit. Then it goes to the one that has been speaking
    longest of those who speak, and of several to the one who will speak longest; else to who speaks next.
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
    """Switches whose offset counts: nothing cut, the earlier spoke a while, not too far apart."""
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
    """``(earlier, later, class, the earlier yielded)`` of each overlap; of one onset, one order."""
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
    """Longest stretch of a turn of `i`, from speech to speech, without others but for backchannels."""
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
