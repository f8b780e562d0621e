"""Rows 3, 37, 38 and 40 of the reliability matrix, with whole commands: killed, side by side, interrupted."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from pathlib import Path

import pytest
from batch import deadly
from batch.lab import LONGEST_S, Lab

from recall_audio.batch.executors.processes import ProcessExecutor
from recall_audio.batch.runner import outcome_of
from recall_audio.standin import Fault, Reply, meeting

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and process groups")

WAIT_A_MINUTE = Fault("/bot/", [Reply(status=429, headers={"Retry-After": "100"})], forever=True)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def until(happened: Callable[[], object], what: str) -> None:
    """Wait for something that comes; fail where it does not."""
    ends_at = time.monotonic() + LONGEST_S
    while not happened():
        assert time.monotonic() < ends_at, f"{what} never came"
        time.sleep(0.01)


def group_is_gone(leader: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    return False


def began(lab: Lab) -> bool:
    """Whether a recording is being processed."""
    return any(lab.out.glob("*/*/.work"))


def recording_of(folder: Path) -> str:
    """The id of a meeting's recording."""
    return meeting(folder).recording_id


def parts_of(undisturbed: Mapping[str, bytes], lab: Lab) -> Mapping[str, bytes]:
    """The results of those bots that are served here."""
    return {n: b for n, b in undisturbed.items() if n.startswith(tuple(lab.server.bot_ids))}


@pytest.mark.parametrize("number", CODES, ids=lambda n: n.name)
def test_row_40_a_signal_while_recordings_are_processed_ends_all_and_a_second_run_goes_on(
    lab: Lab, undisturbed: Mapping[str, bytes], number: signal.Signals
) -> None:
    """The signal comes when the first of six is done. The last download stalls: it cannot be over."""
    stalled = Fault(recording_of(lab.meetings[5]) + "/mix", [Reply(chunk_bytes=1000, pause_s=600.0)], True)
    server = lab.serve(6, stalled)
    run = lab.start("run", *server.bot_ids, "--out", lab.out, "--jobs", "2", "--json")
    until(lab.n_ended, "the first outcome")
    run.send_signal(number)
    ended = lab.ended(run)
    assert ended.code == CODES[number]
    until(lambda: group_is_gone(run.pid), "the end of the children")
    assert "Interrupted" in ended.err
    assert "done" in ended.statuses(), "the summary"
    assert ended.outcomes() == [{k: v for k, v in line.items() if k != "at"} for line in lab.journal()]
    done = {o["bot_id"] for o in ended.outcomes() if o["status"] == "done"}

    server.script = type(server.script)([])
    asked = len(server.requests)
    assert {o.status for o in lab.here()} == {"done"}
    again = [r.path for r in server.requests[asked:]]
    assert not [p for p in again if any(bot_id in p for bot_id in done)]
    media = server.paths(".raw")
    assert len(media) - len(set(media)) <= 3, "but for the bot whose download was broken off, each file once"
    assert lab.results() == parts_of(undisturbed, lab)


@pytest.mark.parametrize("number", CODES, ids=lambda n: n.name)
def test_row_40_a_signal_ends_a_retry_after_that_would_last_longer_than_the_test(
    lab: Lab, number: signal.Signals
) -> None:
    server = lab.serve(3)
    first, *others = server.bot_ids
    assert [o.status for o in lab.here(first)] == ["done"]
    server.script = type(server.script)([WAIT_A_MINUTE])
    asked = len(server.requests)
    run = lab.start("run", first, *others, "--out", lab.out)
    until(lambda: len(server.requests) > asked and lab.n_ended() == 2, "the request that is refused")
    run.send_signal(number)
    ended = lab.ended(run)
    assert ended.code == CODES[number]
    until(lambda: group_is_gone(run.pid), "the end of the children")
    assert "1 done before" in ended.err
    assert "not begun" in ended.err
    assert first[:10] in ended.out


def test_what_an_interrupted_worker_had_no_time_to_remove_is_removed_for_it(tmp_path: Path) -> None:
    """It hears no signal, so it is killed; the recording is as good as not begun."""
    folder = tmp_path / "bot" / "recording"
    folder.mkdir(parents=True)
    workers = ProcessExecutor(1)
    future = workers.submit(deadly.stay, folder)
    until(lambda: list(folder.iterdir()), "the half-written file")
    workers.cancel_all()
    wait([future])
    outcome, ends_all = outcome_of(future, folder, 0.0)
    workers.shutdown(cancel_futures=True)
    assert (outcome.status, outcome.code, ends_all) == ("transient", "interrupted", None)
    assert list(folder.iterdir()) == []


def test_workers_do_not_outlive_a_parent_that_is_killed(lab: Lab) -> None:
    server = lab.serve(12)
    lab.may_leave_parts = True
    run = lab.start("run", *server.bot_ids, "--out", lab.out)
    until(lambda: began(lab), "the first recording")
    run.kill()
    lab.ended(run)
    until(lambda: group_is_gone(run.pid), "the end of the children")


def test_row_37_a_batch_killed_with_all_its_processes_goes_on_to_the_same_bytes(
    lab: Lab, undisturbed: Mapping[str, bytes]
) -> None:
    """Here at three moments; the benchmark does it two hundred times at random ones."""
    server = lab.serve(6)
    moments: list[Callable[[], object]] = [
        lambda: server.paths("mix.raw"),
        lambda: began(lab),
        lambda: lab.n_ended() >= 2,
    ]
    for moment in moments:
        run = lab.start("run", *server.bot_ids, "--out", lab.out)
        until(moment, "the moment")
        os.killpg(run.pid, signal.SIGKILL)
        lab.ended(run)
    for left in lab.out.rglob("*.part"):
        os.utime(left, (time.time() - 86_400.0,) * 2)  # a day later
    assert {o.status for o in lab.here()} == {"done"}
    assert lab.results() == parts_of(undisturbed, lab)
    assert not list(lab.out.rglob("*.part"))


@pytest.mark.parametrize("locks", [True, False], ids=["with locks", "where locks do nothing"])
def test_row_38_two_batches_of_the_same_bots_in_one_folder_do_each_other_no_harm(
    lab: Lab, undisturbed: Mapping[str, bytes], locks: bool
) -> None:
    server = lab.serve(3)
    (lab.root / "nolocks").mkdir()
    (lab.root / "nolocks" / "sitecustomize.py").write_text("import fcntl\nfcntl.flock = lambda *_: None\n")
    own = {} if locks else {"PYTHONPATH": os.pathsep.join([str(lab.root / "nolocks"), *sys.path])}
    command = ("run", *server.bot_ids, "--out", lab.out, "--json")
    both = [lab.start(*command, **own) for _ in range(2)]
    ended = [lab.ended(one) for one in both]
    assert [e.code for e in ended] == [0, 0], [e.out for e in ended]
    assert [e.statuses() for e in ended] == [["done"] * 3] * 2
    assert lab.results() == parts_of(undisturbed, lab)
    assert len(lab.journal()) == 6


def test_row_3_a_429_to_one_process_holds_the_other_too(lab: Lab) -> None:
    """The second is begun once the first has been told to wait: it asks nothing before that time is over."""
    server = lab.serve(2)
    refused_for_s = 3
    server.script = type(server.script)(
        [Fault("/bot/", [Reply(status=429, headers={"Retry-After": str(refused_for_s)})])]
    )
    times: list[float] = []
    follow = server.script.next

    def noted(method: str, target: str) -> Reply:
        times.append(time.monotonic())
        return follow(method, target)

    server.script.next = noted  # type: ignore[method-assign]
    first = lab.start("fetch", server.bot_ids[0], "--out", lab.out)
    until(lambda: list((lab.root / "state").rglob("held_until")), "the hold")
    second = lab.start("fetch", server.bot_ids[1], "--out", lab.out)
    assert [lab.ended(first).code, lab.ended(second).code] == [0, 0]
    assert times[1] - times[0] >= refused_for_s
    assert {r.path for r in server.requests[1:] if "/bot/" in r.path} == {
        f"/api/v1/bot/{b}/" for b in server.bot_ids
    }
