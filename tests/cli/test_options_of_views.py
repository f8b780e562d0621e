"""Options of the commands that show, measure and hand over results: each changes what comes out."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cli.covered import covers

from recall_audio import batch
from recall_audio.model.outcome import Outcome

Command = Callable[..., tuple[int, str, str]]

KEY_VARIABLE = "RECALL_PSEUDONYM_KEY"
NAMES = ("Zoë", "Marcus", "Priya", "Jonas")


def printed(command: Command, *arguments: object) -> str:
    """What a command that ends well prints."""
    code, told, said = command(*arguments)
    assert code == 0, said
    return told


def as_json(command: Command, *arguments: object) -> Any:
    """What a command prints as JSON."""
    return json.loads(printed(command, *arguments, "--format", "json"))


def segments(folder: Path) -> dict[str, list[list[float]]]:
    """Everyone's speech."""
    return json.loads((folder / "segments.json").read_text("utf-8"))["speakers"]  # type: ignore[no-any-return]


@covers("info align talk", "--format")
def test_the_same_rows_are_printed_as_table_json_and_csv(processed_once: Path, command: Command) -> None:
    assert "Marcus Webb" in printed(command, "info", processed_once)
    assert as_json(command, "info", processed_once)["recording"]["id"] == processed_once.name
    for name in ("align", "talk"):
        rows = as_json(command, name, processed_once)
        text = printed(command, name, processed_once, "--format", "csv")
        assert next(csv.reader(io.StringIO(text))) == list(rows[0])
        assert "─" in printed(command, name, processed_once)


@covers("talk", "--pairs", "--window", "--step")
def test_talk_shows_pairs_or_windows_of_the_length_and_step_asked_for(
    processed_once: Path, command: Command
) -> None:
    assert {"a", "b"} <= set(as_json(command, "talk", processed_once, "--pairs")[0])
    windows = as_json(command, "talk", processed_once, "--window", "20")
    assert (windows[0]["start_s"], windows[0]["end_s"], windows[1]["start_s"]) == (0.0, 20.0, 30.0)
    windows = as_json(command, "talk", processed_once, "--window", "20", "--step", "10")
    assert [w["start_s"] for w in windows[:3]] == [0.0, 10.0, 20.0]
    assert as_json(command, "talk", processed_once, "--step", "10")[0]["end_s"] > 20.0


@covers("score", "--against", "--as", "--collar", "--skip-overlap", "--format")
def test_scores_follow_what_they_are_asked_to_compare(
    processed_once: Path, command: Command, tmp_path: Path
) -> None:
    pytest.importorskip("pyannote.metrics")
    file = tmp_path / "theirs.rttm"
    lines = (processed_once / "segments.rttm").read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[: len(lines) // 2]), "utf-8")
    [exact, wide] = as_json(command, "score", processed_once, "--against", file)
    assert (exact["reference"], exact["missed_s"]) == ("theirs.rttm", 0.0)
    assert wide["scored_s"] < exact["scored_s"]
    [other, _] = as_json(command, "score", processed_once, "--against", file, "--as", "hypothesis")
    assert (other["hypothesis"], other["false_alarm_s"]) == ("theirs.rttm", 0.0)
    assert other["missed_s"] > 1.0
    by_collar = as_json(
        command, "score", processed_once, "--against", file, "--collar", "100", "--collar", "50"
    )
    assert [re.sub(r"\D", "", s["collar"]) for s in by_collar] == ["100", "50"]
    [single, _] = as_json(command, "score", processed_once, "--against", file, "--skip-overlap")
    assert single["scored_s"] < exact["scored_s"]
    [timeline, _] = as_json(command, "score", processed_once, "--against", "speaker-timeline")
    assert timeline["hypothesis"] == "speaker-timeline"
    assert "collar" in printed(command, "score", processed_once, "--against", file)


@covers("features", "--longest", "--f0", "--set", "--format")
def test_features_follow_the_range_and_the_lengths_asked_for(processed: Path, command: Command) -> None:
    kept = {label: rows[:3] for label, rows in segments(processed).items()}  # a few turns are enough
    document = json.loads((processed / "segments.json").read_text("utf-8"))
    (processed / "segments.json").write_text(json.dumps({**document, "speakers": kept}), "utf-8")
    plain = as_json(command, "features", processed)
    shorter = as_json(command, "features", processed, "--longest", "1")
    assert max(r["analysed_s"] for r in plain) > 1.5
    assert max(r["analysed_s"] for r in shorter) <= 1.01
    narrow = as_json(command, "features", processed, "--f0", "180", "500")
    assert all((r["f0_median_hz"] or 180) >= 180 for r in narrow)
    assert any((r["f0_median_hz"] or 180) < 170 for r in plain)
    half_an_octave = as_json(command, "features", processed, "--f0", "60", "90")
    assert all(60 <= (r["f0_median_hz"] or 60) <= 90 for r in half_an_octave)
    strict = as_json(command, "features", processed, "--set", "features.voiced_s=1000")
    assert {r["f0_median_hz"] for r in strict} == {None}
    assert printed(command, "features", processed, "--format", "csv").startswith("speaker,")
    for upside_down_or_narrow in (("200", "100"), ("200", "200"), ("200", "205")):
        code, told, said = command("features", processed, "--f0", *upside_down_or_narrow)
        assert (code, told) == (2, "")
        assert "to {1} Hz".format(*upside_down_or_narrow) in said


@covers("export", "--to", "--into", "--set")
def test_export_writes_the_format_where_it_is_told_with_the_clips_asked_for(
    processed: Path, command: Command, tmp_path: Path
) -> None:
    [path] = printed(command, "export", processed, "--to", "rttm").split("\n")[:-1]
    assert Path(path).parent == processed / "export" / "rttm"
    [path] = printed(command, "export", processed, "--to", "rttm", "--into", tmp_path / "x").split("\n")[:-1]
    assert Path(path).parent == tmp_path / "x"
    assert Path(path).read_text("utf-8").startswith("SPEAKER")

    def longest(*options: str) -> float:
        paths = printed(command, "export", processed, "--to", "whisper", *options).split("\n")[:-1]
        lists = [Path(p) for p in paths if Path(p).name.startswith("Batched")]
        clips = [clip for p in lists for clip in json.loads(p.read_text("utf-8"))]
        return max(c["end"] - c["start"] for c in clips)  # type: ignore[no-any-return]

    assert longest("--set", "clips.longest_s=4") <= 4.0 < longest()
    assert command("export", processed, "--to", "whisper", "--set", "clips.longest_s=0.3")[0] == 2


@covers("collect", "--format", "--into")
def test_collect_writes_the_tables_where_and_as_it_is_told(
    processed: Path, command: Command, tmp_path: Path
) -> None:
    root = processed.parent.parent
    paths = [Path(p) for p in printed(command, "collect", root).splitlines()]
    assert {(p.parent, p.suffix) for p in paths} == {(root / "tables", ".csv")}
    pytest.importorskip("pyarrow")
    into = tmp_path / "tables"
    paths = [
        Path(p) for p in printed(command, "collect", root, "--format", "parquet", "--into", into).splitlines()
    ]
    assert {(p.parent, p.suffix) for p in paths} == {(into, ".parquet")}


@covers("collect", "--no-join")
def test_collect_merges_people_over_meetings_unless_it_is_told_not_to(
    processed: Path, command: Command, tmp_path: Path
) -> None:
    another = shutil.copytree(processed, processed.parent / "another")
    recording = json.loads((another / "recording.json").read_text("utf-8"))
    recording["recording"]["id"] = "another"
    (another / "recording.json").write_text(json.dumps(recording), "utf-8")
    persons = {}
    for options in ((), ("--no-join",)):
        printed(command, "collect", processed.parent.parent, "--into", tmp_path / "t", *options)
        persons[options] = len((tmp_path / "t" / "persons.csv").read_text("utf-8").splitlines()) - 1
    assert persons == {(): 4, ("--no-join",): 8}


def transcripts(folder: Path, into: Path) -> list[Path]:
    """A transcriber's files for two of the stems."""
    into.mkdir(exist_ok=True)
    files = []
    for label in ("Marcus_Webb", "Priya_Raman"):
        start_s, end_s = segments(folder)[label][0]
        files.append(into / f"{label}.json")
        files[-1].write_text(json.dumps([{"start": start_s, "end": end_s, "text": "Good morning."}]), "utf-8")
    return files


@covers("merge-transcripts", "--to", "--into")
def test_transcripts_are_merged_into_the_formats_and_the_folder_asked_for(
    processed: Path, command: Command, tmp_path: Path
) -> None:
    files = transcripts(processed, tmp_path / "words")
    into = tmp_path / "merged"
    told = printed(
        command, "merge-transcripts", processed, *files, "--to", "srt", "--to", "text", "--into", into
    )
    assert [Path(p).relative_to(into).name for p in told.splitlines()] == ["transcript.srt", "transcript.txt"]


@covers("export collect merge-transcripts", "--pseudonymise", "--pseudonym-key-file")
@covers("pseudonymise", "--into", "--pseudonym-key-file")
def test_codes_replace_names_and_depend_on_the_key_of_the_file(
    processed: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    files = transcripts(processed, tmp_path / "words")
    root = processed.parent.parent
    commands: dict[str, Sequence[object]] = {
        "export": ["export", processed, "--to", "rttm"],
        "collect": ["collect", root],
        "merge-transcripts": ["merge-transcripts", processed, *files, "--to", "text"],
        "pseudonymise": ["pseudonymise", processed],
    }
    for i, key in enumerate(("the first key of all", "the second key of all")):
        (tmp_path / f"key{i}").write_text(key, "utf-8")
    for name, arguments in commands.items():
        flag = [] if name == "pseudonymise" else ["--pseudonymise"]
        code, _, said = command(*arguments, *flag, "--into", tmp_path / name / "none")
        assert (code, KEY_VARIABLE in said) == (2, True), "without a key"
        texts = []
        for i in (0, 1):
            into = tmp_path / name / str(i)
            printed(command, *arguments, *flag, "--into", into, "--pseudonym-key-file", tmp_path / f"key{i}")
            found = sorted(p for p in into.rglob("*") if p.suffix in (".rttm", ".csv", ".txt", ".json"))
            texts.append("".join(f"{p.relative_to(into)}\n{p.read_text('utf-8')}" for p in found))
        assert texts[0], name
        assert texts[0] != texts[1], f"{name}: another key gives other codes"
        assert not [n for n in NAMES if n in texts[0]], name
        if flag:
            printed(command, *arguments, "--into", tmp_path / name / "plain")
            plain = "".join(p.read_text("utf-8") for p in (tmp_path / name / "plain").rglob("*.*"))
            assert "Marcus" in plain
            assert command(*arguments, "--pseudonym-key-file", tmp_path / "key0")[0] == 2


@covers("demo", "--out", "--quiet")
def test_the_demo_writes_where_it_is_told_and_is_quiet_when_asked(
    processed_once: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[batch.Request] = []

    def run(ids: list[str], _settings: Any, request: batch.Request, progress: Any) -> list[Outcome]:
        asked.append(request)
        progress(ids[0], "speech", 1, 1)
        return [Outcome(ids[0], processed_once.name, "done", str(processed_once))]

    monkeypatch.setattr(batch, "run", run)
    code, told, said = command("demo")
    assert (code, asked[0].out) == (0, Path("recall-audio-demo"))
    assert "speech" in said
    assert "Marcus Webb" in told
    code, _, said = command("demo", "--out", tmp_path / "mine", "-q")
    assert (code, asked[1].out, said) == (0, tmp_path / "mine", "")
