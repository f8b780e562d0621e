"""The terminal's summary, read as a terminal of 80 columns without colour shows it."""

import io
import re
import unicodedata
from typing import Any

import pytest
from report.meetings import documents, hostile
from rich.console import Console

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
