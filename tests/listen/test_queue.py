"""The folder that is the queue: nothing in it is lost, whoever adds, takes or dies at whatever moment."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recall_audio.errors import UsageError
from recall_audio.listen import BotEvent, Queue
from recall_audio.listen import queue as queues
from recall_audio.listen.queue import IgnoredMessage, parse_event

BOT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
RECORDING = "33333333-3333-4333-8333-333333333333"


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue")


def told(message: str, bot: str = BOT, **artifacts: str) -> BotEvent:
    all_of_it = {"audio_separate": "art-1", "recording": RECORDING}
    return BotEvent(bot, message, RECORDING, artifacts or all_of_it)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("*.json"))


def due(queue: Queue) -> list[str]:
    return queue.due(time.time())


def test_messages_of_one_bot_make_one_entry_that_knows_what_they_said(queue: Queue) -> None:
    assert queue.add(told("msg_1", audio_separate="art-1"))
    assert queue.add(told("msg_2", audio_mixed="art-2"))
    assert not queue.add(told("msg_1", audio_separate="art-1"))
    assert due(queue) == [BOT]
    entry = queue.take(BOT)
    assert entry is not None
    assert entry.recordings == {RECORDING: {"audio_separate": "art-1", "audio_mixed": "art-2"}}
    assert entry.messages == ("msg_1", "msg_2")


@pytest.mark.parametrize(
    "done",
    [["audio_mixed", "audio_separate"], ["audio_separate", "recording"], ["recording", "audio_separate"]],
)
def test_a_bot_is_looked_at_once_enough_was_told_of_or_a_minute_after_the_first(
    queue: Queue, done: list[str]
) -> None:
    queue.add(told("msg_1", **{done[0]: "art-1"}))
    assert due(queue) == []
    assert queue.due(time.time() + 50) == []
    assert queue.due(time.time() + 61) == [BOT]
    queue.add(told("msg_2", **{done[1]: "art-2"}))
    assert due(queue) == [BOT]
    queue.add(told("msg_3", recording="art-3"))
    assert due(queue) == [BOT], "what is due stays due"


def test_a_bot_whose_separate_audio_nobody_tells_of_waits_a_minute(queue: Queue) -> None:
    queue.add(told("msg_1", audio_mixed="art-1"))
    queue.add(told("msg_2", recording="art-2"))
    assert due(queue) == []
    assert queue.due(time.time() + 61) == [BOT]


def test_what_was_heard_of_first_comes_first(queue: Queue) -> None:
    for bot in (OTHER, BOT):
        queue.add(told("msg", bot))
    assert due(queue) == [OTHER, BOT]


@pytest.mark.parametrize("place", ["waiting", "taken", "done", "failed"])
def test_a_message_is_known_wherever_its_entry_has_got_to(queue: Queue, place: str) -> None:
    queue.add(told("msg_1"))
    if place != "waiting":
        entry = queue.take(BOT)
        assert entry is not None
        if place != "taken":
            queue.finish(entry, [], failed=place == "failed")
    assert not queue.add(told("msg_1"))
    assert due(queue) == ([BOT] if place == "waiting" else [])


def test_what_comes_while_a_bot_is_worked_on_is_not_lost_by_its_end(queue: Queue) -> None:
    ends: list[Callable[..., None]] = [
        lambda entry: queue.finish(entry, [], failed=False),
        lambda entry: queue.put_back(entry, "waiting"),
    ]
    for n, end in enumerate(ends):
        queue.add(told(f"msg_{n}"))
        entry = queue.take(BOT)
        queue.add(told(f"msg_{n}_later"))
        end(entry)
        assert due(queue) == [BOT], "to be looked at again, and at once"
        again = queue.take(BOT)
        assert again is not None
        assert again.messages == (f"msg_{n}_later",)
        queue.finish(again, [], failed=False)


def test_what_waits_waits_longer_each_time_and_no_longer_once_a_message_comes(queue: Queue) -> None:
    queue.add(told("msg_1"))
    waits = []
    for _ in range(8):
        entry = queue.take(BOT)
        assert entry is not None
        before = time.time()
        queue.put_back(entry, "waiting")
        assert due(queue) == []
        ahead = [s for s in range(0, 7300, 30) if queue.due(before + s) == [BOT]]
        waits.append(ahead[0])
    assert waits == sorted(waits)
    assert waits[0] in (60, 90)
    assert waits[-1] in (3600, 3630)
    queue.add(told("msg_2"))
    assert due(queue) == [BOT]


def test_an_entry_that_was_taken_by_somebody_who_is_no_more_comes_back(queue: Queue) -> None:
    queue.add(told("msg_1"))
    queue.take(BOT)
    new = Queue(queue.folder)
    assert (due(new), new.recover(), due(new)) == ([], 1, [BOT])
    assert names(queue.folder / "taken") == []


def test_an_entry_that_never_ends_is_quarantined_and_a_message_tries_it_anew(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MOST_TRIES", 3)
    queue.add(told("msg_1"))
    for n in range(3):
        entry = queue.take(BOT)
        assert entry is not None
        assert entry.tries == n
        queue.put_back(entry, "network")
    assert queue.due(time.time() + 1e6) == []
    failed = json.loads((queue.folder / "failed" / f"{BOT}.json").read_text())
    assert [(o["code"], o["status"]) for o in failed["outcomes"]] == [("set_aside", "failed")]
    assert "network" in failed["outcomes"][0]["message"]
    queue.add(told("msg_2"))
    again = queue.take(BOT)
    assert again is not None
    assert again.tries == 0


def test_an_entry_whose_process_is_killed_each_time_is_quarantined_and_others_go_on(queue: Queue) -> None:
    queue.add(told("msg_1"))
    queue.add(told("msg_2", OTHER))
    for n in range(queues.MOST_KILLS):
        assert queue.take(BOT) is not None, n
        queue.recover()
    assert due(queue) == [OTHER]
    failed = json.loads((queue.folder / "failed" / f"{BOT}.json").read_text())
    assert failed["outcomes"][0]["code"] == "set_aside"


def test_an_entry_caught_between_two_places_counts_once(queue: Queue) -> None:
    queue.add(told("msg_1"))
    queue.take(BOT)
    # Killed after the link was made and before the old name was removed.
    (queue.folder / f"{BOT}.json").hardlink_to(queue.folder / "taken" / f"{BOT}.json")
    queue.recover()
    assert due(queue) == [BOT]
    assert names(queue.folder / "taken") == []


def test_done_entries_say_how_they_ended_and_go_after_some_days(queue: Queue) -> None:
    import os

    queue.add(told("msg_1"))
    entry = queue.take(BOT)
    assert entry is not None
    queue.finish(entry, [{"bot_id": BOT, "status": "done"}], failed=False)
    done = queue.folder / "done" / f"{BOT}.json"
    assert json.loads(done.read_text())["outcomes"] == [{"bot_id": BOT, "status": "done"}]
    queue.clean_up()
    assert done.is_file()
    long_ago = time.time() - 30 * 86_400
    os.utime(done, (long_ago, long_ago))
    queue.clean_up()
    assert not done.exists()


def test_a_failed_entry_that_is_moved_back_is_tried_again(queue: Queue) -> None:
    queue.add(told("msg_1"))
    entry = queue.take(BOT)
    assert entry is not None
    queue.finish(entry, [], failed=True)
    (queue.folder / "failed" / f"{BOT}.json").rename(queue.folder / f"{BOT}.json")
    assert due(queue) == [BOT]
    again = queue.take(BOT)
    assert again is not None
    queue.finish(again, [], failed=False)
    assert names(queue.folder / "failed") == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "recall-audio/queued/1"}', "\udcff"])
def test_an_entry_that_nobody_can_read_is_a_bot_all_the_same(queue: Queue, content: str) -> None:
    (queue.folder / f"{BOT}.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert due(queue) == [BOT]
    entry = queue.take(BOT)
    assert entry is not None
    assert entry.bot_id == BOT


def test_only_one_works_a_queue_off(queue: Queue) -> None:
    with queue.exclusive(), pytest.raises(UsageError), Queue(queue.folder).exclusive():
        pass
    with Queue(queue.folder).exclusive():
        pass


@pytest.mark.parametrize(
    ("body", "is_odd"),
    [
        (b"", True),
        (b"[" * 100_000, True),
        (b"\xff\xfe", True),
        (b"[]", False),
        (b'{"event": "bot.status_change", "data": {"bot_id": "x"}}', False),
        (b'{"event": "bot.joining_call", "data": {"bot": {"id": "11111111-1111"}}}', False),
        (b'{"event": "bot.done", "data": {}}', True),
        (b'{"event": "bot.status_change", "data": {"status": {"code": "done"}}}', True),
        (
            b'{"event": "bot.status_change", "data": {"bot_id": "x", "status": {"code": "joining_call"}}}',
            False,
        ),
        (b'{"event": "bot.status_change", "data": {"bot_id": "x", "status": {"code": ["done"]}}}', False),
        (b'{"event": "transcript.processing", "data": {"bot": {"id": "11111111-1111"}}}', False),
        (b'{"event": 7}', False),
        (b'{"event": "recording.done"}', True),
        (b'{"event": "recording.done", "data": []}', True),
        (b'{"event": "recording.done", "data": {"bot": {"id": "../../../etc/passwd"}}}', True),
        (b'{"event": "recording.done", "data": {"bot": {"id": 12345678}}}', True),
        (b'{"event": "audio_mixed.done", "data": {"bot": null, "recording": {"id": "12345678"}}}', True),
    ],
)
def test_what_names_no_bot_asks_for_nothing(body: bytes, is_odd: bool) -> None:
    read = parse_event(body, "msg_1")
    assert isinstance(read, IgnoredMessage)
    assert read.is_odd is is_odd
    assert "passwd" not in read.reason


OLD = {"bot_id": BOT, "status": {"code": "done", "sub_code": None, "created_at": "2026-01-12T09:00:00Z"}}
NEW = {"bot": {"id": BOT, "metadata": {}}, "data": {"code": "done"}}
LATE = NEW | {"recording": {"id": RECORDING}, "transcript": {"id": "t-1"}, "audio_mixed": {"id": "m-1"}}


@pytest.mark.parametrize(
    ("event", "data", "expected"),
    [
        ("bot.done", NEW, BotEvent(BOT, "msg")),
        ("bot.fatal", NEW, BotEvent(BOT, "msg")),
        ("bot.status_change", OLD, BotEvent(BOT, "msg")),
        ("bot.status_change", OLD | {"status": {"code": "fatal"}}, BotEvent(BOT, "msg")),
        ("transcript.done", LATE, BotEvent(BOT, "msg", RECORDING, {"transcript": "t-1"})),
        ("participant_events.done", LATE, BotEvent(BOT, "msg", RECORDING)),
        ("audio_mixed.failed", LATE, BotEvent(BOT, "msg", RECORDING)),
        ("audio_mixed.done", LATE, BotEvent(BOT, "msg", RECORDING, {"audio_mixed": "m-1"})),
    ],
)
def test_what_may_have_changed_a_bot_is_a_reason_to_look_at_it(
    event: str, data: dict[str, Any], expected: BotEvent, queue: Queue
) -> None:
    read = parse_event(json.dumps({"event": event, "data": data}).encode(), "msg")
    assert read == expected
    queue.add(expected)
    assert due(queue) == [], "others may follow"
    assert queue.due(time.time() + 61) == [BOT]


def test_a_bot_that_a_user_names_is_due_at_once_and_late_artifacts_make_it_no_sooner(queue: Queue) -> None:
    queue.add(BotEvent(OTHER))
    for kind in ("audio_separate", "participant_events", "transcript"):
        queue.add(told(f"msg_{kind}", **{kind: "a"}))
    assert due(queue) == [OTHER]


def test_a_queue_is_processed_without_the_packages_that_only_the_listener_needs() -> None:
    hidden = "import sys; sys.modules.update(dict.fromkeys(['tornado', 'standardwebhooks']));"
    modules = "import recall_audio.listen, recall_audio.batch.queue_worker, recall_audio.cli.process"
    subprocess.run([sys.executable, "-c", f"{hidden} {modules}"], check=True, timeout=120)
