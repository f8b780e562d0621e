"""Define the one style of all pictures: colours, fonts, axes, and how a figure is saved for a paper.

The page and the notebook draw people in the same colours. Blue and vermilion differ for colour-blind readers
(Okabe & Ito 2008) and, being of different lightness, in black and white. Each picture names its colours, and
position and text say the same.
"""

import base64
import html
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from recall_audio.report.formatting import text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Names = Mapping[str, str | None]

SPEECH = "#0072B2"
"""Blue, dark in print."""
STEP = "#E69F00"
"""Orange, light in print."""
NOTE = "#7F7F7F"
TEXT = "#222222"
UNCERTAINTY = "#CFE3F1"

_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
"""Steps of the time axis, seconds."""
_MOST_TICKS = 9
_LONGEST_NAME = 24
"""Longest name beside a lane, characters."""
_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "WenQuanYi Zen Hei", "Noto Sans", "Noto Sans Arabic", "Noto Sans Devanagari",
    "Arial Unicode MS",
)  # fmt: skip
"""Fonts for the scripts that matplotlib's own font lacks."""
PEOPLE = (
    "#2b6cb5", "#b85614", "#23814f", "#a33d8b", "#857012",
    "#0b7f8d", "#b03146", "#6552c0", "#5f6874", "#7d573a",
)  # fmt: skip
"""Colours of people on white, the first one's of most talk: 4.5:1 or more against the paper."""
PEOPLE_ON_DARK = (
    "#6aa7ec", "#eb9a62", "#5fc28f", "#dc87c6", "#cdb650",
    "#4cc0cf", "#ee7f8e", "#a99bf0", "#a3abb7", "#c69c7b",
)  # fmt: skip
"""The same on the dark page."""
PAPER: Any = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path", "savefig.dpi": 300}
"""How a picture is saved: fonts embedded as TrueType, which journals ask for, letters of SVG as outlines."""


def css_colours(colours: tuple[str, ...]) -> str:
    """Return colours as the variables ``--s0``, ``--s1``, ... of a style sheet."""
    return " ".join(f"--s{i}: {colour};" for i, colour in enumerate(colours))


def paper_figure() -> type:
    """Return the class of our figures, which are saved with their fonts embedded."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    class PaperFigure(Figure):
        """A figure that is saved as papers want it, whatever the settings of the session."""

        def savefig(self, *args: Any, **how: Any) -> None:
            """Save the figure, vector formats with embedded fonts."""
            with mpl.rc_context(PAPER):
                super().savefig(*args, **how)

    return PaperFigure


def figure_axes(ax: "Axes | None", width: float, height: float) -> "Axes":
    """Return the Axes given, or those of a new figure of `width` by `height` inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    how: Any = {"FigureClass": paper_figure(), "layout": "constrained"}
    made: Axes = plt.subplots(figsize=(width, height), **how)[1]
    return made


def readable(label: str, names: Mapping[str, str | None] | None) -> str:
    """Return the name of a label: one short line, without what matplotlib takes for a formula."""
    name = text((names or {}).get(label)) or text(label)
    return text(name, _LONGEST_NAME).replace("$", r"\$")


def families() -> list[str]:
    """List matplotlib's own fonts and, after them, the installed ones that cover more scripts."""
    import matplotlib as mpl
    from matplotlib import font_manager

    usual: list[str] = list(mpl.rcParams["font.family"])
    installed = set(font_manager.get_font_names())
    return [*usual, *(name for name in _FONTS if name in installed)]


def clock_axis(ax: "Axes", duration_s: float) -> None:
    """Scale the time axis from 0 to the meeting's end, in minutes, in m:s where short, or in hours."""
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
    """Return as HTML what `draw` puts on the Axes of a figure that no notebook shows by itself."""
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
    """Format seconds as ``m:ss``, or as ``h:mm:ss`` from an hour on."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def legend(ax: "Axes", handles: list[Any]) -> None:
    """Put what the colours mean above the picture."""
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=len(handles),
        frameon=False,
        fontsize="small",
        handlelength=1.2,
        columnspacing=1.5,
        borderaxespad=0.2,
    )
