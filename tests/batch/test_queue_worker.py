"""`run --queue`: what the listener kept is fetched and processed; an entry leaves only when all is done."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from batch.lab import MAIN
from batch.meetings import make_meetings
from listen.lab import LONGEST_S, entries

from recall_audio.batch.executors.processes import hidden_secrets
from recall_audio.listen import BotEvent, Queue
from recall_audio.listen.queue import parse_event
from recall_audio.standin import Fault, Reply, ServedMeeting, StandIn, StandInOptions, State, meeting
from recall_audio.standin.webhooks import messages

KEY = "canary-key-2c41aa"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def shorts(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    return make_meetings(tmp_path_factory.mktemp("shorts"), 6, seconds=1.5)


@pytest.fixture
def serve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shorts: Sequence[Path]
) -> Iterator[Callable[..., StandIn]]:
    opened: list[StandIn] = []

    def start(n: int = 1, state: State | None = None, faults: Sequence[Fault] = ()) -> StandIn:
        served = [meeting(folder, state) for folder in shorts[:n]]
        opened.append(StandIn(served, faults, StandInOptions(key=KEY)).__enter__())
        monkeypatch.setenv("RECALL_API_KEY", KEY)
        monkeypatch.setenv("RECALL_BASE_URL", opened[-1].base_url)
        return opened[-1]

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    yield start
    for server in opened:
        server.__exit__(None, None, None)


def tell(shorts: Sequence[Path], n: int = 1, prefix: str = "") -> list[ServedMeeting]:
    """Put into the queue what Recall says of the first meetings."""
    queue, told = Queue(Path("q")), [meeting(folder) for folder in shorts[:n]]
    for one in told:
        for message in messages(one):
            read = parse_event(message.body, prefix + message.message_id)
            assert isinstance(read, BotEvent)
            assert queue.add(read)
    return told


def places() -> dict[str, list[str]]:
    """Which bots are where."""
    roots = {"waiting": "q", "taken": "q/taken", "done": "q/done", "failed": "q/failed"}
    found = {name: sorted(p.stem for p in Path(root).glob("*.json")) for name, root in roots.items()}
    return {name: bots for name, bots in found.items() if bots}


def work_off(command: Command, *arguments: object) -> tuple[int, list[dict[str, Any]]]:
    code, told, _ = command("run", "--queue", "q", "--out", "out", "--json", *arguments)
    return code, [json.loads(line) for line in told.splitlines()]


def lists(server: StandIn) -> list[str]:
    """Requests for a list: those whose path ends in a collection."""
    return [r.path for r in server.requests if r.path.startswith("/api/") and r.path.count("/") == 4]


def test_a_bot_that_was_told_of_is_done_without_a_single_list_and_stays_known(
    serve: Callable[..., StandIn], shorts: Sequence[Path], command: Command
) -> None:
    server = serve()
    [served] = tell(shorts)
    code, outcomes = work_off(command)
    assert (code, [o["status"] for o in outcomes]) == (0, ["done"])
    assert places() == {"done": [served.bot_id]}
    assert lists(server) == []
    asked = len(server.requests)
    assert work_off(command) == (0, [])
    assert len(server.requests) == asked
    told = json.loads(Path(f"q/done/{served.bot_id}.json").read_text())
    assert [o["recording_id"] for o in told["outcomes"]] == [served.recording_id]
    assert sorted(told["messages"]) == sorted(m.message_id for m in messages(served))
    # A message more, of something that is done: looked at, nothing asked, nothing computed.
    tell(shorts, prefix="again_")
    code, [outcome] = work_off(command)
    assert (code, outcome["reused"], len(server.requests)) == (0, True, asked)


def test_an_artifact_that_is_not_there_under_the_id_that_was_told_is_looked_for_in_the_list(
    serve: Callable[..., StandIn], shorts: Sequence[Path], command: Command
) -> None:
    server = serve()
    served = meeting(shorts[0])
    ids = {"audio_separate": "00000000-0000-4000-8000-00000000dead", "recording": served.recording_id}
    Queue(Path("q")).add(BotEvent(served.bot_id, "msg_1", served.recording_id, ids))
    code, outcomes = work_off(command)
    assert (code, [o["status"] for o in outcomes]) == (0, ["done"])
    assert lists(server) == ["/api/v1/audio_separate/"]


def test_what_is_still_being_made_waits_and_is_not_asked_for_until_then_or_until_told_of(
    serve: Callable[..., StandIn], shorts: Sequence[Path], command: Command
) -> None:
    server = serve(state=State(separate="processing"))
    [served] = tell(shorts)
    code, outcomes = work_off(command)
    assert (code, [o["status"] for o in outcomes]) == (5, ["waiting"])
    assert places() == {"waiting": [served.bot_id]}
    assert entries(Path("q"))[served.bot_id]["why"] == "waiting"
    asked = len(server.requests)
    assert work_off(command) == (5, [])
    assert len(server.requests) == asked
    queue = Queue(Path("q"))
    queue.add(BotEvent(served.bot_id, "msg_later"))
    code, outcomes = work_off(command)
    assert (code, len(outcomes)) == (5, 1)
    assert len(server.requests) > asked


def test_what_nobody_can_have_is_set_apart_and_the_others_go_on(
    serve: Callable[..., StandIn], shorts: Sequence[Path], command: Command
) -> None:
    serve(n=1, state=State(separate="failed", mixed="failed"))
    tell(shorts, n=2)  # the second is another region's: nobody knows it
    code, outcomes = work_off(command)
    assert (code, [o["status"] for o in outcomes]) == (1, ["failed", "failed"])
    assert places() == {"failed": sorted(meeting(f).bot_id for f in shorts[:2])}


def test_a_key_that_is_refused_ends_it_and_loses_nothing(
    serve: Callable[..., StandIn],
    shorts: Sequence[Path],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve(n=3)
    told = tell(shorts, n=3)
    monkeypatch.setenv("RECALL_API_KEY", "another-key")
    code, _ = work_off(command)
    assert code == 3
    assert places() == {"waiting": sorted(m.bot_id for m in told)}
    assert {e["tries"] for e in entries(Path("q")).values()} == {0}


def test_overload_puts_a_bot_back_and_says_why(
    serve: Callable[..., StandIn],
    shorts: Sequence[Path],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve(faults=[Fault("/bot/", [Reply(status=429, headers={"Retry-After": "99999"})], forever=True)])
    [served] = tell(shorts)
    code, outcomes = work_off(command)
    assert (code, [o["status"] for o in outcomes]) == (5, ["transient"])
    entry = entries(Path("q"))[served.bot_id]
    assert (entry["tries"], entry["why"]) == (1, outcomes[0]["code"])


def test_ids_that_are_named_join_the_queue_and_an_impossible_one_adds_nothing(
    serve: Callable[..., StandIn], shorts: Sequence[Path], command: Command
) -> None:
    serve(state=State(separate="processing", mixed="processing"))
    bot_id = meeting(shorts[0]).bot_id
    assert work_off(command, bot_id, "../../etc")[0] == 2
    assert places() == {}
    assert work_off(command, bot_id)[0] == 5
    assert places() == {"waiting": [bot_id]}
    assert command("run", "--follow", bot_id)[0] == 2
    assert command("run", "--queue", "q", "--dry-run")[0] == 2
    assert command("run")[0] == 2


def test_ids_join_a_queue_that_somebody_else_works_off_and_are_left_to_that_one(
    serve: Callable[..., StandIn], shorts: Sequence[Path], command: Command
) -> None:
    server = serve()
    bot_id = meeting(shorts[0]).bot_id
    with Queue(Path("q")).exclusive():
        assert work_off(command, bot_id) == (0, [])
        assert command("run", "--queue", "q", "--out", "out")[0] == 2
    assert places() == {"waiting": [bot_id]}
    assert server.requests == []


class Following:
    """``run --queue q --follow`` as a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", MAIN, "run", "--queue", "q", "--out", "out", "--follow", "--json"]
        command += ["--bots-at-once", "3"]
        self._popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def next_outcome(self) -> dict[str, Any]:
        """The next that it tells of."""
        assert self._popen.stdout is not None
        return dict(json.loads(self._popen.stdout.readline()))

    def end(self, number: int) -> int:
        self._popen.send_signal(number)
        out, err = self._popen.communicate(timeout=LONGEST_S)
        assert KEY not in out + err
        return self._popen.returncode


def test_who_follows_takes_what_comes_and_survives_a_kill_with_nothing_lost_and_nothing_done_twice(
    serve: Callable[..., StandIn], shorts: Sequence[Path]
) -> None:
    serve(n=6)
    tell(shorts, n=4)
    first = Following()
    first.next_outcome()
    first.end(signal.SIGKILL)
    second = Following()
    told = [m.bot_id for m in tell(shorts, n=6, prefix="while_it_runs_")]
    until = time.monotonic() + LONGEST_S
    while places() != {"done": sorted(told)} and time.monotonic() < until:
        second.next_outcome()
    assert second.end(signal.SIGTERM) == 143
    assert places() == {"done": sorted(told)}
    assert {p.parent.parent.name for p in Path("out").glob("*/*/run.json")} == set(told)
    lines = [json.loads(line) for line in Path("out/journal.jsonl").read_text().splitlines()]
    computed = Counter(o["recording_id"] for o in lines if o["status"] == "done" and not o["reused"])
    assert set(computed.values()) == {1}


def test_the_webhook_secret_is_hidden_from_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_WEBHOOK_SECRET", "whsec_x")
    with hidden_secrets():
        assert "RECALL_WEBHOOK_SECRET" not in os.environ
    assert os.environ["RECALL_WEBHOOK_SECRET"] == "whsec_x"
