"""How a recording ended is one word with its reasons, wherever a person or a program looks.

Each row of the matrix is one fault of the API or of the disk, served to the ordinary commands.
"""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import recall_audio as ra
from recall_audio.results.sample import sample_folder
from recall_audio.standin import Fault, Reply, ServedMeeting, StandIn, StandInOptions, State

Serve = Callable[..., StandIn]
Command = Callable[..., tuple[int, str, str]]

MEETING: dict[str, Any] = json.loads((sample_folder() / "meeting.json").read_text("utf-8"))
MARCUS = "13607bd1-e1c4-5e32-953c-162ed701e792"
"""The only part of Marcus Webb, who speaks."""
LABEL = "Marcus_Webb"


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def without_marcus() -> ServedMeeting:
    """The sample, with a list of parts in which Marcus has none; the platform's events still hear him."""
    content = {**MEETING, "parts": [p for p in MEETING["parts"] if p["id"] != MARCUS]}
    return ServedMeeting(sample_folder(), content, State(), "7d19a95b-0000-4000-8000-000000000000")


def answers(path: str, **reply: Any) -> Fault:
    """The same answer to every request for a path."""
    return Fault(path, [Reply(**reply)], forever=True)


LOST = answers(f"/parts/{MARCUS}", status=404)
PAGE = answers(f"/parts/{MARCUS}", body=b"<!DOCTYPE html><html><body>Sign in</body></html>" * 40)


def everywhere(out: Path, command: Command) -> dict[str, tuple[str, list[str]]]:
    """Status and codes of the reasons, by each place that shows them."""
    (folder,) = (path.parent for path in out.glob("*/*/recording.json"))
    run = json.loads((folder / "run.json").read_text("utf-8"))
    info = json.loads(command("info", folder, "--format", "json")[1])
    assert command("report", out)[0] == 0
    index = (out / "index.html").read_text("utf-8")
    (shown,) = re.findall(r'<span class="state rank\d">(.*?)</span>(?:<small>(.*?)</small>)?', index)
    assert command("collect", out)[0] == 0
    (row,) = rows_of(out / "tables/recordings.csv")
    found = {
        "run.json": (run["status"], [reason["code"] for reason in run["reasons"]]),
        "info": (info["status"], [reason["code"] for reason in info["reasons"]]),
        "index": (shown[0], re.findall(r"(?:^|; )(\w+): ", shown[1])),
        "recordings": (row["status"], re.findall(r"(?:^|; )(\w+): ", row["status_reasons"])),
    }
    for meeting in rows_of(out / "tables/meetings.csv"):
        reasons = re.findall(r"(?:^|; )(\w+): ", meeting["status_reasons"])
        found["meetings"] = (meeting["status"], reasons)
    return found


@pytest.mark.parametrize(
    ("state", "faults", "status", "code", "reasons"),
    [
        (State(), (), "complete", 0, []),
        (State(mixed="missing"), (), "complete", 0, []),
        (State(), (LOST,), "partial", 1, ["gone", "speaker_unknown"]),
        (State(), (PAGE,), "partial", 1, ["not_audio", "speaker_unknown"]),
        (State(separate="missing"), (), "partial", 1, ["no_audio_separate"]),
        (State(separate="failed"), (), "partial", 1, ["no_audio_separate"]),
        (State(mixed="failed"), (), "partial", 1, ["failed"]),
        (State(), (answers("parts.json", body=b"[]"),), "partial", 1, ["no_audio_separate"]),
    ],
    ids=["whole", "no-mix", "part-404", "web-page", "no-parts", "parts-failed", "mix-failed", "empty-list"],
)
def test_every_place_says_how_a_recording_ended(
    serve: Serve,
    command: Command,
    state: State,
    faults: tuple[Fault, ...],
    status: str,
    code: int,
    reasons: list[str],
) -> None:
    server = serve(state, faults)
    ended, told, _ = command("run", server.bot_ids[0], "--out", "data", "--json")
    assert ended == code
    assert json.loads(told)["status"] == {"complete": "done"}.get(status, status)
    found = everywhere(Path("data"), command)
    assert all(place == (status, reasons) for place in found.values()), found
    assert command("run", server.bot_ids[0], "--out", "data", "--json")[0] == code, "a second run agrees"


def test_a_recording_that_failed_says_so_everywhere(serve: Serve, command: Command) -> None:
    server = serve()
    assert command("fetch", server.bot_ids[0], "--out", "data")[0] == 0
    for file in Path("data").glob("*/*/source/*"):
        if file.suffix != ".json":
            file.write_bytes(b"<html>gone</html>")
    (folder,) = (path.parent for path in Path("data").glob("*/*/recording.json"))
    before = json.loads((folder / "recording.json").read_text())
    for part in before["parts"]:  # no format that any bytes satisfy
        part["media"]["format"] = "ogg"
    (folder / "recording.json").write_text(json.dumps(before))
    code, told, _ = command("process", folder, "--json")
    assert (code, json.loads(told)["status"]) == (1, "failed")
    found = everywhere(Path("data"), command)
    assert set(map(str, found.values())) == {str(("failed", ["no_audio"]))}
    assert "meetings" not in found
    code, told, _ = command("process", folder)
    assert code == 1
    assert "talk.json" not in told, "no file is named that is not there"


def test_an_unknown_speaker_is_unknown_wherever_a_figure_is_shown(
    serve: Serve, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StandIn([without_marcus()], options=StandInOptions(key=serve().key)) as server:
        monkeypatch.setenv("RECALL_BASE_URL", server.base_url)
        code, told, _ = command("run", server.bot_ids[0], "--out", "data")
    (folder,) = (path.parent for path in Path("data").glob("*/*/recording.json"))
    assert code == 1
    words = " ".join(told.split())
    assert "Share of talk of the 3 known" in words
    assert "Marcus Webb not known" in words

    talk = json.loads((folder / "talk.json").read_text("utf-8"))
    marcus = talk["speakers"][LABEL]
    assert marcus["talk_s"] is None
    assert "the platform reports that they spoke" in marcus["talk_s_reason"]
    assert LABEL not in talk["over"]
    assert sum(
        s["share_of_talk"] for label, s in talk["speakers"].items() if label != LABEL
    ) == pytest.approx(1)

    (warning,) = [
        w for w in json.loads((folder / "run.json").read_text())["warnings"] if w["code"] == "speaker_unknown"
    ]
    assert warning["where"] == LABEL

    assert command("export", folder, "--to", "csv", "--into", "out")[0] == 0
    assert command("export", folder, "--to", "parquet", "--into", "out")[0] == 0
    assert command("collect", "data")[0] == 0
    for table in (Path("out/tables/speakers.csv"), Path("data/tables/speakers.csv")):
        (row,) = [r for r in rows_of(table) if r["speaker"] == LABEL]
        assert (row["talk_s"], row["share_of_talk"], row["turns"], row["turn_s_n"]) == ("", "", "", "")
        assert "the platform reports that they spoke" in row["reasons"]
        assert {r["shares_over"] for r in rows_of(table)} == {"known speakers"}
    import pandas as pd

    frame = pd.read_parquet("out/tables/speakers.parquet").set_index("speaker")
    assert frame["talk_s"].isna().to_dict() == {label: label == LABEL for label in talk["speakers"]}
    (person,) = [r for r in rows_of(Path("data/tables/persons.csv")) if r["name"] == "Marcus Webb"]
    assert (person["n_meetings"], person["n_unknown_meetings"], person["talk_s"]) == ("1", "1", "")
    others = [r for r in rows_of(Path("data/tables/persons.csv")) if r["name"] != "Marcus Webb"]
    assert {r["share_of_talk_mean"] for r in others} == {""}, "a share of the known is no share of all"

    recording = ra.open(folder)
    assert recording.talk["talk_s"].isna().to_dict() == {label: label == LABEL for label in talk["speakers"]}
    assert recording.overlap.loc[LABEL].isna().all()
    assert recording.overlap.drop(index=LABEL, columns=LABEL).notna().all(axis=None)
    assert "not known" in [text.get_text() for text in recording.plot().texts]
    shown = json.loads(command("talk", folder, "--format", "json")[1])
    assert [row["talk_s"] for row in shown if row["speaker"] == LABEL] == [None]
    windows = json.loads(command("talk", folder, "--format", "json", "--window", "30", "--step", "30")[1])
    assert [w[f"talk_s {LABEL}"] for w in windows] == [None] * 3
    assert [w["length_s"] for w in windows] == [30.0, 30.0, pytest.approx(18.0, abs=0.2)]
    page = (folder / "report.html").read_text("utf-8")
    assert "Marcus Webb: not known." in page


def test_labels_that_nobody_has_change_nothing_and_are_answered_with_those_there_are(
    processed: Path, command: Command
) -> None:
    before = {p: p.stat().st_mtime_ns for p in processed.rglob("*")}
    code, told, said = command("process", processed, "--speakers", "WRONG")
    assert code == 2
    words = " ".join((told + said).split())
    assert "There are:" in words
    assert LABEL in words
    assert "should not happen" not in words
    assert {p: p.stat().st_mtime_ns for p in processed.rglob("*")} == before


def test_the_files_of_one_recording_are_never_replaced_by_anothers(
    processed: Path, command: Command, tmp_path: Path
) -> None:
    import shutil

    other = processed.parent / "other"
    shutil.copytree(processed, other)
    said = json.loads((other / "recording.json").read_text())
    said["recording"]["id"] = "other"
    (other / "recording.json").write_text(json.dumps(said))
    for form in ("csv", "hf", "whisper"):
        into = tmp_path / form
        assert command("export", processed, "--to", form, "--into", into)[0] == 0
        before = {p: p.read_bytes() for p in into.rglob("*") if p.is_file()}
        code, _, told = command("export", other, "--to", form, "--into", into)
        assert code == 2
        assert "nothing was written" in told
        assert {p: p.read_bytes() for p in into.rglob("*") if p.is_file()} == before
        assert command("export", processed, "--to", form, "--into", into)[0] == 0, "its own are replaced"
