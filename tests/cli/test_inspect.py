"""Commands that show, export and collect what is already there."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.covered import covers

from recall_audio.cli.progress import Progress
from recall_audio.export import FORMATS
from recall_audio.standin import StandIn

Serve = Callable[..., StandIn]
Command = Callable[..., tuple[int, str, str]]


def test_every_format_is_written_where_it_is_said(processed: Path, command: Command, tmp_path: Path) -> None:
    for form in FORMATS:
        code, told, said = command("export", processed, "--to", form, "--into", tmp_path / form)
        assert code == 0, said
        assert told.split()
        assert all(Path(p).stat().st_size for p in told.splitlines())


def test_hugging_faces_folder_holds_the_stems_beside_their_metadata(
    processed: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError("another disk")

    for into in ("linked", "copied"):
        code, told, said = command("export", processed, "--to", "hf", "--into", tmp_path / into)
        assert code == 0, said
        folder = tmp_path / into / "stems"
        rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text("utf-8").splitlines()]
        assert {r["file_name"] for r in rows} == {p.name for p in (processed / "stems").iterdir()}
        for row in rows:
            stem = processed / "stems" / row["file_name"]
            assert (folder / row["file_name"]).read_bytes() == stem.read_bytes()
        assert len(told.splitlines()) == len(rows) + 2
        monkeypatch.setattr("os.link", no_link)


def test_tables_say_the_same_as_json_and_as_csv(processed: Path, command: Command) -> None:
    for view in ("align", "talk"):
        as_json = json.loads(command(view, processed, "--format", "json")[1])
        as_csv = list(csv.DictReader(command(view, processed, "--format", "csv")[1].splitlines()))
        assert len(as_json) == len(as_csv) > 0
        for a, b in zip(as_json, as_csv, strict=True):
            assert {k: "" if v is None else str(v) for k, v in a.items()} == b


def test_a_pair_spoke_at_once_as_long_as_talk_json_says(processed: Path, command: Command) -> None:
    pairs = json.loads(command("talk", processed, "--pairs", "--format", "json")[1])
    known = json.loads((processed / "talk.json").read_text())["pairs"]
    assert [p["overlap_s"] for p in pairs] == [p["overlap_s"] for p in known]


def test_collect_has_a_row_a_segment_and_a_person_a_participant(processed: Path, command: Command) -> None:
    root = processed.parent.parent
    code, told, _ = command("collect", root)
    assert code == 0
    tables = {
        Path(p).stem: list(csv.DictReader(Path(p).read_text("utf-8").splitlines())) for p in told.splitlines()
    }
    segments = json.loads((processed / "segments.json").read_text())["speakers"]
    assert len(tables["segments"]) == sum(map(len, segments.values()))
    assert len(tables["persons"]) == len(segments)


@pytest.mark.parametrize("coded", [[], ["--pseudonymise"]])
def test_what_is_not_as_this_version_writes_it_is_left_out_and_the_rest_collected(
    processed: Path, command: Command, coded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECALL_PSEUDONYM_KEY", "a key that nobody guesses")
    root = processed.parent.parent
    damage: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
        ("segments", lambda d: d["speakers"].update(Marcus_Webb=[["x", 1]])),
        ("segments", lambda d: d["speakers"].update(Marcus_Webb=[[5, 1]])),
        ("run", lambda d: d["parameters"]["talk"].update(another=1)),
        ("alignment", lambda d: d.pop("mix")),
        ("alignment", lambda d: d.update(parts=[1])),
        ("recording", lambda d: d.pop("participants")),
    ]
    for i, (kind, spoil) in enumerate(damage):
        folder = root / "other" / str(i)
        shutil.copytree(processed, folder, ignore=shutil.ignore_patterns("source", ".work"))
        value = json.loads((folder / f"{kind}.json").read_text("utf-8"))
        spoil(value)
        (folder / f"{kind}.json").write_text(json.dumps(value), "utf-8")
    code, told, said = command("collect", root, *coded)
    assert code == 0, said
    n_cleaned = len(coded)  # a copy under codes is made without the option that is unknown
    assert said.count("left out:") == len(damage) - n_cleaned, said
    with Path(told.splitlines()[0]).open(encoding="utf-8") as meetings:
        assert len(list(csv.DictReader(meetings))) == 1 + n_cleaned
    for command_line in (["export", root / "other" / "3", "--to", "rttm", *coded],
                         ["pseudonymise", root / "other" / "3", "--into", root.parent / "x"]):  # fmt: skip
        code, told, said = command(*command_line)
        assert (code, told) == (1, "")
        assert "not as this version" in said


def test_a_report_of_many_is_an_index_that_links_to_each(processed: Path, command: Command) -> None:
    root = processed.parent.parent
    code, told, _ = command("report", root)
    page = Path(told.strip()).read_text("utf-8")
    assert code == 0
    assert f"{processed.parent.name}/{processed.name}/report.html" in page


@covers("report", "--open")
def test_a_report_is_opened_where_that_is_asked_for(
    processed: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert command("report", processed)[0] == 0
    assert opened == []
    assert command("report", processed.parent.parent, "--open")[0] == 0
    assert opened == [(processed.parent.parent / "index.html").resolve().as_uri()]


def test_a_folder_without_recordings_is_a_usage_error(command: Command, tmp_path: Path) -> None:
    code, _, said = command("info", tmp_path)
    assert code == 2
    assert str(tmp_path) in said


def test_the_doctor_names_what_is_missing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECALL_API_KEY", raising=False)
    code, told, said = command("doctor")
    assert code == 4
    assert "RECALL_API_KEY" in told
    assert "key and region" in said
    monkeypatch.setenv("RECALL_API_KEY", "canary-key-5f0c1d")
    monkeypatch.setenv("RECALL_BASE_URL", "http://127.0.0.1:9")  # where nobody answers
    code, told, said = command("doctor")
    assert code == 5
    assert "Unknown: API." in said
    assert "canary" not in told + said


@covers("doctor", "--json")
@pytest.mark.parametrize(("key", "code", "status"), [(None, 0, "ok"), ("another-key-77aa", 3, "refused")])
def test_the_doctor_says_to_scripts_what_the_api_answers(
    serve: Serve,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    code: int,
    status: str,
) -> None:
    serve()
    if key is not None:
        monkeypatch.setenv("RECALL_API_KEY", key)
    ended, told, said = command("doctor", "--json")
    found = {row["what"]: row["status"] for row in map(json.loads, told.splitlines())}
    assert (ended, found["API"]) == (code, status)
    assert found["decoder"] == "ok"
    assert ("Refused: API." in said) == (status == "refused")


def test_a_pipe_gets_one_line_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(n_items=1)
    for part in ("a", "b", "mixed"):
        for done in (1, 5, 5):
            progress("bot", f"fetch {part}", done, 5)
    for stage in ("decode", "stems"):
        for done in range(5):
            progress("recording", stage, done, 4)
    said = capsys.readouterr().err.splitlines()
    assert said == ["bot: fetch", "recording: decode", "recording: stems"]


def test_children_of_tests_that_run_in_the_background_start_with_default_signals() -> None:
    tests = Path(__file__).resolve().parents[1]
    child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    started = f"import sys, subprocess; sys.path.insert(0, {str(tests)!r}); import conftest; "
    started += f"subprocess.run([sys.executable, '-c', {child!r}])"
    with_ignored = (
        f"import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv({sys.executable!r}, "
    )
    with_ignored += f"[{sys.executable!r}, '-c', {started!r}])"
    done = subprocess.run([sys.executable, "-c", with_ignored], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
