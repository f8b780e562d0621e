r"""Muting what is not a participant's own speech, without clicks.

::

    speech            |========|                 |===|
    gate     ____/‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾\_________/‾‾‾‾‾‾‾‾‾‾‾‾\____      open 100 ms before and after
"""

import numpy as np

from recall_audio.typing import Float32Array, Spans
from recall_audio.units import RATE_HZ

MARGIN_S = 0.1
"""How long before and after speech the gate is open: a soft first consonant is below any detector."""

FADE_S = 0.02
"""Length of the raised-cosine fade outside of that, seconds."""


def gate(speech: Spans, start: int, stop: int, rate_hz: int) -> Float32Array:
    """Factors 0 to 1 for samples [start, stop) of a track, shape (stop - start,).

    Args:
        speech: spans on the mix's 16 kHz clock.
        start: first sample, at `rate_hz`.
        stop: sample after the last.
        rate_hz: the track's rate.
    """
    factors = np.zeros(stop - start, dtype=np.float32)
    margin, fade = round(MARGIN_S * rate_hz), round(FADE_S * rate_hz)
    table = np.cos(np.minimum(np.arange(fade + 2) / (fade + 1), 1.0) * (np.pi / 2)) ** 2
    opens, closes = np.rint(speech.T * (rate_hz / RATE_HZ)).astype(np.int64)
    opens, closes = opens - margin, closes + margin
    near = (closes + fade > start) & (opens - fade < stop)
    for a, b in zip(opens[near], closes[near], strict=True):
        at = np.arange(max(a - fade, start), min(b + fade, stop))
        outside = np.clip(np.maximum(a - at, at - b + 1), 0, fade + 1)
        here = factors[at[0] - start : at[-1] + 1 - start]
        # Where two fades meet, the one that is further open counts.
        np.maximum(here, table[outside], out=here)
    return factors
