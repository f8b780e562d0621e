"""What is said about a result: each fact once, in words, worst first."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from report.meetings import documents

from recall_audio.report import Assets, render
from recall_audio.report.alignment_section import nice, residual_plot
from recall_audio.report.formatting import clock, milliseconds
from recall_audio.report.talk_section import at_once, over_time, overlap_matrix
from recall_audio.report.timeline import timeline
from recall_audio.report.values import CHECK, FINE, MATTERS, NOTE, Statement, speakers
from recall_audio.report.warnings_section import statements, verdict


def said(meeting: dict[str, Any]) -> list[Statement]:
    """All statements about a meeting."""
    return statements(meeting, speakers(meeting))


@pytest.fixture
def meeting() -> dict[str, Any]:
    return dict(json.loads(json.dumps(documents(4, 300.0))))


def test_a_good_recording_is_called_so_and_says_why(meeting: dict[str, Any]) -> None:
    found = said(meeting)
    assert max(s.rank for s in found) == NOTE
    assert [s.area for s in found if s.rank == FINE] == ["Alignment", "Leakage"]
    assert verdict(found) == "Nothing was found that would change how these numbers are read."


def test_the_worst_comes_first_and_nothing_is_said_twice() -> None:
    meeting = documents(5, 600.0, leaky=True)
    finding = {"code": "odd", "message": "Something odd.", "where": "", "severity": "warning"}
    meeting["alignment"]["findings"].append(finding)
    meeting["run"]["warnings"] = [finding]
    meeting["run"]["stages"][1]["warnings"] = [finding]
    found = said(meeting)
    assert [s.rank for s in found] == sorted((s.rank for s in found), reverse=True)
    assert [s.area for s in found if s.sentence == "Something odd."] == ["Alignment"]
    assert len({(s.where, s.sentence) for s in found}) == len(found)


def test_shares_that_may_be_off_are_one_statement_with_their_intervals(meeting: dict[str, Any]) -> None:
    talk, stage = meeting["talk"]["speakers"], meeting["run"]["stages"][-1]
    names = {label: entry["name"] for label, entry in meeting["speakers"]["speakers"].items()}
    for label in (chosen := sorted(talk)[:2]):
        talk[label] |= {"share_of_talk_low": 0.1, "share_of_talk_high": 0.2}
    warned = [
        {"code": "share_uncertain", "message": f"{k}: may be off.", "where": k, "severity": "warning"}
        for k in chosen
    ]
    stage["warnings"] = warned
    (several,) = [s for s in said(meeting) if s.area == "Shares"]
    assert several.rank == CHECK
    assert all(f"{names[k]} (10 to 20 %)" in several.sentence for k in chosen)
    stage["warnings"] = warned[:1]
    (one,) = [s for s in said(meeting) if s.area == "Shares"]
    assert one.sentence == warned[0]["message"]


@pytest.mark.parametrize(
    ("status", "rank", "words"),
    [
        ("no_match", MATTERS, "stands where the API said"),
        ("no_mix", CHECK, "no mix to look in"),
        ("silent", NOTE, "no sound to look for"),
        ("drift_unobservable", NOTE, "whether this clock drifts. By its end it may be off by up to 15.0 ms"),
    ],
)
def test_each_way_an_alignment_ends_has_its_sentence(
    meeting: dict[str, Any], status: str, rank: int, words: str
) -> None:
    part = meeting["alignment"]["parts"][0]
    part |= {
        "status": status,
        "reason": "",
        "drift_bound_ppm": 50.0,
        "time_map": [[0.0, 0.0], [300.0, 300.0]],
    }
    name = next(s.name for s in speakers(meeting) if part["participant_id"] in s.participant_ids)
    hit = next(s for s in said(meeting) if words in s.sentence)
    assert (hit.rank, hit.where) == (rank, name)


def test_a_step_says_what_was_lost_or_came_twice_and_when(meeting: dict[str, Any]) -> None:
    part = meeting["alignment"]["parts"][0]
    part |= {
        "status": "step",
        "time_map": [[0, 1], [60, 61], [60, 63.5], [120, 123.5], [120, 123.1], [200, 203.1]],
    }
    hit = next(s for s in said(meeting) if "lost" in s.sentence)
    assert hit.sentence.startswith(
        "2.5 s of audio was lost at 0:01:01; 0.4 s of audio came twice at 0:02:04."
    )


def test_a_missing_part_is_named_once_with_its_reason(meeting: dict[str, Any]) -> None:
    part = meeting["recording"]["parts"][2]
    part["media"] |= {"file": None, "problem": "not_audio"}
    hits = [s for s in said(meeting) if s.area == "Missing"]
    assert [(s.rank, "no audio" in s.sentence) for s in hits] == [(MATTERS, True)]
    finding = {
        "code": "part_missing",
        "message": "It is gone.",
        "where": part["part_id"],
        "severity": "warning",
    }
    meeting["recording"]["findings"] = [finding]
    hits = [s for s in said(meeting) if s.area == "Missing"]
    assert [(s.rank, s.sentence) for s in hits] == [(MATTERS, "It is gone.")]
    assert hits[0].where == "Björn Ås"


def test_leaked_voices_are_one_statement_with_the_loudest_and_what_hangs_on_it() -> None:
    meeting = documents(3, 600.0, leaky=True)
    [said_of_it] = [s for s in said(meeting) if s.area == "Leakage"]
    assert said_of_it.rank == CHECK
    assert "heard on 3 tracks of 3" in said_of_it.sentence
    assert re.search(r"that of \S.* on the track of \S.* \(−15 dB\)", said_of_it.sentence)
    talk = list(meeting["talk"]["speakers"].values())
    own_s, taken_s = sum(s["talk_s"] for s in talk), sum(s["talk_raw_s"] - s["talk_s"] for s in talk)
    # The raw figure counts what was taken out and what was kept; the sentence tells the two apart.
    assert f"{clock(taken_s)} of what sounds like speech was put down to others" in said_of_it.sentence
    assert f"{clock(own_s)} of talk is." in said_of_it.sentence
    page = render(meeting)
    for label, s in meeting["talk"]["speakers"].items():
        name = meeting["speakers"]["speakers"][label]["name"]
        assert f'<bdi>{name}</bdi></th><td class="n">{clock(s["talk_raw_s"] - s["talk_s"])}</td>' in page


@pytest.mark.parametrize(("half", "rank"), [(0.004, NOTE), (0.03, CHECK)])
def test_what_hangs_on_leaked_voices_is_the_width_of_the_shares_intervals(half: float, rank: int) -> None:
    meeting = documents(3, 600.0, leaky=True)
    for s in meeting["talk"]["speakers"].values():
        s["share_of_talk_low"], s["share_of_talk_high"] = s["share_of_talk"] - half, s["share_of_talk"] + half
    [said_of_it] = [s for s in said(meeting) if s.area == "Leakage"]
    assert f"known to within ±{100 * half:.1f} points" in said_of_it.sentence
    assert said_of_it.rank == rank


def test_a_track_of_others_voices_alone_matters_only_where_speech_hangs_on_it(
    meeting: dict[str, Any],
) -> None:
    part = meeting["alignment"]["parts"][0]
    part |= {"status": "no_match", "reason": "only others' voices were found in it"}
    assert next(s for s in said(meeting) if s.where == "Ann Lee").rank == MATTERS
    meeting["talk"]["speakers"]["Ann_Lee"]["talk_s"] = 0.0
    hit = next(s for s in said(meeting) if s.where == "Ann Lee")
    assert (hit.rank, "No speech of theirs hangs on it." in hit.sentence) == (NOTE, True)


def test_sound_in_no_track_is_said_shown_in_a_lane_and_listed(meeting: dict[str, Any]) -> None:
    meeting["stems"]["residual"] = {"explained": 0.8712, "unexplained": [[61.0, 64.5], [130.25, 140.25]]}
    meeting["stems"]["findings"] = [
        {"code": "mix_unexplained", "message": "The same in other words.", "where": "", "severity": "warning"}
    ]
    hits = [s for s in said(meeting) if s.area == "Unexplained"]
    assert [s.rank for s in hits] == [CHECK]
    assert "2 stretches of the mix, 0:00:14 in all, are in no track" in hits[0].sentence
    assert not [s for s in said(meeting) if "other words" in s.sentence]
    html = render(meeting)
    assert "The tracks explain 87.1 % of the sound" in html
    assert "<td>0:02:10</td><td>0:02:20</td>" in html
    assert timeline(meeting, speakers(meeting), Assets())["unexplained"] == [61000, 3500, 65750, 10000]


def test_where_all_sound_is_in_a_track_that_is_said_too(meeting: dict[str, Any]) -> None:
    meeting["stems"]["residual"] = {"explained": 0.995, "unexplained": []}
    hits = [s for s in said(meeting) if s.area == "Unexplained"]
    assert [(s.rank, s.sentence) for s in hits] == [
        (FINE, "The tracks explain 99.5 % of the sound of the mix.")
    ]


def test_the_aligners_own_words_are_a_sentence_and_stand_once(meeting: dict[str, Any]) -> None:
    part = meeting["alignment"]["parts"][0]
    part |= {"status": "no_match", "reason": "nothing of it was heard; the nominal start stands"}
    finding = {"code": "nominal_start_kept", "message": "Nothing of it.", "where": part["part_id"]}
    meeting["alignment"]["findings"] = meeting["run"]["warnings"] = [finding]
    hits = [s.sentence for s in said(meeting) if s.where == "Ann Lee"]
    assert hits == ["Nothing of it was heard; the nominal start stands. Its times may be wrong."]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.00136, "0.0014 ms"),
        (0.31, "0.31 ms"),
        (-2.04, "−2.0 ms"),
        (123.4, "123 ms"),
        (0.0, "0 ms"),
        (None, "–"),
    ],
)
def test_milliseconds_keep_two_digits_that_count(value: float | None, shown: str) -> None:
    assert milliseconds(value) == shown


def test_whether_the_order_depends_on_a_setting_is_said(meeting: dict[str, Any]) -> None:
    variants = [
        {"name": "chosen", "same_ranks": True, "largest_change": 0.0},
        {"name": "bridge 0.5 s", "same_ranks": False, "largest_change": 0.031},
    ]
    meeting["talk"]["sensitivity"] = {"chosen": "chosen", "variants": variants}
    hit = next(s for s in said(meeting) if s.area == "Sensitivity")
    assert hit.rank == CHECK
    assert "bridge 0.5 s" in hit.sentence
    assert "3.1 points" in hit.sentence


def test_the_samples_page_tells_its_shares_under_another_threshold(processed_once: Path) -> None:
    page = html.unescape((processed_once / "report.html").read_text("utf-8"))
    for setting in ("bridge 0.1 s", "bridge 0.2 s", "bridge 0.3 s"):
        assert f"{setting}" in page
    assert "speech threshold 0.3" in page
    assert "speech threshold 0.7" in page
    talk = json.loads((processed_once / "talk.json").read_text("utf-8"))
    lower, higher = (v for v in talk["sensitivity"]["variants"] if v["name"].startswith("speech threshold"))
    assert sum(lower["talk_s"].values()) >= talk["talk_s"] >= sum(higher["talk_s"].values())


def test_a_residual_plot_keeps_the_worst_window_however_many_there_are() -> None:
    residuals = [[float(i), 0.01, 1.0] for i in range(20_000)]
    residuals[7777][1] = -0.9
    plot = residual_plot({"residuals": residuals})
    assert plot is not None
    assert plot["path"].count("M") <= 301
    assert any(row["worst"] == "−0.90 ms" for row in plot["table"])
    lowest = max(float(move.split()[1].split("h")[0]) for move in plot["path"].split("M")[1:])
    assert lowest == pytest.approx(120 * (0.5 + 0.9 / 2), abs=0.1)
    assert sum(int(row["n"]) for row in plot["table"]) == 20_000


@pytest.mark.parametrize(
    ("value", "axis"), [(0.0, 1.0), (0.03, 0.05), (1.0, 1.0), (1.01, 2.0), (6.0, 10.0), (99, 100)]
)
def test_an_axis_ends_at_the_next_round_number(value: float, axis: float) -> None:
    assert nice(value) == pytest.approx(axis)


def test_the_bars_over_time_hold_all_talk_and_no_more(meeting: dict[str, Any]) -> None:
    people = speakers(meeting)
    drawn = over_time(meeting, people)
    full = 300.0 / 10  # thirty bars of ten seconds, each as wide as the plot over thirty, less the gap of 1
    assert len(drawn["table"]) == full
    area_s = sum(w * h for _, _, _, w, h in drawn["boxes"]) / (960 / full - 1) / (180 - drawn["full_y"]) * 10
    assert area_s == pytest.approx(meeting["talk"]["talk_s"], abs=0.5)


def test_the_strip_of_how_many_at_once_adds_up_to_the_meeting(meeting: dict[str, Any]) -> None:
    strip = at_once(meeting)
    assert sum(box["width"] for box in strip) == pytest.approx(960)
    assert strip[0]["width"] == pytest.approx(960 * meeting["talk"]["silence_s"] / 300.0)


def test_the_overlap_matrix_is_symmetric_and_its_darkest_cell_is_the_largest(meeting: dict[str, Any]) -> None:
    matrix = overlap_matrix(meeting, speakers(meeting))
    assert all(matrix[i][j].shown == matrix[j][i].shown for i in range(4) for j in range(4))
    assert {matrix[i][i].shown for i in range(4)} == {""}
    top = max(p["overlap_s"] for p in meeting["talk"]["pairs"])
    darkest = next(cell for row in matrix for cell in row if cell.heat == 9)
    assert darkest.shown == f"0:{round(top) // 60:02d}:{round(top) % 60:02d}"
