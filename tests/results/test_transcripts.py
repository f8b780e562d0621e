"""Others' transcripts become a recording's own, whether they are of stems, of channels or of the mix."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import recall_audio as ra
from recall_audio.errors import ItemError, UsageError
from recall_audio.model.options import TalkOptions
from recall_audio.pipeline.documents import read_documents
from recall_audio.pipeline.talk import talk_of
from recall_audio.results.transcripts import merge_files

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def talk_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave talk and report as they were: other tests look at them."""
    monkeypatch.setattr("recall_audio.results.transcripts.refresh_words", lambda _folder: [])


def document(folder: Path, kind: str) -> Any:
    return json.loads((folder / f"{kind}.json").read_text("utf-8"))


def spoken(folder: Path) -> dict[str, list[list[float]]]:
    return document(folder, "segments")["speakers"]  # type: ignore[no-any-return]


def labels(folder: Path) -> list[str]:
    return [s["participant"] for s in document(folder, "stems")["stems"] if s["file"]]


def one_each(folder: Path) -> list[tuple[str, float, float, int]]:
    """A word in each speaker's longest segment, with the index of their stem: label, start, end, index."""
    rows = []
    for i, label in enumerate(labels(folder)):
        if spoken(folder)[label]:
            start_s, _ = max(spoken(folder)[label], key=lambda row: row[1] - row[0])
            rows.append((label, start_s + 0.1, start_s + 0.4, i))
    return rows


def test_channels_of_one_file_are_the_stems_in_order(processed: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    utterances = [
        {"channel": str(i + 1), "start": round(a * 1000), "end": round(b * 1000), "text": f"I am {label}."}
        for label, a, b, i in one_each(processed)
    ]
    words = [{"text": "I", "start": 1, "end": 2}]
    file.write_text(json.dumps({"id": "x", "words": words, "utterances": utterances, "multichannel": True}))
    merge_files(processed, [file])
    found = document(processed, "transcript")["segments"]
    assert {(s["speaker"], s["text"]) for s in found} == {(k, f"I am {k}.") for k, *_ in one_each(processed)}
    utterances[0]["channel"] = "9"
    file.write_text(json.dumps({"id": "x", "words": words, "utterances": utterances}))
    with pytest.raises(UsageError, match="channel 9"):
        merge_files(processed, [file])


def test_words_of_the_mix_go_to_those_in_whose_speech_they_lie(processed: Path, tmp_path: Path) -> None:
    rows = [{"start": a, "end": b, "text": f"I am {label}."} for label, a, b, _ in one_each(processed)]
    for name in ("mixed.json", "mix.srt.json"):
        (tmp_path / name).write_text(json.dumps(rows))
        table = ra.open(processed).merge_transcripts([tmp_path / name])
        alone = {(r.speaker, r.text) for r in table.itertuples()}
        assert alone >= {(k, f"I am {k}.") for k, *_ in one_each(processed)[:1]}
        assert document(processed, "transcript")["source"] == "mix"
    stem = tmp_path / f"{labels(processed)[0]}.json"
    stem.write_text(json.dumps(rows))
    with pytest.raises(UsageError, match="either kind"):
        merge_files(processed, [stem, tmp_path / "mixed.json"])


def test_files_are_matched_to_stems_by_their_names(processed: Path, tmp_path: Path) -> None:
    label, a, b, _ = one_each(processed)[1]
    rows = json.dumps([{"start": a, "end": b, "text": "x"}])
    for folder, name in (("one", f"{label}.json"), ("two", f"{label.upper()}.wav.json")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(rows)
        merge_files(processed, [tmp_path / folder / name])
        assert [s["speaker"] for s in document(processed, "transcript")["segments"]] == [label]
    with pytest.raises(UsageError, match="second transcript"):
        merge_files(processed, sorted(tmp_path.glob("*/*.json")))
    (tmp_path / "nobody.json").write_text(rows)
    with pytest.raises(UsageError, match="belongs to no stem") as refused:
        merge_files(processed, [tmp_path / "nobody.json"])
    assert f"{label}.json" in refused.value.hint


def test_bad_rows_are_said_and_the_others_stay(processed: Path, tmp_path: Path, command: Command) -> None:
    label, a, b, _ = one_each(processed)[0]
    duration_s = document(processed, "alignment")["mix"]["duration_s"]
    rows = [
        {"start": a, "end": b, "text": "Good."},
        {"start": 9.0, "end": 8.0, "text": "Turned."},
        {"start": duration_s + 5, "end": duration_s + 9, "text": "Late."},
    ]
    file = tmp_path / f"{label}.json"
    file.write_text(json.dumps(rows))
    code, _, said = command("merge-transcripts", processed, file)
    assert code == 0
    assert "end is before its start" in said
    assert "after the recording's end" in said
    found = document(processed, "transcript")
    assert [s["text"] for s in found["segments"]] == ["Good."]
    assert {f["code"] for f in found["findings"]} == {"transcript_mended"}


def test_exports_hold_the_words_of_the_transcript(processed: Path, tmp_path: Path) -> None:
    label, a, b, _ = one_each(processed)[0]
    file = tmp_path / f"{label}.json"
    file.write_text(json.dumps([{"start": a, "end": b, "text": "Found here."}]))
    rec = ra.open(processed)
    merge_files(processed, [file])
    rec = ra.open(processed)
    (text,) = [p for p in rec.export("kaldi") if p.name == "text"]
    assert [line.partition(" ")[2] for line in text.read_text("utf-8").splitlines() if " " in line] == [
        "Found here."
    ]
    assert rec.transcript[["speaker", "text"]].to_numpy().tolist() == [[label, "Found here."]]


def test_a_damaged_transcript_costs_the_words_alone(processed: Path) -> None:
    path = processed / "transcript.json"
    for text, why in (
        ('{"schema": "recall-audio/transcript/1", "segments": [5]}', "transcript.json"),
        ("{", "no transcript"),
    ):
        path.write_text(text)
        figures = next(iter(talk_of(read_documents(processed), TalkOptions()).speakers.values()))
        assert figures.talk_s is not None
        assert figures.words is None
        assert why in figures.reasons["words"]


def test_a_planted_link_leads_no_transcript_out_of_the_folder(processed: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "transcript.txt").write_text("precious")
    (processed / "transcript").symlink_to(mine, target_is_directory=True)
    label, a, b, _ = one_each(processed)[0]
    file = tmp_path / f"{label}.json"
    file.write_text(json.dumps([{"start": a, "end": b, "text": "x"}]))
    with pytest.raises(ItemError, match="leads out"):
        merge_files(processed, [file])
    assert (mine / "transcript.txt").read_text() == "precious"
