"""What processing leaves, what a second run does again, and what an interruption costs."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from recall_audio.errors import ItemError
from recall_audio.model.alignment import TimeMap
from recall_audio.model.options import Options, StemOptions, TalkOptions
from recall_audio.pipeline.process import process
from recall_audio.results.sample import sample_folder


def load(folder: Path, kind: str) -> dict[str, Any]:
    """One JSON file of a recording."""
    value: dict[str, Any] = json.loads((folder / f"{kind}.json").read_text("utf-8"))
    return value


def truth() -> dict[str, Any]:
    """The sample meeting's truth."""
    value: dict[str, Any] = json.loads((sample_folder() / "truth.json").read_text("utf-8"))
    return value


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by path, but for the manifest, which holds times of day and seconds taken."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "run.json")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def written(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {p.name: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_every_part_lies_where_the_truth_has_it(processed_once: Path) -> None:
    known = truth()["parts"]
    for part in load(processed_once, "alignment")["parts"]:
        if part["status"] != "silent":
            at = np.linspace(0.0, known[part["part_id"]]["time_map"][-1][0], 50)
            found = TimeMap.from_json(part["time_map"]).to_mix(at)
            right = TimeMap.from_json(known[part["part_id"]]["time_map"]).to_mix(at)
            assert np.max(np.abs(found - right)) < 0.25e-3


def test_talk_is_what_the_truth_says_and_a_silent_participant_is_ordinary(processed_once: Path) -> None:
    talk, people = load(processed_once, "talk"), load(processed_once, "speakers")["speakers"]
    labels = {person["name"]: label for label, person in people.items()}
    said = truth()["talk_seconds"]
    for name, seconds in said.items():
        share = talk["speakers"][labels[name]]["share_of_talk"]
        assert abs(share - seconds / sum(said.values())) < 0.03
    silent = [labels[name] for name, seconds in said.items() if seconds == 0]
    assert silent
    assert [talk["speakers"][label]["talk_s"] for label in silent] == [0.0] * len(silent)


def test_stems_are_as_long_as_the_mix_and_who_never_speaks_has_none(processed_once: Path) -> None:
    n_mix = round(load(processed_once, "alignment")["mix"]["duration_s"] * 16_000)
    talk = load(processed_once, "talk")["speakers"]
    for stem in load(processed_once, "stems")["stems"]:
        assert stem["n_samples"] == n_mix
        if talk[stem["participant"]]["talk_s"] == 0.0:
            assert (stem["file"], stem["gain_set_by"]) == (None, "silence")
            continue
        samples, rate = sf.read(processed_once / stem["file"], dtype="int16")
        assert (len(samples), rate) == (n_mix, 16_000)
        if stem["gain_set_by"] == "target":
            assert abs(stem["integrated_lufs_after"] + 23.0) < 0.1
        assert stem["true_peak_dbtp_after"] is None or stem["true_peak_dbtp_after"] <= -1.0


def test_the_manifest_names_every_file_that_is_there(processed_once: Path) -> None:
    run = load(processed_once, "run")
    named = {name for stage in run["stages"] for name in stage["outputs"]} | set(run["inputs"])
    there = {p.relative_to(processed_once).as_posix() for p in processed_once.rglob("*") if p.is_file()}
    assert there - named == {"run.json", "source/speaker_timeline.json"}
    assert named <= there


def test_another_loudness_writes_stems_again_and_listens_to_nothing(processed: Path) -> None:
    before = written(processed)
    process(processed, Options(stems=StemOptions(lufs=-30.0)))
    after = written(processed)
    again = {name for name in before if before[name] != after[name]}
    stems = {Path(s["file"]).name for s in load(processed, "stems")["stems"] if s["file"]}
    assert again == stems | {"stems.json", "report.html", "run.json"}
    levels = [s["integrated_lufs_after"] for s in load(processed, "stems")["stems"]]
    assert all(abs(level + 30.0) < 0.1 for level in levels if level is not None)


def test_pieces_done_elsewhere_give_the_same_and_a_stranger_is_refused_there_too(processed: Path) -> None:
    before = contents(processed)
    with ThreadPoolExecutor(2) as elsewhere:
        process(processed, force=True, executor=elsewhere)
        assert contents(processed) == before
        with pytest.raises(ItemError, match="Nobody_Here"):
            process(processed, Options(stems=StemOptions(speakers=("Nobody_Here",))), executor=elsewhere)


class Noting(ThreadPoolExecutor):
    """Two threads that remember what they were given, in order: name of the piece, and of what."""

    def __init__(self) -> None:
        super().__init__(2)
        self.given: list[tuple[str, str]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        piece, call = args
        self.given.append((piece.__name__, str(next((a for a in call[1:] if isinstance(a, str)), None))))
        return super().submit(fn, *args, **kwargs)


def test_pieces_begun_ahead_of_their_stage_are_done_once_and_only_where_that_stage_is_to_come(
    processed: Path,
) -> None:
    recording = load(processed, "recording")
    parts = [p["part_id"] for p in recording["parts"] if p["media"]["file"]]
    with Noting() as elsewhere:
        process(processed, force=True, executor=elsewhere)
        given, elsewhere.given = elsewhere.given, []
        process(processed, Options(stems=StemOptions(lufs=-30.0)), executor=elsewhere)
        again = [piece for piece, _ in elsewhere.given]
    assert sorted(given) == sorted(set(given)), "each once"
    heard = sorted(name for piece, name in given if piece == "detect_one")
    assert heard == sorted(parts), "the mix is heard later, and only where no track explains it"
    order = [piece for piece, _ in given]
    assert order.index("detect_one") < order.index("fit_one"), (
        "no process waits for the last file to be decoded"
    )
    assert given[order.index("write_one")] == ("write_one", "None"), (
        "what is left of the mix is looked for while all is joined"
    )
    assert set(again) == {"write_one"}


def test_another_way_to_count_turns_measures_talk_again_and_decodes_nothing(processed: Path) -> None:
    shutil.rmtree(processed / ".work")
    before = written(processed)
    process(processed, Options(talk=TalkOptions(turn_join_s=0.5)))
    again = {name for name in before if before[name] != written(processed)[name]}
    assert again == {"talk.json", "segments.rttm", "report.html", "run.json"}


def test_a_lost_file_is_made_again_as_it_was(processed: Path) -> None:
    before = contents(processed)
    (processed / load(processed, "stems")["stems"][0]["file"]).unlink()
    process(processed)
    assert contents(processed) == before


@pytest.mark.parametrize("stage", ["decode", "align", "speech", "stems"])
def test_an_interrupted_run_is_not_taken_for_finished_and_goes_on(processed: Path, stage: str) -> None:
    before = contents(processed)

    def interrupt(name: str, done: int, total: int) -> None:
        if name == stage and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process(processed, force=True, progress=interrupt)
    assert not (processed / "run.json").exists()
    assert process(processed).status == "done"
    assert contents(processed) == before


def test_a_file_that_is_no_audio_is_lost_alone(processed: Path) -> None:
    part = load(processed, "recording")["parts"][0]
    (processed / part["media"]["file"]).write_bytes(b"<html><body>Sign in</body></html>")
    outcome = process(processed, force=True)
    assert (outcome.status, outcome.code) == ("partial", "not_audio")
    left = {p["part_id"] for p in load(processed, "alignment")["parts"]}
    assert left == {p["part_id"] for p in load(processed, "recording")["parts"]} - {part["part_id"]}
    assert len(load(processed, "stems")["stems"]) == len(load(processed, "recording")["participants"])


def test_a_folder_without_a_recording_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"recording\.json does not exist"):
        process(tmp_path)
