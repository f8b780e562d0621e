"""Read the JSON of speech recognition services and engines, one small reader each.

References: whisper.cpp ``--output-json-full``; Vosk API, ``Result``; Deepgram, ``/v1/listen``; AssemblyAI,
``/v2/transcript`` and multichannel transcription (channels count from 1); Amazon Transcribe, batch output and
channel identification; Azure AI Speech, batch transcription (ticks of 100 ns) and fast transcription; Google
Cloud Speech-to-Text v1 and v2 (durations such as ``1.300s``); Hugging Face transformers, ASR pipeline;
Recall.ai, transcript download.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from recall_audio.model.transcript import Word
from recall_audio.transcripts.readers import (
    ReadSegment,
    items,
    mapping,
    number,
    probability,
    seconds,
    text_of,
)

TICKS_PER_S = 1e7
MS_PER_S = 1e3


def _rows(value: Any, key: str) -> list[Mapping[str, Any]]:
    """Return the mappings in a list under a key."""
    return [row for row in map(mapping, items(mapping(value).get(key))) if row]


def _whisper_cpp(value: Any) -> Iterable[ReadSegment] | None:
    if not isinstance(mapping(value).get("transcription"), list):
        return None
    return [
        ReadSegment(
            text_of(row.get("text")),
            seconds(mapping(row.get("offsets")).get("from"), MS_PER_S),
            seconds(mapping(row.get("offsets")).get("to"), MS_PER_S),
            tuple(_joined_tokens(_rows(row, "tokens"))),
        )
        for row in _rows(value, "transcription")
    ]


def _joined_tokens(tokens: Iterable[Mapping[str, Any]]) -> Iterator[Word]:
    """Yield the words that tokens make: one begins where a token begins with a blank."""
    word: Word | None = None
    for token in tokens:
        text = text_of(token.get("text"))
        if re.fullmatch(r"\[_.*_?\]|<\|.*\|>", text.strip()):  # marks of time and language
            continue
        offsets = mapping(token.get("offsets"))
        start_s, end_s = (seconds(offsets.get(k), MS_PER_S) for k in ("from", "to"))
        sure = probability(token.get("p"))
        if word is None or text.startswith(" "):
            if word is not None:
                yield word
            word = Word(text, start_s, end_s, sure)
        else:
            least = min((p for p in (word.confidence, sure) if p is not None), default=None)
            word = Word(word.text + text, word.start_s, word.end_s if end_s is None else end_s, least)
    if word is not None:
        yield word


def _vosk(value: Any) -> Iterable[ReadSegment] | None:
    rows = [mapping(row) for row in (value if isinstance(value, list) else [value])]
    if not any(_rows(row, "result") or _rows(row, "alternatives") for row in rows):
        return None
    best = [mapping(next(iter(_rows(row, "alternatives")), row)) for row in rows]
    if any("transcript" in row for row in best):
        return None  # another service's alternatives
    return [
        ReadSegment(
            text_of(row.get("text")), None, None, tuple(_plain_words(_rows(row, "result"), "word", "conf"))
        )
        for row in best
    ]


def _plain_words(
    rows: Iterable[Mapping[str, Any]],
    text: str,
    sure: str,
    start: str = "start",
    end: str = "end",
    per_s: float = 1.0,
) -> Iterator[Word]:
    """Yield words whose text, times and confidence stand under these names."""
    for row in rows:
        spoken = text_of(row.get(text))
        if spoken:
            times = seconds(row.get(start), per_s), seconds(row.get(end), per_s)
            yield Word(spoken, *times, probability(row.get(sure)))


def _deepgram(value: Any) -> Iterable[ReadSegment] | None:
    results = mapping(mapping(value).get("results"))
    if not isinstance(results.get("channels"), list):
        return None
    utterances = _rows(results, "utterances")
    if utterances:
        return [
            ReadSegment(
                text_of(row.get("transcript")),
                seconds(row.get("start")),
                seconds(row.get("end")),
                tuple(_deepgram_words(row)),
                _integer(row.get("channel")),
                confidence=probability(row.get("confidence")),
            )
            for row in utterances
        ]
    best = [mapping(next(iter(_rows(channel, "alternatives")), {})) for channel in _rows(results, "channels")]
    return [
        ReadSegment(text_of(row.get("transcript")), None, None, tuple(_deepgram_words(row)), channel)
        for channel, row in enumerate(best)
        if _rows(row, "words")
    ]


def _deepgram_words(row: Mapping[str, Any]) -> Iterator[Word]:
    named = [{**w, "word": w.get("punctuated_word") or w.get("word")} for w in _rows(row, "words")]
    return _plain_words(named, "word", "confidence")


def _integer(value: Any, first: int = 0) -> int | None:
    """Return the index of a channel that is counted from `first`, also one written as text or ``ch_0``."""
    found = number(str(value).removeprefix("ch_"))
    return None if found is None or found != int(found) or found < first else int(found) - first


def _assemblyai(value: Any) -> Iterable[ReadSegment] | None:
    words = _rows(value, "words")
    is_theirs = any("text" in w and "start" in w and "type" not in w for w in words)
    if not is_theirs or mapping(value).get("segments") is not None:
        return None
    rows = _rows(value, "utterances") or [{**mapping(value), "start": None, "end": None}]
    found = [
        ReadSegment(
            text_of(row.get("text")),
            seconds(row.get("start"), MS_PER_S),
            seconds(row.get("end"), MS_PER_S),
            tuple(_plain_words(_rows(row, "words"), "text", "confidence", per_s=MS_PER_S)),
            _integer(row.get("channel"), 1),
            confidence=probability(row.get("confidence")),
        )
        for row in rows
    ]
    if mapping(value).get("multichannel") and all(s.channel is None for s in found):
        # Before channels were named, the utterances' speakers counted them: 1, 2, ...
        return [replace(s, channel=_integer(r.get("speaker"), 1)) for s, r in zip(found, rows, strict=True)]
    return found


def _aws(value: Any) -> Iterable[ReadSegment] | None:
    results = mapping(mapping(value).get("results"))
    if not isinstance(results.get("items"), list) and "channel_labels" not in results:
        return None
    channels = _rows(mapping(results.get("channel_labels")), "channels")
    if not channels:
        return [_aws_channel(_rows(results, "items"), None)]
    return [_aws_channel(_rows(c, "items"), _integer(c.get("channel_label"))) for c in channels]


def _aws_channel(rows: Iterable[Mapping[str, Any]], channel: int | None) -> ReadSegment:
    """Return the words of one channel as one segment, punctuation joined to the words before it."""
    words: list[Word] = []
    for row in rows:
        best = next(iter(_rows(row, "alternatives")), {})
        text = text_of(best.get("content"))
        if row.get("type") == "punctuation":
            if words:
                words[-1] = replace(words[-1], text=words[-1].text + text)
        elif text:
            times = seconds(row.get("start_time")), seconds(row.get("end_time"))
            words.append(Word(text, *times, probability(best.get("confidence"))))
    return ReadSegment(" ".join(w.text for w in words), None, None, tuple(words), channel)


def _azure(value: Any) -> Iterable[ReadSegment] | None:
    fields = mapping(value)
    if isinstance(fields.get("recognizedPhrases"), list):
        return [_azure_phrase(row) for row in _rows(fields, "recognizedPhrases")]
    if not isinstance(fields.get("phrases"), list):
        return None
    return [
        ReadSegment(
            text_of(row.get("text")),
            start_s := seconds(row.get("offsetMilliseconds"), MS_PER_S),
            _sum(start_s, seconds(row.get("durationMilliseconds"), MS_PER_S)),
            tuple(_offset_words(row, "text", "offsetMilliseconds", "durationMilliseconds", MS_PER_S)),
            _integer(row.get("channel")),
            confidence=probability(row.get("confidence")),
        )
        for row in _rows(fields, "phrases")
    ]


def _azure_phrase(row: Mapping[str, Any]) -> ReadSegment:
    best = next(iter(_rows(row, "nBest")), {})
    is_displayed = bool(_rows(best, "displayWords"))
    spoken = {**best, "words": best.get("displayWords")} if is_displayed else best
    words = tuple(
        _offset_words(
            spoken, "displayText" if is_displayed else "word", "offsetInTicks", "durationInTicks", TICKS_PER_S
        )
    )
    display = text_of(best.get("display"))
    if not is_displayed and len(display.split()) == len(words):
        words = tuple(replace(w, text=t) for w, t in zip(words, display.split(), strict=True))
    start_s = _first(seconds(row.get("offsetInTicks"), TICKS_PER_S), seconds(row.get("offset")))
    length_s = _first(seconds(row.get("durationInTicks"), TICKS_PER_S), seconds(row.get("duration")))
    return ReadSegment(
        display,
        start_s,
        _sum(start_s, length_s),
        words,
        _integer(row.get("channel")),
        confidence=probability(best.get("confidence")),
    )


def _offset_words(
    row: Mapping[str, Any], text: str, offset: str, length: str, per_s: float
) -> Iterator[Word]:
    """Yield words that are given by where they begin and how long they last."""
    for word in _rows(row, "words"):
        start_s = seconds(word.get(offset), per_s)
        end_s = _sum(start_s, seconds(word.get(length), per_s))
        if text_of(word.get(text)):
            yield Word(text_of(word.get(text)), start_s, end_s, probability(word.get("confidence")))


def _first(a: float | None, b: float | None) -> float | None:
    return b if a is None else a


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else round(a + b, 7)


def _google(value: Any) -> Iterable[ReadSegment] | None:
    fields = mapping(value)
    fields = mapping(fields.get("response")) if "response" in fields else fields
    results = fields.get("results")
    if isinstance(results, Mapping):  # v2's batches: one file under its address
        of_file = next((mapping(f) for f in results.values() if isinstance(f, Mapping)), {})
        inner = mapping(of_file.get("inlineResult") or of_file).get("transcript")
        results = mapping(inner).get("results")
    if not isinstance(results, list):
        return None
    best = [(row, next(iter(_rows(row, "alternatives")), {})) for row in map(mapping, results)]
    # With diarization the last result repeats every word, without a transcript.
    with_text = [(row, b) for row, b in best if text_of(b.get("transcript")).strip()]
    return [_google_result(row, b) for row, b in with_text or best]


def _google_result(row: Mapping[str, Any], best: Mapping[str, Any]) -> ReadSegment:
    named = [
        {
            **w,
            "start": w.get(
                "startTime", w.get("startOffset", w.get("start_time", w.get("start_offset", "0s")))
            ),
            "end": w.get("endTime", w.get("endOffset", w.get("end_time", w.get("end_offset")))),
        }
        for w in _rows(best, "words")
    ]
    words = tuple(_plain_words(named, "word", "confidence"))
    channel = row.get("channelTag", row.get("channel_tag"))
    text = text_of(best.get("transcript")) or " ".join(w.text for w in words)
    sure = probability(best.get("confidence"))
    return ReadSegment(text, None, None, words, _integer(channel, 1), confidence=sure)


def _hugging_face(value: Any) -> Iterable[ReadSegment] | None:
    chunks = _rows(value, "chunks")
    if not any("timestamp" in c for c in chunks):
        return None
    times = [[*items(c.get("timestamp")), None, None][:2] for c in chunks]
    starts = [*(seconds(a) for a, _ in times[1:]), None]
    # The last chunk of a window has no end: it lasts to the next one.
    ends = [_first(seconds(b), after) for (_, b), after in zip(times, starts, strict=True)]
    words = [
        Word(text_of(c.get("text")), seconds(a), _first(end_s, seconds(a)))
        for c, (a, _), end_s in zip(chunks, times, ends, strict=True)
    ]
    if all(len(w.text.split()) <= 1 for w in words):
        return [ReadSegment("".join(w.text for w in words), None, None, tuple(words))]
    return [ReadSegment(w.text, w.start_s, w.end_s) for w in words]


def _recall(value: Any) -> Iterable[ReadSegment] | None:
    rows = value if isinstance(value, list) else []
    if not any("participant" in mapping(row) and "words" in mapping(row) for row in rows):
        return None
    found = []
    for row in map(mapping, rows):
        words = [w for w in map(_recall_word, _rows(row, "words")) if w.text]
        # A word without an end lasts to the next one.
        timed = tuple(
            w if w.end_s is not None else replace(w, end_s=_first(after.start_s, w.start_s))
            for w, after in zip(words, [*words[1:], *words[-1:]], strict=True)
        )
        person = mapping(row.get("participant")).get("id")
        number_of = person if isinstance(person, int) and not isinstance(person, bool) else None
        found.append(ReadSegment(" ".join(w.text for w in timed), None, None, timed, participant=number_of))
    return found


def _recall_word(row: Mapping[str, Any]) -> Word:
    times = (seconds(mapping(row.get(k)).get("relative")) for k in ("start_timestamp", "end_timestamp"))
    return Word(text_of(row.get("text")).strip(), *times)


VENDORS: Mapping[str, Callable[[Any], Iterable[ReadSegment] | None]] = {
    "recall": _recall,
    "whisper.cpp": _whisper_cpp,
    "deepgram": _deepgram,
    "aws": _aws,
    "azure": _azure,
    "google": _google,
    "hugging face": _hugging_face,
    "assemblyai": _assemblyai,
    "vosk": _vosk,
}
"""Every service and engine by name."""
