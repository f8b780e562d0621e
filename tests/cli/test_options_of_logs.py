"""Options of log lines: requests appear with -v, and every line is JSON where that is asked for."""

import datetime
import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.covered import covers

from recall_audio.standin import StandIn

Command = Callable[..., tuple[int, str, str]]
Serve = Callable[..., StandIn]

MEETING = "https://zoom.us/j/123456789"


@covers("bots create-bot fetch run", "--verbose", "--log-format")
@pytest.mark.parametrize("name", ["bots", "create-bot", "fetch", "run"])
def test_requests_are_logged_as_text_or_as_json_when_asked(serve: Serve, command: Command, name: str) -> None:
    serve()
    unknown = "00000000-0000-4000-8000-000000000000"
    subject = {"bots": [], "create-bot": [MEETING]}.get(name, [unknown, "--out", "data", "-q"])
    _, _, quiet = command(name, *subject)
    assert "GET" not in quiet
    assert "POST" not in quiet
    _, _, text = command(name, *subject, "-v")
    assert re.search(r"(GET|POST) http://127\.0\.0\.1/\S+: \d{3}", text), text
    _, _, lines = command(name, *subject, "-v", "--log-format", "json")
    records = [json.loads(line) for line in lines.splitlines()]
    assert any(r.get("status") in (200, 201, 404) for r in records), lines


@covers("process", "--verbose", "--log-format")
def test_process_logs_at_the_level_and_in_the_format_asked_for(processed: Path, command: Command) -> None:
    for options, level in (([], logging.WARNING), (["-v"], logging.INFO), (["-vv"], logging.DEBUG)):
        assert command("process", processed, *options)[0] == 0
        assert logging.getLogger("recall_audio").level == level
    missing = processed / "no-such-folder"
    code, _, said = command("process", missing, "--log-format", "json")
    assert (code, json.loads(said)["level"]) == (2, "error")


@covers("listen", "--host", "--port", "--queue", "--verbose", "--log-format")
def test_listen_binds_the_address_fills_the_queue_and_logs_as_asked(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("tornado")
    from recall_audio.listen import listener

    served = []

    def serve(self: object, host: str, port: int, stop: object, ready: Callable[[int], None]) -> None:
        served.append((host, port))
        ready(port)

    monkeypatch.setattr(listener.Listener, "serve", serve)
    monkeypatch.setenv("RECALL_WEBHOOK_SECRET", "whsec_" + "QUFB" * 8)
    queue = tmp_path / "queue"
    code, _, said = command("listen", "--port", "8099", "--host", "0.0.0.0", "--queue", queue, "-v")
    assert (code, served) == (0, [("0.0.0.0", 8099)])
    assert str(queue) in said
    assert "other machines" in said
    assert logging.getLogger("recall_audio").level == logging.INFO
    code, _, said = command("listen", "--port", "8098", "--queue", queue, "--log-format", "json")
    assert (code, served[1:]) == (0, [("127.0.0.1", 8098)])
    [line] = [json.loads(line) for line in said.splitlines()]
    assert line["port"] == 8098


@covers("bots", "--since", "--until", "--status", "--platform", "--json", "--region")
def test_bots_are_filtered_and_listed_as_ids_or_json(
    serve: Serve, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    [bot] = server.bot_ids
    assert command("bots")[1].split() == [bot]
    assert command("bots", "--since", "2020-01-01", "--status", "done", "--platform", "zoom")[1].split() == [
        bot
    ]
    for options in (
        ["--since", "2999-01-01"],
        ["--until", "2020-01-01"],
        ["--status", "fatal"],
        ["--platform", "webex"],
    ):
        assert command("bots", *options)[1] == "", options
    listed = json.loads(command("bots", "--json")[1])
    assert (listed["bot_id"], listed["title"], listed["metadata"]) == (bot, None, {})
    monkeypatch.delenv("RECALL_BASE_URL")
    code, _, said = command("bots", "--region", "No such!")
    assert code == 2
    assert "No such!" in said


@covers("bots", "--expiring")
@pytest.mark.parametrize(
    ("left", "week", "hours", "soon"),
    [
        ({"days": 6}, True, False, False),
        ({"days": 8}, False, False, False),
        ({"hours": 73}, True, False, False),
        ({"hours": 71}, True, False, True),
        ({"hours": 3}, True, True, True),
        ({"hours": -1}, False, False, False),
    ],
)
def test_bots_whose_media_are_deleted_soon_are_listed(
    serve: Serve, command: Command, left: dict[str, int], week: bool, hours: bool, soon: bool
) -> None:
    ends_at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(**left)
    server = serve(expires_at=ends_at.isoformat())
    assert command("bots", "--expiring", "7d")[1].split() == (server.bot_ids if week else [])
    assert command("bots", "--expiring", "12h")[1].split() == (server.bot_ids if hours else [])
    assert command("bots", "--expiring", "soon")[0] == 2
    said = command("fetch", *server.bot_ids, "--out", "data", "-q")[2]
    assert ("for good at" in said) is soon
    [recording] = Path("data").glob("*/*/recording.json")
    assert ("expires_soon" in recording.read_text("utf-8")) is soon


def test_media_that_are_kept_for_ever_never_expire(serve: Serve, command: Command) -> None:
    serve(expires_at=None)
    assert command("bots", "--expiring", "2w")[1] == ""
    assert json.loads(command("bots", "--json")[1])["expires_at"] is None


@covers("bots", "--metadata")
def test_bots_are_found_by_their_metadata(serve: Serve, command: Command) -> None:
    server = serve(title="Budget", bot_metadata={"team": "sales & co", "year": "2026"})
    [bot] = server.bot_ids
    both = ["--metadata", "team=sales & co", "--metadata", "year=2026"]
    assert command("bots", *both)[1].split() == [bot]
    assert command("bots", "--metadata", "team=legal")[1] == ""
    assert command("bots", *both[:3], "year=2025")[1] == ""
    listed = json.loads(command("bots", "--json")[1])
    assert (listed["title"], listed["metadata"]["team"], listed["platform"]) == (
        "Budget",
        "sales & co",
        "zoom",
    )


@covers("create-bot", "--name", "--join-at", "--separate", "--region")
def test_create_bot_sends_what_was_asked_for(
    serve: Serve, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    options = ["--name", "Scribe", "--join-at", "2030-05-01T09:00:00Z", "--separate", "raw"]
    assert command("create-bot", MEETING, *options)[0] == 0
    [sent] = [created["sent"] for created in server.created]
    assert sent["bot_name"] == "Scribe"
    assert sent["join_at"].startswith("2030-05-01T09:00:00")
    assert "audio_separate_raw" in sent["recording_config"]
    monkeypatch.delenv("RECALL_BASE_URL")
    code, _, said = command("create-bot", MEETING, "--region", "No such!")
    assert code == 2
    assert "No such!" in said


@covers("create-bot", "--variant", "--metadata", "--retention", "--start-recording-on", "--transcript")
def test_create_bot_sends_everything_that_was_asked_for(serve: Serve, command: Command) -> None:
    server = serve()
    options = ["--variant", "native", "--metadata", "team=sales", "--metadata", "a=b=c", "--retention", "36h"]
    options += ["--start-recording-on", "participant_speak", "--transcript", "meeting_captions"]
    assert command("create-bot", MEETING, *options)[0] == 0
    [sent] = [created["sent"] for created in server.created]
    assert sent["variant"] == {"zoom": "native"}
    assert sent["metadata"] == {"team": "sales", "a": "b=c"}
    config = sent["recording_config"]
    assert config["retention"] == {"type": "timed", "hours": 36}
    assert config["start_recording_on"] == "participant_speak"
    assert config["transcript"]["provider"] == {"meeting_captions": {}}
    assert command("create-bot", MEETING, "--metadata", "team")[0] == 2


@covers("create-bot", "--config", "--dry-run")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bot.json", '\ufeff{"bot_name": "Über", "recording_config": {"video_mixed_mp4": null}, "new": 1}'),
        ("bot.toml", 'bot_name = "Über"\nnew = 1\n[recording_config]\naudio_separate_raw = {}\n'),
    ],
)
def test_a_configuration_is_merged_and_a_dry_run_needs_no_key(
    serve: Serve, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str
) -> None:
    server = serve()
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    monkeypatch.delenv("RECALL_API_KEY")
    monkeypatch.chdir(tmp_path)
    code, told, said = command("create-bot", MEETING, "--config", file, "--dry-run")
    shown = json.loads(told)
    assert code == 0
    assert "new" in said
    assert (shown["bot_name"], shown["meeting_url"]) == ("Über", MEETING)
    separate = {"bot.json": "audio_separate_mp3", "bot.toml": "audio_separate_raw"}[name]
    assert [k for k in shown["recording_config"] if k.startswith("audio_separate")] == [separate]
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"), ("b.json", b"[]"), ("c.toml", b"= 1"), ("d.json", b"\xff\xfe{"), ("e.json", None),
        ("f.json", b'{"metadata": {"a": NaN}}'), ("g.json", b"[" * 100_000),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_read_sends_nothing(
    serve: Serve, command: Command, tmp_path: Path, name: str, content: bytes | None
) -> None:
    server = serve()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, _, said = command("create-bot", MEETING, "--config", tmp_path / name)
    assert (code, server.requests) == (2, [])
    assert name in said


@covers("doctor", "--region", "--out")
def test_the_doctor_looks_at_the_region_and_the_folder_that_are_given(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECALL_API_KEY", "canary-key-5f0c1d")
    monkeypatch.delenv("RECALL_BASE_URL", raising=False)
    (tmp_path / "here").mkdir()
    code, told, _ = command("doctor", "--region", "No such!", "--out", tmp_path / "here" / "new")
    assert code == 4
    assert "No such!" in told
    assert str(tmp_path / "here") in "".join(told.split())
    assert "RECALL_PSEUDONYM_KEY" in told, "the variables are listed too"
    assert sys.version.split()[0] in told
