"""What a recording gives in a notebook agrees with its files and with the commands."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recall_audio as ra
from recall_audio.media.pcm_file import open_work
from recall_audio.model.turns import VOICE_FIGURES


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


def test_the_transcript_of_recall_is_merged_by_participant(
    processed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rec = ra.open(processed)
    people = json.loads((processed / "speakers.json").read_text("utf-8"))["speakers"]
    (first, one), (second, two) = list(people.items())[:2]

    def word(text: str, start_s: float, end_s: float | None) -> dict[str, object]:
        end = None if end_s is None else {"relative": end_s, "absolute": "2026-01-12T09:00:00Z"}
        return {"text": text, "start_timestamp": {"relative": start_s}, "end_timestamp": end}

    rows = [
        {
            "participant": {"id": two["participant_ids"][0]},
            "words": [word("Yes,", 2.0, None), word("all.", 2.5, 3.0)],
        },
        {"participant": {"id": one["participant_ids"][0]}, "words": [word("Ready?", 1.0, 1.5), {"text": 5}]},
        {"participant": {"id": None}, "words": [word("Lost", 1.0, 1.5)]},
        {"participant": {"id": one["participant_ids"][0]}, "words": []},
        "no row",
    ]
    file = processed / "source" / "transcript.json"
    file.write_text(json.dumps(rows), "utf-8")
    table = rec.merge_transcripts([file])
    assert table[["start_s", "end_s", "speaker", "text"]].to_numpy().tolist() == [
        [1.0, 1.5, first, "Ready?"], [2.0, 3.0, second, "Yes, all."],
    ]  # fmt: skip
    assert "left out" in caplog.text
    words = json.loads((processed / "transcript" / "transcript.json").read_text("utf-8"))["utterances"][1][
        "words"
    ]
    assert [(w["start_s"], w["end_s"]) for w in words] == [(2.0, 2.5), (2.5, 3.0)]


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
