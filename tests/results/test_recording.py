"""What a recording gives in a notebook agrees with its files and with the commands."""

import doctest
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recall_audio as ra
from recall_audio.errors import ItemError, UsageError
from recall_audio.media.pcm_file import open_work
from recall_audio.model.turns import VOICE_FIGURES
from recall_audio.results.transcripts import merge_files


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


def test_the_transcript_of_recall_goes_by_our_segments_under_the_name_of_the_mix(processed: Path) -> None:
    """Its labels are those of the participant who spoke before, as a late report of the platform has it."""
    people = json.loads((processed / "speakers.json").read_text("utf-8"))["speakers"]
    spoken = json.loads((processed / "segments.json").read_text("utf-8"))["speakers"]
    alone = [("Zoë_Lindqvist", 1.0), ("Marcus_Webb", 7.0)]
    for label, at_s in alone:
        assert [a < at_s and at_s + 0.3 < b for a, b in spoken[label]].count(True) == 1
    rows = []
    for (label, at_s), (wrong, _) in zip(alone, reversed(alone), strict=True):
        word = {
            "text": label,
            "start_timestamp": {"relative": at_s},
            "end_timestamp": {"relative": at_s + 0.3},
        }
        rows.append({"participant": {"id": people[wrong]["participant_ids"][0]}, "words": [word]})
    file = processed / "mixed.json"
    file.write_text(json.dumps(rows), "utf-8")
    [path] = merge_files(processed, [file], ["json"], processed / "t")
    segments = json.loads(path.read_text("utf-8"))["segments"]
    assert {s["text"].strip(): s["speaker"] for s in segments} == {label: label for label, _ in alone}


def test_the_transcript_of_recall_is_merged_by_participant(
    processed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rec = ra.open(processed)
    people = json.loads((processed / "speakers.json").read_text("utf-8"))["speakers"]
    (first, one), (second, two) = list(people.items())[:2]

    spoken = json.loads((processed / "segments.json").read_text("utf-8"))["speakers"]
    at_s, then_s = spoken[first][0][0], spoken[second][0][0]

    def word(text: str, start_s: float, end_s: float | None) -> dict[str, object]:
        end = None if end_s is None else {"relative": end_s, "absolute": "2026-01-12T09:00:00Z"}
        return {"text": text, "start_timestamp": {"relative": start_s}, "end_timestamp": end}

    rows = [
        {
            "participant": {"id": two["participant_ids"][0]},
            "words": [word("Yes,", then_s, None), word("all.", then_s + 0.25, then_s + 0.5)],
        },
        {"participant": {"id": one["participant_ids"][0]}, "words": [word("Ready?", at_s, at_s + 0.5), {}]},
        {"participant": {"id": None}, "words": [word("Lost", 1.0, 1.5)]},
        {"participant": {"id": one["participant_ids"][0]}, "words": []},
        "no row",
    ]
    file = processed / "source" / "transcript.json"
    file.write_text(json.dumps(rows), "utf-8")
    table = rec.merge_transcripts([file])
    expected = [[at_s, at_s + 0.5, first, "Ready?"], [then_s, then_s + 0.5, second, "Yes, all."]]
    assert table[["start_s", "end_s", "speaker", "text"]].to_numpy().tolist() == sorted(expected)
    findings = json.loads((processed / "transcript.json").read_text("utf-8"))["findings"]
    assert any("left out" in f["message"] for f in findings)
    segments = json.loads((processed / "transcript.json").read_text("utf-8"))["segments"]
    (words,) = (s["words"] for s in segments if s["speaker"] == second)
    edges = [then_s, then_s + 0.25, then_s + 0.5]
    assert [(w["start_s"], w["end_s"]) for w in words] == list(pairwise(edges))


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
    written = json.loads((processed / "transcript.json").read_text("utf-8"))["segments"]
    assert [u["text"] for u in written] == ["Hello."]


def test_an_export_is_the_commands_one(processed: Path, tmp_path: Path) -> None:
    rec = ra.open(processed)
    [path] = rec.export("rttm", tmp_path / "there")
    assert path.read_bytes() == (processed / "segments.rttm").read_bytes()
    assert path.is_relative_to(tmp_path / "there")


def test_minutes_of_talk_add_up_and_the_last_one_is_as_long_as_it_is(processed_once: Path) -> None:
    rec = ra.open(processed_once)
    minutes = rec.windows("60s")
    assert list(minutes["length_s"].unique()) == [60.0, rec.duration_s - 60.0]
    assert (
        minutes.groupby("speaker")["talk_s"].sum()[rec.talk.index] - rec.talk["talk_s"]
    ).abs().max() < 1e-9
    assert minutes.groupby("start_s")["share_of_talk"].sum().to_numpy() == pytest.approx([1.0, 1.0])
    assert minutes.equals(rec.windows(60))
    assert minutes.equals(rec.windows("1 min"))
    by_hand = [min(b, 60.0) - a for a, b in rec.segments.loc[
        rec.segments["speaker"] == "Marcus_Webb", ["start_s", "end_s"]].to_numpy() if a < 60.0]  # fmt: skip
    marcus = minutes.query("speaker == 'Marcus_Webb' and start_s == 0")
    assert marcus["talk_s"].item() == pytest.approx(sum(by_hand))
    for wrong in ("fast", "0s", -1, "nan"):
        with pytest.raises(UsageError):
            rec.windows(wrong)


def test_an_own_annotation_is_scored_as_on_the_command_line(processed_once: Path, tmp_path: Path) -> None:
    rec = ra.open(processed_once)
    same = rec.score(processed_once / "segments.rttm")
    assert same["der"].tolist() == [0.0, 0.0]
    lines = (processed_once / "segments.rttm").read_text("utf-8").splitlines()
    lost_s = float(lines[0].split()[4])
    (tmp_path / "own.rttm").write_text("\n".join(lines[1:]), "utf-8")
    found = rec.score(tmp_path / "own.rttm", collars_ms=[0])
    assert found["false_alarm_s"].item() == pytest.approx(lost_s, abs=1e-3)


def test_a_speaker_is_found_by_label_and_by_name(processed: Path) -> None:
    rec = ra.open(processed)
    assert rec.stem("Zoë Lindqvist").path == rec.stem("Zoë_Lindqvist").path
    assert rec.stem("  zoë  LINDQVIST ").label == "Zoë_Lindqvist"
    with pytest.raises(ItemError, match="Jonas_Berg"):
        rec.stem("Jonas")
    people = json.loads((processed / "speakers.json").read_text("utf-8"))
    people["speakers"]["Jonas_Berg"]["name"] = "Priya Raman"
    (processed / "speakers.json").write_text(json.dumps(people), "utf-8")
    with pytest.raises(ItemError, match="2 participants"):
        ra.open(processed).stem("Priya Raman")


def test_stems_are_written_for_speakers_who_are_named(processed: Path) -> None:
    named = ra.Options(stems=ra.StemOptions(speakers=("Priya Raman",)))
    ra.process(processed, named)
    assert [p.name for p in (processed / "stems").iterdir()] == ["Priya_Raman.wav"]
    by_label = ra.Options(stems=ra.StemOptions(speakers=("Priya_Raman",)))
    assert ra.process(processed, by_label).reused


FRAMES = ("segments", "talk", "turns", "pairs", "parts", "transcript")


def test_frames_have_one_type_a_column_whatever_a_recording_holds(processed: Path) -> None:
    def types() -> dict[str, dict[str, str]]:
        rec = ra.open(processed)
        frames = {name: getattr(rec, name) for name in FRAMES} | {"windows": rec.windows("30s")}
        return {name: frame.dtypes.astype(str).to_dict() for name, frame in frames.items()}

    segments, transcript = processed / "segments.json", processed / "transcript.json"
    said = {"start_s": 1.0, "end_s": 2.0, "speaker": "Marcus_Webb", "text": "Yes.", "in_speech": 1.0}
    transcript.write_text(json.dumps({"schema": "recall-audio/transcript/1", "segments": [said]}), "utf-8")
    full = types()
    empty = json.loads(segments.read_text("utf-8"))
    empty["speakers"] = {label: [] for label in empty["speakers"]}
    segments.write_text(json.dumps(empty), "utf-8")
    transcript.write_text(json.dumps({"schema": "recall-audio/transcript/1", "segments": []}), "utf-8")
    assert types() == full
    assert {kind for columns in full.values() for kind in columns.values()} <= {
        "string", "float64", "Int64", "boolean",
    }  # fmt: skip


def test_every_example_of_the_notebook_runs(processed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(processed)
    (processed / "annotated.rttm").write_bytes((processed / "segments.rttm").read_bytes())
    transcript = {"schema": "recall-audio/transcript/1", "segments": []}
    (processed / "transcript.json").write_text(json.dumps(transcript), "utf-8")
    rec = ra.open(processed)
    monkeypatch.setattr("recall_audio.results.recording.folders_at", lambda _: [processed])
    monkeypatch.setattr("recall_audio.results.collect.folders_at", lambda _: [processed])
    stem = rec.stem
    monkeypatch.setattr(rec, "stem", lambda _: stem("Marcus Webb"), raising=False)
    found = doctest.DocTestFinder(recurse=True).find(ra.Recording, "Recording")
    found += [t for f in (ra.open_many, ra.collect) for t in doctest.DocTestFinder().find(f, f.__name__)]
    examples = {test.name: [example.source for example in test.examples] for test in found if test.examples}
    named = {name.rpartition(".")[2] for name in examples}
    assert named >= {"turns", "pairs", "windows", "transcript", "score", "stem", "open_many", "collect"}
    for name, sources in examples.items():
        names = {"rec": rec, "ra": ra, "pd": pd}
        for source in sources:
            exec(compile(source, name, "exec"), names)  # noqa: S102 - the documentation's own example
