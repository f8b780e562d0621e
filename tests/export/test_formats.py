"""Every format says the same as its segments, as read by an independent reader."""

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recall_audio.core.talk.measure import measure_talk
from recall_audio.errors import UsageError
from recall_audio.export import FORMATS, ExportView, StemFile, export
from recall_audio.model.labels import make_labels
from recall_audio.model.meeting import Participant
from recall_audio.model.transcript import Word

SEGMENTS = {
    "Ann": [[0.0, 5.0], [5.6, 8.0], [12.0, 13.0]],
    "Ann-Marie": [[4.5, 7.0], [9.0, 10.3]],
    "Ann_2": [[6.0, 6.4], [13.5, 20.0001875]],
    "王_小明": [],
}
NAMES = {"Ann": "Ann", "Ann-Marie": "<script>&Marie", "Ann_2": "=HYPERLINK(1)", "王_小明": None}


def view_of(
    segments: dict[str, list[list[float]]] = SEGMENTS,
    duration_s: float = 21.0,
    names: dict[str, str | None] | None = None,
    **more: Any,
) -> ExportView:
    n_samples = round(duration_s * 16_000)
    stems = {label: StemFile(f"stems/{label}.wav", 16_000, n_samples) for label in segments}
    talk = measure_talk(segments, duration_s)
    return ExportView(
        "rec-1", duration_s, segments, names or NAMES, talk, stems, mix="source/mixed.mp3", **more
    )


def only(files: dict[str, bytes]) -> bytes:
    (content,) = files.values()
    return content


def saved(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """The only file, on the disk."""
    ((name, content),) = files.items()
    path = tmp_path / Path(name).name
    path.write_bytes(content)
    return path


def flat(segments: dict[str, list[list[float]]] = SEGMENTS) -> list[tuple[float, float, str]]:
    return sorted((a, b, label) for label, rows in segments.items() for a, b in rows)


def seconds(timestamp: str) -> float:
    hours, minutes, rest = timestamp.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def test_rttm_is_read_by_pyannote_as_the_same_segments(tmp_path: Path) -> None:
    from pyannote.database.util import load_rttm

    read = load_rttm(saved(tmp_path, export(view_of(), "rttm")))["rec-1"]
    found = sorted((s.start, s.end, label) for s, _, label in read.itertracks(yield_label=True))
    assert [label for *_, label in found] == [label for *_, label in flat()]
    for (a, b, _), (start_s, end_s, _) in zip(found, flat(), strict=True):
        assert (a, b) == pytest.approx((start_s, end_s), abs=5.1e-4)
    # The reader's own arithmetic agrees with ours.
    talk = view_of().talk
    assert read.get_overlap().duration() == pytest.approx(talk.overlap_s, abs=2e-3)
    assert read.label_duration("Ann") == pytest.approx(talk.speakers["Ann"].talk_s, abs=2e-3)


def test_uem_is_read_by_pyannote_as_the_whole_meeting(tmp_path: Path) -> None:
    from pyannote.database.util import load_uem

    timeline = load_uem(saved(tmp_path, export(view_of(), "uem")))["rec-1"]
    assert [(s.start, s.end) for s in timeline] == [(0.0, 21.0)]


def test_rttm_and_seglst_are_read_by_meeteval_as_the_same_segments(tmp_path: Path) -> None:
    meeteval = pytest.importorskip("meeteval", reason="built from source; extra [interop]")
    rttm = meeteval.io.RTTM.load(saved(tmp_path, export(view_of(), "rttm")))
    assert [(float(x.begin_time), x.speaker_id) for x in rttm] == [(a, label) for a, _, label in flat()]
    seglst = meeteval.io.SegLST.load(saved(tmp_path, export(view_of(), "seglst")))
    assert [(float(x["start_time"]), float(x["end_time"]), x["speaker"]) for x in seglst] == flat()


def test_seglst_has_the_six_fields_of_its_definition() -> None:
    rows = json.loads(only(export(view_of(root="/data/rec"), "seglst")))
    assert list(rows[0]) == ["session_id", "speaker", "start_time", "end_time", "words", "audio_path"]
    assert [(x["start_time"], x["end_time"], x["speaker"]) for x in rows] == flat()
    assert rows[0]["audio_path"] == "/data/rec/stems/Ann.wav"


def test_textgrid_is_read_by_praatio_as_contiguous_tiers_and_the_overlap(tmp_path: Path) -> None:
    from praatio import textgrid

    path = saved(tmp_path, export(view_of(), "textgrid"))
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
    assert grid.tierNames == (*SEGMENTS, "overlap")
    assert (grid.minTimestamp, grid.maxTimestamp) == (0.0, 21.0)
    for label, rows in SEGMENTS.items():
        entries = grid.getTier(label).entries
        assert entries[0].start == 0.0
        assert entries[-1].end == 21.0
        assert all(a.end == b.start for a, b in pairwise(entries))
        assert [[e.start, e.end] for e in entries if e.label] == rows
    spoken = [e for e in grid.getTier("overlap").entries if e.label]
    assert [(e.start, e.end, e.label) for e in spoken] == [
        (4.5, 5.0, "Ann+Ann-Marie"),
        (5.6, 6.0, "Ann+Ann-Marie"),
        (6.0, 6.4, "Ann+Ann-Marie+Ann_2"),
        (6.4, 7.0, "Ann+Ann-Marie"),
    ]
    assert sum(e.end - e.start for e in spoken) == pytest.approx(view_of().talk.overlap_s, abs=1e-9)


def test_audacity_labels_are_three_columns_with_microseconds() -> None:
    lines = only(export(view_of(), "audacity")).decode().splitlines()
    assert lines[0] == "0.000000\t5.000000\tAnn"
    read = [line.split("\t") for line in lines]
    for (a, b, label), (start_s, end_s, speaker) in zip(read, flat(), strict=True):
        assert (float(a), float(b)) == pytest.approx((start_s, end_s), abs=1e-6)
        assert label == speaker


def test_webvtt_is_read_by_webvtt_py_with_the_real_names(tmp_path: Path) -> None:
    import html

    import webvtt

    captions = webvtt.read(str(saved(tmp_path, export(view_of(), "webvtt"))))
    assert len(captions) == len(flat())
    for caption, (start_s, end_s, label) in zip(captions, flat(), strict=True):
        assert (seconds(caption.start), seconds(caption.end)) == pytest.approx((start_s, end_s), abs=5.1e-4)
        assert html.unescape(caption.voice) == (NAMES[label] or label)


def test_a_webvtt_name_opens_no_tag_and_no_line(tmp_path: Path) -> None:
    names: dict[str, str | None] = {"A": "x>\n\n00:00.000 --> 00:09.000\n<b>evil\x1b[31m\ud800"}
    text = only(export(view_of({"A": [[1.0, 2.0]]}, 3.0, names), "webvtt")).decode()
    assert text.count(" --> ") == 1
    assert "<v x&gt; 00:00.000 --&gt; 00:09.000 &lt;b&gt;evil[31m\ufffd>" in text


def test_nemo_names_the_mix_and_an_rttm_that_is_written_with_it() -> None:
    files = export(view_of(root="/data/rec"), "nemo")
    row = json.loads(files["nemo/manifest.jsonl"])
    assert row["audio_filepath"] == "/data/rec/source/mixed.mp3"
    assert row["rttm_filepath"] == "/data/rec/nemo/segments.rttm"
    assert (row["offset"], row["duration"], row["label"], row["text"]) == (0, 21.0, "infer", "-")
    assert files["nemo/segments.rttm"] == only(export(view_of(), "rttm"))
    elsewhere = export(view_of(root="/data/rec", out="/else"), "nemo")
    assert json.loads(elsewhere["nemo/manifest.jsonl"])["rttm_filepath"] == "/else/nemo/segments.rttm"


def test_a_kaldi_directory_keeps_the_rules_of_kaldis_validation() -> None:
    files = {name: content.splitlines() for name, content in export(view_of(), "kaldi").items()}
    assert {n.removeprefix("kaldi/") for n in files} == {
        "wav.scp",
        "segments",
        "utt2spk",
        "spk2utt",
        "reco2dur",
        "text",
    }
    for lines in files.values():
        assert lines == sorted(lines)
        assert [x.split(b" ")[0] for x in lines] == sorted({x.split(b" ")[0] for x in lines})
    utt2spk = [tuple(x.split(b" ")) for x in files["kaldi/utt2spk"]]
    assert all(u.startswith(s) for u, s in utt2spk)
    # Sorted by utterance, the speakers are sorted too; `Ann`, `Ann-Marie` and `Ann_2` are the trap.
    assert [s for _, s in utt2spk] == sorted(s for _, s in utt2spk)
    assert [x.split(b" ")[0] for x in files["kaldi/text"]] == [
        x.split(b" ")[0] for x in files["kaldi/utt2spk"]
    ]
    back = {u: x.split(b" ")[0] for x in files["kaldi/spk2utt"] for u in x.split(b" ")[1:]}
    assert back == dict(utt2spk)
    recordings = {x.split(b" ", 1)[0] for x in files["kaldi/wav.scp"]}
    assert {x.split(b" ")[1] for x in files["kaldi/segments"]} <= recordings
    assert {x.split(b" ")[0] for x in files["kaldi/reco2dur"]} == recordings
    found = sorted((float(x.split()[2]), float(x.split()[3])) for x in files["kaldi/segments"])
    assert found == [pytest.approx((a, b), abs=1e-6) for a, b, _ in flat()]


def test_a_kaldi_directory_holds_the_words_of_each_utterance_and_no_line_too_few() -> None:
    words = {"Ann": [Word("Well,", 5.7, 6.0), Word("yes.", 7.7, 7.9), Word("late", 30.0, 31.0)]}
    lines = export(view_of(words=words), "kaldi")["kaldi/text"].decode().splitlines()
    # Lhotse takes the first word of a line for the utterance and the rest for its text, which may be empty.
    said = {line.split(" ", 1)[0]: line.partition(" ")[2] for line in lines}
    assert said["Ann+rec-1+000005600+000008000"] == "Well, yes."
    assert sorted(said.values()) == ["", "", "", "", "", "", "Well, yes."]


def test_kaldi_reads_other_formats_through_a_pipe_with_the_path_quoted() -> None:
    view = ExportView(
        "r", 1.0, {"A": []}, {}, measure_talk({}, 1.0), {"A": StemFile("a b.flac", 16000, 16000)}
    )
    assert b"-i 'a b.flac' -f wav - |" in export(view, "kaldi")["kaldi/wav.scp"]


def test_lhotse_manifests_are_one_recording_with_a_channel_a_stem() -> None:
    files = export(view_of(root="/data/rec"), "lhotse")
    recording = json.loads(gzip.decompress(files["lhotse/recordings.jsonl.gz"]))
    assert recording["num_samples"] == round(recording["duration"] * recording["sampling_rate"])
    assert [s["channels"] for s in recording["sources"]] == [[0], [1], [2], [3]]
    lines = gzip.decompress(files["lhotse/supervisions.jsonl.gz"]).decode().splitlines()
    supervisions = [json.loads(line) for line in lines]
    assert len({s["id"] for s in supervisions}) == len(supervisions)
    for s, (start_s, end_s, label) in zip(supervisions, flat(), strict=True):
        assert (s["start"], s["speaker"]) == (start_s, label)
        assert s["start"] + s["duration"] == pytest.approx(end_s, abs=1e-9)
        assert recording["sources"][s["channel"]]["source"] == f"/data/rec/stems/{label}.wav"


def test_lhotse_manifests_are_read_by_lhotse(tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse", reason="needs torch")
    paths = []
    for name, content in export(view_of(), "lhotse").items():
        paths.append(tmp_path / Path(name).name)
        paths[-1].write_bytes(content)
    recordings, supervisions = (lhotse.load_manifest(path) for path in paths)
    lhotse.validate(recordings)
    assert recordings["rec-1"].num_channels == 4
    assert sorted((s.start, round(s.end, 7), s.speaker) for s in supervisions) == flat()


def test_hugging_faces_metadata_lies_beside_the_audio_it_names() -> None:
    files = export(view_of(), "hf")
    assert set(files) == {"stems/metadata.jsonl", "README.md"}
    rows = [json.loads(line) for line in files["stems/metadata.jsonl"].decode().splitlines()]
    assert [r["file_name"] for r in rows] == [f"{label}.wav" for label in SEGMENTS]
    spans = {
        r["speaker"]: [list(t) for t in zip(r["timestamps_start"], r["timestamps_end"], strict=True)]
        for r in rows
    }
    assert spans == SEGMENTS
    assert {(r["duration"], r["sampling_rate"]) for r in rows} == {(21.0, 16_000)}
    assert [r["talk_s"] for r in rows] == [s.talk_s for s in view_of().talk.speakers.values()]


def test_a_format_that_is_none_is_refused_with_the_choice() -> None:
    with pytest.raises(UsageError, match="rttm, uem"):
        export(view_of(), "docx")


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("segments", [{}, {"A": []}])
def test_an_empty_meeting_is_written_like_any_other(to: str, segments: dict[str, list[list[float]]]) -> None:
    for content in export(view_of(segments, 10.0, {}), to).values():
        assert isinstance(content, bytes)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_any_name_leaves_every_format_readable_as_utf8_and_below_the_folder(names: list[str]) -> None:
    labels = make_labels([Participant(i, name) for i, name in enumerate(names)])
    segments = {label: [[float(i), i + 1.5]] for i, label in labels.items()}
    view = view_of(segments, 10.0, {labels[i]: name for i, name in enumerate(names)})
    for to in FORMATS:
        for name, content in export(view, to).items():
            assert not name.startswith("/")
            assert ".." not in name.split("/")
            if not name.endswith((".gz", ".parquet")):
                content.decode("utf-8")
    rows = [line.split(" ") for line in only(export(view, "rttm")).decode().splitlines()]
    assert [len(row) for row in rows] == [10] * len(names)
    assert {row[7] for row in rows} == set(segments)


def test_the_readme_lists_the_formats_of_the_registry_in_its_order() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    rows = [
        line for line in readme.splitlines() if line.startswith("|") and "export" in line and "--to" in line
    ]
    assert len(rows) == 1
    assert ", ".join(FORMATS) in rows[0].replace("`", "")


def test_a_format_that_needs_the_audio_names_it_and_those_that_name_it_contain_its_paths() -> None:
    for name, form in FORMATS.items():
        assert form.names_audio or not form.needs_audio
        contents = [
            gzip.decompress(c) if n.endswith(".gz") else c for n, c in export(view_of(), name).items()
        ]
        assert form.names_audio == any(b"Ann.wav" in c or b"mixed.mp3" in c for c in contents), name
