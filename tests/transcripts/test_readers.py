# ruff: noqa: E501 - samples read better as their vendors print them
"""A transcript is read by what is in its file; every sample says the same three words at the same times.

Each sample follows the format as its vendor publishes it, in the vendor's own units: seconds as numbers or
texts, milliseconds, ticks of 100 ns, durations, time stamps of subtitles.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from recall_audio.errors import ItemError
from recall_audio.transcripts import READERS, read_transcript, read_values
from recall_audio.transcripts.readers import ReadSegment

WORDS = (("Shall", 1.2, 1.5), ("we", 1.5, 1.75), ("begin?", 1.75, 2.25))
TEXT = "Shall we begin?"


def ms(time_s: float) -> int:
    return round(1000 * time_s)


def ticks(time_s: float) -> int:
    return round(1e7 * time_s)


def plain(word: str) -> str:
    return word.strip("?").lower()


WHISPER = {
    "text": f" {TEXT}",
    "language": "en",
    "segments": [
        {
            "id": 0, "seek": 0, "start": 1.2, "end": 2.25, "text": f" {TEXT}", "tokens": [50364], "temperature": 0.0,
            "avg_logprob": -0.25, "compression_ratio": 0.8, "no_speech_prob": 0.01,
            "words": [{"word": f" {w}", "start": a, "end": b, "probability": 0.9} for w, a, b in WORDS],
        }
    ],
}  # fmt: skip
WHISPERX = {
    "segments": [
        {
            "start": 1.2, "end": 2.25, "text": f" {TEXT}", "speaker": "SPEAKER_00",
            "words": [{"word": w, "start": a, "end": b, "score": 0.9} for w, a, b in WORDS],
        }
    ],
    "word_segments": [{"word": w, "start": a, "end": b, "score": 0.9} for w, a, b in WORDS],
}  # fmt: skip
OPENAI_WORDS = {
    "task": "transcribe", "language": "english", "duration": 8.5, "text": TEXT,
    "words": [{"word": w.strip("?"), "start": a, "end": b} for w, a, b in WORDS],
}  # fmt: skip
OPENAI_BOTH = {**OPENAI_WORDS, "segments": [{"id": 0, "start": 1.2, "end": 2.25, "text": f" {TEXT}"}]}
WHISPER_CPP = {
    "systeminfo": "AVX = 1", "model": {"type": "base"}, "result": {"language": "en"},
    "transcription": [
        {
            "timestamps": {"from": "00:00:01,200", "to": "00:00:02,250"},
            "offsets": {"from": 1200, "to": 2250},
            "text": f" {TEXT}",
            "tokens": [
                {"text": "[_BEG_]", "offsets": {"from": 1200, "to": 1200}, "id": 50363, "p": 0.98, "t_dtw": -1},
                {"text": " Sh", "offsets": {"from": 1200, "to": 1300}, "id": 1, "p": 0.9, "t_dtw": -1},
                {"text": "all", "offsets": {"from": 1300, "to": 1500}, "id": 2, "p": 0.95, "t_dtw": -1},
                {"text": " we", "offsets": {"from": 1500, "to": 1750}, "id": 3, "p": 0.9, "t_dtw": -1},
                {"text": " begin", "offsets": {"from": 1750, "to": 2200}, "id": 4, "p": 0.9, "t_dtw": -1},
                {"text": "?", "offsets": {"from": 2200, "to": 2250}, "id": 5, "p": 0.9, "t_dtw": -1},
                {"text": "[_TT_112]", "offsets": {"from": 2250, "to": 2250}, "id": 50475, "p": 0.2, "t_dtw": -1},
            ],
        }
    ],
}  # fmt: skip
VOSK = {
    "result": [{"conf": 0.9, "start": a, "end": b, "word": plain(w)} for w, a, b in WORDS],
    "text": "shall we begin",
}
VOSK_ALTERNATIVES = {"alternatives": [
    {"confidence": 201.3, "text": VOSK["text"], "result": [{"start": a, "end": b, "word": plain(w)} for w, a, b in WORDS]},
    {"confidence": 190.0, "text": "shall be in", "result": []},
]}  # fmt: skip
DEEPGRAM_WORDS = [
    {"word": plain(w), "start": a, "end": b, "confidence": 0.9, "punctuated_word": w} for w, a, b in WORDS
]
DEEPGRAM = {
    "metadata": {"request_id": "x", "channels": 1, "duration": 8.5},
    "results": {
        "channels": [{"alternatives": [{"transcript": TEXT, "confidence": 0.9, "words": DEEPGRAM_WORDS}]}]
    },
}
DEEPGRAM_UTTERANCES = {
    "metadata": {"channels": 1},
    "results": {
        "channels": DEEPGRAM["results"]["channels"],  # type: ignore[index]
        "utterances": [
            {"start": 1.2, "end": 2.25, "confidence": 0.9, "channel": 0, "transcript": TEXT, "words": DEEPGRAM_WORDS,
             "speaker": 0, "id": "y"}
        ],
    },
}  # fmt: skip
ASSEMBLYAI_WORDS = [
    {"text": w, "start": ms(a), "end": ms(b), "confidence": 0.9, "speaker": None} for w, a, b in WORDS
]
ASSEMBLYAI = {
    "id": "x", "status": "completed", "audio_url": "https://x", "audio_duration": 9, "text": TEXT, "confidence": 0.9,
    "words": ASSEMBLYAI_WORDS, "utterances": None, "multichannel": False,
}  # fmt: skip
AWS_ITEMS: list[dict[str, Any]] = [
    *(
        {"id": i, "type": "pronunciation", "alternatives": [{"confidence": "0.9", "content": w.strip("?")}],
         "start_time": str(a), "end_time": str(b)}
        for i, (w, a, b) in enumerate(WORDS)
    ),
    {"id": 3, "type": "punctuation", "alternatives": [{"confidence": "0.0", "content": "?"}]},
]  # fmt: skip
AWS = {
    "jobName": "x", "accountId": "1", "status": "COMPLETED",
    "results": {"transcripts": [{"transcript": TEXT}], "items": AWS_ITEMS},
}  # fmt: skip
AZURE = {
    "source": "https://x", "timestamp": "2026-01-01T00:00:00Z", "durationInTicks": ticks(8.5), "duration": "PT8.5S",
    "combinedRecognizedPhrases": [{"channel": 0, "display": TEXT}],
    "recognizedPhrases": [
        {
            "recognitionStatus": "Success", "channel": 0, "offset": "PT1.2S", "duration": "PT1.05S",
            "offsetInTicks": ticks(1.2), "durationInTicks": ticks(1.05),
            "nBest": [
                {
                    "confidence": 0.9, "lexical": "shall we begin", "display": TEXT,
                    "words": [
                        {"word": plain(w), "offset": f"PT{a}S", "offsetInTicks": ticks(a),
                         "durationInTicks": ticks(b - a), "confidence": 0.9}
                        for w, a, b in WORDS
                    ],
                }
            ],
        }
    ],
}  # fmt: skip
AZURE_FAST = {
    "durationMilliseconds": 8500, "combinedPhrases": [{"text": TEXT}],
    "phrases": [
        {
            "offsetMilliseconds": 1200, "durationMilliseconds": 1050, "text": TEXT, "locale": "en-US", "confidence": 0.9,
            "words": [
                {"text": w, "offsetMilliseconds": ms(a), "durationMilliseconds": ms(b) - ms(a)} for w, a, b in WORDS
            ],
        }
    ],
}  # fmt: skip
GOOGLE = {
    "results": [
        {
            "alternatives": [
                {
                    "transcript": TEXT, "confidence": 0.9,
                    "words": [{"startTime": f"{a:.3f}s", "endTime": f"{b:.3f}s", "word": w} for w, a, b in WORDS],
                }
            ],
            "resultEndTime": "2.250s", "languageCode": "en-us",
        }
    ]
}  # fmt: skip
GOOGLE_LONG = {"name": "123", "done": True, "response": {"@type": "type.googleapis.com/x", **GOOGLE}}
GOOGLE_V2 = {
    "results": {
        "gs://x/y.wav": {
            "transcript": {
                "results": [
                    {
                        "alternatives": [
                            {
                                "transcript": TEXT, "confidence": 0.9,
                                "words": [{"startOffset": f"{a}s", "endOffset": f"{b}s", "word": w} for w, a, b in WORDS],
                            }
                        ],
                        "resultEndOffset": "2.250s",
                    }
                ]
            }
        }
    }
}  # fmt: skip
HUGGING_FACE = {
    "text": f" {TEXT}",
    "chunks": [
        {"text": f" {w}", "timestamp": [a, b if i < 2 else None]} for i, (w, a, b) in enumerate(WORDS)
    ],
}
RECALL = [
    {
        "participant": {"id": 7, "name": "Ann", "is_host": True},
        "words": [
            {"text": w, "start_timestamp": {"relative": a, "absolute": "2026-01-01T00:00:01Z"},
             "end_timestamp": {"relative": b, "absolute": "2026-01-01T00:00:02Z"}}
            for w, a, b in WORDS
        ],
    }
]  # fmt: skip
SAMPLES: dict[str, Any] = {
    "whisper": WHISPER, "faster-whisper": WHISPER["segments"], "WhisperX": WHISPERX, "OpenAI words": OPENAI_WORDS,
    "OpenAI both": OPENAI_BOTH, "whisper.cpp": WHISPER_CPP, "vosk": VOSK, "vosk alternatives": VOSK_ALTERNATIVES,
    "Deepgram": DEEPGRAM, "Deepgram utterances": DEEPGRAM_UTTERANCES, "AssemblyAI": ASSEMBLYAI, "AWS": AWS,
    "Azure": AZURE, "Azure fast": AZURE_FAST, "Google": GOOGLE, "Google long": GOOGLE_LONG, "Google v2": GOOGLE_V2,
    "Hugging Face": HUGGING_FACE, "Recall.ai": RECALL,
}  # fmt: skip
UNPUNCTUATED = ("vosk", "vosk alternatives")
UNKNOWN_END = ("Hugging Face",)


def read(value: Any) -> tuple[ReadSegment, ...]:
    return read_transcript(json.dumps(value).encode(), "Ann.json", 60.0).segments


@pytest.mark.parametrize("name", SAMPLES)
def test_every_vendors_words_are_read_at_their_times(name: str) -> None:
    (segment,) = read(SAMPLES[name])
    expected = "shall we begin" if name in UNPUNCTUATED else TEXT
    assert segment.text.strip() == expected
    assert [w.text.strip() for w in segment.words] == expected.split()
    ends = [b for _, _, b in WORDS]
    if name in UNKNOWN_END:
        ends[-1] = WORDS[-1][1]  # a last chunk without an end: it begins there, and no more is known
    times = [(w.start_s, w.end_s) for w in segment.words]
    assert times == [pytest.approx((a, b), abs=1e-6) for (_, a, _), b in zip(WORDS, ends, strict=True)]
    assert (segment.start_s, segment.end_s) == pytest.approx((1.2, ends[-1]), abs=1e-6)
    known = {w.confidence for w in segment.words} - {None}
    assert known <= {0.9}


def test_every_reader_has_a_sample() -> None:
    used = {read_transcript(json.dumps(v).encode(), "x").format for v in SAMPLES.values()}
    assert used == set(READERS) - {"text"}


@pytest.mark.parametrize(
    "value",
    [
        {"metadata": {"channels": 2}, "results": {"channels": [
            DEEPGRAM["results"]["channels"][0], {"alternatives": [{"transcript": "", "words": []}]}  # type: ignore[index]
        ]}},
        {**ASSEMBLYAI, "multichannel": True, "audio_channels": 2, "utterances": [
            {"speaker": "1", "channel": "1", "start": 1200, "end": 2250, "text": TEXT, "words": ASSEMBLYAI_WORDS}
        ]},
        {**ASSEMBLYAI, "multichannel": True, "utterances": [
            {"speaker": "1", "start": 1200, "end": 2250, "text": TEXT, "words": ASSEMBLYAI_WORDS}
        ]},
        {"results": {"channel_labels": {"number_of_channels": 2, "channels": [
            {"channel_label": "ch_0", "items": AWS_ITEMS}, {"channel_label": "ch_1", "items": []}
        ]}}},
        AZURE,
        {"results": [{**GOOGLE["results"][0], "channelTag": 1}]},
    ],
)  # fmt: skip
def test_the_first_channel_is_0_however_the_vendor_counts(value: Any) -> None:
    (segment,) = read(value)
    assert segment.channel == 0
    assert segment.words[0].start_s == pytest.approx(1.2)


def test_results_that_repeat_all_words_for_diarization_are_read_once() -> None:
    again = {
        "alternatives": [
            {"words": [{**w, "speakerTag": 1} for w in GOOGLE["results"][0]["alternatives"][0]["words"]]}
        ]
    }  # type: ignore[index, attr-defined]
    assert len(read({"results": [*GOOGLE["results"], again]})) == 1


SRT = "1\r\n00:00:01,200 --> 00:00:02,250\r\n<i>Shall we\r\nbegin?</i>\r\n\r\n2\r\n00:01:03,5 --> 01:00:04,000\r\nYes.\r\n"
VTT = """WEBVTT - made by x

NOTE a remark

STYLE
::cue { color: red }

cue-1
00:01.200 --> 00:02.250 align:start position:0%
<v Ann Lee>Shall <c.loud>we</c> <00:00:01.750>begin?</v>

01:03.500 --> 01:00:04.000
Yes &amp; no.
"""


@pytest.mark.parametrize(("text", "second"), [(SRT, "Yes."), (VTT, "Yes & no.")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_subtitles_are_read_without_tags(text: str, second: str, encoding: str) -> None:
    one, two = read_transcript(text.encode(encoding), "x.srt").segments
    assert (one.text, one.start_s, one.end_s) == (TEXT, 1.2, 2.25)
    assert (two.text, two.start_s, two.end_s) == (second, 63.5, 3604.0)


@pytest.mark.parametrize("join", ["\n", "\r\n", "\n\n", ",\n", "\x1e"])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_values_in_a_row_are_one_transcript(join: str, indent: int | None) -> None:
    later = {"result": [{"conf": 1.0, "start": 5.0, "end": 5.5, "word": "yes"}], "text": "yes"}
    text = join.join(json.dumps(v, indent=indent) for v in (VOSK, {"partial": ""}, later))
    assert [s.text for s in read_transcript(text.encode(), "x").segments] == ["shall we begin", "yes"]
    rows = [{"start": 1.2, "end": 2.25, "text": TEXT}, {"start": 5.0, "end": 5.5, "text": "Yes."}]
    text = join.join(json.dumps(v, indent=indent) for v in rows)
    assert [s.text for s in read_transcript(text.encode(), "x").segments] == [TEXT, "Yes."]


def test_a_damaged_line_costs_itself() -> None:
    rows = [json.dumps({"start": i, "end": i + 1, "text": str(i)}) for i in range(4)]
    found = read_transcript("\n".join([*rows[:2], rows[2][:9], rows[3]]).encode(), "x")
    assert [s.text for s in found.segments] == ["0", "1", "3"]
    assert found.notes == {"line that is no JSON: left out": 1}


def good(**more: Any) -> dict[str, Any]:
    return {"start": 1.0, "end": 2.0, "text": "Good.", **more}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"start": 9.0, "end": 8.0, "text": "x"}, None),
        ({"start": 9.0, "end": 8.0, "text": " x", "words": [{"word": " x", "start": 8.0, "end": 9.0}]}, (8.0, 9.0)),
        ({"start": None, "end": None, "text": "x"}, None),
        ({"start": "a", "end": 8.0, "text": "x"}, None),
        ({"start": 61.0, "end": 62.0, "text": "x"}, None),
        ({"start": 58.0, "end": 90.0, "text": "x"}, (58.0, 60.0)),
        ({"start": -0.5, "end": 1.0, "text": "x"}, (0.0, 1.0)),
        (5, None),
        ({"start": 1.0, "end": 2.0}, None),
    ],
)  # fmt: skip
def test_a_bad_row_is_mended_or_dropped_and_costs_no_other(
    row: Any, expected: tuple[float, float] | None
) -> None:
    found = read_transcript(json.dumps({"segments": [good(), row, good(text="Too.")]}).encode(), "x", 60.0)
    assert [s.text.strip() for s in found.segments] == ["Good.", *(["x"] if expected else []), "Too."]
    if expected:
        assert (found.segments[1].start_s, found.segments[1].end_s) == expected
    said = isinstance(row, dict) and "text" in row and row["start"] != -0.5
    assert sum(found.notes.values()) == said, "what was done is noted"


def test_a_word_far_outside_its_segment_keeps_its_place_and_loses_its_time() -> None:
    words = [{"word": " a", "start": 1.0, "end": 1.4}, {"word": " b", "start": 25.4, "end": 25.6}]
    words.append({"word": " c", "start": 1.9, "end": 1.7})
    found = read_transcript(json.dumps([good(text=" a b c", words=words)]).encode(), "x", 60.0)
    (segment,) = found.segments
    assert [(w.start_s, w.end_s) for w in segment.words] == [(1.0, 1.4), (None, None), (1.9, 1.9)]
    assert (segment.start_s, segment.end_s) == (1.0, 2.0)
    assert len(found.notes) == 2


class Word(NamedTuple):
    start: float
    end: float
    word: str
    probability: float


class Segment(NamedTuple):
    start: float
    end: float
    text: str
    words: list[Word]


def test_objects_of_faster_whisper_are_read_as_its_json_is() -> None:
    words = [Word(a, b, f" {w}", 0.9) for w, a, b in WORDS]
    (segment,) = read_values([[Segment(1.2, 2.25, f" {TEXT}", words)]], "x").segments
    assert [(w.text, w.start_s, w.end_s, w.confidence) for w in segment.words] == [
        (f" {w}", a, b, 0.9) for w, a, b in WORDS
    ]


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x00\x01\x02", b"5", b"{}", b'{"segments": 5}', b"[1, 2]", b"[" * 9999]
)
def test_what_is_no_transcript_is_refused_with_the_formats_that_are(content: bytes) -> None:
    with pytest.raises(ItemError, match=r"Ann\.json") as refused:
        read_transcript(content, "Ann.json")
    assert "Deepgram" in refused.value.hint


@pytest.mark.parametrize(
    "change", [lambda v: None, lambda v: [], lambda v: {}, lambda v: 5, lambda v: "x", lambda v: [None]]
)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_field_of_another_kind_is_an_error_of_the_file_or_costs_its_row(
    name: str, change: Callable[[Any], Any]
) -> None:
    """Every value of a sample in turn is replaced: no other exception than the package's own comes out."""

    def variants(value: Any) -> Any:
        rows = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, inner in list(rows):
            copy: Any = dict(value) if isinstance(value, dict) else list(value)
            copy[key] = change(inner)
            yield copy
            for changed in variants(inner):
                copy = dict(value) if isinstance(value, dict) else list(value)
                copy[key] = changed
                yield copy

    for variant in variants(json.loads(json.dumps(SAMPLES[name]))):
        try:
            found = read_transcript(json.dumps(variant).encode(), "x", 60.0)
        except ItemError:
            continue
        assert all(s.start_s is not None and s.end_s is not None for s in found.segments)
