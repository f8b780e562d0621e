"""The terminal's summary, read as a terminal of 80 columns without colour shows it."""

import io
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.covered import covers
from report.meetings import documents, hostile
from rich.console import Console

from recall_audio.cli import printing
from recall_audio.cli.printing import print_documents


def printed(
    meeting: dict[str, Any], width: int = 80, encoding: str = "utf-8", folder: str = "/out/b/r"
) -> str:
    """What the summary prints to something that is no terminal."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="")
    print_documents(meeting, Console(file=stream, width=width), folder=folder)
    stream.flush()
    return raw.getvalue().decode(encoding)


def columns(line: str) -> int:
    """Columns of a line, wide characters as two, marks and joiners as none."""
    widths = {"W": 2, "F": 2}
    return sum(
        0 if unicodedata.category(c) in {"Mn", "Cf"} else widths.get(unicodedata.east_asian_width(c), 1)
        for c in line
    )


@pytest.mark.parametrize("meeting", [documents(5, 600.0), documents(5, 600.0, leaky=True), hostile(), {}])
def test_it_stays_within_80_columns_without_colour_or_control_characters(meeting: dict[str, Any]) -> None:
    text = printed(meeting)
    assert max(columns(line) for line in text.splitlines()) <= 80
    assert not [c for c in text if unicodedata.category(c) in {"Cc", "Cs", "Co"} and c != "\n"]


def test_each_bar_is_as_long_as_its_share_and_times_are_h_mm_ss() -> None:
    meeting = documents(5, 3600.0)
    text = printed(meeting)
    by_name = {
        s["name"]: meeting["talk"]["speakers"][label] for label, s in meeting["speakers"]["speakers"].items()
    }
    for name, talk in by_name.items():
        line = next(line for line in text.splitlines() if line.startswith(name))
        # The last block may be a part of one, in eighths.
        assert abs(len(re.findall("[█▉▊▋▌▍▎▏]", line)) - 24 * talk["share_of_talk"]) <= 1
        whole = round(talk["talk_s"])
        assert f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}" in line
        assert f"{100 * talk['share_of_talk']:.1f} %" in line


def with_intervals(half: float) -> dict[str, Any]:
    """A meeting of three whose shares may be off by half of their own on the upper side."""
    meeting = documents(3, 3600.0)
    talk = meeting["talk"]["speakers"]
    for speaker in talk.values():
        share = speaker["share_of_talk"]
        speaker |= {"share_of_talk_low": share - half / 2, "share_of_talk_high": share + half}
    a, b, c = sorted(talk, key=lambda label: -talk[label]["talk_s"])
    meeting["talk"]["ranks"] = {
        "order": [a, b, c],
        "most": a,
        "most_probability": 0.874,
        "rivals": [b],
        "neighbours": [
            {"more": a, "less": b, "probability": 0.874, "is_open": True},
            {"more": b, "less": c, "probability": 0.999, "is_open": False},
        ],
    }
    return meeting


def test_a_share_says_how_far_it_may_be_off_and_the_order_whether_it_is_open() -> None:
    meeting = with_intervals(0.024)
    names = {label: s["name"] for label, s in meeting["speakers"]["speakers"].items()}
    a, b, _ = (names[label] for label in meeting["talk"]["ranks"]["order"])
    said = printed(meeting)
    for label, talk in meeting["talk"]["speakers"].items():
        line = next(line for line in said.splitlines() if line.startswith(names[label]))
        assert f"{100 * talk['share_of_talk']:.1f} % ± 2.4" in line
    assert max(columns(line) for line in said.splitlines()) <= 80
    assert f"Who spoke most is open: {a}, with a probability of 87 %, or {b}." in " ".join(said.split())
    meeting["talk"]["ranks"] |= {"rivals": [], "most_probability": 0.9999}
    assert f"{a} spoke most, with a probability of over 99 %." in " ".join(printed(meeting).split())


def test_an_ascii_terminal_gets_bars_it_can_show() -> None:
    meeting = documents(3, 300.0)
    for entry, name in zip(meeting["speakers"]["speakers"].values(), ("Ann", "Ben", "Cem"), strict=True):
        entry["name"] = name
    assert re.search(r"^Ann +#+ ", printed(meeting, encoding="ascii"), re.MULTILINE)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16-le"])
def test_a_terminal_that_lacks_a_character_gets_another_and_no_error(encoding: str) -> None:
    text = printed(documents(5, 600.0, leaky=True), encoding=encoding)
    assert "Ann Lee" in text
    assert "(-15 dB)" in text.replace("−", "-")


def test_the_worst_is_said_first_and_the_files_last_in_one_piece() -> None:
    folder = "/very/long/" + "folder/" * 30
    text = printed(documents(5, 600.0, leaky=True), folder=folder)
    said = re.findall(r"^(Matters|Check|Note)", text, re.MULTILINE)
    assert said
    assert said == sorted(said, key=["Matters", "Check", "Note"].index)
    assert f"Files in {folder}\n" in text
    assert text.index("Files in") > text.rindex("Check")


def table_at(width: int, monkeypatch: pytest.MonkeyPatch, columns: list[str], rows: list[list[Any]]) -> str:
    """A table as a terminal of this width shows it."""
    stream = io.StringIO()
    monkeypatch.setattr(printing, "console", lambda: Console(file=stream, width=width, highlight=False))
    printing.print_table(columns, rows, "table")
    return stream.getvalue()


def test_a_table_wider_than_the_terminal_comes_in_blocks_that_keep_ids_and_names_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = [f"0a1b2c3d-0000-4000-8000-00000000000{n}" for n in range(3)]
    columns = ["bot", "recording", "status", "reason", *(f"figure_{k}_s" for k in range(6))]
    rows = [[i, i[::-1], "failed", "It was deleted. " * 8, *range(6)] for i in ids]
    for width in (80, 110, 200):
        text = table_at(width, monkeypatch, columns, rows)
        assert max(map(len, text.splitlines())) <= width
        assert all(i in text and i[::-1] in text for i in ids), "an id is in one piece"
        assert "…" not in text
    assert text.count("0a1b2c3d") == len(ids), "200 columns hold the whole table"
    blocks = table_at(80, monkeypatch, columns, rows).count(ids[0])
    assert blocks >= 2


@covers("talk info align features score", "--seconds")
def test_times_of_a_table_are_seconds_or_h_mm_ss_as_is_asked(
    monkeypatch: pytest.MonkeyPatch, processed_once: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    talk = json.loads((processed_once / "talk.json").read_text("utf-8"))["speakers"]["Marcus_Webb"]["talk_s"]
    for arguments in (("talk",), ("talk", "--seconds")):
        assert f"{talk:.2f}" in command(*arguments, processed_once)[1]
    by_clock = command("talk", processed_once, "--clock")[1]
    assert f"0:00:{talk:04.1f}" in by_clock
    assert f"{talk:.2f}" not in by_clock
    assert f" {talk:.1f} s " in command("info", processed_once, "--seconds")[1]
    assert f"0:00:{round(talk):02d}" in command("info", processed_once)[1]
    assert "0:00:50.1" in command("align", processed_once, "--clock")[1]
    as_json = json.loads(command("talk", processed_once, "--clock", "--format", "json")[1])
    assert talk in [row["talk_s"] for row in as_json], "JSON holds seconds"
