"""Collected data frames are the files that `collect` writes, and name what was left out."""

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest

import recall_audio as ra
from recall_audio.cli import run as run_command
from recall_audio.results.collect import ALL_TABLES


def test_collected_tables_are_the_files_of_collect(processed: Path) -> None:
    root = processed.parent.parent
    before = sorted(root.rglob("*"))
    tables = ra.collect(root)
    assert sorted(root.rglob("*")) == before, "nothing is written where no folder is given"
    for name, table in ra.collect(root, into=root / "tables").items():
        pd.testing.assert_frame_equal(table, tables[name])
    assert list(tables) == [t.name for t in ALL_TABLES]
    for name, table in tables.items():
        with (root / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert len(table) == len(rows)
        for column in table.columns:
            missing = table[column].isna()
            assert [r[column] == "" for r in rows] == list(missing | table[column].astype(str).eq(""))


def test_title_metadata_and_status_of_a_meeting_are_collected_and_shown(
    processed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = processed / "recording.json"
    recording = json.loads(file.read_text("utf-8"))
    recording["bot"]["metadata"] = {"team": "sales"}
    recording["recording"] |= {"title": "Budget, part 2", "metadata": {"room": "7"}}
    file.write_text(json.dumps(recording), "utf-8")
    meeting = ra.collect(processed.parent.parent)["meetings"].iloc[0]
    assert (meeting["bot_id"], meeting["recording_id"]) == (processed.parent.name, processed.name)
    assert (meeting["title"], meeting["platform"], meeting["status"]) == (
        "Budget, part 2",
        "zoom",
        "complete",
    )
    assert json.loads(meeting["metadata"]) == {"team": "sales", "room": "7"}
    facts = ra.open(processed).facts
    assert (facts["title"], facts["bot_metadata"], facts["started_at"]) == (
        "Budget, part 2", {"team": "sales"}, meeting["started_at"],
    )  # fmt: skip
    assert run_command(["info", str(processed)]) == 0
    shown = capfd.readouterr().out
    assert "Budget, part 2" in shown
    assert "team=sales, room=7" in shown


def test_a_person_called_na_is_no_missing_value(processed: Path) -> None:
    people = json.loads((processed / "speakers.json").read_text("utf-8"))
    people["speakers"]["Jonas_Berg"]["name"] = "NA"
    (processed / "speakers.json").write_text(json.dumps(people), "utf-8")
    assert "NA" in set(ra.collect(processed.parent.parent)["persons"]["name"])


def test_a_recording_that_cannot_be_read_is_left_out_with_a_warning(processed: Path) -> None:
    damaged = processed.parent / "damaged"
    damaged.mkdir()
    (damaged / "recording.json").write_text("{", "utf-8")
    with pytest.warns(UserWarning, match="left out"):
        assert len(ra.collect(processed.parent.parent)["meetings"]) == 1


def test_the_documentation_of_collect_lists_the_tables_it_returns() -> None:
    described = (ra.collect.__doc__ or "").split("Name to table:")[1].split(". ")[0]
    listed = re.findall(r"[a-z]+", described.replace("over all of them", ""))
    assert [name for name in listed if name != "and"] == [t.name for t in ALL_TABLES]
