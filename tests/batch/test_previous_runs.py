"""What is done costs nothing; a changed option or a changed byte costs what depends on it."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from batch.lab import Lab

from recall_audio import __version__
from recall_audio.model.options import Options, StemOptions
from recall_audio.pipeline.plan import STAGES


def stages(folder: Path) -> dict[str, dict[str, Any]]:
    """What ``run.json`` says of each stage."""
    return {s["name"]: s for s in json.loads((folder / "run.json").read_text())["stages"]}


def made(folder: Path) -> dict[str, list[int]]:
    """When each stage's files were written: seconds a stage took can be the same twice."""
    return {n: [(folder / f).stat().st_mtime_ns for f in s["outputs"]] for n, s in stages(folder).items()}


def change(file: Path) -> None:
    """Other bytes, as many as before."""
    data = bytearray(file.read_bytes())
    data[-4:] = bytes(b ^ 1 for b in data[-4:])
    file.write_bytes(data)


def parts_of(undisturbed: Mapping[str, bytes], lab: Lab) -> Mapping[str, bytes]:
    """The results of those bots that are served here."""
    return {n: b for n, b in undisturbed.items() if n.startswith(tuple(lab.server.bot_ids))}


def test_a_batch_that_is_done_costs_no_request_and_starts_no_process(
    lab: Lab, undisturbed: Mapping[str, bytes]
) -> None:
    server = lab.serve(4)
    lab.here()
    assert lab.results() == parts_of(undisturbed, lab)
    asked = len(server.requests)
    lab.poison(light=True)
    again = lab.batch()
    assert (again.code, len(server.requests), lab.tried()) == (0, asked, [])
    assert all(o["reused"] for o in again.outcomes())
    assert again.err.splitlines()[-1] == "4 done before."


def test_another_loudness_needs_no_network_and_leaves_decoding_alignment_and_speech_alone(lab: Lab) -> None:
    server = lab.serve(1)
    lab.here()
    folder, asked = lab.folder(0), len(server.requests)
    before = made(folder)
    work = {f: f.stat().st_mtime_ns for f in folder.glob(".work/*.s16")}
    assert work
    told = lab.run("run", *server.bot_ids, "--out", lab.out, "--lufs", "-16", "--dry-run")
    assert "stems, report" in " ".join(told.out.split())
    louder = Options(stems=StemOptions(lufs=-16.0))
    assert [o.status for o in lab.here(options=louder)] == ["done"]
    after = made(folder)
    assert [n for n in STAGES if after[n] != before[n]] == ["stems", "report"]
    assert {f: f.stat().st_mtime_ns for f in work} == work
    assert len(server.requests) == asked


def test_verify_makes_a_changed_result_again_without_the_network(
    lab: Lab, undisturbed: Mapping[str, bytes]
) -> None:
    server = lab.serve(3)
    lab.here()
    change(next(lab.folder(1).glob("stems/*.wav")))
    asked, before = len(server.requests), made(lab.folder(1))
    assert all(o.reused for o in lab.here()), "its size has not changed"
    ran = lab.batch("--verify")
    assert [o["reused"] for o in ran.outcomes()] == [True, False, True]
    assert len(server.requests) == asked
    assert lab.results() == parts_of(undisturbed, lab)
    after = made(lab.folder(1))
    assert [n for n in STAGES if after[n] != before[n]] == ["stems", "report"]


def test_verify_fetches_a_changed_download_again_and_nothing_else(
    lab: Lab, undisturbed: Mapping[str, bytes]
) -> None:
    server = lab.serve(2)
    lab.here()
    change(lab.folder(0) / "source" / "mixed.raw")
    asked = len(server.requests)
    assert [o.status for o in lab.here(verify=True)] == ["done"] * 2
    media = [r.path for r in server.requests[asked:] if r.path.endswith(".raw")]
    assert [p.rpartition("/")[2] for p in media] == ["mix.raw"]
    assert lab.results() == parts_of(undisturbed, lab)


def test_force_does_everything_again_and_comes_to_the_same(lab: Lab) -> None:
    server = lab.serve(1)
    lab.here()
    before, asked = lab.results(), len(server.requests)
    assert [o.reused for o in lab.here(force=True)] == [False]
    assert len(server.requests) > asked
    assert lab.results() == before


def test_what_a_killed_run_left_beside_a_finished_recording_is_swept_once_it_is_old(lab: Lab) -> None:
    """A part of today may be another process's; the list of what has arrived is of no use any more."""
    lab.serve(1)
    lab.here()
    folder, before = lab.folder(0), lab.results()
    parts = [folder / f".talk.json.{n}.01234567.part" for n in (1, 2)]
    for part in parts:
        part.write_text("{")
    os.utime(parts[0], (time.time() - 86_400.0,) * 2)
    (folder / "source" / "fetched.json").write_text("{}")
    assert [o.reused for o in lab.here()] == [True]
    assert [part.exists() for part in parts] == [False, True]
    parts[1].unlink()
    assert lab.results() == before


def test_another_versions_results_are_kept_or_named_with_what_is_redone(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.serve(1)
    lab.here()
    manifest = lab.folder(0) / "run.json"
    written = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(written | {"version": "0.0.1"}))
    assert [o.reused for o in lab.here()] == [True], "another version alone changes no result"
    for stage in written["stages"]:
        stage["key"] = "of another revision" if stage["name"] in ("talk", "report") else stage["key"]
    manifest.write_text(json.dumps(written | {"version": "0.0.1"}))
    dry = lab.run("run", *lab.server.bot_ids, "--out", lab.out, "--dry-run")
    assert "0.0.1" in dry.out
    assert "talk, report" in " ".join(dry.out.split())
    caplog.clear()
    assert [o.reused for o in lab.here()] == [False]
    assert f"made by version 0.0.1; this is {__version__}, which redoes talk, report" in caplog.text


@pytest.mark.parametrize("name", ["run.json", "crashes.json", "journal.jsonl", "recording.json"])
def test_a_damaged_file_of_ours_is_no_verdict(lab: Lab, undisturbed: Mapping[str, bytes], name: str) -> None:
    """Whatever stands in it, the next run comes to the same results."""
    lab.serve(1)
    lab.here()
    place = lab.out if name == "journal.jsonl" else lab.folder(0)
    schema = name.removesuffix(".json").encode()
    for damage in (
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": "recall-audio/%b/1"}' % schema,
    ):
        (place / name).write_bytes(damage)
        assert [o.status for o in lab.here()] == ["done"], damage[:40]
        if name in ("crashes.json", "journal.jsonl"):
            (place / name).unlink()  # harmless where it is; not a result
        assert lab.results() == parts_of(undisturbed, lab), damage[:40]


def test_one_recording_on_two_processes_is_the_same_to_the_byte(
    lab: Lab, undisturbed: Mapping[str, bytes]
) -> None:
    lab.serve(1)
    assert lab.batch("--jobs", "2").code == 0
    assert lab.results() == parts_of(undisturbed, lab)
    assert all(s["cpu_seconds"] >= 0 for s in stages(lab.folder(0)).values())
