"""Show where each part lies and how certain that is: statements, a table, plots of the residuals."""

import itertools
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from recall_audio.report.formatting import (
    NOTHING,
    clock,
    count,
    key,
    mapping,
    milliseconds,
    number,
    number_pairs,
    objects,
    quantity,
    sentence,
    text,
)
from recall_audio.report.values import (
    CHECK,
    FINE,
    MATTERS,
    NOTE,
    Documents,
    Speaker,
    Statement,
    names_of_participants,
    time_map,
)

PLOT_WIDTH = 640
PLOT_HEIGHT = 120
"""Size of a residual plot, in units of its view box."""
_MOST_POINTS = 300
"""Points drawn at most in a residual plot."""
_UNCERTAIN_MS = 20.0
"""Two frames. Above this uncertainty the length of an overlap is in doubt."""
_NO_DELAY = (
    "The mix does not name its encoder's delay: every time here may be late by the same few hundredths "
    "of a second, by the same amount for all speakers."
)
_MAY_BE_WRONG = "Its times may be wrong."
_STATUS = {
    "aligned": "start and drift measured",
    "drift_unobservable": "start measured, drift not",
    "step": "measured, with steps",
    "no_match": "not found in the mix",
    "silent": "silent, start not checked",
    "no_mix": "no mix to check against",
}


def alignment_statements(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """Yield a statement for each part with something to say, and one for all the others."""
    alignment = mapping(documents.get("alignment"))
    parts = objects(alignment.get("parts"))
    fine, name_of = [], names_of_participants(documents, people)
    for part in parts:
        name = name_of(part.get("participant_id"))
        uncertainty_ms = number(part.get("uncertainty_ms"))
        rank, remark = _sentence(part)
        if part.get("status") == "no_match" and _is_silent(part, people):
            # What a track holds of others only is counted nowhere, so nothing hangs on its place.
            rank, remark = NOTE, remark.replace(_MAY_BE_WRONG, "No speech of theirs hangs on it.")
        if remark:
            yield Statement(rank, "Alignment", name, remark)
        elif uncertainty_ms is not None:
            fine.append(uncertainty_ms)
    if fine:
        yield Statement(
            FINE,
            "Alignment",
            "",
            f"{count(len(fine), 'part was', 'parts were')} found in the mix and put in place, "
            f"the least certain to within ±{milliseconds(max(fine))} (95 %).",
        )
    if mapping(alignment.get("mix")).get("encoder_delay_known") is False:
        yield Statement(
            NOTE,
            "Alignment",
            "",
            _NO_DELAY,
        )


def _is_silent(part: Mapping[str, Any], people: list[Speaker]) -> bool:
    """Return whether a part is of a participant of whom it is known that they said nothing."""
    return any(s.talk_s == 0 for s in people if part.get("participant_id") in s.participant_ids)


def _sentence(part: Mapping[str, Any]) -> tuple[int, str]:
    status, start = str(part.get("status")), clock(part.get("start_s"))
    reason = sentence(part.get("reason"))
    uncertainty_ms = number(part.get("uncertainty_ms")) or 0.0
    remarks = {
        "no_match": (
            MATTERS,
            f"{reason or f'Nothing of it was found in the mix; it stands where the API said, at {start}.'} "
            f"{_MAY_BE_WRONG}",
        ),
        "no_mix": (
            CHECK,
            reason or f"There was no mix to look in: it stands where the API said, at {start}.",
        ),
        "step": (CHECK, f"{_steps(part)} Times after it are corrected."),
        "silent": (
            NOTE,
            reason or f"It holds no sound to look for; it stands where the API said, at {start}.",
        ),
        "drift_unobservable": (
            NOTE,
            f"{reason or 'Too little is said to see whether this clock drifts.'}{_bound(part)}",
        ),
    }
    if status in remarks:
        return remarks[status]
    if uncertainty_ms > _UNCERTAIN_MS:
        return CHECK, f"Its place is known to within ±{quantity(uncertainty_ms, 'ms', 0)} only."
    return FINE, ""


def _bound(part: Mapping[str, Any]) -> str:
    bound_ppm, knots = number(part.get("drift_bound_ppm")), time_map(part)
    if bound_ppm is None or len(knots) < 2:
        return ""
    worst_ms = abs(bound_ppm) * 1e-3 * (knots[-1][0] - knots[0][0])
    return f" By its end it may be off by up to {quantity(worst_ms, 'ms', 1)}."


def _steps(part: Mapping[str, Any]) -> str:
    """Describe what was lost or repeated, from the map's steps."""
    knots = time_map(part)
    remarks = [
        f"{abs(b[1] - a[1]):.3g} s of audio {'was lost' if b[1] > a[1] else 'came twice'} at {clock(a[1])}"
        for a, b in itertools.pairwise(knots)
        if a[0] == b[0]
    ]
    if not remarks:
        return sentence(part.get("reason")) or "This part's clock changes on the way."
    more = f", and {count(len(remarks) - 3, 'more step')}" if len(remarks) > 3 else ""
    return f"{'; '.join(remarks[:3])}{more}."


def parts(documents: Documents, people: list[Speaker]) -> list[dict[str, Any]]:
    """Return one row a part for the alignment table, least certain first, with its residual plot."""
    name_of = names_of_participants(documents, people)
    colour: dict[Any, int] = {i: s.colour for s in people for i in s.participant_ids}
    found: list[tuple[int, float, dict[str, Any]]] = []
    for part in objects(mapping(documents.get("alignment")).get("parts")):
        confidence = number(part.get("confidence"))
        offset_s = _difference(part.get("start_s"), part.get("nominal_start_s"))
        row = {
            "name": name_of(part.get("participant_id")),
            "colour": colour.get(key(part.get("participant_id")), 0),
            "part_id": text(part.get("part_id")),
            "status": _STATUS.get(str(part.get("status")), text(part.get("status"))),
            "start": clock(part.get("start_s")),
            "offset": NOTHING if offset_s is None else quantity(1000 * offset_s, "ms", 1),
            "drift": quantity(part.get("drift_ppm"), "ppm", 1),
            "borrowed": bool(part.get("drift_from")),
            "uncertainty": milliseconds(part.get("uncertainty_ms")),
            "confidence": NOTHING if confidence is None else f"{confidence:.3g}",
            "plot": residual_plot(part),
        }
        found.append((-_sentence(part)[0], -(number(part.get("uncertainty_ms")) or 0.0), row))
    return [row for _, _, row in sorted(found, key=lambda entry: entry[:2])]


def _difference(a: Any, b: Any) -> float | None:
    first, second = number(a), number(b)
    return None if first is None or second is None else first - second


def residual_plot(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """Plot the lag error of the windows about the map: an SVG path of dots, and a table of ten rows.

    Where many windows share one place the plot keeps the worst, so thinning hides no error.
    """
    points = sorted(number_pairs(part.get("residuals")))
    if not points:
        return None
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1e-3)
    top = nice(max(abs(p[1]) for p in points))
    kept: dict[int, tuple[float, float]] = {}
    for p in points:
        place = int(_MOST_POINTS * (p[0] - first) / (last - first))
        if place not in kept or abs(p[1]) > abs(kept[place][1]):
            kept[place] = p
    dots = [
        (PLOT_WIDTH * (t - first) / (last - first), PLOT_HEIGHT * (0.5 - e / (2 * top)))
        for t, e in kept.values()
    ]
    return {
        "path": "".join(f"M{x:.1f} {y:.1f}h0" for x, y in dots),
        "top": f"{top:g} ms",
        "first": clock(first),
        "last": clock(last),
        "n": count(len(points), "window"),
        "table": _residual_rows(points, first, last),
    }


def _residual_rows(points: list[tuple[float, float]], first: float, last: float) -> list[dict[str, str]]:
    width = (last - first) / 10
    table = []
    for k in range(10):
        a, b = first + k * width, first + (k + 1) * width
        errors = [e for t, e in points if a <= t < b or (k == 9 and t >= b)]
        if errors:
            worst = max(errors, key=abs)
            table.append(
                {
                    "from": clock(a),
                    "to": clock(b),
                    "n": str(len(errors)),
                    "median": milliseconds(statistics.median(errors)),
                    "worst": milliseconds(worst),
                }
            )
    return table


def nice(value: float) -> float:
    """Return the next of 1, 2, 5, 10, ... at or above a value, for an axis."""
    if value <= 0:
        return 1.0
    step = 10.0 ** int(f"{value:e}".split("e")[1])
    return next((m * step for m in (1.0, 2.0, 5.0) if value <= m * step * (1 + 1e-9)), 10.0 * step)
