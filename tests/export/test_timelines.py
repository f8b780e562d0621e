"""Clips hold all speech, are short, and are cut in silence wherever there is one."""

import json
from itertools import pairwise

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
    assert json.loads(files["whisper/Ann/clip_timestamps.json"]) == [{"start": 0.8, "end": 2.2}]
    assert json.loads(files["whisper/Bob/clip_timestamps.json"]) == []
