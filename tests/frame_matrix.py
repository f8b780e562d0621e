"""Talk figures a second way: by looking at a matrix of 100 ms frames, one after the other.

Nothing of the package is used here. Slow and plain: what it computes can be checked by eye.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.bool_]
FRAME_S = 0.1
IPU_GAP, TURN_JOIN, BACKCHANNEL, SILENCE, LEAD, WINDOW = 2, 15, 10, 10, 2, 100  # frames


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


def backchannels(units: Matrix) -> list[list[bool]]:
    """For each speaker's units: short, alone for a second on both sides, while another speaks."""
    n_frames = units.shape[1]
    marked = []
    for i, row in enumerate(units):
        others = np.delete(units, i, axis=0).any(axis=0)
        marked.append(
            [
                b - a <= BACKCHANNEL
                and a >= SILENCE
                and b + SILENCE <= n_frames
                and not row[a - SILENCE : a].any()
                and not row[b : b + SILENCE].any()
                and bool(others[a:b].any())
                for a, b in runs(row)
            ]
        )
    return marked


def floor(units: Matrix) -> list[tuple[set[int], set[int], int]]:
    """``(who had the floor, who has it next, offset in frames)``, found by walking through the frames.

    Whoever holds the floor keeps it to the end of their unit. Then it goes to the one that has been speaking
    longest of those who speak, and of several to the one who will speak longest; else to who speaks next.
    """
    ends = [dict(runs(row)) for row in units]
    starts = [{b: a for a, b in runs(row)} for row in units]
    steps: list[tuple[set[int], set[int], int]] = []
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
            steps.append((holder[2], after, first[0] - holder[1]))
        holder = (first[0], -first[1], after)
        assert all(starts[i][holder[1]] == holder[0] for i in after)
    return steps


def overlaps(units: Matrix) -> list[tuple[int, int, str, bool]]:
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
            i_goes_on, j_goes_on = (stop < n_frames and units[k, stop] for k in (i, j))
            if a == 0 or stop == n_frames:
                kind = "undetermined"
            elif a in ends[i]:
                kind = "simultaneous_onset"
            else:
                kind = "between" if j_goes_on and not i_goes_on else "within"
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
