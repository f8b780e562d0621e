"""Batches into an object store: the same bytes as into a folder, whole or not at all. A real server."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import distributed
import fsspec
import pytest
from batch import deadly
from batch.lab import Lab
from object_store import SECRET, stored

from recall_audio.storage import Url

_COUNT = iter(range(1000))


@pytest.fixture
def url(s3: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place of this test's own, and temporary files and a cache of its own."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"s3://bucket/out{next(_COUNT)}"


def results(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """Objects whose bytes are a result."""
    return {
        name: content
        for name, content in objects.items()
        if not name.endswith("/run.json") and not name.startswith("journal/")
    }


def of(lab: Lab, undisturbed: Mapping[str, bytes]) -> dict[str, bytes]:
    """What an undisturbed batch leaves of the meetings that are served."""
    served = {m.recording_id for m in lab.served()}
    return {name: content for name, content in undisturbed.items() if name.split("/")[1] in served}


def halves(url: str) -> list[str]:
    """Recordings whose manifest says done and names what is not there with those bytes."""
    objects, found = stored(url), []
    for name in [n for n in objects if n.endswith("/run.json")]:
        manifest = json.loads(objects[name])
        if manifest["status"] != "done":
            continue
        folder = name.removesuffix("run.json")
        named = [*(s["outputs"] for s in manifest["stages"]), manifest["inputs"]]
        for files in named:
            for file, facts in files.items():
                content = objects.get(folder + file, b"")
                if not file.startswith(".work/") and hashlib.sha256(content).hexdigest() != facts["sha256"]:
                    found.append(folder + file)
    return found


def test_a_store_gets_the_bytes_that_a_folder_gets(
    lab: Lab, url: str, undisturbed: Mapping[str, bytes]
) -> None:
    server = lab.serve(2)
    ran = lab.run("run", *server.bot_ids, "--out", url, "--json")
    assert (ran.code, ran.statuses()) == (0, ["done"] * 2), ran.err
    objects = stored(url)
    assert results(objects) == of(lab, undisturbed)
    assert halves(url) == []
    assert [o["folder"] for o in ran.outcomes()] == [
        f"{url}/{m.bot_id}/{m.recording_id}" for m in lab.served()
    ]
    journal = b"".join(content for name, content in sorted(objects.items()) if name.startswith("journal/"))
    assert sorted(json.loads(line)["bot_id"] for line in journal.splitlines()) == sorted(server.bot_ids)
    assert not any(SECRET.encode() in content for content in objects.values())
    assert SECRET not in ran.out + ran.err
    assert not [p for p in (lab.root / "tmp").rglob("*") if p.is_file() and p.name != "sweep.lock"]

    asked, before = len(server.requests), stored(url)
    again = lab.run("run", *server.bot_ids, "--out", url, "--json")
    assert [o["reused"] for o in again.outcomes()] == [True] * 2
    assert len(server.requests) == asked
    after = stored(url)
    assert {n: c for n, c in after.items() if n in before} == before


def test_a_changed_option_redoes_what_hangs_on_it_and_leaves_no_other_format_behind(
    lab: Lab, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stems change, the talk does not; what is uploaded is what has changed."""
    server = lab.serve(1)
    assert [o.status for o in lab.here(store=Url(url))] == ["done"]
    before, asked = stored(url), len(server.requests)
    monkeypatch.setenv("RECALL_API_KEY", "none, for nothing is asked")
    ran = lab.run("process", url, "--stem-format", "flac", "--silent-stems", "--quiet")
    assert ran.code == 0
    assert f"Files in {url}/" in ran.out
    after = stored(url)
    assert len(server.requests) == asked
    assert halves(url) == []
    changed = {name for name in after if after[name] != before.get(name) and not name.startswith("journal/")}
    assert {name.split("/", 2)[2].split("/")[0] for name in changed} == {
        "stems",
        "stems.json",
        "run.json",
        "report.html",
    }
    assert [o.status for o in lab.here(store=Url(url))] == ["done"]
    same = {n: c for n, c in results(stored(url)).items() if not n.startswith("journal/")}
    assert same == results(before)


def test_what_was_fetched_into_a_store_is_processed_from_there(
    lab: Lab, url: str, undisturbed: Mapping[str, bytes]
) -> None:
    server = lab.serve(2)
    fetched = lab.run("fetch", *server.bot_ids, "--out", url, "--json")
    assert (fetched.code, fetched.statuses()) == (0, ["done", "done"])
    assert lab.run("fetch", server.bot_ids[0], "--out", url).code == 0, "nothing to sum up yet"
    assert {n.split("/", 2)[2].split("/")[0] for n in stored(url) if not n.startswith("journal/")} == {
        "source",
        "recording.json",
    }
    assert not [p for p in (lab.root / "tmp").rglob("*.raw") if p.is_file()]
    asked = len(server.requests)
    one = f"{url}/{lab.served()[0].bot_id}"
    assert lab.run("process", one, "--json").statuses() == ["done"]
    assert [o.reused for o in lab.here(store=Url(url))] == [True, False]
    assert len(server.requests) == asked
    assert results(stored(url)) == of(lab, undisturbed)


def test_a_cluster_works_from_the_store_alone(
    lab: Lab, url: str, undisturbed: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers get addresses; nothing of the output is a folder of this machine. One recording is poison."""
    server = lab.serve(2)
    ill = lab.served()[1].recording_id
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL"
        ) as cluster,
        monkeypatch.context() as patch,
    ):
        patch.setattr("recall_audio.batch.tasks.process_safely", partial(deadly.process_safely, ill))
        there = ("--cluster", cluster.scheduler_address)
        ran = lab.run("run", *server.bot_ids, "--out", url, "--json", *there)
    assert (ran.code, ran.statuses()) == (1, ["done", "failed crashed"]), ran.err
    assert halves(url) == []
    assert {n: c for n, c in results(stored(url)).items() if ill not in n} == {
        n: c for n, c in of(lab, undisturbed).items() if ill not in n
    }
    assert lab.run("run", *server.bot_ids, "--out", url, "--json").statuses()[1] == "failed set_aside"
    assert {o.status for o in lab.here(store=Url(url), force=True)} == {"done"}
    assert results(stored(url)) == of(lab, undisturbed)


def test_a_writer_killed_at_any_time_leaves_no_half_recording(
    lab: Lab, url: str, undisturbed: Mapping[str, bytes]
) -> None:
    """Killed after some objects, and after more; what is there is finished or known to be unfinished."""
    lab.may_leave_parts = True
    server = lab.serve(2)
    system = fsspec.filesystem("s3", use_listings_cache=False)
    for n_objects in (6, 18):  # of 34; before each single one: tests/storage
        run = lab.start("run", *server.bot_ids, "--out", url, "--quiet")
        while run.poll() is None and len(system.find(url)) < n_objects:
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        assert halves(url) == []
    last = lab.run("run", *server.bot_ids, "--out", url, "--json")
    assert (last.code, last.statuses()) == (0, ["done"] * 2)
    assert results(stored(url)) == of(lab, undisturbed)
    assert halves(url) == []
    left = [p for p in (lab.root / "tmp").rglob("*") if p.is_file() and p.name != "sweep.lock"]
    assert left == [], "what the killed ones had here"


def test_a_store_that_refuses_or_is_not_there_ends_the_batch_before_anything_is_asked(
    lab: Lab, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lab.serve(1)
    no_bucket = lab.run("run", *server.bot_ids, "--out", "s3://no-such-bucket/x", "--json")
    assert no_bucket.code == 4
    assert "no bucket no-such-bucket" in no_bucket.err
    for odd in ("s3://id:password@bucket/x", "s3://bucket/x?secret=1", "ftp://bucket/x", "s3://"):
        refused = lab.run("run", *server.bot_ids, "--out", odd, "--json")
        assert refused.code == 2
        assert "password@" not in refused.err
        assert "secret=1" not in refused.err
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.filesystem("s3").clear_instance_cache()
    away = lab.run("run", *server.bot_ids, "--out", url, "--json")
    fsspec.filesystem("s3").clear_instance_cache()
    assert away.code == 5
    assert "Run the same command again" in away.err
    assert server.requests == []


def test_verify_mends_what_has_changed_in_the_store(
    lab: Lab, url: str, undisturbed: Mapping[str, bytes]
) -> None:
    """A result, a document and a download, each of the size that it had."""
    server = lab.serve(1)
    assert [o.status for o in lab.here(store=Url(url))] == ["done"]
    system = fsspec.filesystem("s3", use_listings_cache=False)
    objects = stored(url)
    for kind in ("/posteriors.npz", "/segments.rttm", ".raw"):
        name = next(n for n in objects if n.endswith(kind))
        system.pipe_file(f"{url}/{name}", bytes(len(objects[name])))
    assert lab.here(store=Url(url))[0].reused, "sizes are the same"
    asked = len(server.requests)
    assert [o.status for o in lab.here(store=Url(url), verify=True)] == ["done"]
    assert len([r for r in server.requests[asked:] if r.path.endswith(".raw")]) == 1, "the changed download"
    assert results(stored(url)) == of(lab, undisturbed)
    assert halves(url) == []


def test_media_of_a_bot_in_a_store_are_deleted_once(lab: Lab, url: str) -> None:
    lab.serve(1)
    assert [o.status for o in lab.here(store=Url(url), delete_media=True)] == ["done"]
    assert len(lab.server.paths("delete_media")) == 1
    assert [name for name in stored(url) if name.endswith("/deleted.json")]
    assert [o.reused for o in lab.here(store=Url(url), delete_media=True)] == [True]
    assert len(lab.server.paths("delete_media")) == 1
