"""The residual check: which stretches of the mix are in no track."""

from collections.abc import Sequence

import numpy as np

from recall_audio.core.resample import read_near
from recall_audio.core.spans import to_seconds
from recall_audio.core.stems.placement import plan
from recall_audio.core.stems.render import Source, Stretch, render
from recall_audio.core.stems.residual import HOP_S, LOW_HZ, MARGIN, left_over, lowered, unexplained
from recall_audio.model.alignment import Track
from recall_audio.model.outcome import Finding
from recall_audio.model.stems import Residual
from recall_audio.pipeline.stems.level import Tick
from recall_audio.typing import Float32Array, Samples
from recall_audio.units import RATE_HZ

_BLOCK_S = 14  # a multiple of HOP_S
_NAMED = 5


def check_residual(tracks: Sequence[Track], mix: Samples, tick: Tick = lambda: None) -> Residual:
    """Fit the mix with all tracks, window by window; a last stretch below one second is left out."""
    placed = []
    for track in tracks:
        sources = tuple(Source(p.samples, p.time_map) for p in track.parts)
        placed.append((plan(sources, len(mix), RATE_HZ), sources))
    totals, rests = [np.empty(0)], [np.empty(0)]
    size = HOP_S * RATE_HZ
    end = (len(mix) - RATE_HZ) // size * size + size  # the last window is whole
    for start in range(0, end, _BLOCK_S * RATE_HZ):
        stop = min(start + _BLOCK_S * RATE_HZ, end)
        heard = read_near(mix, start - MARGIN, 1.0, stop - start + 2 * MARGIN)
        low = np.zeros((stop - start) // size * LOW_HZ, np.float32) if heard is None else lowered(heard)
        total, rest = left_over(low, [s for p in placed if (s := _low(*p, start, stop)) is not None])
        totals.append(total)
        rests.append(rest)
        tick()
    share, spans = unexplained(np.concatenate(totals), np.concatenate(rests))
    return Residual(share, tuple((a, b) for a, b in to_seconds(spans)))


def _low(
    stretches: Sequence[Stretch], sources: Sequence[Source], start: int, stop: int
) -> Float32Array | None:
    """A track at 4 kHz, None where it is silent."""
    block = render(stretches, sources, start - MARGIN, stop + MARGIN, draft=True)
    return lowered(block) if block.any() else None


def residual_findings(residual: Residual) -> tuple[Finding, ...]:
    """What a reader should know about what is in no track."""
    if not residual.unexplained:
        return ()
    named = ", ".join(f"{a:.0f}-{b:.0f} s" for a, b in residual.unexplained[:_NAMED])
    more = len(residual.unexplained) - _NAMED
    total_s = sum(b - a for a, b in residual.unexplained)
    return (
        Finding(
            "mix_unexplained",
            f"{total_s:.0f} s of the mix are in no participant's track ({named}"
            + (f" and {more} more" if more > 0 else "")
            + "): a shared screen's sound, somebody without a separate recording, a lost part, or one at "
            "the wrong place.",
        ),
    )
