"""Drift borrowed from one participant's other parts: one device, one clock.

A part of three words says where it lies, but not how fast its clock runs. Where the same person's other
parts agree on that, and nothing in this one speaks against it, their drift is this one's as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.certainty import drift_bound_ppm
from recall_audio.core.lagline import Lines

AGREE_PPM = 1.0
"""Parts of one device agree within this: clocks creep with temperature."""

CONTRADICTS = 1.5
"""Own evidence this many half widths of its interval from the others' drift forbids to borrow it."""


@dataclass(frozen=True, slots=True)
class Loan:
    """A drift that was borrowed.

    Attributes:
        part_id: whose it is.
        drift_ppm: how much.
        bound_ppm: half width of its 95 % interval.
    """

    part_id: str
    drift_ppm: float
    bound_ppm: float


def borrow(own: Lines, donors: Sequence[tuple[str, Lines]]) -> Loan | None:
    """Drift for a part that shows none, from the participant's parts that do; None where they disagree."""
    if not donors:
        return None
    ppm = np.array([lines.slope * 1e6 for _, lines in donors])
    sigma = np.array([lines.sigmas_95 * lines.slope_sigma * 1e6 for _, lines in donors])
    if np.ptp(ppm) > AGREE_PPM + 2.0 * float(np.max(sigma)):
        return None
    best = int(np.argmin(sigma))
    off_ppm = abs(own.slope * 1e6 - ppm[best])
    if (
        np.isfinite(own.slope_sigma)
        and off_ppm > CONTRADICTS * own.sigmas_95 * own.slope_sigma * 1e6 + AGREE_PPM
    ):
        return None
    # A single other part may have been another device: then only the part's own windows bound it.
    bound_ppm = AGREE_PPM if len(donors) > 1 else drift_bound_ppm(own, float(ppm[best]))
    return Loan(donors[best][0], float(ppm[best]), float(bound_ppm))
