"""Alignment: every part on the mix's clock.

::

    cells      which half seconds of the part may hold speech                       windows
    anchors    a few of them, looked for far and wide: roughly where the part lies   anchors
    evidence   all of them, near there: up to three lags each, to a fraction        evidence
    path       which lags belong together, and where they step                      lagpath
    lines      one slope for the clock, a level for each segment                    lagline
    verdict    what is known, how well, and the time map                            verdict
"""

from collections.abc import Callable, Sequence

from recall_audio.core.alignment.decide import remarks, unplaced, verdicts
from recall_audio.core.alignment.part_fit import PartFit, fit_part
from recall_audio.model.alignment import Alignment, PartAudio
from recall_audio.model.options import AlignOptions
from recall_audio.typing import Samples
from recall_audio.units import RATE_HZ

Progress = Callable[[int, int], None]


def align(
    mix: Samples | None,
    parts: Sequence[PartAudio],
    options: AlignOptions,
    progress: Progress | None = None,
    encoder_delay_known: bool | None = None,
) -> Alignment:
    """Put every part on the mix's clock.

    Args:
        mix: shape (n,), int16, 16 kHz; None where there is none: every nominal start stands.
        parts: decoded parts, in the recording's order.
        options: how far to look.
        progress: called with (parts done, parts) after each part.
        encoder_delay_known: whether the mix names its encoder's delay; passed on to the result.

    Returns:
        One entry a part, in the same order; a part that cannot be placed keeps its nominal start.
    """
    if mix is None or not options.enabled:
        end_s = max((p.nominal_start_s + len(p.samples) / RATE_HZ for p in parts), default=0.0)
        duration_s = end_s if mix is None else len(mix) / RATE_HZ
        reason = "there is no mix to align with" if mix is None else "alignment was switched off"
        return Alignment(tuple(unplaced(p, "no_mix", reason) for p in parts), duration_s, encoder_delay_known)
    fits: list[PartFit] = []
    for done, part in enumerate(parts, 1):
        fits.append(align_part(mix, part, options))
        if progress is not None:
            progress(done, len(parts))
    return reconcile(mix, parts, fits, encoder_delay_known)


def align_part(mix: Samples, part: PartAudio, options: AlignOptions) -> PartFit:
    """What one part by itself says about its place; a pure function of arrays, fit for a process pool."""
    return fit_part(mix, part, options)


def reconcile(
    mix: Samples, parts: Sequence[PartAudio], fits: Sequence[PartFit], encoder_delay_known: bool | None
) -> Alignment:
    """The alignment of all parts from what each says: others' voices told apart, drift borrowed."""
    placed = verdicts(mix, parts, fits)
    findings = remarks(placed, encoder_delay_known)
    return Alignment(placed, len(mix) / RATE_HZ, encoder_delay_known, findings)
