"""Words go to the person who spoke them, in order of time, whichever transcriber wrote them."""

import json
from typing import Any

import pytest

from recall_audio.core.spans import Rows
from recall_audio.errors import ItemError, UsageError
from recall_audio.export.transcripts import TRANSCRIPT_FORMATS, Written, write_transcript
from recall_audio.model.options import TranscriptOptions
from recall_audio.model.transcript import Transcript, TranscriptSegment, Word, count_speech, count_words
from recall_audio.transcripts import read_values
from recall_audio.transcripts.attribution import Owned, in_order, own_segments, share_out

WHISPER = {"text": " Shall we? Fine.", "language": "en", "segments": [
    {"id": 0, "start": 1.0, "end": 2.5, "text": " Shall we?", "words": [
        {"word": " Shall", "start": 1.0, "end": 1.5, "probability": 0.9},
        {"word": " we?", "start": 1.5, "end": 2.5, "probability": 0.8}]},
    {"id": 1, "start": 6.0, "end": 7.0, "text": " Fine."}]}  # fmt: skip
FASTER = [{"id": 1, "start": 2.2, "end": 4.0, "text": " Yes & <no>", "words": None}]
WHISPERX = {
    "segments": [{"start": 3, "end": 3.5, "text": "5", "words": [{"word": "5"}]}],
    "word_segments": [],
}
FILES: dict[str, Any] = {"Ann": WHISPER, "Bob": FASTER, "Cy": WHISPERX}
NAMES = {"Ann": "Ann Lee", "Bob": "B>b\n1", "Cy": None}
KEEP = TranscriptOptions(keep_outside=True)


def owned(value: Any, label: str, speech: dict[str, Rows] | None = None, **options: Any) -> Owned:
    read = read_values([value], f"{label}'s file")
    return own_segments(read.segments, label, speech, TranscriptOptions(**options))


def merge_transcripts(
    files: dict[str, Any], speech: dict[str, Rows] | None = None, **options: Any
) -> tuple[TranscriptSegment, ...]:
    return in_order(s for k, v in files.items() for s in owned(v, k, speech, **options).segments)


def written(segments: Any, names: Any, to: str) -> bytes:
    return write_transcript(Written(Transcript(tuple(segments)), names), to)


def test_three_transcribers_files_are_one_chronological_transcript() -> None:
    merged = merge_transcripts(FILES)
    assert [(u.start_s, u.speaker, u.text) for u in merged] == [
        (1.0, "Ann", "Shall we?"),
        (2.2, "Bob", "Yes & <no>"),
        (3.0, "Cy", "5"),
        (6.0, "Ann", "Fine."),
    ]
    assert merged[0].words == (Word("Shall", 1.0, 1.5, 0.9), Word("we?", 1.5, 2.5, 0.8))
    assert merged[2].words == (Word("5", None, None, None),)


def test_whisperx_scores_are_confidences() -> None:
    word = {"word": "a", "start": 0.0, "end": 1.0, "score": 0.5}
    (u,) = merge_transcripts({"A": {"segments": [{"start": 0, "end": 1, "text": "a", "words": [word]}]}})
    assert u.words[0].confidence == 0.5


def timed(*words: tuple[str, float, float]) -> list[dict[str, Any]]:
    return [{"word": w, "start": a, "end": b, "probability": 0.9} for w, a, b in words]


def test_a_segment_whose_words_are_far_apart_lets_others_come_in_between() -> None:
    words = timed((" Shall", 1.0, 1.4), (" we?", 1.4, 2.0), (" Fine.", 9.0, 9.5))
    ann = {"segments": [{"start": 0.9, "end": 9.6, "text": " Shall we? Fine.", "words": words}]}
    merged = merge_transcripts({"Ann": ann, "Bob": [{"start": 3.0, "end": 8.0, "text": "Yes."}]})
    assert [(u.start_s, u.end_s, u.speaker, u.text) for u in merged] == [
        (0.9, 2.0, "Ann", "Shall we?"),
        (3.0, 8.0, "Bob", "Yes."),
        (9.0, 9.5, "Ann", "Fine."),
    ]
    assert [len(u.words) for u in merged] == [2, 0, 1]


@pytest.mark.parametrize(
    ("text", "spoken", "pieces"),
    [
        (" Shall we? Fine.", (" Shall", " we?", " Fine."), ["Shall we?", "Fine."]),  # whisper
        ("Shall we? Fine.", ("Shall", "we?", "Fine."), ["Shall we?", "Fine."]),  # WhisperX
        ("開始吧好", ("開始", "吧", "好"), ["開始吧", "好"]),
        ("Shall we? Fine.", ("Shall", "Fine."), ["Shall we? Fine."]),  # a word is not there: left whole
        ("Shall we? Fine.", ("we?", "Shall", "Fine."), ["Shall we? Fine."]),
    ],
)
def test_what_was_said_is_split_and_not_changed(
    text: str, spoken: tuple[str, ...], pieces: list[str]
) -> None:
    words = timed(
        *((w, t, t + 0.4) for w, t in zip(spoken[:-1], (1.0, 1.4), strict=False)), (spoken[-1], 9, 10)
    )
    found = merge_transcripts({"A": [{"start": 1.0, "end": 10.0, "text": text, "words": words}]})
    assert [u.text for u in found] == pieces


def test_words_as_arrays_without_times_or_with_what_is_no_number_are_kept_as_far_as_they_go() -> None:
    words: list[Any] = [
        [1.0, 1.2, " One", 0.9],
        {"word": " two", "start": float("nan"), "end": None},
        {"word": None, "start": 1.5, "end": "x", "probability": float("inf")},
        "nothing",
    ]
    (u,) = merge_transcripts(
        {"A": [{"text": " One two", "words": words, "start": None, "end": float("nan")}]}
    )
    assert (u.start_s, u.end_s, u.text) == (1.0, 1.2, "One two")
    assert u.words == (Word("One", 1.0, 1.2, 0.9), Word("two", None, None, None), Word("", 1.5, None, None))
    assert json.loads(written([u], {}, "json"))["segments"][0]["words"][1]["start_s"] is None


def test_a_time_before_the_meeting_is_its_start() -> None:
    (u,) = merge_transcripts({"A": [{"start": -0.02, "end": 1.0, "text": "x"}]})
    assert written([u], {}, "srt").startswith(b"1\n00:00:00,000 --> 00:00:01,000\n")


def test_others_words_in_a_stem_lie_outside_the_speakers_own_speech() -> None:
    leaked = [{"start": 5.0, "end": 6.0, "text": "Yes."}, {"start": 1.0, "end": 2.0, "text": "So?"}]
    merged = merge_transcripts({"Ann": leaked}, {"Ann": [[0.9, 2.1]], "Bob": [[4.9, 6.1]]}, keep_outside=True)
    assert [(u.text, u.in_speech) for u in merged] == [("So?", 1.0), ("Yes.", 0.0)]


def test_words_made_up_in_silence_are_told_by_their_share_of_speech() -> None:
    merged = merge_transcripts(FILES, {"Ann": [[1.0, 2.5]], "Bob": [[3.1, 9.0]]}, keep_outside=True)
    assert [u.in_speech for u in merged] == [1.0, 0.5, 0.0, 0.0]


def test_blank_segments_say_nothing() -> None:
    assert merge_transcripts({"A": [{"start": 0, "end": 1, "text": " \n"}], "B": {"segments": []}}) == ()


@pytest.mark.parametrize(
    "value",
    [
        {},
        "text",
        [1],
        [{"start": 1, "text": "x"}],
        [{"start": 2, "end": 1, "text": "x"}],
        [{"start": float("nan"), "end": 1, "text": "x"}],
        [{"start": 0, "end": 1}],
    ],
)
def test_a_file_that_is_no_transcript_is_refused_with_the_speakers_name(value: Any) -> None:
    with pytest.raises(ItemError, match="Ann"):
        merge_transcripts({"Ann": value})


def test_webvtt_is_read_by_webvtt_py_with_names_and_words() -> None:
    import io

    import webvtt

    text = written(merge_transcripts(FILES), NAMES, "webvtt").decode()
    captions = list(webvtt.from_buffer(io.StringIO(text)))
    assert [(c.start, c.end) for c in captions][1] == ("00:00:02.200", "00:00:04.000")
    assert "<v B&gt;b 1>Yes &amp; &lt;no&gt;</v>" in text
    assert captions[0].text == "Shall we?"


def test_srt_numbers_its_cues_and_leads_them_with_the_name() -> None:
    first, second, *_ = written(merge_transcripts(FILES), NAMES, "srt").decode().split("\n\n")
    assert first == "1\n00:00:01,000 --> 00:00:02,500\nAnn Lee: Shall we?"
    assert second == "2\n00:00:02,200 --> 00:00:04,000\nB>b 1: Yes & <no>"


def test_text_is_a_line_an_utterance() -> None:
    lines = written(merge_transcripts(FILES), NAMES, "text").decode().splitlines()
    assert lines[2:] == ["[00:00:03] Cy: 5", "[00:00:06] Ann Lee: Fine."]


def test_json_holds_all_of_it() -> None:
    body = json.loads(written(merge_transcripts(FILES), NAMES, "json"))
    assert body["schema"] == "recall-audio/transcript/1"
    assert [u["name"] for u in body["segments"]] == ["Ann Lee", "B>b\n1", None, "Ann Lee"]
    assert body["segments"][0]["words"][1]["text"] == "we?"


@pytest.mark.parametrize("to", TRANSCRIPT_FORMATS)
def test_half_a_surrogate_pair_is_written_all_the_same(to: str) -> None:
    (u,) = merge_transcripts({"A": [{"start": 0, "end": 1, "text": "x\ud800"}]})
    written([u], {"A": "\udfff"}, to).decode("utf-8")


def test_a_transcript_format_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="srt"):
        written([], {}, "docx")


SPEECH: dict[str, Rows] = {"Ann": [[1.0, 2.0], [5.0, 6.0]], "Bob": [[2.1, 4.0], [5.5, 7.0]], "Cy": []}


def word(text: str, start_s: float, end_s: float) -> dict[str, Any]:
    return {"word": f" {text}", "start": start_s, "end": end_s, "probability": 0.5}


def segment(*words: dict[str, Any]) -> dict[str, Any]:
    text = "".join(w["word"] for w in words)
    return {"start": words[0]["start"], "end": words[-1]["end"], "text": text, "words": list(words)}


def test_words_outside_own_speech_are_dropped_one_by_one_and_counted() -> None:
    said = segment(
        word("So", 1.1, 1.4), word("then", 1.4, 1.9), word("yes", 2.3, 2.6), word("Fine", 5.1, 5.4)
    )
    found = owned([said], "Ann", SPEECH)
    assert [(s.text, s.start_s, s.end_s, s.in_speech) for s in found.segments] == [
        ("So then", 1.1, 1.9, 1.0),
        ("Fine", 5.1, 5.4, 1.0),
    ]
    assert found.n_dropped == 1
    assert owned([said], "Cy", SPEECH) == Owned((), 4), "one who never speaks says nothing"
    kept = owned([said], "Ann", SPEECH, keep_outside=True)
    assert (" ".join(s.text for s in kept.segments), kept.n_dropped) == ("So then yes Fine", 0)
    assert owned([said], "Ann").n_dropped == 0, "where speech is not known nothing is dropped"


@pytest.mark.parametrize(
    ("start_s", "end_s", "options", "is_kept"),
    [
        (1.9, 2.05, {}, True),  # mostly inside
        (0.82, 0.95, {}, True),  # before it, within the edge, and no one else speaks
        (0.1, 1.2, {}, True),  # its start stretched over the pause before
        (0.5, 0.75, {}, False),
        (2.15, 2.3, {}, False),  # within the edge, but another speaks
        (2.15, 2.3, {"word_share": 0.0}, True),
        (0.5, 0.75, {"edge_s": 0.5}, True),
    ],
)
def test_a_word_counts_as_inside_by_its_share(
    start_s: float, end_s: float, options: dict[str, float], is_kept: bool
) -> None:
    found = owned([segment(word("x", start_s, end_s))], "Ann", SPEECH, **options)
    assert (len(found.segments), found.n_dropped) == ((1, 0) if is_kept else (0, 1))


@pytest.mark.parametrize(
    ("end_s", "options", "n"), [(1.2, {}, 1), (0.7, {}, 0), (1.2, {"segment_share": 0.9}, 0)]
)
def test_a_segment_without_words_times_counts_as_a_whole(
    end_s: float, options: dict[str, float], n: int
) -> None:
    found = owned([{"start": 0.0, "end": end_s, "text": "One two."}], "Ann", SPEECH, **options)
    assert (len(found.segments), found.n_dropped) == (n, 0 if n else 2)


def test_words_of_the_mix_go_to_the_one_in_whose_speech_they_lie() -> None:
    said = segment(
        word("Shall", 1.1, 1.5), word("we?", 1.5, 2.05), word("Yes", 2.2, 2.6), word("um", 4.9, 5.2),
        word("both", 5.6, 5.9), word("go", 6.2, 6.4), word("noise", 9.0, 9.5),
    )  # fmt: skip
    shared = share_out(read_values([[said]], "mixed.json").segments, SPEECH)
    assert [(s.speaker, s.text) for s in shared.segments] == [
        ("Ann", "Shall we?"),
        ("Bob", "Yes"),
        ("Ann", "um both"),  # at once with Bob: it goes on with the speaker before
        ("Bob", "go"),
    ]
    assert shared.n_unassigned == 1
    kept = share_out(read_values([[said]], "x").segments, SPEECH, KEEP)
    assert [(s.speaker, s.text) for s in kept.segments][-1] == (None, "noise")
    vtt = written(kept.segments, NAMES, "webvtt").decode()
    assert "<v Unknown>noise</v>" in vtt


def test_words_of_the_mix_without_times_are_placed_by_their_length() -> None:
    said = [{"start": 1.0, "end": 4.0, "text": "aaaa bbbb cccc"}]
    shared = share_out(read_values([said], "mixed.json").segments, SPEECH)
    assert [(s.speaker, s.text) for s in shared.segments] == [("Ann", "aaaa"), ("Bob", "bbbb cccc")]


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("Don't go, now!", 3),
        ("3.5 and 1,000", 3),
        ("我们走吧", 4),
        ("はい", 2),
        ("well-known", 1),
        ("…", 0),
        ("É à", 2),
    ],
)
def test_words_are_counted_in_scripts_with_and_without_blanks(text: str, n: int) -> None:
    assert count_words(text) == n


def test_questions_are_counted_where_there_is_punctuation() -> None:
    said = [TranscriptSegment(0, 1, "A", "Is it so? Really?! Yes."), TranscriptSegment(1, 2, "B", "好吗？")]
    found = count_speech(said, ("A", "B", "C"))
    assert {k: (c.n_words, c.n_questions) for k, c in found.items()} == {
        "A": (5, 2),
        "B": (2, 1),
        "C": (0, 0),
    }
    assert count_speech([TranscriptSegment(0, 1, "A", "is it so")])["A"].n_questions is None


def test_whisperx_and_seglst_are_read_back_by_their_readers() -> None:
    merged = merge_transcripts(FILES)
    whisperx = json.loads(written(merged, NAMES, "whisperx"))
    again = read_values([whisperx], "x").segments
    assert [(s.start_s, s.end_s, s.text) for s in again] == [(s.start_s, s.end_s, s.text) for s in merged]
    assert whisperx["segments"][0]["words"][0] == {
        "word": "Shall", "start": 1.0, "end": 1.5, "score": 0.9, "speaker": "Ann",
    }  # fmt: skip
    assert whisperx["word_segments"][0]["speaker"] == "Ann"
    rows = json.loads(written(merged, NAMES, "seglst"))
    assert rows[0] == {
        "session_id": "recording", "speaker": "Ann", "start_time": 1.0, "end_time": 2.5, "words": "Shall we?",
    }  # fmt: skip


def test_a_transcript_is_the_same_after_it_was_written_and_read() -> None:
    transcript = Transcript(
        merge_transcripts(FILES), {"name": "x"}, "mix", {"Ann": 2}, 1, {"a": 1}, (), ("Ann", "Bob", "Cy")
    )
    again = Transcript.from_json(json.loads(json.dumps(transcript.to_json(NAMES))))
    assert again.segments == transcript.segments
    assert again.to_json(NAMES) == transcript.to_json(NAMES)
