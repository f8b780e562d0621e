"""Pictures for notebooks and papers, drawn by matplotlib."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F")
# Okabe and Ito (2008): told apart by colour-blind readers too.


def plot_timeline(
    speakers: Mapping[str, Sequence[Sequence[float]]], duration_s: float, ax: "Axes | None" = None
) -> "Axes":
    """Who speaks when: a lane a speaker, in the order given, time to the right.

    Args:
        speakers: label to rows ``[start_s, end_s]`` on the mix's clock.
        duration_s: length of the meeting, seconds.
        ax: where to draw; a new figure where None.

    Returns:
        The Axes, to be changed or saved.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter

    if ax is None:
        _, ax = plt.subplots(figsize=(10, 0.5 + 0.4 * max(len(speakers), 1)), layout="constrained")
    for lane, (label, spans) in enumerate(speakers.items()):
        bars = [(start, end - start) for start, end in spans]
        ax.broken_barh(bars, (lane - 0.4, 0.8), facecolors=_COLOURS[lane % len(_COLOURS)], label=label)
    ax.set_yticks(range(len(speakers)), list(speakers))
    ax.set_ylim(len(speakers) - 0.5, -0.5)
    ax.set_xlim(0, duration_s)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda s, _: clock(s)))
    ax.set_xlabel("time on the mix's clock")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def clock(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
