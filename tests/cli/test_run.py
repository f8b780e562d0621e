"""What a user of `recall-audio run` sees, whatever the API holds; real sockets, the ordinary command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf

from recall_audio.batch import read_bot_ids
from recall_audio.standin import StandIn, State

Serve = Callable[..., StandIn]
Command = Callable[..., tuple[int, str, str]]


def only_folder(out: Path) -> Path:
    """The one recording's folder."""
    [found] = out.glob("*/*/recording.json")
    return found.parent


def load(folder: Path, kind: str) -> dict[str, Any]:
    """One JSON file of a recording, strictly."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    value = json.loads((folder / f"{kind}.json").read_text("utf-8"), parse_constant=refuse)
    assert value["schema"] == f"recall-audio/{kind}/1"
    return value


def test_a_run_ends_with_who_spoke_and_where_the_files_are(serve: Serve, command: Command) -> None:
    server = serve()
    code, told, _ = command("run", server.bot_ids[0], "--out", "data")
    assert code == 0
    folder = only_folder(Path("data"))
    for name in load(folder, "speakers")["speakers"].values():
        assert name["name"] in told
    assert "report.html" in told
    assert server.bot_ids[0] in told


def test_a_second_run_asks_nothing_and_changes_nothing(serve: Serve, command: Command) -> None:
    server = serve()
    assert command("run", server.bot_ids[0], "--out", "data")[0] == 0
    before = {p: p.stat().st_mtime_ns for p in only_folder(Path("data")).rglob("*")}
    asked = len(server.requests)
    code, told, _ = command("run", server.bot_ids[0], "--out", "data", "--json")
    assert (code, len(server.requests)) == (0, asked)
    assert json.loads(told)["reused"] is True
    assert {p: p.stat().st_mtime_ns for p in only_folder(Path("data")).rglob("*")} == before


def test_no_key_is_a_usage_error_that_names_the_variable(serve: Serve, command: Command) -> None:
    code, _, said = command("run", "00000000-0000-4000-8000-000000000000")
    assert code == 2
    assert "RECALL_API_KEY" in said


def test_a_refused_key_stops_the_batch_after_one_request(
    serve: Serve, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setenv("RECALL_API_KEY", "another-key-77aa")
    code, told, said = command("run", *(f"00000000-0000-4000-8000-{i:012}" for i in range(20)))
    assert (code, len(server.requests)) == (3, 1)
    assert "RECALL_API_KEY" in said
    assert "another-key-77aa" not in told + said


BOT = "0a1b2c3d-0000-4000-8000-00000000beef"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("123", "8-4-4-4-12"),
        (BOT[:-1], "8-4-4-4-12"),
        (BOT + "0", "8-4-4-4-12"),
        ("some-bot", "8-4-4-4-12"),
        ("bot_id", "--ids-column"),
        (f"{BOT},2026-01-12,weekly", "--ids-column"),
        ("https://zoom.us/j/123456789?pwd=x", "create-bot"),
        ("meet.google.com/abc-defg-hij", "create-bot"),
        (f"https://teams.microsoft.com/l/meetup-join/19/0?context={BOT}", "create-bot"),
        ("https://us-west-2.recall.ai/dashboard/bots", "8-4-4-4-12"),
    ],
)
@pytest.mark.parametrize("name", ["run", "fetch"])
def test_what_is_no_bot_id_ends_with_2_and_leaves_nothing(
    serve: Serve, command: Command, given: str, hint: str, name: str
) -> None:
    server = serve()
    code, _, said = command(name, server.bot_ids[0], given, "--out", "data")
    assert (code, server.requests) == (2, [])
    assert repr(given[:80]) in said
    assert hint in said
    assert not Path("data").exists()


@pytest.mark.parametrize(
    "given",
    [
        BOT,
        f'"{BOT.upper()}",',
        BOT.replace("-", ""),
        f"https://us-west-2.recall.ai/dashboard/bots/{BOT}?tab=logs",
        f"https://us-east-1.recall.ai/api/v1/bot/{BOT}/",
        f"https://us-east-1.recall.ai/dashboard/explorer/bot/{BOT}#events",
        f"http://127.0.0.1:8080/api/v1/bot/{BOT}/",
        f"eu-central-1.recall.ai/bots?bot_id={BOT}",
    ],
)
def test_the_id_is_taken_out_of_what_was_pasted(given: str) -> None:
    assert read_bot_ids([given, f" {BOT}\n"]) == [BOT]


def test_an_unknown_bot_fails_alone(serve: Serve, command: Command) -> None:
    server = serve()
    unknown = "00000000-0000-4000-8000-000000000000"
    code, told, _ = command("run", unknown, server.bot_ids[0], unknown, "--out", "data", "--json")
    assert code == 1
    assert [json.loads(line)["status"] for line in told.splitlines()] == ["failed", "done"]
    assert load(only_folder(Path("data")), "run")["status"] == "complete"
    assert len(Path("data/journal.jsonl").read_text().splitlines()) == 2


def test_audio_still_being_made_is_waited_for_only_when_asked(serve: Serve, command: Command) -> None:
    server = serve(State(mixed="processing", separate="processing"))
    code, told, _ = command("run", server.bot_ids[0], "--out", "data", "--json")
    assert (code, json.loads(told)["status"]) == (5, "waiting")
    assert not server.paths(".ogg")


def test_mixed_audio_alone_gives_no_stems_and_says_so(serve: Serve, command: Command) -> None:
    server = serve(State(separate="missing"))
    code, told, _ = command("run", server.bot_ids[0], "--out", "data")
    assert code == 1
    assert "audio_separate_mp3" in " ".join(told.split())
    folder = only_folder(Path("data"))
    assert not (folder / "stems").exists()
    assert load(folder, "alignment")["mix"]["duration_s"] > 60
    assert (folder / "source" / "mixed.mp3").is_file()
    assert (folder / "report.html").is_file()


def test_separate_audio_alone_keeps_nominal_starts(serve: Serve, command: Command) -> None:
    server = serve(State(mixed="missing"))
    code, _, _ = command("run", server.bot_ids[0], "--out", "data")
    folder = only_folder(Path("data"))
    parts = load(folder, "alignment")["parts"]
    assert code == 0
    assert {p["status"] for p in parts} == {"no_mix"}
    assert [p["start_s"] for p in parts] == [p["nominal_start_s"] for p in parts]
    assert any("no_audio_mixed" in w["code"] for w in load(folder, "run")["warnings"])
    assert len({sf.info(f).frames for f in folder.glob("stems/*.wav")}) == 1


def test_no_key_and_no_signature_is_left_anywhere(serve: Serve, command: Command) -> None:
    server = serve()
    _, told, said = command("run", server.bot_ids[0], "--out", "data")
    queries = {r.query for r in server.requests if "Signature" in r.query}
    secrets = {server.key.encode()} | {
        field.partition("=")[2].encode() for q in queries for field in q.split("&") if field.startswith("Sig")
    }
    assert len(secrets) > 3
    left = [told.encode(), said.encode(), *(p.read_bytes() for p in Path("data").rglob("*") if p.is_file())]
    assert not [s for s in secrets for text in left if s in text]


def test_ids_come_from_arguments_files_and_comments_are_skipped(
    serve: Serve, command: Command, tmp_path: Path
) -> None:
    server = serve()
    (tmp_path / "ids.txt").write_text(f"# tonight\n{server.bot_ids[0]}\n\n{server.bot_ids[0]}  # again\n")
    code, told, _ = command("run", "--ids-file", "ids.txt", "--out", "data", "--json")
    assert code == 0
    assert len(told.splitlines()) == 1


def test_create_bot_asks_for_both_kinds_of_audio(serve: Serve, command: Command) -> None:
    server = serve()
    code, told, _ = command("create-bot", "https://zoom.us/j/1", "--name", "Scribe", "--separate", "raw")
    [created] = server.created
    assert code == 0
    assert set(created["sent"]["recording_config"]) == {"audio_mixed_mp3", "audio_separate_raw"}
    assert told.strip() == created["made"]["id"]
