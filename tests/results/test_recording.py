"""What a recording gives in a notebook agrees with its files and with the commands."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recall_audio as ra
from recall_audio.export.collect import ALL_TABLES
from recall_audio.media.pcm_file import open_work
from recall_audio.model.turns import VOICE_FIGURES


def test_collected_tables_are_the_files_of_collect(processed: Path) -> None:
    root = processed.parent.parent
    tables = ra.collect(root)
    assert list(tables) == [t.name for t in ALL_TABLES]
    for name, table in tables.items():
        with (root / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert len(table) == len(rows)
        for column in table.columns:
            missing = table[column].isna()
            assert [r[column] == "" for r in rows] == list(missing | table[column].astype(str).eq(""))


def test_somebody_called_na_is_somebody(processed: Path) -> None:
    people = json.loads((processed / "speakers.json").read_text("utf-8"))
    people["speakers"]["Jonas_Berg"]["name"] = "NA"
    (processed / "speakers.json").write_text(json.dumps(people), "utf-8")
    assert "NA" in set(ra.collect(processed.parent.parent)["persons"]["name"])


def test_a_recording_that_cannot_be_read_is_left_out_with_a_warning(processed: Path) -> None:
    damaged = processed.parent / "damaged"
    damaged.mkdir()
    (damaged / "recording.json").write_text("{", "utf-8")
    with pytest.warns(UserWarning, match="left out"):
        assert len(ra.collect(processed.parent.parent)["meetings"]) == 1


def test_sources_are_the_arrays_that_were_aligned(processed: Path) -> None:
    rec = ra.open(processed)
    mix, parts = rec.sources()
    assert mix is not None
    assert len(mix) == round(rec.duration_s * 16_000)
    assert [p.part_id for p in parts] == list(rec.parts["part"])
    again = ra.align(mix, parts[:1], ra.AlignOptions()).parts[0]
    assert again.start_s == pytest.approx(rec.parts["start_s"][0], abs=1e-6)
    kept = [np.array(p.samples[:1000]) for p in parts]
    for file in (processed / ".work").iterdir():
        file.unlink()
    for before, part in zip(kept, rec.sources()[1], strict=True):
        assert np.array_equal(before, part.samples[:1000])
    assert len(open_work(processed / ".work" / "mix.s16")) == len(mix)


def test_features_hold_na_where_a_reason_stands_and_never_nan(processed_once: Path) -> None:
    features = ra.open(processed_once).features
    assert features["reasons"].ne("").equals(features[list(VOICE_FIGURES)].isna().any(axis=1))
    for name in VOICE_FIGURES:
        assert features[name].dtype == pd.Float64Dtype()
        known = features[name].dropna().to_numpy(dtype=float)
        assert np.isfinite(known).all()


def test_a_merged_transcript_is_the_written_one(processed: Path, tmp_path: Path) -> None:
    rec = ra.open(processed)
    label = str(rec.talk.index[0])
    start_s, end_s = rec.segments.loc[rec.segments["speaker"] == label, ["start_s", "end_s"]].iloc[0]
    file = tmp_path / f"{label}.json"
    file.write_text(json.dumps({"segments": [{"start": start_s, "end": end_s, "text": " Hello. "}]}), "utf-8")
    table = rec.merge_transcripts([file])
    assert table.to_dict("records") == [
        {"start_s": start_s, "end_s": end_s, "speaker": label, "text": "Hello.", "in_speech": 1.0}
    ]
    written = json.loads((processed / "transcript" / "transcript.json").read_text("utf-8"))["utterances"]
    assert [u["text"] for u in written] == ["Hello."]


def test_an_export_is_the_commands_one(processed: Path, tmp_path: Path) -> None:
    rec = ra.open(processed)
    [path] = rec.export("rttm", tmp_path / "there")
    assert path.read_bytes() == (processed / "segments.rttm").read_bytes()
    assert path.is_relative_to(tmp_path / "there")


def test_the_documentation_of_collect_lists_the_tables_it_returns() -> None:
    described = (ra.collect.__doc__ or "").split("Name to table:")[1].split(". ")[0]
    listed = re.findall(r"[a-z]+", described.replace("over all of them", ""))
    assert [name for name in listed if name != "and"] == [t.name for t in ALL_TABLES]
