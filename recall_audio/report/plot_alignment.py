"""A picture of where each part lies on the mix's clock, how well it fits there, and where its clock steps."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recall_audio.report.formatting import items, number
from recall_audio.report.plots import NOTE, SPEECH, STEP, TEXT, clock_axis, families, figure_axes, readable
from recall_audio.report.timeline import time_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HALF = 0.36
"""Half a lane's height that residuals may take."""
_BAND = "#CFE3F1"


def plot_alignment(
    parts: Sequence[Mapping[str, Any]],
    duration_s: float,
    ax: "Axes | None" = None,
    owners: Mapping[int, str] | None = None,
) -> "Axes":
    """How well each part fits where it was put: a lane a part, on the mix's clock.

    ::

        Ann Lee    ┌ ·  · ·  ··   ·  · │ ·  · ┐   step: start −187.0 ms, drift +40.0 ppm
                   ├──···──·─··──···───┼─··───┤   ±0.02 ms (95 %)
                   └  ·       ·  ·     │·   · ┘   lane ±0.1 ms

    A dot is the lag of one window about the part's time map: on the line it fits exactly. The band is the
    95 % uncertainty of the map. A lane's height is its own, told beside it; dots beyond it are drawn as
    triangles at its edge. Start is the map's start against what the API said. An upright line is a step of
    the part's clock, with how much was lost (+) or came twice (−).

    Args:
        parts: ``alignment.json``'s.
        duration_s: length of the mix, seconds.
        ax: where to draw; a new figure where None.
        owners: participant id to the name to show.

    Returns:
        The Axes, in seconds and lanes from 0 on.
    """
    ax = figure_axes(ax, 10.0, 1.1 + 0.72 * max(len(parts), 1))
    for lane, part in enumerate(parts):
        _lane(ax, lane, part)
        at = ax.get_yaxis_transform()
        words = _told(part)
        ax.text(
            1.008, lane, words, transform=at, va="center", fontsize="x-small", color=TEXT, linespacing=1.35
        )
    if parts:
        at = ax.get_yaxis_transform()
        ax.text(
            1.008, -0.62, "start: against what the API said", transform=at, fontsize="x-small", color=NOTE
        )
    names = [readable((owners or {}).get(p["participant_id"], str(p["participant_id"])), None) for p in parts]
    ax.set_yticks(range(len(parts)), _numbered(names), fontfamily=families())
    ax.set_ylim(max(len(parts), 1) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    clock_axis(ax, duration_s)
    _legend(ax)
    return ax


def _lane(ax: "Axes", lane: int, part: Mapping[str, Any]) -> None:
    """One part: its extent, the band, the dots, the steps."""
    knots = time_map(part)
    if not knots:
        return
    first, last, scale = knots[0][1], knots[-1][1], lane_scale_ms(part)
    unsure_ms = number(part.get("uncertainty_ms"))
    measured = unsure_ms is not None
    ax.plot(
        (first, last), (lane, lane), color=NOTE, linewidth=0.8, linestyle="-" if measured else (0, (4, 3))
    )
    ax.plot((first, first), (lane - _HALF, lane + _HALF), color=NOTE, linewidth=0.8)
    ax.plot((last, last), (lane - _HALF, lane + _HALF), color=NOTE, linewidth=0.8)
    if unsure_ms is not None:
        half = min(unsure_ms / scale, 1.0) * _HALF
        ax.fill_between((first, last), lane - half, lane + half, color=_BAND, linewidth=0, zorder=0)
    inside: list[tuple[float, float]] = []
    beyond: list[tuple[float, float]] = []
    for at_s, lag_ms in _residuals(part):
        (inside if abs(lag_ms) <= scale else beyond).append((at_s, lag_ms))
    # Later is up: lanes are counted downwards.
    ax.plot(
        [t for t, _ in inside],
        [lane - _HALF * e / scale for _, e in inside],
        ".",
        color=SPEECH,
        markersize=2.2,
    )
    for marker, up in (("^", True), ("v", False)):
        at = [t for t, e in beyond if (e > 0) == up]
        ax.plot(at, [lane - (_HALF if up else -_HALF)] * len(at), marker, color=SPEECH, markersize=3)
    for (a, x), (b, y) in itertools.pairwise(knots):
        if a == b:
            ax.plot((y, y), (lane - _HALF, lane + _HALF), color=STEP, linewidth=2)
            said = f" {y - x:+.3g} s".replace("-", "−")
            ax.text(y, lane - _HALF, said, va="top", fontsize="x-small", color=TEXT)


def _residuals(part: Mapping[str, Any]) -> list[tuple[float, float]]:
    """``(mix_s, lag_ms)`` of the windows, those that cannot be read left out."""
    found = []
    for row in items(part.get("residuals")):
        values = [number(v) for v in items(row)[:2]]
        if len(values) == 2 and values[0] is not None and values[1] is not None:
            found.append((values[0], values[1]))
    return found


def lane_scale_ms(part: Mapping[str, Any]) -> float:
    """Half a lane's height in milliseconds: 1, 2, 5, 10, ..., over 98 % of the dots and the band."""
    lags = sorted(abs(e) for _, e in _residuals(part))
    most = lags[math.ceil(0.98 * len(lags)) - 1] if lags else 0.0
    top = max(most, number(part.get("uncertainty_ms")) or 0.0, 1e-3)
    power = 10.0 ** math.floor(math.log10(top))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if top <= m * power * (1 + 1e-9))


def _told(part: Mapping[str, Any]) -> str:
    """What stands beside a lane."""
    status = str(part.get("status", "")).replace("_", " ")
    start_s, nominal_s = number(part.get("start_s")), number(part.get("nominal_start_s"))
    drift, unsure_ms = number(part.get("drift_ppm")), number(part.get("uncertainty_ms"))
    facts = []
    if start_s is not None and nominal_s is not None and unsure_ms is not None:
        facts.append(f"start {1000 * (start_s - nominal_s):+.1f} ms")
    if drift is not None:
        facts.append(f"drift {round(drift, 1) + 0.0:+.1f} ppm")
    elif (bound_ppm := number(part.get("drift_bound_ppm"))) is not None:
        facts.append(f"drift within ±{bound_ppm:.0f} ppm")
    lines = [f"{status}: {', '.join(facts)}" if facts else f"{status}: at its nominal start"]
    if unsure_ms is not None:
        lines.append(f"known to ±{unsure_ms:.2g} ms; lane ±{lane_scale_ms(part):g} ms")
    return "\n".join(lines).replace("-", "−")


def _numbered(names: Sequence[str]) -> list[str]:
    """Names, those of several parts with a number."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(f"{name} ({seen[name]})" if names.count(name) > 1 else name)
    return found


def _legend(ax: "Axes") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D([], [], color=SPEECH, marker=".", linestyle="", label="lag of one window about the map"),
        Patch(color=_BAND, label="95 % uncertainty"),
        Line2D([], [], color=STEP, linewidth=2, label="step: lost (+), repeated (−)"),
    ]
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=3,
        frameon=False,
        fontsize="small",
        handlelength=1.2,
        columnspacing=1.5,
        borderaxespad=0.2,
    )
