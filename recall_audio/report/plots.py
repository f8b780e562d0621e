"""Pictures for notebooks and papers, drawn by matplotlib: who speaks when, and who over whom.

Colours are told apart by colour-blind readers (Okabe & Ito 2008) and, being of different lightness, in black
and white. What a colour means stands in the picture, and position and text say the same.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recall_audio.report.intervals import Stretches, joined, stretches, total_s, without

if TYPE_CHECKING:
    from matplotlib.axes import Axes
import base64
import html
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from recall_audio.report.formatting import text

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


Rows = Sequence[Sequence[float]]
Names = Mapping[str, str | None]

_WIDE = 8  # from so many on the caption has room on one line
_DARK = 0.2  # the darkest shade stands for no less than this share
_WHOLE_CELL = 7  # up to so many speakers the matrix has room for large figures


def plot_timeline(
    speakers: Mapping[str, Rows],
    duration_s: float,
    ax: "Axes | None" = None,
    names: Names | None = None,
    presence: Mapping[str, Rows] | None = None,
) -> "Axes":
    """Who speaks when: a lane a speaker, in the order given, silent people too; time to the right.

    ::

        Ann Lee   ──████───████──────────     24 %      █ speaks   ▄ under it: others speak too
                             ▄▄                         ─ present
        Jo        ───────────█████──           5 %
                             ▄▄

    Args:
        speakers: label to rows ``[start_s, end_s]`` on the mix's clock.
        duration_s: length of the meeting, seconds.
        ax: where to draw; a new figure where None.
        names: label to the name to show; labels where there is none.
        presence: label to when they were there; not drawn where None.

    Returns:
        The Axes, in seconds and lanes from 0 on, to be changed or saved.
    """
    ax = figure_axes(ax, 10.0, 1.1 + 0.36 * max(len(speakers), 1))
    speech = {label: stretches(rows) for label, rows in speakers.items()}
    talk_s = sum(total_s(s) for s in speech.values())
    edge = min(0.4, 0.4 * 3600.0 / max(duration_s, 1.0))  # overlaps are short: they may look up to 3 s longer
    for lane, (label, own) in enumerate(speech.items()):
        others = joined([row for other, rows in speech.items() if other != label for row in rows])
        for a, b in stretches((presence or {}).get(label)):
            ax.plot((a / 1000, b / 1000), (lane, lane), color=NOTE, linewidth=0.8, zorder=1)
        _bars(ax, own, (lane - 0.38, 0.52), SPEECH)
        _bars(ax, without(own, without(own, others)), (lane + 0.17, 0.21), STEP, edge)
        share = f"{100 * total_s(own) / talk_s:.1f} %" if talk_s else "–"
        _beside(ax, lane, share if own or not talk_s else "silent")
    _lanes(ax, [readable(label, names) for label in speakers])
    if speakers:
        _beside(ax, -0.75, "of all talk")
    clock_axis(ax, duration_s)
    _legend(ax, {"speaks": SPEECH, "others speak too": STEP}, bool(presence) and "present")
    return ax


def _bars(ax: "Axes", found: Stretches, at: tuple[float, float], colour: str, edge: float = 0.0) -> None:
    """Stretches as bars, not rounded to pixels: without an edge ink is time, however long the meeting."""
    bars = [(a / 1000, (b - a) / 1000) for a, b in found]
    ax.broken_barh(bars, at, facecolors=colour, edgecolors=colour, linewidth=edge, snap=False, zorder=2)


def _beside(ax: "Axes", lane: float, words: str) -> None:
    """Words to the right of a lane."""
    at = ax.get_yaxis_transform()
    ax.text(1.008, lane, words, transform=at, va="center", ha="left", fontsize="small", color=TEXT)


def _lanes(ax: "Axes", words: Sequence[str]) -> None:
    ax.set_yticks(range(len(words)), list(words), fontfamily=families())
    ax.set_ylim(max(len(words), 1) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _legend(ax: "Axes", patches: Mapping[str, str], line: str | bool) -> None:
    """What the colours mean, above the picture."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=colour, label=name) for name, colour in patches.items()]
    if line:
        handles.append(Line2D([], [], color=NOTE, linewidth=0.8, label=str(line)))
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


def plot_overlap(talk: Mapping[str, Any], ax: "Axes | None" = None, names: Names | None = None) -> "Axes":
    """Who speaks at once with whom: speaker by speaker.

    ::

                   Ann     Ben     Cem
            Ann   123 s    8 %     0 %        above the diagonal: share of the shorter talk of the two
            Ben    4.1 s   51 s    2 %        below: seconds
            Cem    0.0 s   0.9 s   40 s       on it: talk

    Args:
        talk: ``talk.json``.
        ax: where to draw; a new figure where None.
        names: label to the name to show; labels where there is none.

    Returns:
        The Axes; columns and rows from 0 on.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    labels = list(talk["speakers"])
    n = len(labels)
    shares, words = np.full((max(n, 1), max(n, 1)), np.nan), {}
    for i, label in enumerate(labels):
        words[i, i] = _seconds(talk["speakers"][label]["talk_s"])
    for pair in talk["pairs"]:
        i, j = sorted((labels.index(pair["a"]), labels.index(pair["b"])))
        share = pair["overlap_of_shorter"]
        words[j, i] = _seconds(pair["overlap_s"])
        words[i, j] = "–" if share is None else _percent(share)
        shares[i, j] = shares[j, i] = np.nan if share is None else share
    shown = [readable(label, names) for label in labels]
    longest, side = max(map(len, shown), default=0), n * (0.82 if n <= _WHOLE_CELL else 0.66)
    ax = figure_axes(ax, max(side, 2.2) + 0.085 * longest + 0.4, max(side, 1.0) + 0.062 * longest + 0.9)
    top = max(_DARK, float(np.nanmax(shares, initial=0.0)))
    blues = LinearSegmentedColormap.from_list("speech", ["#F2F7FB", SPEECH])
    shades = blues.with_extremes(bad="#EEEEEE")
    ax.imshow(np.ma.masked_invalid(shares), cmap=shades, vmin=0.0, vmax=top, aspect="equal")
    for (row, column), said in words.items():
        dark = row != column and shares[row, column] > 0.7 * top
        colour = "white" if dark else TEXT
        ax.text(column, row, said, ha="center", va="center", color=colour, fontsize="small")
    ax.set_xticks(range(n), shown, fontfamily=families(), rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(n), shown, fontfamily=families())
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="minor", length=0)
    caption = "below the diagonal: both speak (s)   above: share of the shorter talk   on it: talk (s)"
    ax.set_title(
        caption if n >= _WIDE else caption.replace("   ", "\n"), fontsize="small", loc="left", color=TEXT
    )
    return ax


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.1f} %"
