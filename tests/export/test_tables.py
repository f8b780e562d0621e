"""Tables say what the values say, in pandas, with the same columns for every recording."""

import io
import json
import sys
from typing import Any

import pandas as pd
import pytest

from recall_audio.core.talk.measure import measure_talk
from recall_audio.errors import MachineError
from recall_audio.export import ExportView, export
from recall_audio.export.tables import TABLES
from recall_audio.model.alignment import PartAlignment, TimeMap

SEGMENTS = {"Ann": [[0.0, 5.0], [5.6, 8.0], [12.0, 13.0]], "Bob": [[4.5, 7.0], [9.0, 10.3]], "Cy": []}
NAMES: dict[str, str | None] = {"Ann": "=HYPERLINK(1)", "Bob": 'B "x", y', "Cy": None}
PART = PartAlignment("p1", 7, 0.5, TimeMap.straight(0.25, 10.0), "drift_unobservable", uncertainty_ms=0.1)


def view(segments: dict[str, list[list[float]]] = SEGMENTS, **more: Any) -> ExportView:
    talk = measure_talk(segments, 21.0)
    return ExportView("rec-1", 21.0, segments, NAMES, talk, labels={7: "Ann"}, parts=(PART,), **more)


def csv(name: str, of: ExportView | None = None) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(export(of or view(), "csv")[f"tables/{name}.csv"]))


def parquet(name: str, of: ExportView | None = None) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(export(of or view(), "parquet")[f"tables/{name}.parquet"]))


def test_segments_sum_up_to_the_speakers_talk() -> None:
    summed = csv("segments").groupby("speaker")["duration_s"].sum()
    talk = csv("speakers").set_index("speaker")["talk_s"]
    assert summed["Ann"] == pytest.approx(talk["Ann"], abs=1e-9)
    assert talk["Cy"] == 0


def test_turns_and_transitions_are_the_events() -> None:
    events = view().talk.events
    assert csv("turns")["end_s"].tolist() == [t.end_s for t in events.turns]
    assert csv("transitions")["fto_s"].tolist() == [t.fto_s for t in events.transitions]
    assert csv("transitions")["fto_s"].min() < 0  # a number below 0 is no formula
    assert csv("overlaps")["kind"].tolist() == [o.kind for o in events.overlaps]
    assert csv("directed")["switches"].sum() == view().talk.turn_taking.switches


def test_an_empty_cell_has_its_reason_in_the_row() -> None:
    silent = csv("speakers").set_index("speaker").loc["Cy"]
    assert pd.isna(silent["longest_monologue_s"])
    assert "longest_monologue_s: they said nothing" in silent["reasons"]
    assert "response_latency_s:" in silent["reasons"]


def test_a_name_that_looks_like_a_formula_is_quoted_in_csv_and_exact_in_parquet() -> None:
    assert csv("speakers")["name"].tolist()[:2] == ["'=HYPERLINK(1)", 'B "x", y']
    assert parquet("speakers")["name"].tolist()[:2] == ["=HYPERLINK(1)", 'B "x", y']


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_text_cell_begins_like_a_formula(start: str) -> None:
    of = ExportView("r", 1.0, {"A": []}, {"A": f"{start}1+1"}, measure_talk({"A": []}, 1.0))
    assert csv("speakers", of)["name"][0] == f"'{start}1+1"


@pytest.mark.parametrize("name", [t.name for t in TABLES])
def test_csv_and_parquet_hold_the_same(name: str) -> None:
    of = view()
    left, right = csv(name, of), parquet(name, of)
    assert list(left.columns) == list(right.columns)
    plain = left.replace({"^'": ""}, regex=True)
    assert json.loads(plain.to_json()) == json.loads(right.replace("", None).to_json())


def test_columns_and_types_do_not_depend_on_the_recording() -> None:
    import pyarrow.parquet as pq

    def schemas(of: ExportView) -> dict[str, Any]:
        return {n: pq.read_schema(io.BytesIO(c)) for n, c in export(of, "parquet").items()}

    empty = ExportView("r", 0.0, {}, {}, measure_talk({}, 0.0))
    assert schemas(view()) == schemas(empty)


def test_parts_say_where_each_lies() -> None:
    (row,) = csv("parts").to_dict("records")
    assert (row["speaker"], row["start_s"], row["nominal_start_s"]) == ("Ann", 0.25, 0.5)
    assert pd.isna(row["drift_ppm"])


def test_without_pyarrow_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MachineError, match=r"recall-audio\[parquet\]"):
        export(view(), "parquet")
