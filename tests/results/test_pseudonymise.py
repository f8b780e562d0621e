"""A pseudonymised copy holds no name, id or email, and the same figures and samples."""

import gzip
import html
import io
import json
import re
import shutil
import struct
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from recall_audio.environment import PSEUDONYM_KEY_VARIABLE as KEY_VARIABLE
from recall_audio.errors import ItemError
from recall_audio.export import FORMATS
from recall_audio.export.transcripts import TRANSCRIPT_FORMATS
from recall_audio.files import read_json, write_json
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.pipeline.documents import as_this_version_writes, read_documents
from recall_audio.results.pseudonymise import recode_documents

Command = Callable[..., tuple[int, str, str]]
KEY = "a key that is hard to guess"


MARK = "zq7 Canary"
"""Stands in a document where nothing of ours would."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], bool]]:
    """Yield every place in a document, and whether it is a mapping, of lists the first row's only."""
    if isinstance(value, dict):
        yield path, True
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for row in value[:1]:
            yield from places(row, (*path, 0))
    else:
        yield path, False


def planted(document: Any, path: tuple[Any, ...], *, inside: bool) -> Any:
    """Return a copy of a document with the mark at a place, or as a further field of it."""
    found = deepcopy(document)
    at = found
    for step in path if inside else path[:-1]:
        at = at[step]
    at[MARK if inside else path[-1]] = MARK
    return found


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.chdir(tmp_path)  # no .env file of the developer's


@pytest.fixture
def original(processed: Path) -> Path:
    """The sample meeting, with findings that name people and parts in their sentences."""
    meeting = read_json(processed / "recording.json", "recording")
    part = meeting["parts"][1]
    message = f"Part {part['part_id']} of Marcus_Webb (marcus.webb@example.com) is odd, says Priya Raman."
    finding = {"code": "odd", "message": message, "where": part["part_id"], "severity": "warning"}
    run = read_json(processed / "run.json", "run")
    for document, kind in ((meeting, "recording"), (run, "run")):
        document.pop("schema")
        document["findings" if kind == "recording" else "warnings"].append(finding)
        write_json(processed / f"{kind}.json", kind, document)
    for stem in (processed / "stems").glob("*.wav"):
        name_in_header(stem, unicodedata.normalize("NFKD", stem.stem).encode("ascii", "ignore"))
    return processed


def name_in_header(stem: Path, name: bytes) -> None:
    """Put a ``bext`` chunk with a name before the samples, as earlier versions did."""
    data, chunk = stem.read_bytes(), b"bext" + struct.pack("<I", 602) + name.ljust(602, b"\0")
    n_riff = len(data) + len(chunk) - 8
    stem.write_bytes(data[:4] + struct.pack("<I", n_riff) + data[8:48] + chunk + data[48:])


def secrets(folder: Path) -> set[str]:
    """Return all that identifies a person: names and their parts, labels, emails, ids."""
    meeting = read_json(folder / "recording.json", "recording")
    found = {folder.name, folder.parent.name, meeting["bot"]["name"], meeting["bot"]["meeting_id"]}
    found |= {p["part_id"] for p in meeting["parts"]} | {p["participant_id"] for p in meeting["participants"]}
    for person in meeting["participants"]:
        found |= {person["name"], *person["name"].split(), person["name"].replace(" ", "_"), person["email"]}
        found |= {person["email"].split("@")[0], *person["extra_data"]["zoom"].values()}
    found |= {"Zoe"}  # as the ASCII of an earlier version's WAV header has her
    return {s for s in found if isinstance(s, str)}


def texts(path: Path) -> Iterator[str]:
    """A file's content in every form in which something could stand in it."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix in (".npz", ".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            data += b"".join(packed.read(name) for name in packed.namelist())
        data += data.replace(b"\0", b"")  # UTF-32 of an array of texts
    elif path.suffix == ".parquet":
        table = pd.read_parquet(io.BytesIO(data))
        yield table.to_csv()
        data += str(table.attrs).encode()
    plain = data.decode("utf-8", "replace")
    yield plain
    yield html.unescape(plain)
    yield re.sub(r"\\u([0-9a-f]{4})", lambda hit: chr(int(hit[1], 16)), plain)
    yield data.decode("utf-16-le", "replace")


def leaks(folder: Path, known: set[str]) -> list[tuple[str, str]]:
    """Which secrets are in which files below a folder, their names included."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert files
    found = [(p.name, s) for p in files for s in known if s in p.relative_to(folder).as_posix()]
    return found + [(p.name, s) for p in files for text in texts(p) for s in known if s in text]


def pseudonymised(command: Command, original: Path, into: Path) -> Path:
    code, out, said = command("pseudonymise", original, "--into", into)
    assert code == 0, said
    return Path(out.strip())


def test_the_search_finds_what_a_plain_copy_holds(original: Path, tmp_path: Path, command: Command) -> None:
    assert {s for _, s in leaks(original, secrets(original))} == secrets(original)
    for form in ("lhotse", "parquet", "webvtt"):
        command("export", original, "--to", form, "--into", tmp_path / form)
        assert leaks(tmp_path / form, secrets(original)), form


def test_no_name_id_or_email_is_in_any_file_of_a_copy(
    original: Path, tmp_path: Path, command: Command
) -> None:
    copy = pseudonymised(command, original, tmp_path / "out-there")
    assert leaks(tmp_path / "out-there", secrets(original)) == []
    people = read_json(copy / "speakers.json", "speakers")["speakers"]
    assert sorted(i for p in people.values() for i in p["participant_ids"]) == [1, 2, 3, 4]
    assert {p.name for p in copy.iterdir()} == {
        *("recording.json", "speakers.json", "alignment.json", "segments.json", "leakage.json", "talk.json"),
        *("stems.json", "run.json", "segments.rttm", "report.html", "stems", "posteriors.npz"),
    }
    with np.load(copy / "posteriors.npz") as stored:
        assert set(stored["labels"].tolist()) <= people.keys()


def test_a_copy_has_the_figures_and_samples_of_the_recording(
    original: Path, tmp_path: Path, command: Command
) -> None:
    copy = pseudonymised(command, original, tmp_path / "out-there")
    before, after = (read_json(f / "talk.json", "talk") for f in (original, copy))
    labels = dict(zip(before["speakers"], after["speakers"], strict=True))
    ids = [[figures.pop("ids") for figures in talk["speakers"].values()] for talk in (before, after)]
    assert [len(one) for one in ids[0]] == [len(one) for one in ids[1]]
    assert sorted(i for one in ids[1] for i in one) == [1, 2, 3, 4]
    assert under(before, labels) == sorted_(after)
    for old, new in labels.items():
        if before["speakers"][old]["talk_s"] == 0.0:
            assert not (copy / "stems" / f"{new}.wav").exists()
            continue
        ours, theirs = (
            sf.read(f / "stems" / f"{x}.wav", dtype="int16") for f, x in ((original, old), (copy, new))
        )
        assert np.array_equal(ours[0], theirs[0])
        assert ours[1] == theirs[1]
    code, out, said = command("info", copy, "--format", "json")
    assert code == 0, said
    warnings = [w for w in json.loads(out)["warnings"] if w["code"] == "other"]
    assert len(warnings) == 1


def under(value: Any, labels: dict[str, str]) -> Any:
    """A document's values with every label, key or not, replaced, lists of pairs in one order."""
    if isinstance(value, dict):
        return {labels.get(k, k): under(v, labels) for k, v in value.items()}
    if isinstance(value, list):
        return sorted((under(v, labels) for v in value), key=json.dumps)
    return labels.get(value, value) if isinstance(value, str) else value


def sorted_(value: Any) -> Any:
    return under(value, {})


def test_a_copys_report_says_that_it_is_one_and_misses_nothing(
    original: Path, tmp_path: Path, command: Command
) -> None:
    page = (pseudonymised(command, original, tmp_path / "out-there") / "report.html").read_text("utf-8")
    assert "are codes here" in page
    assert "is missing" not in page
    assert "no mixed recording" not in page


def test_every_format_under_codes_names_no_person_and_brings_the_stems_it_names(
    original: Path, tmp_path: Path, command: Command
) -> None:
    for form in FORMATS:
        into = tmp_path / form
        code, out, said = command("export", original, "--to", form, "--into", into, "--pseudonymise")
        assert code == 0, said
        assert out.split()
        assert leaks(into, secrets(original)) == [], form
        assert len(list(into.glob("stems/*.wav"))) == (3 if FORMATS[form].names_audio else 0)
    rows = [json.loads(x) for x in (tmp_path / "hf/stems/metadata.jsonl").read_text("utf-8").splitlines()]
    assert all((tmp_path / "hf/stems" / row["file_name"]).is_file() for row in rows)
    scp = (tmp_path / "kaldi/kaldi/wav.scp").read_text().splitlines()
    assert all((tmp_path / "kaldi" / line.split(" ", 1)[1]).is_file() for line in scp)


def test_a_mark_in_any_field_of_any_document_is_in_no_copy(original: Path) -> None:
    documents, tried, refused = read_documents(original), 0, 0
    for kind, document in documents.items():
        for path, inside in places(document):
            if not inside and not path:
                continue
            tried += 1
            marked = {**documents, kind: planted(document, path, inside=inside)}
            try:
                with as_this_version_writes():
                    coded, _ = recode_documents(marked, Pseudonyms(KEY.encode()))
            except ItemError:
                refused += 1
                continue
            assert MARK not in json.dumps(coded), (kind, path)
    assert tried > 300
    assert refused < tried / 2


def test_fields_unknown_to_this_version_are_in_no_byte_of_a_copy_or_export(
    original: Path, tmp_path: Path, command: Command
) -> None:
    refused = {"participants", "parts", "media", "mix", "presence", "other_thresholds"}  # read strictly
    refused |= {"speakers", "raw", "unbridged", "talk_s", "outputs"}  # whose further keys are labels or files
    for kind, document in read_documents(original).items():
        marked = document
        for path, inside in list(places(document)):
            if inside and not refused.intersection(step for step in path[-2:] if step != 0):
                marked = planted(marked, path, inside=True)
        write_json(original / f"{kind}.json", kind, {k: v for k, v in marked.items() if k != "schema"})
    np.savez(original / "posteriors.npz", labels=np.array([MARK]))
    (original / f"{MARK}.txt").write_text(MARK)
    assert leaks(original, {MARK})
    copied = pseudonymised(command, original, tmp_path / "copy")
    assert leaks(tmp_path / "copy", {MARK}) == []
    assert (copied / "report.html").is_file()
    for form in ("csv", "parquet", "lhotse"):
        code, _, said = command("export", original, "--to", form, "--into", tmp_path / form, "--pseudonymise")
        assert code == 0, said
        assert leaks(tmp_path / form, {MARK}) == [], form


def test_persons_over_meetings_are_the_same_persons_under_codes(
    original: Path, tmp_path: Path, command: Command
) -> None:
    again = original.parent.parent / "bot-2" / "rec-2"
    shutil.copytree(original, again)
    meeting = read_json(again / "recording.json", "recording")
    del meeting["schema"]
    meeting["recording"]["id"] = "rec-2"
    write_json(again / "recording.json", "recording", meeting)
    root = original.parent.parent
    for form in ("csv", "parquet"):
        code, _, said = command(
            "collect", root, "--format", form, "--into", tmp_path / form, "--pseudonymise"
        )
        assert code == 0, said
        assert leaks(tmp_path / form, {*secrets(original), "rec-2", "bot-2"}) == []
    command("collect", root, "--into", tmp_path / "plain")
    plain, coded = (pd.read_csv(tmp_path / name / "people.csv") for name in ("plain", "csv"))
    assert plain["person"].nunique() == coded["person"].nunique() == 4
    assert [g.tolist() for g in plain.groupby("person", sort=False).indices.values()] == [
        g.tolist() for g in coded.groupby("person", sort=False).indices.values()
    ]
    merges = pd.read_csv(tmp_path / "csv/merges.csv")
    assert len(merges) == 4
    assert merges["key"].str.fullmatch(r"zoom\.conf_user_id:[A-Z2-7]{16}").all(), "a lasting id's code"


def test_a_copy_is_collected_as_the_recording_itself_is_under_codes(
    original: Path, tmp_path: Path, command: Command
) -> None:
    pseudonymised(command, original, tmp_path / "copies")
    command("collect", original.parent.parent, "--into", tmp_path / "one", "--pseudonymise")
    command("collect", tmp_path / "copies", "--into", tmp_path / "other")
    for table in (tmp_path / "one").iterdir():
        assert table.read_bytes() == (tmp_path / "other" / table.name).read_bytes(), table.name


def test_a_transcript_names_speakers_by_their_codes(original: Path, tmp_path: Path, command: Command) -> None:
    file = tmp_path / "Marcus_Webb.json"
    file.write_text(json.dumps([{"start": 7.0, "end": 8.0, "text": "Fine."}]))
    code, out, said = command(
        "merge-transcripts", original, file, "--into", tmp_path / "said", "--pseudonymise"
    )
    assert code == 0, said
    assert len(out.split()) == len(TRANSCRIPT_FORMATS)
    assert leaks(tmp_path / "said", secrets(original)) == []


def test_the_same_key_from_a_file_gives_the_same_codes_and_another_gives_others(
    original: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pseudonymised(command, original, tmp_path / "a")
    monkeypatch.delenv(KEY_VARIABLE)
    names = []
    for i, text in enumerate((f"{KEY}\n", "another key, as long")):
        (tmp_path / "key").write_text(text)
        into = tmp_path / f"b{i}"
        code, out, said = command(
            "pseudonymise", original, "--into", into, "--pseudonym-key-file", tmp_path / "key"
        )
        assert code == 0, said
        assert text.strip() not in out + said
        assert leaks(into, {text.strip()}) == []
        names.append(Path(out.strip()).name)
    assert names[0] == first.name != names[1]


def test_without_a_key_or_with_a_short_one_nothing_is_written(
    original: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "short"):
        monkeypatch.setenv(KEY_VARIABLE, value)
        for call in (
            ["pseudonymise", original],
            ["collect", original, "--pseudonymise"],
            ["export", original, "--to", "rttm", "--pseudonymise"],
        ):
            code, out, said = command(*call, "--into", tmp_path / "x")
            assert (code, out) == (2, "")
            assert "key" in said
            assert not (tmp_path / "x").exists()
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    code, _, said = command(
        "pseudonymise", original, "--into", tmp_path / "x", "--pseudonym-key-file", tmp_path / "no"
    )
    assert code == 2
    assert "cannot be read" in said
    assert command("export", original, "--to", "rttm", "--pseudonym-key-file", tmp_path / "no")[0] == 2


def test_a_copy_never_lies_among_the_recordings_and_is_not_processed(
    original: Path, tmp_path: Path, command: Command
) -> None:
    for into in (original.parent.parent, original.parent, original, original / "copies"):
        code, _, said = command("pseudonymise", original, "--into", into)
        assert code == 2, said
    copy = pseudonymised(command, original, tmp_path / "out-there")
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*")}
    assert command("process", copy, "-q")[0] == 0  # it is done
    code, out, said = command("process", copy, "-q", "--lufs", "-16")
    assert code == 1
    assert "pseudonymised" in " ".join((out + said).split())
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*") if p.name in {b.name for b in before}} == before


def test_a_meeting_with_mixed_audio_alone_is_copied_without_what_it_has_not(
    original: Path, tmp_path: Path, command: Command
) -> None:
    known = secrets(original)
    meeting = read_json(original / "recording.json", "recording")
    del meeting["schema"]
    write_json(original / "recording.json", "recording", {**meeting, "parts": []})
    assert command("process", original, "-q")[0] == 0
    for kind in ("segments", "leakage", "talk", "stems"):
        (original / f"{kind}.json").unlink(missing_ok=True)
    copy = pseudonymised(command, original, tmp_path / "out-there")
    assert leaks(copy, known) == []
    assert not (copy / "stems").exists()
    before = (copy / "run.json").read_bytes()
    assert command("process", copy, "-q", "--lufs", "-16")[0] == 1
    assert (copy / "run.json").read_bytes() == before


def test_a_second_copy_replaces_the_first_and_a_lost_stem_is_said(
    original: Path, tmp_path: Path, command: Command
) -> None:
    copy = pseudonymised(command, original, tmp_path / "out-there")
    (copy / "stems" / "old.wav").write_bytes(b"")
    assert pseudonymised(command, original, tmp_path / "out-there") == copy
    assert not (copy / "stems" / "old.wav").exists()
    (original / "stems" / "Marcus_Webb.wav").unlink()
    code, out, said = command("pseudonymise", original, "--into", tmp_path / "again")
    assert (code, out) == (1, "")
    assert "Marcus_Webb.wav does not exist" in said
