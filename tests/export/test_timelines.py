"""Clips hold all speech, are short, and are cut in silence wherever there is one."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.core.talk.measure import measure_talk
from recall_audio.export import ExportView, StemFile, export
from recall_audio.export.timelines import find_clips
from recall_audio.model.options import ClipOptions


def drawn(lengths: list[tuple[int, int]]) -> list[list[float]]:
    """Segments of (silence, speech) lengths in tenths of a second."""
    rows, at = [], 0
    for silence, speech in lengths:
        rows.append([(at + silence) / 10, (at + silence + speech) / 10])
        at += silence + speech
    return rows


SPEECH = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 700)), max_size=20).map(drawn)


@given(SPEECH)
def test_clips_hold_all_speech_within_30_s_apart_and_in_order(speech: list[list[float]]) -> None:
    duration_s = speech[-1][1] if speech else 5.0
    clips = find_clips(speech, duration_s)
    assert all(0.0 <= a < b <= duration_s + 1e-6 and b - a <= 30.0 + 1e-5 for a, b in clips)
    assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(clips))
    for start_s, end_s in speech:
        inside = sum(max(0.0, min(b, end_s) - max(a, start_s)) for a, b in clips)
        assert abs(inside - (end_s - start_s)) < 1e-4


@given(SPEECH)
def test_only_speech_longer_than_a_clip_is_cut_inside(speech: list[list[float]]) -> None:
    clips = find_clips(speech, 1e6)
    longest_s = 30.0 - 2 * ClipOptions().pad_s
    for edge in {at for clip in clips for at in clip}:
        cut = [row for row in speech if row[0] + 1e-5 < edge < row[1] - 1e-5]
        assert all(b - a > longest_s - 1e-9 for a, b in cut)


def test_short_silences_are_kept_within_a_clip_and_long_ones_are_not() -> None:
    clips = find_clips([[1.0, 2.0], [3.0, 4.0], [10.0, 11.0], [11.1, 12.0]], 20.0)
    assert clips == [(0.8, 4.2), (9.8, 12.2)]


def test_each_stem_has_its_list_of_starts_and_ends() -> None:
    segments = {"Ann": [[1.0, 2.0]], "Bob": []}
    stems = {label: StemFile(f"stems/{label}.wav", 16000, 160000) for label in segments}
    view = ExportView("r", 10.0, segments, {}, measure_talk(segments, 10.0), stems)
    files = export(view, "whisper")
    batched = [{"start": 0.8, "end": 2.2}]
    assert json.loads(files["whisper/Ann/clip_timestamps.json"]) == batched
    assert json.loads(files["whisper/Ann/BatchedInferencePipeline.clip_timestamps.json"]) == batched
    assert json.loads(files["whisper/Ann/WhisperModel.clip_timestamps.json"]) == [0.8, 2.2]
    assert not any("Bob" in name for name in files), "an empty list means the whole file to faster-whisper"


def test_clips_end_where_another_speaks_and_the_own_is_silent() -> None:
    own, others = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[6.1, 9.0], [2.4, 2.7]]
    assert find_clips(own, 20.0, others=others) == [(0.8, 2.2), (2.8, 6.1)]
    assert find_clips(own, 20.0, others=[[0.0, 20.0]]) == [(0.95, 2.05), (2.95, 4.05), (4.95, 6.05)]


OTHERS = st.lists(st.tuples(st.integers(0, 600), st.integers(1, 60)), max_size=8).map(
    lambda rows: [[a / 10, (a + b) / 10] for a, b in rows]
)


@given(SPEECH, OTHERS)
def test_others_speech_comes_into_no_clip_but_at_its_edges(
    speech: list[list[float]], others: list[list[float]]
) -> None:
    clips = find_clips(speech, 1e6, others=others)
    for start_s, end_s in clips:
        for a, b in others:
            inside = [max(a, start_s), min(b, end_s)]
            own_s = sum(max(0.0, min(inside[1], y) - max(inside[0], x)) for x, y in speech)
            assert inside[1] - inside[0] - own_s <= 2 * 0.05 + 1e-5, "more than the edges of own speech"
    for start_s, end_s in speech:
        kept_s = sum(max(0.0, min(b, end_s) - max(a, start_s)) for a, b in clips)
        assert abs(kept_s - (end_s - start_s)) < 1e-4


def test_the_recipe_that_comes_with_the_clips_runs_and_gives_no_stem_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments: dict[str, list[list[float]]] = {"Ann": [[1.0, 2.0]], "Bob": []}
    stems = {label: StemFile(f"stems/{label}.wav", 16000, 160000) for label in segments}
    for name, content in export(
        ExportView("r", 10.0, segments, {}, measure_talk(segments, 10.0), stems), "whisper"
    ).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    heard = []

    class Pipeline:
        """As faster-whisper: an empty list means the whole file."""

        def __init__(self, _model: object) -> None: ...

        def transcribe(self, audio: str, clip_timestamps: list[dict[str, float]], **_: object) -> Any:
            heard.append((audio, clip_timestamps or "everything"))
            return [SimpleNamespace(start=1.0, end=2.0, text="Hm.")], None

    module = SimpleNamespace(BatchedInferencePipeline=Pipeline, WhisperModel=lambda name: name)
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    monkeypatch.chdir(tmp_path)
    recipe = (tmp_path / "whisper" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    scope: dict[str, Any] = {}
    exec(recipe, scope)  # noqa: S102 - what a user copies
    assert heard == [("stems/Ann.wav", [{"start": 0.8, "end": 2.2}])]
    assert scope["transcripts"] == {"Ann": [[1.0, 2.0, "Hm."]]}
