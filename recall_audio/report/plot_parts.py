"""What the pictures share: colours, the axis of time, names that every font and matplotlib can show."""

import base64
import html
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from recall_audio.report.words import text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPEECH = "#0072B2"  # blue, dark in print
STEP = "#E69F00"  # orange, light in print
NOTE = "#7F7F7F"
TEXT = "#222222"

_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MOST_TICKS = 9
_LONGEST_NAME = 24
_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "WenQuanYi Zen Hei", "Noto Sans", "Noto Sans Arabic", "Noto Sans Devanagari",
    "Arial Unicode MS",
)  # fmt: skip


def figure_axes(ax: "Axes | None", width: float, height: float) -> "Axes":
    """The Axes given, or those of a new figure of so many inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def readable(label: str, names: Mapping[str, str | None] | None) -> str:
    """The name behind a label, on one line, short, with nothing that matplotlib takes for a formula."""
    name = text((names or {}).get(label)) or text(label)
    return text(name, _LONGEST_NAME).replace("$", r"\$")


def families() -> list[str]:
    """The fonts set for matplotlib and, after them, those here that know more scripts."""
    import matplotlib as mpl
    from matplotlib import font_manager

    usual: list[str] = list(mpl.rcParams["font.family"])
    here = set(font_manager.get_font_names())
    return [*usual, *(name for name in _FONTS if name in here)]


def clock_axis(ax: "Axes", duration_s: float) -> None:
    """Time from 0 to the meeting's end: minutes, or minutes and seconds where it is short, or hours."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    step_s = next((s for s in _TICKS_S if duration_s / s <= _MOST_TICKS), _TICKS_S[-1])
    ax.set_xlim(0, max(duration_s, 1e-3))
    ax.xaxis.set_major_locator(MultipleLocator(step_s))
    if duration_s >= 3 * 3600:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{s / 3600:g}"))
        ax.set_xlabel("time (h)")
    elif step_s >= 60:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{s / 60:g}"))
        ax.set_xlabel("time (min)")
    else:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda s, _: clock(s)))
        ax.set_xlabel("time (min:s)")


def as_image(draw: Callable[["Axes"], object], alternative: str) -> str:
    """What `draw` puts on the Axes of a figure that no notebook shows by itself, as HTML."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    lanes = len(axes.get_yticks())
    figure.set_size_inches(10, 1.1 + 0.36 * max(lanes, 1))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=80)
    data = base64.b64encode(picture.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(alternative)}" src="data:image/png;base64,{data}">'


def clock(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
