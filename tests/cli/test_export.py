"""Commands that hand results over: what is merged and windowed is what the files hold."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from recall_audio.export import FORMATS
from recall_audio.export.tables import TABLE_WRITERS
from recall_audio.export.transcripts import TRANSCRIPT_FORMATS

Command = Callable[..., tuple[int, str, str]]


def test_windows_of_the_command_add_up_to_the_meeting(processed: Path, command: Command) -> None:
    duration_s = json.loads((processed / "alignment.json").read_text())["mix"]["duration_s"]
    half = str(duration_s / 2)
    code, told, said = command("talk", processed, "--window", half, "--step", half, "--format", "json")
    assert code == 0, said
    windows = json.loads(told)
    speakers = json.loads((processed / "talk.json").read_text())["speakers"]
    assert len(windows) == 2
    for label, figures in speakers.items():
        assert abs(sum(w[f"talk_s {label}"] for w in windows) - figures["talk_s"]) < 0.001


def test_pairs_in_windows_are_refused(processed: Path, command: Command) -> None:
    assert command("talk", processed, "--pairs", "--window", "30")[0] == 2


def test_transcripts_of_the_stems_come_back_as_one_in_order_of_time(
    processed: Path, command: Command, tmp_path: Path
) -> None:
    spoken = json.loads((processed / "segments.json").read_text())["speakers"]
    files = []
    for label, rows in spoken.items():
        files.append(tmp_path / f"{label}.json")
        said = [{"start": a, "end": b, "text": f"{label} {i}"} for i, (a, b) in enumerate(rows)]
        files[-1].write_text(json.dumps({"segments": said}), "utf-8")
    code, told, said = command("merge-transcripts", processed, *files)
    assert code == 0, said
    written = {Path(p).name: Path(p).read_text("utf-8") for p in told.splitlines()}
    assert set(written) >= {f"transcript{TRANSCRIPT_FORMATS[f].suffix}" for f in TRANSCRIPT_FORMATS}
    utterances = json.loads((processed / "transcript.json").read_text("utf-8"))["segments"]
    expected = sorted((a, b, label) for label, rows in spoken.items() for a, b in rows)
    assert [(u["start_s"], u["end_s"], u["speaker"]) for u in utterances] == expected
    assert {u["in_speech"] for u in utterances} == {1.0}
    assert written["transcript.txt"].count("\n") == len(expected)


def test_a_file_with_a_byte_order_mark_or_in_utf_16_is_read_too(
    processed: Path, command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "Marcus_Webb.json"
    for encoding in ("utf-8-sig", "utf-16"):
        file.write_text(json.dumps([{"start": 1, "end": 2, "text": "Zoë?"}], ensure_ascii=False), encoding)
        code, _, said = command("merge-transcripts", processed, file, "--to", "text", "--keep-outside")
        assert code == 0, said
        assert (processed / "transcript" / "transcript.txt").read_text(
            "utf-8"
        ) == "[00:00:01] Marcus Webb: Zoë?\n"


def test_a_strangers_transcript_is_refused_and_a_damaged_one_named(
    processed: Path, command: Command, tmp_path: Path
) -> None:
    stranger = tmp_path / "Nobody.json"
    stranger.write_text("[]")
    code, _, said = command("merge-transcripts", processed, stranger)
    assert code == 2
    assert "Nobody" in said
    damaged = tmp_path / "Marcus_Webb.json"
    damaged.write_text("{")
    code, _, said = command("merge-transcripts", processed, damaged)
    assert code == 1
    assert "Marcus_Webb" in said


@pytest.mark.parametrize(
    ("command_name", "option", "registry"),
    [
        ("export", "--to", FORMATS),
        ("merge-transcripts", "--to", TRANSCRIPT_FORMATS),
        ("collect", "--format", TABLE_WRITERS),
    ],
)
def test_the_help_lists_the_registry_and_refuses_all_else(
    processed_once: Path, command: Command, command_name: str, option: str, registry: Mapping[str, object]
) -> None:
    assert f"{option} [{'|'.join(registry)}]" in command(command_name, "--help")[1]
    code, told, said = command(command_name, processed_once, option, "docx")
    assert (code, told) == (2, "")
    assert ", ".join(registry) in said
