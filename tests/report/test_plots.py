"""The pictures of notebooks show what the files say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from report.meetings import HOSTILE, documents, hostile

import recall_audio as ra
from recall_audio.report import render
from recall_audio.report.plots import (
    lane_scale_ms,
    plot_alignment,
    plot_overlap,
    plot_shares,
    plot_timeline,
)
from recall_audio.report.style import PEOPLE, PEOPLE_ON_DARK, SPEECH, STEP


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


def bars_s(ax: Axes, colour: str) -> dict[int, float]:
    """Lane to the seconds that bars of one colour cover."""
    found: dict[int, float] = {}
    for bars in ax.collections:
        if isinstance(bars, PolyCollection) and len(bars.get_facecolor()):
            if to_hex(bars.get_facecolor()[0]).upper() != colour:
                continue
            for path in bars.get_paths():
                (x0, y0), (x1, y1) = path.get_extents().get_points()
                lane = round((y0 + y1) / 2)
                found[lane] = found.get(lane, 0.0) + float(x1 - x0)
    return found


def names_on(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def words_in(ax: Axes) -> list[str]:
    return [t.get_text() for t in ax.texts]


@pytest.mark.parametrize("n", [1, 2, 10])
def test_a_lane_has_as_much_blue_as_its_speaker_talks_and_as_much_orange_as_others_do_too(n: int) -> None:
    meeting = documents(n, 900.0)
    spoken, talk = meeting["segments"]["speakers"], meeting["talk"]["speakers"]
    ax = plot_timeline(spoken, 900.0)
    blue, orange = bars_s(ax, SPEECH), bars_s(ax, STEP)
    for lane, label in enumerate(spoken):
        assert blue.get(lane, 0.0) == pytest.approx(talk[label]["talk_s"], abs=0.002)
        assert orange.get(lane, 0.0) == pytest.approx(talk[label]["overlapped_s"], abs=0.002)


@pytest.mark.parametrize("every_s", [5.0, 20.0])
def test_in_eight_hours_half_a_second_takes_no_more_ink_than_time(every_s: float) -> None:
    rows = [[at, at + 0.5] for at in np.arange(0.0, 8 * 3600.0, every_s)]
    ax = plot_timeline({"Ann": rows}, 8 * 3600.0)
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba(), dtype=float)[:, :, 0]
    (x0, y0), (x1, y1) = ax.transData.transform([(0.0, -0.3), (8 * 3600.0, 0.1)])
    top, bottom = sorted(round(pixels.shape[0] - y) for y in (y0, y1))
    strip = pixels[top + 1 : bottom - 1, round(x0) + 1 : round(x1) - 1]
    paper, ink = 255.0, 255.0 * to_rgb(SPEECH)[0]
    covered = float(np.mean((paper - strip) / (paper - ink)))
    assert covered == pytest.approx(0.5 / every_s, rel=0.15)


def test_silent_people_have_a_lane_that_says_so() -> None:
    meeting = documents(6, 600.0)
    ax = plot_timeline(meeting["segments"]["speakers"], 600.0)
    silent = [label for label, rows in meeting["segments"]["speakers"].items() if not rows]
    assert len(silent) == 1
    assert names_on(ax) == list(meeting["segments"]["speakers"])
    assert words_in(ax).count("silent") == 1


@pytest.mark.parametrize(("duration_s", "unit"), [(78.0, "min:s"), (3600.0, "min"), (4 * 3600.0, "h")])
def test_time_is_told_in_units_that_fit_and_has_few_marks(duration_s: float, unit: str) -> None:
    ax = plot_timeline({"Ann": [[0.0, 5.0]]}, duration_s)
    assert ax.get_xlabel() == f"time ({unit})"
    assert ax.get_xlim() == (0.0, duration_s)
    assert 3 <= sum(0 <= at <= duration_s for at in ax.get_xticks()) <= 10


@pytest.mark.parametrize("n", [1, 2, 10])
def test_the_matrix_says_what_talk_json_says(n: int) -> None:
    talk = documents(n, 900.0)["talk"]
    ax = plot_overlap(talk)
    labels = list(talk["speakers"])
    said = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}
    assert len(said) == n * n
    for i, label in enumerate(labels):
        assert float(said[i, i]) == pytest.approx(talk["speakers"][label]["talk_s"], abs=0.51)
    for pair in talk["pairs"]:
        i, j = labels.index(pair["a"]), labels.index(pair["b"])
        below, above = said[max(i, j), min(i, j)], said[min(i, j), max(i, j)]
        assert float(below) == pytest.approx(pair["overlap_s"], abs=0.051)
        if pair["overlap_of_shorter"] is None:
            assert above == "–"
        else:
            assert float(above.rstrip(" %")) == pytest.approx(100 * pair["overlap_of_shorter"], abs=0.51)


def test_a_part_s_lane_tells_its_status_uncertainty_and_steps() -> None:
    alignment = documents(5, 900.0, leaky=True)["alignment"]
    ax = plot_alignment(alignment["parts"], 900.0)
    words = words_in(ax)
    texts = [w for w in words if re.match(r"(aligned|step|no match|silent|drift unobservable|no mix):", w)]
    assert len(texts) == len(alignment["parts"]) == len(names_on(ax))
    for part, said in zip(alignment["parts"], texts, strict=True):
        assert said.startswith(part["status"].replace("_", " "))
        assert (part["uncertainty_ms"] is None) == ("known to" not in said)
    assert " +2.35 s" in words


def test_nearly_every_dot_lies_within_its_lane_and_no_dot_is_lost() -> None:
    parts = documents(3, 900.0)["alignment"]["parts"]
    ax = plot_alignment(parts, 900.0)
    dots = [line for line in ax.lines if line.get_marker() in (".", "^", "v")]
    assert sum(len(line.get_xdata()) for line in dots) == sum(len(p["residuals"]) for p in parts)
    for lane, part in enumerate(parts):
        lags = np.array([r[1] for r in part["residuals"]])
        assert np.mean(np.abs(lags) <= lane_scale_ms(part)) >= 0.98
        own = [line for line in dots if line.get_marker() == "." and len(line.get_ydata())]
        heights = np.concatenate([np.asarray(line.get_ydata(), float) for line in own])
        of_lane = np.sort((lane - heights[np.abs(heights - lane) < 0.5]) / 0.36 * lane_scale_ms(part))
        assert of_lane == pytest.approx(np.sort(lags[np.abs(lags) <= lane_scale_ms(part)]), abs=1e-9)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_name_and_an_empty_meeting_can_be_drawn() -> None:
    meeting = hostile()
    names = {label: entry["name"] for label, entry in meeting["speakers"]["speakers"].items()}
    names |= {next(iter(names)): "A$AP $\\frac$ {x}_^"}
    owners = dict(enumerate(HOSTILE, start=100))
    drawn = [
        plot_timeline(meeting["segments"]["speakers"], 60.0, names=names),
        plot_overlap(meeting["talk"], names=names),
        plot_alignment(meeting["alignment"]["parts"], 60.0, owners=owners),
        plot_timeline({}, 0.0),
        plot_overlap({"speakers": {}, "pairs": []}),
        plot_alignment([], 10.0),
    ]
    for ax in drawn:
        ax.figure.canvas.draw()


def test_a_recording_draws_on_the_axes_it_is_given(processed_once: Path) -> None:
    rec = ra.open(processed_once)
    _, axes = plt.subplots(3)
    for draw, ax in zip((rec.plot, rec.plot_overlap, rec.plot_alignment), axes, strict=True):
        assert draw(ax) is ax
    people = json.loads((processed_once / "speakers.json").read_text("utf-8"))["speakers"]
    assert names_on(axes[0]) == [p["name"] for p in people.values()]
    assert len(names_on(axes[2])) == len(rec.parts)


def test_a_recording_shows_itself_with_its_picture_and_table(processed_once: Path) -> None:
    rec = ra.open(processed_once)
    before = plt.get_fignums()
    page = rec._repr_html_()
    assert '<img alt="Who speaks when' in page
    assert all(label in page for label in rec.talk.index)
    assert plt.get_fignums() == before, "a figure left open would be shown once more"


def test_results_show_their_figures_and_break_out_of_no_cell() -> None:
    name = "<script>alert(1)</script>"
    talk: Any = ra.measure_talk({name: [[0.0, 5.0]], "Bob": [[4.5, 7.0]]}, duration_s=10.0)
    page = talk._repr_html_()
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") >= 1
    assert "overlap_of_speech" in page
    assert f"{0.5 / 7.0:.6g}" in page


def test_shares_are_drawn_in_the_pages_colours_and_order_with_their_intervals() -> None:
    meeting = documents(5, 600.0)
    speakers = meeting["talk"]["speakers"]
    for s in speakers.values():
        s["share_of_talk_low"], s["share_of_talk_high"] = 0.9 * s["share_of_talk"], 1.1 * s["share_of_talk"]
    names = {label: p["name"] for label, p in meeting["speakers"]["speakers"].items()}
    ax = plot_shares(meeting["talk"], names=names)
    ordered = sorted(speakers.values(), key=lambda s: -s["talk_s"])
    assert [bar.get_width() for bar in ax.patches] == [100 * s["share_of_talk"] for s in ordered]
    ends = [tuple(line.get_xdata()) for line in ax.lines]
    assert ends == [(100 * s["share_of_talk_low"], 100 * s["share_of_talk_high"]) for s in ordered]
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == list(PEOPLE[:5])
    page = render(meeting)
    assert (
        names_on(ax)
        == re.findall(r'<th scope="row" data-v="[^"]*"><span class="swatch c\d"></span><bdi>([^<]*)', page)[
            :5
        ]
    )
    assert all(f"--s{i}: {colour};" in page for i, colour in enumerate(PEOPLE))


def test_a_picture_is_saved_as_papers_want_it_whatever_the_session_is_set_to(tmp_path: Path) -> None:
    meeting = documents(2, 300.0)
    figure: Any = plot_shares(meeting["talk"]).figure
    figure.savefig(tmp_path / "shares.pdf")
    figure.savefig(tmp_path / "shares.svg")
    pdf = (tmp_path / "shares.pdf").read_bytes()
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf, "the fonts are embedded"
    assert b"<text" not in (tmp_path / "shares.svg").read_bytes(), "no font is needed to read it"
    assert mpl.rcParams["pdf.fonttype"] == 3, "the session's own settings are as before"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_stand_out_from_their_paper_and_blue_from_orange_for_every_eye() -> None:
    assert min(contrast(c, "#ffffff") for c in PEOPLE) >= 4.5
    assert min(contrast(c, "#14171b") for c in PEOPLE_ON_DARK) >= 4.5
    # Deuteranopia and protanopia, severity 1 (Machado, Oliveira & Fernandes 2009), on linear values.
    eyes = (
        np.eye(3),
        np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
        np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    )
    speech, step = (np.array(to_rgb(c)) ** 2.2 for c in (SPEECH, STEP))
    for eye in eyes:
        assert np.linalg.norm(eye @ speech - eye @ step) > 0.3
