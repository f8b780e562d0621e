"""Options of process change the results they name: starts, speech, stems."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from benchmarks.cost_meetings import Recipe, make, recording_folder
from cli.covered import covers

import recall_audio as ra
from recall_audio import batch

Command = Callable[..., tuple[int, str, str]]
Process = Callable[..., Path]

covers("process", "--discard-work", "--verify", "--force", "--item-timeout")


@pytest.fixture
def process(processed: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Process:
    """Process a recording, the sample meeting by default, with some options, in this process."""
    real = batch.process_folders

    def inline(folders: list[Path], request: batch.Request, *rest: Any, **named: Any) -> Any:
        return real(folders, replace(request, isolate=False), *rest, **named)

    monkeypatch.setattr(batch, "process_folders", inline)

    def run(*options: object, folder: Path = processed) -> Path:
        code, _, said = command("process", folder, "-q", *options)
        assert code == 0, said
        return folder

    return run


def read(folder: Path, kind: str) -> Any:
    """One of the recording's documents."""
    return json.loads((folder / f"{kind}.json").read_text("utf-8"))


def stems(folder: Path) -> dict[str, dict[str, Any]]:
    """What was written for each participant."""
    return {s["participant"]: s for s in read(folder, "stems")["stems"]}


def test_stems_have_the_rate_the_bits_the_level_and_the_speakers_asked_for(process: Process) -> None:
    folder = process("--lufs", "-30", "--rate", "8000", "--bits", "24", "--mixdown",
                     "--speakers", "Marcus_Webb,Priya_Raman")  # fmt: skip
    found = stems(folder)
    assert set(found) == {"Marcus_Webb", "Priya_Raman"}
    for stem in found.values():
        info = sf.info(folder / stem["file"])
        assert (info.samplerate, info.subtype) == (8000, "PCM_24")
        assert stem["integrated_lufs_after"] == pytest.approx(-30.0, abs=0.1)
    names = {p.name for p in (folder / "stems").iterdir()}
    assert names - {"Marcus_Webb.wav", "Priya_Raman.wav"}, "the sum of the stems"


def test_a_peak_sets_the_level_where_that_is_asked_for_and_the_gate_mutes_the_rest(process: Process) -> None:
    folder = process("--normalize", "peak", "--peak", "-6", "--gate", "--poly", "--bits", "32f")
    marcus = stems(folder)["Marcus_Webb"]
    assert marcus["gain_set_by"] == "peak"
    assert marcus["true_peak_dbtp_after"] == pytest.approx(-6.0, abs=0.2)
    samples, rate_hz = sf.read(folder / marcus["file"])
    assert sf.info(folder / marcus["file"]).subtype == "FLOAT"
    spoken = read(folder, "segments")["speakers"]["Marcus_Webb"]
    before = samples[: int((spoken[0][0] - 1.0) * rate_hz)]
    assert len(before) > rate_hz
    assert not np.any(before)
    written = [p for p in folder.rglob("*.wav") if sf.info(p).channels > 1]
    assert len(written) == 1, "one multichannel file"
    assert sf.info(written[0]).channels == len(list(folder.glob("stems/*.wav"))) - 1


def test_who_never_speaks_has_a_stem_where_it_is_asked_for_and_none_otherwise(process: Process) -> None:
    folder = process()
    n_samples = stems(folder)["Marcus_Webb"]["n_samples"]
    assert stems(folder)["Jonas_Berg"]["file"] is None
    assert not (folder / "stems" / "Jonas_Berg.wav").exists()
    silent = ra.open(folder).stem("Jonas_Berg").load()
    assert (silent[0].shape, silent[0].dtype, silent[1]) == ((n_samples,), np.float32, 16_000)
    assert not silent[0].any()
    assert ra.open(folder).stem("Jonas_Berg").load(10.0, 12.5)[0].shape == (40_000,)
    assert "Jonas_Berg.wav" not in (folder / "report.html").read_text("utf-8")
    for form in ("hf", "kaldi", "lhotse", "nemo", "seglst", "whisper"):
        for file in ra.open(folder).export(form):
            content = file.read_bytes()
            text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode("utf-8", "replace")
            assert "Jonas_Berg" not in text, f"{file} names a stem that is not there"
            assert "Jonas_Berg" not in str(file.relative_to(folder)), "no clips of a stem that is not there"
    asked = process("--silent-stems")
    assert sf.info(asked / stems(asked)["Jonas_Berg"]["file"]).frames == n_samples


def test_a_cap_holds_the_gain_and_the_limiter_reaches_what_peaks_would_prevent(process: Process) -> None:
    capped = stems(process("--max-gain", "3", "--stem-format", "flac"))["Marcus_Webb"]
    assert (capped["gain_db"], capped["gain_set_by"]) == (3.0, "cap")
    assert capped["file"].endswith(".flac")
    held = stems(process("--lufs", "-12"))["Marcus_Webb"]
    assert (held["gain_set_by"], held["limited_db"]) == ("peak", 0.0)
    limited = stems(process("--lufs", "-12", "--limit"))["Marcus_Webb"]
    assert limited["limited_db"] > 0.0
    assert limited["integrated_lufs_after"] > held["integrated_lufs_after"] + 1.0


def test_a_higher_threshold_counts_less_as_speech(process: Process) -> None:
    def unbridged_s(folder: Path) -> float:
        rows = [row for rows in read(folder, "segments")["unbridged"].values() for row in rows]
        return sum(end - start for start, end in rows)

    plain = unbridged_s(process())
    assert unbridged_s(process("--threshold", "0.95")) < plain


def test_leaked_voices_are_removed_and_kept_where_that_is_asked_for(process: Process, tmp_path: Path) -> None:
    lab = make(tmp_path / "lab", Recipe(30.0, 3, ("raw",), leak_db=-20.0))
    folder = recording_folder(lab, tmp_path / "leaky")

    def talk_s(*options: str) -> float:
        spoken = read(process(*options, folder=folder), "segments")["speakers"]
        return sum(end - start for rows in spoken.values() for start, end in rows)

    assert talk_s("--keep-leakage") > 1.5 * talk_s()


def test_a_part_far_from_its_nominal_start_is_found_by_any_search(processed: Path, process: Process) -> None:
    recording = read(processed, "recording")
    part = recording["parts"][0]
    right_s = read(processed, "alignment")["parts"][0]["start_s"]
    part["nominal_start_s"] += 9.0
    (processed / "recording.json").write_text(json.dumps(recording), "utf-8")

    def start_s(*options: str) -> float:
        found = read(process("--speakers", "Jonas_Berg", *options), "alignment")["parts"]
        return float(next(p["start_s"] for p in found if p["part_id"] == part["part_id"]))

    assert start_s() == pytest.approx(right_s, abs=0.01)
    assert start_s("--search", "10") == pytest.approx(right_s, abs=0.01)
    assert start_s("--whole-mix") == pytest.approx(right_s, abs=0.01)


def test_without_alignment_nominal_starts_stay(process: Process) -> None:
    for part in read(process("--no-align", "--speakers", "Jonas_Berg"), "alignment")["parts"]:
        assert part["start_s"] == part["nominal_start_s"]


def test_work_is_deleted_done_work_is_done_again_and_damage_is_found_when_asked(
    process: Process, processed: Path
) -> None:
    assert list((processed / ".work").glob("*.s16"))
    speech = processed / "segments.rttm"
    right = speech.read_bytes()
    speech.write_bytes(right.replace(b"Marcus", b"Markus"))  # the same size
    assert process() == processed
    assert speech.read_bytes() != right, "sizes alone are compared"
    process("--verify")
    assert speech.read_bytes() == right
    before = speech.stat().st_mtime_ns
    process("--force", "--discard-work")
    assert speech.stat().st_mtime_ns > before
    assert not list(processed.glob(".work/*.s16"))


def test_a_recording_that_takes_longer_than_allowed_is_stopped(processed: Path, command: Command) -> None:
    code, told, _ = command("process", processed, "--force", "--json", "--item-timeout", "0.05")
    outcome = json.loads(told)
    assert (code, outcome["code"]) == (5, "timeout")
    assert "--item-timeout" in outcome["message"]
