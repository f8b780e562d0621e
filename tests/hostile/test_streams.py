"""Print names to streams that cannot hold them, are full, closed, or have lost their reader."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAME = "Łukasz 李 \U0001f600 é"


@pytest.fixture(scope="module")
def named(processed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy a recording of which one person has a name that few encodings hold."""
    folder = tmp_path_factory.mktemp("named") / "bot" / "recording"
    shutil.copytree(processed_once, folder)
    for kind in ("recording", "speakers", "segments", "talk", "stems", "leakage"):
        text = (folder / f"{kind}.json").read_text("utf-8").replace("Ben", NAME)
        json.loads(text)
        (folder / f"{kind}.json").write_text(text, "utf-8")
    return folder


def command(*words: object) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-m", "recall_audio", *map(str, words)]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "ascii:strict"])
@pytest.mark.parametrize("words", [["info"], ["talk"], ["talk", "--format", "csv"], ["align"]], ids=" ".join)
def test_a_name_that_stdout_cannot_hold_is_replaced(named: Path, encoding: str, words: list[str]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    ran = subprocess.run(
        command(words[0], named, *words[1:]), capture_output=True, env=environment, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout
    assert b"unexpected" not in ran.stderr
    # CSV goes out as the bytes of a file, which are UTF-8 whatever the terminal.
    ran.stdout.decode("utf-8" if "csv" in words else encoding.partition(":")[0])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["info"], ["talk", "--format", "json"]], ids=" ".join)
def test_a_full_stdout_exits_with_4(named: Path, words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            command(words[0], named, *words[1:]), stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert ran.returncode == 4
    assert b"No room left" in ran.stderr
    assert b"Traceback" not in ran.stderr
    assert b"Exception ignored" not in ran.stderr


@pytest.mark.parametrize("words", [["info"], ["talk", "--format", "json"]], ids=" ".join)
def test_a_reader_that_has_gone_gives_141_and_no_word(named: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        command(words[0], named, *words[1:]), stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, b"")


def test_a_closed_stdout_changes_no_exit_code(named: Path) -> None:
    words = ["sh", "-c", '"$@" >&-', "sh", *command("info", named)]
    ran = subprocess.run(words, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, b"")
