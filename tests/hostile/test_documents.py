"""Read times that no meeting has, pipes in a queue, leftovers of killed runs, and names in every field."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from recall_audio.cli import run as run_command
from recall_audio.errors import ItemError
from recall_audio.files import sweep_parts_of
from recall_audio.listen.queue import read_entry
from recall_audio.model.labels import make_labels
from recall_audio.model.meeting import Participant
from recall_audio.transcripts import read_values

MARK = "Zzyzx"
"""Begins every planted name; nothing of the package holds it."""


@pytest.mark.parametrize("text", ["9" * 401, "1e308", "-1e308", "1e8"])
@pytest.mark.parametrize("field", ["start", "end"])
def test_a_time_that_no_meeting_has_refuses_its_segment(text: str, field: str) -> None:
    segment = {"start": 0, "end": 1, "text": "hello", field: json.loads(text)}
    with pytest.raises(ItemError) as caught:
        read_values([{"segments": [segment]}], "Ann.json")
    assert caught.value.code == "bad_segment"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_queue_is_not_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bot.json")
    assert read_entry(tmp_path / "bot.json") is None


def test_leftovers_of_killed_runs_are_swept_and_nothing_else(tmp_path: Path) -> None:
    names = [".talk.csv.77.0123abcd.part", ".other.csv.77.0123abcd.part", "talk.csv.part", ".talk.csv.part"]
    for name in [*names, ".talk.csv.78.0123abcd.part"]:
        (tmp_path / name).write_text("x")
    for name in names:
        os.utime(tmp_path / name, (time.time() - 86_400,) * 2)
    sweep_parts_of([tmp_path / "talk.csv"])
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted([*names[1:], ".talk.csv.78.0123abcd.part"])


def test_collect_sweeps_what_a_killed_collect_left(processed_once: Path, tmp_path: Path) -> None:
    shutil.copytree(processed_once, tmp_path / "bot" / "recording")
    (tmp_path / "tables").mkdir()
    left = tmp_path / "tables" / ".meetings.csv.77.0123abcd.part"
    left.write_text("x")
    os.utime(left, (1.0, 1.0))
    assert run_command(["collect", str(tmp_path), "--format", "csv"]) == 0
    assert not left.exists()


def test_a_thousand_guests_get_their_labels_at_once() -> None:
    people = [Participant(i, "Guest") for i in range(3000)]
    began = time.process_time()
    labels = make_labels(people)
    assert time.process_time() - began < 1.0
    assert list(labels.values()) == ["Guest", *(f"Guest_{i}" for i in range(2, 3001))]


def test_labels_differ_where_names_look_like_numbered_ones() -> None:
    names = ["Ann", "Ann_2", "Ann", "ann", "Ann_2", "Ann_3", "Ann", "x" * 80, "x" * 80, "x" * 80]
    labels = list(make_labels([Participant(i, n) for i, n in enumerate(names)]).values())
    assert labels[:7] == ["Ann", "Ann_2", "Ann_3", "ann_4", "Ann_2_2", "Ann_3_2", "Ann_5"]
    assert len({label.casefold() for label in labels}) == len(names)


def test_no_name_planted_in_any_open_field_reaches_a_pseudonymised_copy(
    processed_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECALL_PSEUDONYM_KEY", "k" * 32)
    folder = tmp_path / "out" / "bot" / "recording"
    shutil.copytree(processed_once, folder)
    recording = json.loads((folder / "recording.json").read_text())
    for facts in (recording["bot"], recording["recording"]):
        facts |= {f"{MARK} key": f"{MARK} value", f"{MARK} nested": {f"{MARK}_id": f"{MARK} id"}}
    recording["bot"] |= {"platform": f"{MARK} platform", "join_at": f"{MARK} time", "name": f"{MARK} bot"}
    recording["recording"] |= {"started_at": f"{MARK} 2026", "expires_at": f"{MARK}"}
    for person in recording["participants"]:
        person |= {"platform": f"{MARK} phone"}
        person["extra_data"] = {
            f"{MARK} Lee": {"user_id": "1"},
            "zoom": {"conf_user_id": "c", f"{MARK}_id": "2", "display": f"{MARK}", "id": {f"{MARK}": 1}},
        }
    for media in (recording["mix"], *(p["media"] for p in recording["parts"])):
        media |= {"format": f"{MARK}3"}
    (folder / "recording.json").write_text(json.dumps(recording))
    for kind in ("segments", "stems", "alignment", "run", "talk", "speakers"):
        value = json.loads((folder / f"{kind}.json").read_text())
        value[f"{MARK} key"] = f"{MARK} value"
        (folder / f"{kind}.json").write_text(json.dumps(value))
    into = tmp_path / "coded"
    assert run_command(["pseudonymise", str(folder), "--into", str(into)]) == 0
    written = [f for f in into.rglob("*") if f.is_file()]
    assert len(written) > 5
    found = [f.name for f in written if MARK.lower().encode() in f.read_bytes().lower()]
    assert found == []
    assert not [f for f in into.rglob("*") if MARK.lower() in f.name.lower()]
    coded = json.loads(next(into.rglob("recording.json")).read_text())
    assert list(coded["participants"][0]["extra_data"]["zoom"]) == ["conf_user_id"]
