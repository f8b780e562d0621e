"""Windows of a part that may hold speech: cheap levels of every stretch, and the choice among them.

::

    level   ▁▁▂▁▆█▇▅▁▁▁▂▁▁▇▆█▅▁▁      cells of 0.5 s
    chosen      ▔▔▔▔      ▔▔▔▔        above the part's own floor
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recall_audio.typing import BoolArray, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

CELL = RATE_HZ // 2
"""Samples of a cell: 0.5 s, a few syllables; the window in which one lag is measured."""

BLOCK_CELLS = 16
"""Cells read at once: 8 s, 0.5 MB as floats, which stay near the processor."""

QUIET_DB = -70.0
"""Below this, in dB of full scale, a cell holds nothing that was meant to be heard."""

DEAD_DB = -90.0
"""The level that digital silence stands for: a gated microphone's background."""

ABOVE_FLOOR_DB = 6.0
"""A cell with speech stands out from the part's floor by this much, ..."""

BELOW_TOP_DB = 12.0
"""... or is this near the loudest: a part may hold nothing but speech."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Levels of a part's consecutive cells.

    Attributes:
        level_db: shape (n,), mean power of each cell after a first difference, dB of full scale; −inf is
            digital silence.
        floor_db: level of the part's background; digital silence counts as :data:`DEAD_DB`.
    """

    level_db: FloatArray
    floor_db: float

    @property
    def loud(self) -> BoolArray:
        """Shape (n,): which cells stand out from the floor."""
        top_db = float(np.max(self.level_db, initial=DEAD_DB))
        least_db = min(self.floor_db + ABOVE_FLOOR_DB, top_db - BELOW_TOP_DB)
        return np.asarray(self.level_db > max(least_db, QUIET_DB))

    @property
    def range_db(self) -> float:
        """How far the loudest cell stands out from the floor."""
        return float(np.max(self.level_db, initial=DEAD_DB)) - self.floor_db


def measure_cells(samples: Samples) -> Cells:
    """Levels of the whole cells of `samples` (shape (n,), int16), read in blocks.

    A first difference stands before the power, so that hum and rumble do not pass for speech.
    """
    n = len(samples) // CELL
    level_db = np.full(n, -np.inf)
    for first in range(0, n, BLOCK_CELLS):
        last = min(first + BLOCK_CELLS, n)
        x = np.asarray(samples[first * CELL : last * CELL], dtype=np.float32).reshape(last - first, CELL)
        d = np.diff(x, axis=1)
        power = np.einsum("ij,ij->i", d, d) / (CELL * 32768.0**2)
        with np.errstate(divide="ignore"):
            level_db[first:last] = 10.0 * np.log10(power)
    floor_db = float(np.percentile(np.maximum(level_db, DEAD_DB), 10)) if n else DEAD_DB
    return Cells(level_db, floor_db)


def spread_choice(worth: FloatArray, wanted: int, apart: int) -> IntArray:
    """Up to `wanted` indices of the greatest `worth` > 0, `apart` from one another, spread over the whole.

    Half of them are the best anywhere, half the best of equal stretches: a voice that is heard
    once in an hour is found, and so is a clock that drifts over that hour.
    """
    n = len(worth)
    best = np.argsort(-worth, kind="stable")
    edges = np.linspace(0, n, max(wanted // 2, 1) + 1).astype(int)
    local = [a + int(np.argmax(worth[a:b])) for a, b in pairwise(edges) if b > a]
    local.sort(key=lambda i: -worth[i])
    chosen: list[int] = []
    for limit, order in ((wanted // 2, best), (wanted, np.array(local, dtype=np.int64)), (wanted, best)):
        for i in order[: 8 * wanted].tolist():
            if len(chosen) >= limit:
                break
            if worth[i] > 0 and all(abs(i - j) >= apart for j in chosen):
                chosen.append(i)
    return np.array(sorted(chosen), dtype=np.int64)
