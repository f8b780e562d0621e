"""Rows 24, 25-28 and 32-35 of the reliability matrix, from the API to the results: odd names, odd media."""

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import makers
import numpy as np
import pytest
import soundfile as sf
from batch.lab import Lab
from batch.meetings import RATE_HZ

from recall_audio.model.options import Options, StemOptions
from recall_audio.standin import Fault, Reply, State, meeting

ALL_STEMS = Options(stems=StemOptions(silent=True))
"""Noise is no speech; its stems are looked at all the same."""

NAMES = [
    "../../x",
    "CON",
    "..",
    "C:\\x",
    "\U0001f600" * 400,
    "",
    "Ann",
    "Ann",
    "Jos\u00e9",
    "Jose\u0301",
    "BOB",
    "bob",
    "a\u202egnp.exe",
    "half \ud83d",
    "nul\0byte",
    '=HYPERLINK("http://evil.example","x")',
    "<script>alert(1)</script>",
    "\x1b]0;owned\x07\x1b[31mred",
    "+1",
    "@SUM(A1)",
]
"""Row 32's names, then row 33's."""


def of(folder: Path, parts: Sequence[Mapping[str, Any]], mix: Path, duration_s: float) -> Path:
    """A meeting of given parts, ready to be served."""
    people = [p["participant"] for p in parts]
    content = {"recording_id": "77777777-1111-4222-8333-444455556666", "mix": mix.name, "parts": parts}
    content |= {"duration": duration_s, "participants": people, "bot_name": NAMES[15] + NAMES[16] + NAMES[17]}
    (folder / "meeting.json").write_text(json.dumps(content))
    return folder


def person(i: int, name: str) -> dict[str, Any]:
    """A participant."""
    return {"id": 100 + i, "name": name, "is_host": False, "platform": "desktop", "extra_data": None}


@pytest.fixture
def named(lab: Lab) -> Lab:
    """A meeting of people with such names, processed."""
    folder = lab.root / "served"
    (folder / "parts").mkdir(parents=True)
    noise = np.random.default_rng(1).integers(-3000, 3000, (len(NAMES), RATE_HZ // 2)).astype("<i2")
    parts = []
    for i, name in enumerate(NAMES):
        file = f"parts/00000000-0000-4000-8000-{i:012d}.raw"
        noise[i].tofile(folder / file)
        start = {"relative": 0.0}
        parts.append({"id": Path(file).stem, "participant": person(i, name), "file": file, "format": "raw"})
        parts[-1] |= {"start_timestamp": start, "duration": 0.5}
    (noise.sum(axis=0) // len(NAMES)).astype("<i2").tofile(folder / "mix.raw")
    lab.serve_these([meeting(of(folder, parts, folder / "mix.raw", 0.5))])
    assert [o.status for o in lab.here(options=ALL_STEMS)] == ["done"]
    return lab


def test_row_32_whatever_people_are_called_every_part_is_under_a_safe_name_and_the_exact_one_is_kept(
    named: Lab,
) -> None:
    folder = named.folder(0)
    known = json.loads((folder / "speakers.json").read_text("utf-8"))["speakers"]
    assert [s["name"] for s in known.values()] == NAMES
    assert len({unicodedata.normalize("NFKC", label).casefold() for label in known}) == len(NAMES)
    for label in known:
        assert len(label.encode()) <= 60
        assert not re.search(r'[/\\:*?"<>|\x00-\x1f]|^\.', label)
        assert (folder / "stems" / f"{label}.wav").is_file()
    assert {f.resolve().parent for f in folder.glob("stems/*")} == {folder.resolve() / "stems"}
    assert len(list(folder.glob("stems/*.wav"))) == len(list(folder.glob("source/0*.raw"))) == len(NAMES)
    assert {f.name for f in named.root.iterdir()} == {"served", "out", "state"}


def test_row_33_names_are_text_in_tables_pages_and_terminals(named: Lab) -> None:
    folder = named.folder(0)
    assert named.run("collect", named.out, "--format", "csv").code == 0
    cells = [
        cell
        for file in named.out.glob("tables/*.csv")
        for row in csv.reader(file.read_text("utf-8").splitlines(keepends=True))
        for cell in row
    ]
    assert any("HYPERLINK" in c for c in cells)
    numbers = [c for c in cells if re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", c)]
    formulas = [c for c in cells if c.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert [c for c in formulas if c not in numbers or c.startswith("+")] == []
    page = (folder / "report.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert page.count("<script") == page.count("</script>")
    for command in ("info", "talk", "align", "report"):
        ran = named.run(command, folder)
        assert ran.code == 0
        assert [c for c in ran.out + ran.err if not c.isprintable() and c != "\n"] == [], command
    ran = named.run("bots")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", ran.out)


def truncated(folder: Path, kind: str) -> Path:
    """Half of a file of 8 s."""
    path = makers.encoded(_speech(8.0), folder / f"half.{kind}", kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def bomb(folder: Path) -> Path:
    """Twenty minutes of silence in some 20 kB of FLAC."""
    with sf.SoundFile(folder / "bomb.flac", "w", RATE_HZ, 1, "PCM_16") as out:
        for _ in range(20):
            out.write(np.zeros(60 * RATE_HZ, np.int16))
    return folder / "bomb.flac"


def lying(folder: Path) -> Path:
    """A WAV that says it holds four gigabytes."""
    path = makers.encoded(_speech(4.0), folder / "lying.wav", "wav")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xf0"
    path.write_bytes(data)
    return path


def _speech(seconds: float) -> "np.ndarray[Any, Any]":
    return np.random.default_rng(2).integers(-8000, 8000, round(seconds * RATE_HZ)).astype(np.int16)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        pytest.param(lambda f: truncated(f, "mp3"), "duration_mismatch", id="half an MP3"),
        pytest.param(lambda f: truncated(f, "ogg"), "duration_mismatch", id="half an Ogg"),
        pytest.param(bomb, "too_long", id="a FLAC that grows"),
        pytest.param(lying, "duration_mismatch", id="a WAV whose header lies"),
    ],
)
def test_row_35_a_part_that_is_not_as_long_as_declared_is_lost_for_good_and_the_others_are_done(
    lab: Lab, made: Callable[[Path], Path], code: str
) -> None:
    """Declared are 8 s; the length in bytes is consistent."""
    lab.serve_these([meeting(with_a_bad_part(lab.root / "served", made))])
    [outcome] = lab.here(options=ALL_STEMS)
    assert (outcome.status, outcome.code) == ("partial", code)
    folder = lab.folder(0)
    good = sf.info(folder / "stems" / "Good.wav")
    assert good.frames == 8 * RATE_HZ
    longest = max(f.stat().st_size for f in folder.glob(".work/*.s16"))
    assert longest <= 2 * RATE_HZ * (8.0 * 1.05 + 5.0) + 2


def with_a_bad_part(folder: Path, made: Callable[[Path], Path]) -> Path:
    """A meeting of 8 s with one good part and another."""
    (folder / "parts").mkdir(parents=True)
    makers.encoded(_speech(8.0), folder / "parts" / "good.wav", "wav")
    bad = made(folder / "parts")
    _speech(8.0).tofile(folder / "mix.raw")
    parts = [
        {"id": f"part-{i}", "participant": person(i, name), "file": f"parts/{file}", "format": file[-3:]}
        | {"start_timestamp": {"relative": 0.0}, "duration": 8.0}
        for i, (name, file) in enumerate([("Good", "good.wav"), ("Bad", bad.name)])
    ]
    return of(folder, parts, folder / "mix.raw", 8.0)


def test_row_24_half_a_file_without_a_length_is_found_out_by_its_duration(lab: Lab) -> None:
    unsaid = Reply(headers={"Content-Length": "", "Connection": "close"})
    folder = with_a_bad_part(lab.root / "served", lambda f: truncated(f, "mp3"))
    lab.serve_these([meeting(folder)], Fault("half.mp3", [unsaid], forever=True))
    [outcome] = lab.here()
    assert (outcome.status, outcome.code) == ("partial", "duration_mismatch")
    said = json.loads((lab.folder(0) / "recording.json").read_text())
    assert [p["media"]["length_verified"] for p in said["parts"]] == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        b"ffconcat version 1.0\nfile 'good.wav'\n",
        b"#EXTM3U\n#EXTINF:8,\ngood.wav\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 5004 RTP/AVP 0\n",
        b"ID3\x04\x00\x00\x00\x00\x00\x00ffconcat version 1.0\nfile 'good.wav'\n",
    ],
    ids=["ffconcat", "HLS", "SDP", "ffconcat behind a tag"],
)
def test_row_34_a_script_in_the_place_of_audio_is_not_followed(lab: Lab, body: bytes) -> None:
    """Whether the bytes give it away at once or only the decoder refuses it: nobody's audio becomes Bad's."""

    def script(folder: Path) -> Path:
        (folder / "bad.mp3").write_bytes(body)
        return folder / "bad.mp3"

    lab.serve_these([meeting(with_a_bad_part(lab.root / "served", script))])
    [outcome] = lab.here()
    assert (outcome.status, outcome.code) == ("partial", "not_audio")
    folder = lab.folder(0)
    assert [f.name for f in folder.glob(".work/*.s16")].count("part-1.s16") == 0
    stem = folder / "stems" / "Bad.wav"
    assert not stem.exists() or not np.any(sf.read(stem, dtype="int16")[0])


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(headers={"Content-Encoding": "gzip"}), "unexpected_encoding"),
        (Reply(status=302, headers={"Location": "https://evil.example/x"}), "url_not_allowed"),
        (Reply(body=b"<html>"), "not_audio"),
        (Reply(endless=True), "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_row_25_and_row_27_and_row_28_mixed_audio_that_cannot_be_had_is_a_loss_and_the_rest_is_done(
    lab: Lab, reply: Reply, code: str
) -> None:
    server = lab.serve(1, Fault("mix.raw", [reply], forever=True))
    ran = lab.batch("--silent-stems")
    assert (ran.code, ran.statuses()) == (1, [f"partial {code}"])
    assert len(list(lab.folder(0).glob("stems/*.wav"))) == 2
    asked = len(server.requests)
    assert lab.here(options=ALL_STEMS)[0].code == code
    assert len(server.requests) == asked, "lost for good: not asked for again"


def test_row_13_mixed_audio_that_failed_is_a_loss_and_mixed_audio_that_never_was_is_none(lab: Lab) -> None:
    lab.serve(1, state=State(mixed="failed", sub_code="out_of_tape"))
    [outcome] = lab.here()
    assert (outcome.status, outcome.code) == ("partial", "failed")
    assert "out_of_tape" in outcome.message
    lab.serve(2, state=State(mixed="missing"))
    assert [o.status for o in lab.here()] == ["partial", "done"]
