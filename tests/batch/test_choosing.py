"""Which bots a batch is of, how many it begins, and what it says when it ends."""

import errno
import io
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from batch.lab import Lab

from recall_audio.batch import unique, workspace
from recall_audio.cli.options import read_ids
from recall_audio.cli.progress import speed
from recall_audio.errors import MachineError
from recall_audio.standin import Fault, Reply


def fetched(lab: Lab, *arguments: str) -> list[str]:
    """The bots of a ``fetch``, in order."""
    ran = lab.run("fetch", *arguments, "--out", lab.out, "--json")
    assert ran.code == 0, ran.err
    return [o["bot_id"] for o in ran.outcomes()]


def test_ids_come_from_arguments_and_a_file_each_once_in_order(lab: Lab) -> None:
    a, b, c = lab.serve(3).bot_ids
    (lab.root / "ids.txt").write_text(f"\ufeff# tonight\r\n{b}\r\n\r\n  {a} # again\r\n{c}\r\n{c}")
    assert fetched(lab, a, "--ids-file", "ids.txt") == [a, b, c]
    assert len(lab.server.paths("/bot/")) == 3


def test_ids_come_from_a_column_of_a_csv(lab: Lab) -> None:
    a, b = lab.serve(2).bot_ids
    (lab.root / "night.csv").write_text(
        f'when,"bot id",title\n1,{a},"=HYPERLINK(""x""), quoted"\n2,{b},"two\nlines"\n3,,none\n4,{a},\n'
    )
    assert fetched(lab, "--ids-file", "night.csv", "--ids-column", "bot id") == [a, b]
    wrong = lab.run("fetch", "--ids-file", "night.csv", "--ids-column", "bot")
    assert wrong.code == 2
    assert "bot id" in wrong.err


def test_ids_come_from_stdin(lab: Lab) -> None:
    a, b = lab.serve(2).bot_ids
    lab.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{b}\n{a}\n{b}\n".encode())))
    assert fetched(lab, "--ids-file", "-") == [b, a]


@pytest.mark.parametrize("wrong", [["--ids-file", "nowhere.txt"], ["--ids-column", "x"], [], ["  "]])
def test_no_ids_is_wrong_usage_and_asks_nothing(lab: Lab, wrong: list[str]) -> None:
    server = lab.serve(1)
    assert lab.run("run", *wrong).code == 2
    assert server.requests == []


def test_bots_lists_ids_to_pipe_into_run(lab: Lab) -> None:
    server = lab.serve(5, page_size=2)
    listed = lab.run("bots", "--since", "2026-01-01", "--status", "done", "--platform", "zoom")
    assert listed.out.split() == server.bot_ids
    assert len(server.paths("/bot/")) == 3, "three pages"
    assert lab.run("bots", "--until", "2026-01-01").out == ""
    assert lab.run("bots", "--platform", "webex").out == ""
    rows = [json.loads(line) for line in lab.run("bots", "--json").out.splitlines()]
    assert [r["bot_id"] for r in rows] == server.bot_ids
    assert {(r["status"], r["platform"], r["recordings"]) for r in rows} == {("done", "zoom", 1)}
    assert lab.run("bots", "--since", "yesterday").code == 2


def test_max_failures_begins_no_further_bot(lab: Lab) -> None:
    server = lab.serve(1)
    unknown = [f"00000000-0000-4000-8000-{i:012d}" for i in range(40)]
    ran = lab.run("run", *unknown, *server.bot_ids, "--out", lab.out, "--json", "--max-failures", "2")
    assert ran.code == 1
    assert set(ran.statuses()) == {"failed gone"}
    assert 2 <= len(server.requests) <= 8, "those that the fetcher was ahead by"
    assert f"{41 - len(ran.outcomes())} not begun." in ran.err
    assert len(lab.journal()) == len(ran.outcomes())


@pytest.mark.parametrize(("free_bytes", "asks"), [(1 << 20, False), (workspace.RESERVE_BYTES + 1000, True)])
def test_row_36_without_room_nothing_is_begun_and_the_exit_code_is_4(
    lab: Lab, free_bytes: int, asks: bool
) -> None:
    """Too little for a download, and too little for what processing writes; then room, and it goes on."""
    server = lab.serve(3)

    class Full:
        free = free_bytes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace.shutil, "disk_usage", lambda _: Full)
        patch.setattr("recall_audio.fetch.download.file._Transfer._check_disk", lambda *_: None)
        ran = lab.batch()
    assert ran.code == 4
    assert "space on the disk" in ran.err
    assert bool(server.requests) is asks
    assert not list(lab.out.glob("*/*/talk.json"))
    assert [o.status for o in lab.here()] == ["done"] * 3


def test_a_summary_has_a_row_a_bot_and_its_reason(lab: Lab) -> None:
    server = lab.serve(4)
    unknown = "00000000-0000-4000-8000-000000000000"
    ran = lab.run("fetch", *server.bot_ids, unknown, "--out", lab.out)
    assert ran.code == 1
    for bot_id in [*server.bot_ids, unknown]:
        assert bot_id[:10] in ran.out
    assert "has no bot" in " ".join(ran.out.split())
    assert ran.err.splitlines()[-1] == "4 done, 1 failed."
    assert "5 of 5" in ran.err


def test_speed_counts_what_was_done_now_and_says_when_it_ends() -> None:
    assert speed(30, 120, 20, 60.0) == "30 of 120, 20 a minute, about 0:04:30 left"
    assert speed(10, 120, 0, 5.0) == "10 of 120"
    assert speed(120, 120, 120, 7200.0) == "120 of 120, 1 a minute"


def test_log_lines_are_json_with_request_ids_and_nothing_else_is_on_stderr(lab: Lab) -> None:
    server = lab.serve(2)
    ran = lab.run("fetch", *server.bot_ids, "--out", lab.out, "--log-format", "json", "-v")
    lines = [json.loads(line) for line in ran.err.splitlines()]
    requests = [line for line in lines if "request_id" in line]
    assert sorted(line["request_id"] for line in requests) == [
        f"standin-{n + 1:06d}" for n in range(len(server.requests))
    ]
    assert {line["status"] for line in requests} == {200}
    assert lines[-1]["done"] == 2
    assert not any("?" in line["message"] and "?..." not in line["message"] for line in lines)


def test_a_bots_id_is_whole_in_the_table_and_of_many_bots_only_those_that_are_not_done_are_listed(
    lab: Lab,
) -> None:
    good, also = lab.serve(2).bot_ids
    unknown = [f"00000000-0000-4000-8000-{i:012d}" for i in range(50)]
    few = lab.run("fetch", good, unknown[0], "--out", lab.out)
    assert good in few.out
    assert unknown[0] in few.out
    many = lab.run("fetch", good, also, *unknown, "--out", lab.out)
    assert all(bot_id in many.out for bot_id in unknown)
    assert good not in many.out
    assert many.err.splitlines()[-1] == "50 failed, 1 done before, 1 done."


def test_what_was_lost_before_is_not_called_done(lab: Lab) -> None:
    server = lab.serve(2, Fault("mix.raw", [Reply(status=404)] * 2))
    assert [o.status for o in lab.here()] == ["partial", "partial"]
    again = lab.run("run", *server.bot_ids, "--out", lab.out)
    assert again.code == 1
    assert again.err.splitlines()[-1] == "2 partial before."


@pytest.mark.parametrize("key", ["canary key", "canary\nkey", "\u201ccanary\u201d", "   "])
def test_row_31_a_key_that_cannot_be_sent_ends_the_command_before_any_request(lab: Lab, key: str) -> None:
    server = lab.serve(1)
    lab.patch.setenv("RECALL_API_KEY", key)
    ran = lab.run("run", *server.bot_ids, "--out", lab.out)
    assert (ran.code, server.requests) == (3, [])
    assert "RECALL_API_KEY" in ran.err
    assert "canary" not in ran.out + ran.err


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_row_36_whichever_flush_or_rename_of_processing_finds_the_disk_full_nothing_half_done_stays(
    lab: Lab, undisturbed: Mapping[str, bytes], name: str
) -> None:
    """Fail the 1st, 2nd, 3rd, 5th, ... until a run goes through; then all is as if nothing had happened."""
    server = lab.serve(1)
    lab.here(options=None)
    real, nth, full = getattr(os, name), 1, 0
    while True:
        calls: list[int] = []

        def call(*args: Any, made: list[int] = calls, limit: int = nth, **kwargs: Any) -> Any:
            made.append(1)
            if len(made) == limit:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)

        with pytest.MonkeyPatch.context() as patch, suppress(MachineError):
            patch.setattr(os, name, call)
            lab.here()
        if len(calls) < nth:
            break
        full += 1
        assert not list(lab.out.rglob("*.part"))
        nth += 1 + nth // 3
    assert full > 5
    assert lab.results() == {n: b for n, b in undisturbed.items() if n.startswith(server.bot_ids[0])}


def test_a_uuid_in_other_letters_is_the_same_bot_and_other_ids_are_not() -> None:
    bot = "0a1b2c3d-0000-4000-8000-00000000beef"
    assert unique([bot.upper(), bot, bot.title(), "", "Bot-1", "bot-1"]) == [bot, "Bot-1", "bot-1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_of_ids_is_read_in_every_encoding_that_editors_write(encoding: str, tmp_path: Path) -> None:
    a, b = (f"0a1b2c3d-0000-4000-8000-00000000000{n}" for n in "ab")
    (tmp_path / "ids.txt").write_bytes(f"{a}\r\n{b} # the second\r\n".encode(encoding))
    assert read_ids((), str(tmp_path / "ids.txt"), None) == [a, b]
