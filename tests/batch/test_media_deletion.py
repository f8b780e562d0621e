"""`--delete-media`: only what is whole and verified here is deleted at Recall.ai; no failure costs a run."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from batch.lab import Lab
from cli.covered import covers

from recall_audio import batch
from recall_audio.batch.media_deletion import doubt_about
from recall_audio.fetch import Settings
from recall_audio.standin import Fault, Reply, ServedMeeting, StandIn, State, meeting
from recall_audio.standin.routes import FaultScript


@pytest.fixture(scope="module")
def finished_once(tiny_meetings: Sequence[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of two bots, to be copied."""
    out = tmp_path_factory.mktemp("finished")
    with StandIn(tiny_meetings[:2]) as server:
        settings = Settings(server.base_url, "us-west-2", server.key)
        assert {o.status for o in batch.run(server.bot_ids, lambda: settings, batch.Request(out=out))} == {
            "done"
        }
    return out


@pytest.fixture
def done(lab: Lab, finished_once: Path) -> Lab:
    """A lab with one bot whose run was finished before."""
    lab.serve(1)
    bot_id = lab.server.bot_ids[0]
    shutil.copytree(finished_once / bot_id, lab.out / bot_id)
    return lab


def deletions(lab: Lab) -> list[str]:
    """The bots whose media the API was asked to delete."""
    asked = [r for r in lab.server.requests if r.path.endswith("/delete_media/")]
    assert all(r.method == "POST" for r in asked)
    return [r.path.split("/")[-3] for r in asked]


def media_lines(lab: Lab) -> list[tuple[str, str]]:
    """Bot and code of the journal's lines about media."""
    return [(line["bot_id"], line["code"]) for line in lab.journal() if line["code"].startswith("media_")]


def test_media_are_deleted_after_a_finished_run_and_never_by_default(done: Lab) -> None:
    lab = done
    [bot_id] = lab.server.bot_ids
    assert [o.status for o in lab.here()] == ["done"]
    assert deletions(lab) == []

    before = lab.results()
    assert [o.reused for o in lab.here(delete_media=True)] == [True], "a run that was finished before counts"
    assert deletions(lab) == [bot_id]
    assert media_lines(lab) == [(bot_id, "media_deleted")]
    line = lab.journal()[-1]
    sources = [f for f in lab.folder(0).joinpath("source").iterdir() if f.suffix == ".raw"]
    n_bytes = sum(f.stat().st_size for f in sources)
    assert f"{len(sources)} files, {n_bytes} bytes" in line["message"]
    assert line["recording_id"] == lab.folder(0).name
    said = json.loads((lab.folder(0) / "deleted.json").read_text())
    assert {Path(name).name for name in said["files"]} == {f.name for f in sources}

    asked = len(lab.server.requests)
    assert [o.status for o in lab.here(delete_media=True)] == ["done"]
    assert len(lab.server.requests) == asked, "what is deleted is not deleted again"
    assert {n: b for n, b in lab.results().items() if not n.endswith("deleted.json")} == before
    assert [o.code for o in lab.here(force=True)] == ["gone"], "the API has nothing left"
    assert {n: b for n, b in lab.results().items() if not n.endswith("deleted.json")} == before


@pytest.mark.parametrize(
    ("state", "fault", "status"),
    [
        (State(separate="missing"), None, "partial"),
        (None, Fault(r"/parts/", [Reply(status=404)]), "partial"),
        (State(separate="processing"), None, "waiting"),
        (State(events="processing"), None, "done"),
        (None, Fault(r"/store/.*mix\.raw", [Reply(headers={"Content-Length": ""})], forever=True), "done"),
    ],
    ids=["no separate audio", "a part is gone", "still made", "events still made", "length unknown"],
)
def test_what_is_not_whole_or_not_verified_deletes_nothing(
    lab: Lab, state: State | None, fault: Fault | None, status: str
) -> None:
    lab.serve(1, *([fault] if fault else []), state=state)
    assert [o.status for o in lab.here(delete_media=True)] == [status]
    assert deletions(lab) == []


def test_one_failed_recording_keeps_the_media_of_its_bot_alone(lab: Lab, finished_once: Path) -> None:
    shutil.copytree(finished_once, lab.out)
    first, other, third = (meeting(f) for f in lab.meetings[:3])
    failed = ServedMeeting(third.folder, third.content, State(recording="failed"), first.bot_id)
    in_recording(recording_ids=[first.recording_id, failed.recording_id])(
        lab.out / first.bot_id / first.recording_id
    )
    lab.serve_these([first, failed, other])
    assert sorted(o.status for o in lab.here(delete_media=True)) == ["done", "done", "failed"]
    assert deletions(lab) == [other.bot_id]


def cut(folder: Path) -> None:
    """Shorten a downloaded file."""
    [mix] = (folder / "source").glob("mixed.*")
    mix.write_bytes(mix.read_bytes()[:-2])


def flip(folder: Path) -> None:
    """Change one bit of a downloaded file and leave its size."""
    [mix] = (folder / "source").glob("mixed.*")
    content = bytearray(mix.read_bytes())
    content[100] ^= 1
    mix.write_bytes(content)


def in_recording(**changes: Any) -> Callable[[Path], None]:
    """Change what recording.json says of the bot."""

    def change(folder: Path) -> None:
        path = folder / "recording.json"
        value = json.loads(path.read_text())
        value["bot"] |= changes
        path.write_text(json.dumps(value))

    return change


def unfinish(folder: Path) -> None:
    """Leave a run as a kill leaves it."""
    (folder / "run.json").rename(folder / ".work" / "run.json")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (cut, "not all files"),
        (flip, "changed since it came"),
        (in_recording(is_over=False), "may still record"),
        (in_recording(recording_ids=["another"]), "not all of its recordings"),
        (unfinish, "run"),
    ],
)
def test_every_doubt_about_a_finished_recording_is_named(
    done: Lab, spoil: Callable[[Path], None], why: str
) -> None:
    folder = done.folder(0)
    assert doubt_about([folder]) == ""
    spoil(folder)
    try:
        doubt = doubt_about([folder])
    except Exception as error:  # noqa: BLE001 - a document that is not there is a doubt too
        doubt = str(error)
    assert why in doubt


def test_a_changed_download_keeps_the_media_and_the_run(done: Lab) -> None:
    lab = done
    [bot_id] = lab.server.bot_ids
    flip(lab.folder(0))
    ran = lab.run("run", bot_id, "--out", lab.out, "--delete-media", "--yes")
    assert ran.code == 0
    assert deletions(lab) == []
    assert "its media stay at Recall.ai" in ran.err
    assert media_lines(lab) == [(bot_id, "media_kept")]


@covers("run", "--yes")
def test_a_failed_deletion_is_a_warning_and_tried_again_by_the_next_run(done: Lab) -> None:
    lab = done
    refused = Reply(403, {"Content-Type": "application/json"}, b'{"detail": "not yours"}')
    [bot_id] = lab.server.bot_ids
    lab.server.script = FaultScript([Fault("delete_media", [refused], method="POST")])
    arguments = ("run", bot_id, "--out", lab.out, "--delete-media", "--yes")
    ran = lab.run(*arguments)
    assert (ran.code, media_lines(lab)) == (0, [(bot_id, "media_kept")])
    assert "not yours" in ran.err
    again = lab.run(*arguments)
    assert (again.code, media_lines(lab)[-1]) == (0, (bot_id, "media_deleted"))
    assert "deleted the media of 1 bot." in again.err


def test_nothing_is_begun_without_a_confirmation(lab: Lab) -> None:
    server = lab.serve(1)
    ran = lab.batch("--delete-media")
    assert (ran.code, server.requests) == (2, [])
    assert "--yes" in ran.err


@covers("run", "--delete-media")
@pytest.mark.parametrize(("answers", "deletes"), [("y\nn\n", False), ("n\n", False), ("y\ny\n", True)])
def test_a_terminal_is_asked_twice(done: Lab, answers: str, deletes: bool) -> None:
    lab = done

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    [bot_id] = lab.server.bot_ids
    lab.patch.setattr(sys, "stdin", Terminal(answers))
    ran = lab.run("run", bot_id, "--out", lab.out, "--delete-media")
    assert (ran.code, deletions(lab)) == ((0, [bot_id]) if deletes else (2, []))
    assert bool(lab.journal()) is deletes


def test_a_changed_file_is_not_thrown_away_once_its_original_is_deleted(done: Lab) -> None:
    lab = done
    lab.here(delete_media=True)
    flip(lab.folder(0))
    [outcome] = lab.here(verify=True)
    assert outcome.code == "changed_input"
    assert "backup" in outcome.message
    assert list((lab.folder(0) / "source").glob("mixed.*"))
