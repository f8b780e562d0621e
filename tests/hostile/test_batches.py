"""Put one bot with absurd values, or a server's absurd answer, among ordinary ones: it alone fails."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from batch.lab import Lab

from recall_audio import batch
from recall_audio.batch import fetcher, previous_runs, workspace
from recall_audio.errors import MachineError
from recall_audio.fetch.api.protocol import retry_after_s, when_again
from recall_audio.fetch.download import file
from recall_audio.model.meeting import MediaFile, Meeting, Part
from recall_audio.model.options import FetchOptions, Options
from recall_audio.standin import Fault, Reply, meeting

Content = dict[str, Any]


def year_2999(content: Content) -> None:
    """Let the recording end in the year 2999."""
    content["duration"] = 974 * 365.25 * 86_400.0


def part_of_months(content: Content) -> None:
    """Declare a part of 115 days."""
    content["parts"][0]["duration"] = 9.9e6


def late_start(content: Content) -> None:
    """Declare a start after ten days."""
    content["parts"][0]["start_timestamp"]["relative"] = 9e5


ABSURD: Mapping[str, Callable[[Content], None]] = {
    f.__name__: f for f in (year_2999, part_of_months, late_start)
}


def changed(folder: Path, into: Path, change: Callable[[Content], None]) -> Path:
    """Copy a meeting with a changed description."""
    shutil.copytree(folder, into)
    content = json.loads((into / "meeting.json").read_text())
    change(content)
    (into / "meeting.json").write_text(json.dumps(content))
    return into


@pytest.mark.parametrize("absurd", ABSURD)
@pytest.mark.parametrize("mix", ["with mix", "without mix"])
def test_absurd_times_cost_one_bot(lab: Lab, absurd: str, mix: str) -> None:
    folder = changed(lab.meetings[1], lab.root / "absurd", ABSURD[absurd])
    if mix == "without mix":
        (folder / "mix.raw").write_bytes(b"")
    folders = [lab.meetings[0], folder, lab.meetings[2]]
    lab.serve_these([meeting(f) for f in folders])
    outcomes = lab.here()
    assert [outcomes[0].status, outcomes[2].status] == ["done", "done"]
    assert len(outcomes) == 3
    assert outcomes[1].code not in ("unexpected", "disk_full")
    written = sum(f.stat().st_size for f in lab.out.rglob("*") if f.is_file())
    assert written < 20 << 20, "not what the times ask for"


RETRY_AFTERS = [
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "99999999",
]


@pytest.mark.parametrize("text", RETRY_AFTERS)
def test_no_date_of_a_retry_after_is_beyond_reading(text: str) -> None:
    headers = {"Retry-After": text}
    for now in (0.0, 1.8e9, 2.5e11):
        retry_after_s(headers, now)
        when_again(headers, now)


@pytest.mark.parametrize(
    ("text", "forever", "ends"), [(RETRY_AFTERS[0], True, "transient"), (RETRY_AFTERS[1], False, "done")]
)
def test_an_absurd_retry_after_costs_one_bot(lab: Lab, text: str, forever: bool, ends: str) -> None:
    """A date that can be read is not waited for; one that cannot is retried as if it were not there."""
    second = meeting(lab.meetings[1]).bot_id
    fault = Fault(f"/bot/{second}", (Reply(status=503, headers={"Retry-After": text}),), forever=forever)
    lab.serve(3, fault)
    assert [o.status for o in lab.here()] == ["done", ends, "done"]


@pytest.mark.parametrize(("free", "announced", "code"), [(300, 5_000, "no_room"), (100, 1, "disk_full")])
def test_an_absurd_length_is_no_full_disk(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, free: int, announced: int, code: str
) -> None:
    """Of a recording that lasts to the year 2999 a file may be as large as any."""
    folder = changed(lab.meetings[1], lab.root / "absurd", year_2999)
    size = {"Content-Length": str(announced * MIB)}
    absurd = meeting(folder)
    fault = Fault(f"/store/{absurd.recording_id}/mix.raw", (Reply(headers=size),), forever=True)
    lab.serve_these([meeting(f) for f in (lab.meetings[0], folder, lab.meetings[2])], fault)
    usage = shutil.disk_usage(lab.root)
    room = type(usage)(usage.total, usage.used, free * MIB)
    monkeypatch.setattr(file.shutil, "disk_usage", lambda _folder: room)
    if code == "disk_full":
        with pytest.raises(MachineError):
            lab.here()
        return
    assert [(o.status, o.code) for o in lab.here()] == [("done", ""), ("transient", "no_room"), ("done", "")]


def test_a_bot_that_drips_has_a_deadline_of_its_own_and_holds_up_no_other(lab: Lab) -> None:
    """Fast enough for every other limit, it would take for ever."""
    slow = meeting(lab.meetings[0])
    drip = Reply(chunk_bytes=512, pause_s=0.05, endless=True)
    lab.serve(3, Fault(f"{slow.recording_id}.*mix.raw|mix.raw", (drip,)))
    began = time.monotonic()
    outcomes = lab.here(fetch=FetchOptions(longest_s=1.5))
    assert time.monotonic() - began < 40.0
    late = [o for o in outcomes if o.code == "deadline"]
    assert [o.status for o in late] == ["transient"]
    assert "fetch.longest_s" in late[0].message
    assert sorted(o.status for o in outcomes) == ["done", "done", "transient"]
    assert [o.status for o in lab.here()] == ["done"] * 3, "the next run goes on"


@pytest.mark.parametrize("error", [OverflowError("x"), RecursionError(), MemoryError(), KeyError("x")])
def test_an_unforeseen_error_of_a_fetch_costs_one_bot(
    lab: Lab, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lab.serve(3)
    fetch_bot = fetcher.fetch.fetch_bot

    def fails(bot_id: str, *arguments: Any, **more: Any) -> Any:
        if bot_id == server.bot_ids[1]:
            raise error
        return fetch_bot(bot_id, *arguments, **more)

    monkeypatch.setattr(fetcher.fetch, "fetch_bot", fails)
    outcomes = lab.here()
    assert [(o.status, o.code) for o in outcomes] == [("done", ""), ("failed", "unexpected"), ("done", "")]
    assert str(error) == "" or str(error) not in outcomes[1].message.split()


def test_an_unforeseen_error_before_processing_costs_one_recording(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lab.serve(3)
    standing = previous_runs.standing_outcome

    def fails(folder: Path, request: batch.Request) -> Any:
        if folder.parent.name == server.bot_ids[1]:
            raise OverflowError
        return standing(folder, request)

    monkeypatch.setattr(previous_runs, "standing_outcome", fails)
    assert [o.status for o in lab.here()] == ["done", "failed", "done"]


MIB = 1 << 20


def described(n_bytes: int, declared_s: float | None, start_s: float = 0.0, mix: bool = True) -> Meeting:
    """A meeting of one part."""
    part = Part("p", 1, start_s, MediaFile("source/p.ogg", "ogg", n_bytes, duration_s=declared_s))
    bot, recording = {"id": "b"}, {"id": "r"}
    return Meeting(bot, recording, (), (part,), MediaFile("source/m.mp3", "mp3", n_bytes) if mix else None)


def test_needs_are_bounded_by_the_bytes_that_are_there() -> None:
    honest = workspace.needed_bytes(described(3 * MIB, 1800.0), Options())
    assert honest == workspace.needed_bytes(described(3 * MIB, 1800.0, start_s=9e5), Options())
    absurd = workspace.needed_bytes(described(3 * MIB, 9.9e6), Options())
    assert honest <= absurd <= 20 * honest
    late = described(3 * MIB, 1800.0, start_s=9e5, mix=False)
    assert workspace.needed_bytes(late, Options()) > 100 * honest
    assert workspace.needed_bytes(late, Options(), by_bytes=True) <= honest
