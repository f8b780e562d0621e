"""Which stretches of a turn tell how a voice sounds: where its speaker speaks, and nobody else.

::

    turn     |------------------------------------------|
    own      |==========|   |=====|   |=================|
    others          |=======|                    |==|
    alone    |=====|           |==|   |=========|    |==|     clear of the others by a guard
    pieces   |=====|           |==|   |====|====|    |==|     none long, all together within a limit
"""

from collections.abc import Iterable
from itertools import pairwise

from recall_audio.core.spans import Spans, clip, drop_short, spans, subtract, total, union
from recall_audio.model.options import FeatureOptions
from recall_audio.units import to_samples


def widened(speech: Iterable[Spans], guard_s: float) -> Spans:
    """Everyone's speech together, each stretch longer by `guard_s` on either side."""
    guard = to_samples(guard_s)
    return spans((int(a) - guard, int(b) + guard) for a, b in union(*speech))


def alone(start: int, end: int, own: Spans, others: Spans, options: FeatureOptions) -> Spans:
    """Where the speaker of a turn speaks clear of all others, stretches too short to tell left out.

    Args:
        start: of the turn, samples.
        end: of the turn, samples.
        own: the speaker's speech.
        others: everyone else's, as :func:`widened` gives it.
        options: the shortest stretch that counts.
    """
    clear = subtract(clip(own, start, end), clip(others, start, end))
    return drop_short(clear, to_samples(options.shortest_s))


def pieces(stretches: Spans, options: FeatureOptions) -> list[tuple[int, int]]:
    """``(start, end)`` of pieces of up to ``piece_s``; where that is too much, some, spread evenly."""
    longest, limit = to_samples(options.piece_s), to_samples(options.longest_s)
    cut = [piece for start, end in stretches.tolist() for piece in _cut(start, end, longest)]
    every = max(1.0, total(stretches) / limit)  # one moment in so many is analysed
    chosen, passed, used = [], 0, 0
    for start, end in cut:
        passed += end - start
        # A piece is taken once half of it is due.
        room = min(end - start, limit - used)
        if passed - (end - start) / 2 >= used * every and room >= to_samples(options.shortest_s):
            chosen.append((start, start + room))
            used += room
    return chosen


def _cut(start: int, end: int, longest: int) -> list[tuple[int, int]]:
    n = -(-(end - start) // longest)
    at = [start + (end - start) * i // n for i in range(n)] + [end]
    return list(pairwise(at))
