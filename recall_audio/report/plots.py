"""Draw pictures for notebooks and papers: who speaks how much, when, over whom, and the alignment.

Their style is in :mod:`recall_audio.report.style`.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recall_audio.core.spans import Rows, intersect, total, union
from recall_audio.model.talk import MOST_PAIRED
from recall_audio.report.formatting import number, number_pairs, spans_ms
from recall_audio.report.style import (
    NOTE,
    PEOPLE,
    SPEECH,
    STEP,
    TEXT,
    UNCERTAINTY,
    Names,
    clock_axis,
    families,
    figure_axes,
    legend,
    readable,
)
from recall_audio.report.values import time_map
from recall_audio.typing import Spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ONE_LINE_CAPTION = 8
"""Speakers from which the overlap matrix is wide enough for its caption on one line."""
_LARGE_CELLS = 7
"""Most speakers for whom the overlap matrix has large cells."""
_DARKEST_SHARE = 0.2
"""The darkest shade of the overlap matrix stands for no less than this share."""
_HALF_LANE = 0.36
"""Half a lane's height that residuals may take, lanes."""


def plot_timeline(
    speakers: Mapping[str, Rows | None],
    duration_s: float,
    ax: "Axes | None" = None,
    names: Names | None = None,
    presence: Mapping[str, Rows] | None = None,
) -> "Axes":
    """Draw who speaks when, a lane a speaker in the order given, silent ones too.

    ::

        Ann Lee   ──████───████──────────     24 %      █ speaks   ▄ under it: others speak too
                             ▄▄                         ─ present
        Jo        ───────────█████──           5 %
                             ▄▄

    Args:
        speakers: label to rows ``[start_s, end_s]`` on the mix's clock, None where they are not known.
        duration_s: length of the meeting, seconds.
        ax: where to draw; None makes a new figure.
        names: label to the name to show; the label where there is none.
        presence: label to ``[start_s, end_s]`` of their presence; None draws none.

    Returns:
        The Axes, in seconds and lanes from 0 on, to be changed or saved.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ax = figure_axes(ax, 10.0, 1.1 + 0.36 * max(len(speakers), 1))
    speech = {label: spans_ms(rows) for label, rows in speakers.items()}
    talk_ms = sum(total(spans) for spans in speech.values())
    # Overlaps are short: an edge of up to 0.4 pt lets them look up to 3 s longer.
    edge = min(0.4, 0.4 * 3600.0 / max(duration_s, 1.0))
    for lane, (label, spoken) in enumerate(speech.items()):
        others = union(*(spans for other, spans in speech.items() if other != label))
        for a, b in spans_ms((presence or {}).get(label)):
            ax.plot((a / 1000, b / 1000), (lane, lane), color=NOTE, linewidth=0.8, zorder=1)
        _draw_bars(ax, spoken, (lane - 0.38, 0.52), SPEECH)
        _draw_bars(ax, intersect(spoken, others), (lane + 0.17, 0.21), STEP, edge)
        share = f"{100 * total(spoken) / talk_ms:.1f} %" if talk_ms else "–"
        silent = "not known" if speakers[label] is None else "silent" if talk_ms else share
        _write_beside(ax, lane, share if len(spoken) else silent)
    _name_lanes(ax, [readable(label, names) for label in speakers])
    if speakers:
        _write_beside(ax, -0.75, "of known talk" if None in speakers.values() else "of all talk")
    clock_axis(ax, duration_s)
    handles: list[Any] = [Patch(color=SPEECH, label="speaks"), Patch(color=STEP, label="others speak too")]
    if presence:
        handles.append(Line2D([], [], color=NOTE, linewidth=0.8, label="present"))
    legend(ax, handles)
    return ax


def _draw_bars(ax: "Axes", spans: Spans, lane: tuple[float, float], colour: str, edge: float = 0.0) -> None:
    """Draw spans as bars without rounding to pixels: without an edge, ink is proportional to time."""
    bars = [(a / 1000, (b - a) / 1000) for a, b in spans]
    ax.broken_barh(bars, lane, facecolors=colour, edgecolors=colour, linewidth=edge, snap=False, zorder=2)


def _write_beside(ax: "Axes", lane: float, words: str, size: str = "small", **style: Any) -> None:
    """Write words to the right of a lane."""
    style = {"va": "center", "ha": "left", "color": TEXT, **style}
    ax.text(1.008, lane, words, transform=ax.get_yaxis_transform(), fontsize=size, **style)


def _name_lanes(ax: "Axes", words: Sequence[str]) -> None:
    """Write the lanes' names to the left, the first lane on top."""
    ax.set_yticks(range(len(words)), list(words), fontfamily=families())
    ax.set_ylim(max(len(words), 1) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)


def plot_shares(talk: Mapping[str, Any], ax: "Axes | None" = None, names: Names | None = None) -> "Axes":
    """Draw each person's share of all talk with its 95 % interval, as the report's first screen does.

    ::

        Ann Lee   ████████████████├──┤     43.2 %
        Jo        ███├─┤                    9.7 %
        Bob                             not known

    Args:
        talk: ``talk.json``.
        ax: where to draw; None makes a new figure.
        names: label to the name to show; the label where there is none.

    Returns:
        The Axes: percent, and people from 0 on, most talk first.
    """
    figures = sorted(talk["speakers"].items(), key=lambda item: -(number(item[1].get("talk_s")) or -1.0))
    ax = figure_axes(ax, 7.0, 0.8 + 0.32 * max(len(figures), 1))
    top = 0.0
    for lane, (_, speaker) in enumerate(figures):
        share = number(speaker.get("share_of_talk"))
        low, high = (number(speaker.get(f"share_of_talk_{end}")) for end in ("low", "high"))
        if share is not None:
            ax.barh(lane, 100 * share, height=0.62, color=PEOPLE[lane % len(PEOPLE)], zorder=1)
            top = max(top, share)
        if low is not None and high is not None:
            ax.plot((100 * low, 100 * high), (lane, lane), color=TEXT, linewidth=1.2, zorder=2)
            top = max(top, high)
        known = number(speaker.get("talk_s")) is not None
        _write_beside(ax, lane, f"{100 * (share or 0.0):.1f} %" if known else "not known")
    _name_lanes(ax, [readable(label, names) for label, _ in figures])
    ax.set_xlim(0, 100 * max(top, 0.01) * 1.02)
    whose = "known talk" if any(number(s.get("talk_s")) is None for _, s in figures) else "all talk"
    has_intervals = any(number(s.get("share_of_talk_low")) is not None for _, s in figures)
    ax.set_xlabel(f"share of {whose} (%){'; line: 95 % interval' if has_intervals else ''}")
    return ax


def plot_overlap(talk: Mapping[str, Any], ax: "Axes | None" = None, names: Names | None = None) -> "Axes":
    """Draw who speaks at once with whom, as a matrix of seconds and shares.

    ::

                   Ann     Ben     Cem
            Ann   123 s    8 %     0 %        above the diagonal: share of the shorter talk of the two
            Ben    4.1 s   51 s    2 %        below: seconds
            Cem    0.0 s   0.9 s   40 s       on it: talk

    Args:
        talk: ``talk.json``.
        ax: where to draw; None makes a new figure.
        names: label to the name to show; the label where there is none.

    Returns:
        The Axes; columns and rows from 0 on.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    is_crowd = len(talk["speakers"]) > MOST_PAIRED
    labels = [label for label, s in talk["speakers"].items() if s["talk_s"] or not is_crowd]
    n_speakers = len(labels)
    shares = np.full((max(n_speakers, 1), max(n_speakers, 1)), np.nan)
    words = {(i, i): _seconds(talk["speakers"][label]["talk_s"]) for i, label in enumerate(labels)}
    for pair in talk["pairs"]:
        i, j = sorted((labels.index(pair["a"]), labels.index(pair["b"])))
        share = pair["overlap_of_shorter"]
        words[j, i] = _seconds(pair["overlap_s"])
        words[i, j] = "–" if share is None else _percent(share)
        shares[i, j] = shares[j, i] = np.nan if share is None else share
    shown = [readable(label, names) for label in labels]
    longest = max(map(len, shown), default=0)
    side = n_speakers * (0.82 if n_speakers <= _LARGE_CELLS else 0.66)
    ax = figure_axes(ax, max(side, 2.2) + 0.085 * longest + 0.4, max(side, 1.0) + 0.062 * longest + 0.9)
    top = max(_DARKEST_SHARE, float(np.nanmax(shares, initial=0.0)))
    blues = LinearSegmentedColormap.from_list("speech", ["#F2F7FB", SPEECH])
    shades = blues.with_extremes(bad="#EEEEEE")
    ax.imshow(np.ma.masked_invalid(shares), cmap=shades, vmin=0.0, vmax=top, aspect="equal")
    for (row, column), figure in words.items():
        dark = row != column and shares[row, column] > 0.7 * top
        colour = "white" if dark else TEXT
        ax.text(column, row, figure, ha="center", va="center", color=colour, fontsize="small")
    ax.set_xticks(
        range(n_speakers), shown, fontfamily=families(), rotation=40, ha="right", rotation_mode="anchor"
    )
    ax.set_yticks(range(n_speakers), shown, fontfamily=families())
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(n_speakers + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n_speakers + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="minor", length=0)
    caption = "below the diagonal: both speak (s)   above: share of the shorter talk   on it: talk (s)"
    ax.set_title(
        caption if n_speakers >= _ONE_LINE_CAPTION else caption.replace("   ", "\n"),
        fontsize="small",
        loc="left",
        color=TEXT,
    )
    return ax


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.1f} %"


def plot_alignment(
    parts: Sequence[Mapping[str, Any]],
    duration_s: float,
    ax: "Axes | None" = None,
    owners: Mapping[int, str] | None = None,
) -> "Axes":
    """Draw how well each part fits where it was placed, a lane a part, on the mix's clock.

    ::

        Ann Lee    ┌ ·  · ·  ··   ·  · │ ·  · ┐   step: start −187.0 ms, drift +40.0 ppm
                   ├──···──·─··──···───┼─··───┤   ±0.02 ms (95 %)
                   └  ·       ·  ·     │·   · ┘   lane ±0.1 ms

    A dot is the lag of one window about the part's time map: on the line it fits exactly. The band is the
    95 % uncertainty of the map. Each lane has its own scale, written beside it; dots beyond it are drawn as
    triangles at its edge. Start is the map's start against what the API said. An upright line is a step of
    the part's clock, with how much was lost (+) or came twice (−).

    Args:
        parts: ``alignment.json``'s.
        duration_s: length of the mix, seconds.
        ax: where to draw; None makes a new figure.
        owners: participant id to the name to show.

    Returns:
        The Axes, in seconds and lanes from 0 on.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ax = figure_axes(ax, 10.0, 1.1 + 0.72 * max(len(parts), 1))
    for lane, part in enumerate(parts):
        _draw_part(ax, lane, part)
        _write_beside(ax, lane, _lane_text(part), "x-small", linespacing=1.35)
    if parts:
        note = "start: against what the API said"
        _write_beside(ax, -0.62, note, "x-small", va="baseline", color=NOTE)
    names = [readable((owners or {}).get(p["participant_id"], str(p["participant_id"])), None) for p in parts]
    _name_lanes(ax, _numbered(names))
    clock_axis(ax, duration_s)
    legend(
        ax,
        [
            Line2D([], [], color=SPEECH, marker=".", linestyle="", label="lag of one window about the map"),
            Patch(color=UNCERTAINTY, label="95 % uncertainty"),
            Line2D([], [], color=STEP, linewidth=2, label="step: lost (+), repeated (−)"),
        ],
    )
    return ax


def _draw_part(ax: "Axes", lane: int, part: Mapping[str, Any]) -> None:
    """Draw one part: its extent, the band, the dots, the steps."""
    knots = time_map(part)
    if not knots:
        return
    first, last, scale = knots[0][1], knots[-1][1], lane_scale_ms(part)
    uncertainty_ms = number(part.get("uncertainty_ms"))
    dashes: Any = (0, (4, 3)) if uncertainty_ms is None else "-"
    ax.plot((first, last), (lane, lane), color=NOTE, linewidth=0.8, linestyle=dashes)
    height = (lane - _HALF_LANE, lane + _HALF_LANE)
    for edge in (first, last):
        ax.plot((edge, edge), height, color=NOTE, linewidth=0.8)
    if uncertainty_ms is not None:
        half = min(uncertainty_ms / scale, 1.0) * _HALF_LANE
        ax.fill_between((first, last), lane - half, lane + half, color=UNCERTAINTY, linewidth=0, zorder=0)
    inside: list[tuple[float, float]] = []
    beyond: list[tuple[float, float]] = []
    for time_s, lag_ms in number_pairs(part.get("residuals")):
        (inside if abs(lag_ms) <= scale else beyond).append((time_s, lag_ms))
    times = [time_s for time_s, _ in inside]
    # A later lag is drawn higher: lanes are counted downwards.
    lags = [lane - _HALF_LANE * lag_ms / scale for _, lag_ms in inside]
    ax.plot(times, lags, ".", color=SPEECH, markersize=2.2)
    for marker, late in (("^", True), ("v", False)):
        times = [time_s for time_s, lag_ms in beyond if (lag_ms > 0) == late]
        ax.plot(times, [height[0 if late else 1]] * len(times), marker, color=SPEECH, markersize=3)
    for (local_s, before_s), (next_local_s, after_s) in itertools.pairwise(knots):
        if local_s == next_local_s:
            ax.plot((after_s, after_s), height, color=STEP, linewidth=2)
            step = f" {after_s - before_s:+.3g} s".replace("-", "−")
            ax.text(after_s, height[0], step, va="top", fontsize="x-small", color=TEXT)


def lane_scale_ms(part: Mapping[str, Any]) -> float:
    """Return half a lane's height in milliseconds: 1, 2, 5, 10, ..., above 98 % of the lags and the band."""
    lags = sorted(abs(e) for _, e in number_pairs(part.get("residuals")))
    most = lags[math.ceil(0.98 * len(lags)) - 1] if lags else 0.0
    top = max(most, number(part.get("uncertainty_ms")) or 0.0, 1e-3)
    power = 10.0 ** math.floor(math.log10(top))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if top <= m * power * (1 + 1e-9))


def _lane_text(part: Mapping[str, Any]) -> str:
    """Return the text beside a lane: status, start, drift, uncertainty, scale."""
    status = str(part.get("status", "")).replace("_", " ")
    start_s, nominal_s = number(part.get("start_s")), number(part.get("nominal_start_s"))
    drift, uncertainty_ms = number(part.get("drift_ppm")), number(part.get("uncertainty_ms"))
    facts = []
    if start_s is not None and nominal_s is not None and uncertainty_ms is not None:
        facts.append(f"start {1000 * (start_s - nominal_s):+.1f} ms")
    if drift is not None:
        facts.append(f"drift {round(drift, 1) + 0.0:+.1f} ppm")
    elif (bound_ppm := number(part.get("drift_bound_ppm"))) is not None:
        facts.append(f"drift within ±{bound_ppm:.0f} ppm")
    lines = [f"{status}: {', '.join(facts)}" if facts else f"{status}: at its nominal start"]
    if uncertainty_ms is not None:
        lines.append(f"known to ±{uncertainty_ms:.2g} ms; lane ±{lane_scale_ms(part):g} ms")
    return "\n".join(lines).replace("-", "−")


def _numbered(names: Sequence[str]) -> list[str]:
    """Add a number to the names that several parts share."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(f"{name} ({seen[name]})" if names.count(name) > 1 else name)
    return found
