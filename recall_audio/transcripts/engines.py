"""Transcribe clips of each speaker with an engine of the user's.

::

    Ann's own speech   |--|   |---|        |-----|
    clips              [-------------]    [------]        cut where another speaks
    a chunk            [-------------]····[------]        short clips of one speaker together, silence between
    the engine         Shall we begin?    Fine.           hears a chunk at a time, knows no one else
    words              on the mix's clock, by the clip in which they lie

Only own speech is ever given to an engine: a participant who never speaks has no chunk.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, pairwise
from types import CodeType
from typing import Any, Protocol

import numpy as np

from recall_audio.errors import ItemError, MachineError, RecallAudioError, missing_extra
from recall_audio.model.transcript import Word
from recall_audio.transcripts import read_values
from recall_audio.transcripts.attribution import timed_words
from recall_audio.transcripts.readers import ReadSegment
from recall_audio.typing import Float32Array
from recall_audio.units import RATE_HZ

CHUNK_S = 28.0
"""Longest chunk of several clips, seconds: Whisper hears 30 s at a time, and costs as much for one."""
GAP_S = 0.5
"""Silence between two clips of a chunk, seconds: more than a pause between words."""
CLIP_AT_ONCE = 4
"""Requests to an endpoint under way at a time."""

Callback = Callable[[Float32Array, int], Any]
"""Transcribes samples (float32, mono, ±1) at a rate in Hz; returns segments as any known format has them."""


class Engine(Protocol):
    """Something that transcribes.

    Attributes:
        name: its name.
        model: its model, or None.
        language: the language to expect, or None to let it detect one.
        n_at_once: chunks that it takes at a time.
        version: changes where its answers may, beside those; empty where they cannot.
    """

    name: str
    version: str
    model: str | None
    language: str | None
    n_at_once: int

    def transcribe(self, chunks: Sequence[Float32Array]) -> list[list[ReadSegment]]:
        """Return the segments of each chunk, seconds from the chunk's first sample.

        Args:
            chunks: float32, mono, 16 kHz, full scale ±1.
        """
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """What an engine hears at once: one or more clips of one speaker.

    Attributes:
        label: the speaker.
        clips: ``(start_s, end_s)`` of each clip on the mix's clock.
    """

    label: str
    clips: tuple[tuple[float, float], ...]

    @property
    def offsets_s(self) -> list[float]:
        """Return where each clip begins in the chunk, seconds."""
        found, at_s = [], 0.0
        for start_s, end_s in self.clips:
            found.append(at_s)
            at_s += end_s - start_s + GAP_S
        return found

    @property
    def length_s(self) -> float:
        """Return the chunk's length in seconds."""
        start_s, end_s = self.clips[-1]
        return self.offsets_s[-1] + end_s - start_s

    def samples(self, read: Callable[[float, float], Float32Array]) -> Float32Array:
        """Return the chunk's samples, given a function that reads a stretch of the stem at 16 kHz."""
        chunk = np.zeros(round(self.length_s * RATE_HZ), np.float32)
        for (start_s, end_s), offset_s in zip(self.clips, self.offsets_s, strict=True):
            clip = read(start_s, end_s)
            first = round(offset_s * RATE_HZ)
            chunk[first : first + len(clip)] = clip[: len(chunk) - first]
        return chunk

    def on_mix(self, segments: Iterable[ReadSegment]) -> Iterator[ReadSegment]:
        """Yield an engine's segments on the mix's clock, split between clips."""
        for segment in segments:
            placed = _within(segment, self.length_s)
            if not any(w.start_s is not None for w in placed.words):
                yield from self._spread(placed)
                continue
            by_clip: dict[int, list[Word]] = {}
            for word in timed_words(placed):
                by_clip.setdefault(self._clip_at(word), []).append(word)
            for i, own in sorted(by_clip.items()):
                yield self._of_clip(placed, i, own, whole=len(by_clip) == 1)

    def _spread(self, segment: ReadSegment) -> Iterator[ReadSegment]:
        """Yield a segment without times of words, its text shared out to its clips by their lengths."""
        first_s, last_s = segment.start_s or 0.0, segment.end_s or 0.0
        parts = []
        for (start_s, end_s), offset_s in zip(self.clips, self.offsets_s, strict=True):
            a, b = max(first_s, offset_s), min(last_s, offset_s + end_s - start_s)
            if b > a:
                parts.append((start_s + a - offset_s, start_s + b - offset_s))
        tokens = segment.text.split()
        reached = list(accumulate((len(t) for t in tokens), initial=0))
        length_s, before_s = sum(b - a for a, b in parts), 0.0
        for start_s, end_s in parts:
            low, high = (reached[-1] * t / length_s for t in (before_s, before_s + end_s - start_s))
            before_s += end_s - start_s
            own = [
                t for t, n in zip(tokens, reached, strict=False) if low - 1e-9 <= n + len(t) / 2 < high + 1e-9
            ]
            yield replace(segment, text=" ".join(own), start_s=start_s, end_s=end_s, words=())

    def _clip_at(self, word: Word) -> int:
        """Return the index of the clip that a word's middle is in, or nearest to."""
        middle_s = ((word.start_s or 0.0) + (word.end_s or 0.0)) / 2
        return sum(middle_s >= offset_s - GAP_S / 2 for offset_s in self.offsets_s[1:])

    def _of_clip(self, segment: ReadSegment, i: int, words: Sequence[Word], *, whole: bool) -> ReadSegment:
        (first_s, last_s), offset_s = self.clips[i], self.offsets_s[i]

        def moved(time_s: float | None) -> float:
            return round(min(max((time_s or 0.0) - offset_s + first_s, first_s), last_s), 3)

        placed = tuple(replace(w, start_s=moved(w.start_s), end_s=moved(w.end_s)) for w in words)
        text = segment.text if whole else _joined(words)
        return replace(
            segment,
            text=text,
            words=placed,
            start_s=placed[0].start_s,
            end_s=max(w.end_s or 0.0 for w in placed),
        )


def _joined(words: Sequence[Word]) -> str:
    return ("" if any(w.text.startswith(" ") for w in words) else " ").join(w.text for w in words)


def _within(segment: ReadSegment, length_s: float) -> ReadSegment:
    """Return a segment with times inside its chunk."""
    start_s = 0.0 if segment.start_s is None else min(max(segment.start_s, 0.0), length_s)
    end_s = length_s if segment.end_s is None else min(max(segment.end_s, start_s), length_s)
    return replace(segment, start_s=start_s, end_s=end_s)


def pack(label: str, clips: Sequence[Sequence[float]], longest_s: float = CHUNK_S) -> list[Chunk]:
    """Return the chunks of one speaker's clips: as many clips together as are not longer than `longest_s`."""
    found: list[list[tuple[float, float]]] = []
    for start_s, end_s in clips:
        clip = (float(start_s), float(end_s))
        if found and Chunk(label, (*found[-1], clip)).length_s <= longest_s:
            found[-1].append(clip)
        else:
            found.append([clip])
    return [Chunk(label, tuple(chunk)) for chunk in found]


def identity(engine: Engine) -> list[str | None]:
    """Return what an engine's answers depend on beside what it is given."""
    return [engine.name, engine.model, engine.language, *([engine.version] if engine.version else [])]


def chunk_key(engine: Engine, samples: Float32Array) -> str:
    """Return a digest of what an engine is given, by which its answer is known again."""
    said = json.dumps(identity(engine))
    return hashlib.sha256(said.encode() + np.rint(samples * 32768).astype("<i4").tobytes()).hexdigest()[:32]


def to_plain(segments: Sequence[ReadSegment]) -> list[dict[str, Any]]:
    """Return segments as plain values, to keep them between runs."""
    return [asdict(s) for s in segments]


def from_plain(rows: Iterable[dict[str, Any]]) -> list[ReadSegment]:
    """Return the segments that :func:`to_plain` made."""
    return [ReadSegment(**{**row, "words": tuple(Word(**w) for w in row["words"])}) for row in rows]


class FasterWhisper:
    """faster-whisper, batched (extra ``transcribe``). The model is loaded at the first chunk."""

    name = "faster-whisper"
    version = ""
    n_at_once = 16

    def __init__(self, model: str | None = None, language: str | None = None) -> None:
        self.model: str | None = model or "small"
        self.language = language
        self._pipeline: Any = None

    def transcribe(self, chunks: Sequence[Float32Array]) -> list[list[ReadSegment]]:
        """Return the segments of each chunk, all chunks in one batch.

        Raises:
            MachineError: the package or the model is missing.
        """
        pipeline = self._loaded()
        lengths = [len(c) for c in chunks]
        starts = np.concatenate(([0], np.cumsum(lengths)))
        stretches = [{"start": int(a) / RATE_HZ, "end": int(b) / RATE_HZ} for a, b in pairwise(starts)]
        found, _ = pipeline.transcribe(
            np.concatenate(chunks),
            language=self.language,
            multilingual=self.language is None and pipeline.model.model.is_multilingual,
            clip_timestamps=stretches,
            word_timestamps=True,
            batch_size=8,
        )
        answers: list[list[ReadSegment]] = [[] for _ in chunks]
        edges_s = starts[1:] / RATE_HZ
        for segment in read_values(
            [[s._asdict() if hasattr(s, "_asdict") else s for s in found]], self.name
        ).segments:
            middle_s = ((segment.start_s or 0.0) + (segment.end_s or 0.0)) / 2
            i = min(int(np.searchsorted(edges_s, middle_s, side="right")), len(chunks) - 1)
            answers[i].append(shifted(segment, -float(starts[i]) / RATE_HZ))
        return answers

    def _loaded(self) -> Any:
        if self._pipeline is None:
            try:
                from faster_whisper import BatchedInferencePipeline, WhisperModel
            except ImportError:
                raise missing_extra(
                    "This engine needs faster-whisper", "transcribe", instead="or give another --engine"
                ) from None
            try:
                model = WhisperModel(self.model, compute_type="default", cpu_threads=os.cpu_count() or 1)
            except Exception as error:
                raise MachineError(
                    f"faster-whisper cannot load the model {self.model!r} ({type(error).__name__}).",
                    "Give the name of a model that it can download, such as small or large-v3, or a folder.",
                    code="no_model",
                ) from error
            self._pipeline = BatchedInferencePipeline(model)
        return self._pipeline


def shifted(segment: ReadSegment, by_s: float) -> ReadSegment:
    """Return a segment with every time moved."""

    def moved(time_s: float | None) -> float | None:
        return None if time_s is None else time_s + by_s

    words = tuple(replace(w, start_s=moved(w.start_s), end_s=moved(w.end_s)) for w in segment.words)
    return replace(segment, start_s=moved(segment.start_s), end_s=moved(segment.end_s), words=words)


def _told(code: CodeType) -> str:
    """Return what a function does as text: an edited function is another engine."""
    inner = [_told(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"


class FromFunction:
    """A function of the user's: ``(samples, rate_hz) -> segments``."""

    n_at_once = 1

    def __init__(self, function: Callback, model: str | None = None, language: str | None = None) -> None:
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.model, self.language, self._function = model, language, function
        code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
        self.version = "" if code is None else hashlib.sha256(_told(code).encode()).hexdigest()[:16]

    def transcribe(self, chunks: Sequence[Float32Array]) -> list[list[ReadSegment]]:
        """Return the segments of each chunk.

        Raises:
            ItemError: the function failed, or returned what is no transcript.
        """
        return [self._one(chunk) for chunk in chunks]

    def _one(self, chunk: Float32Array) -> list[ReadSegment]:
        try:
            answer = self._function(chunk, RATE_HZ)
            if isinstance(answer, tuple) and len(answer) == 2 and not isinstance(answer[0], dict | str):
                answer = answer[0]  # faster-whisper returns segments and facts
            if isinstance(answer, str):
                answer = {"text": answer}
            elif not isinstance(answer, dict):
                answer = list(answer)
        except RecallAudioError:
            raise
        except Exception as error:
            raise ItemError(
                f"The engine {self.name} failed ({type(error).__name__}: {error}).",
                "What was transcribed before is kept: run again when it works.",
                code="engine_failed",
            ) from error
        return _answered(answer, self.name, len(chunk) / RATE_HZ)


def _answered(answer: Any, what: str, length_s: float) -> list[ReadSegment]:
    """Return the segments of an engine's answer for one chunk; a text alone lasts for all of it."""
    if isinstance(answer, dict) and isinstance(answer.get("text"), str):
        if not answer["text"].strip():
            return []
        if not {"segments", "words", "chunks"} & answer.keys():
            return [ReadSegment(answer["text"], 0.0, length_s)]
    return list(read_values([answer], f"The answer of {what}").segments)


class Endpoint:
    """An OpenAI-compatible endpoint, at any host that the user names."""

    name = "openai"
    version = ""
    n_at_once = CLIP_AT_ONCE

    def __init__(self, model: str | None = None, language: str | None = None, url: str | None = None) -> None:
        from recall_audio.fetch.speech_to_text import SpeechToText

        self.model: str | None = model or "whisper-1"
        self.language = language
        self._client = SpeechToText.from_environment(url)

    def transcribe(self, chunks: Sequence[Float32Array]) -> list[list[ReadSegment]]:
        """Return the segments of each chunk, some requests side by side.

        Raises:
            KeyRefused, ItemError, TransientError: the endpoint's answer.
        """
        from recall_audio.media.wav import WavFormat, pack, wav_header

        def one(chunk: Float32Array) -> list[ReadSegment]:
            data = pack(chunk, "16")
            wav = wav_header(WavFormat(RATE_HZ), len(data)) + data
            answer = self._client.transcribe(wav, self.model or "", self.language)
            return _answered(answer, self._client.where, len(chunk) / RATE_HZ)

        with ThreadPoolExecutor(CLIP_AT_ONCE) as pool:
            return list(pool.map(one, chunks))


ENGINES: dict[str, Callable[[str | None, str | None, str | None], Engine]] = {
    "faster-whisper": lambda model, language, _url: FasterWhisper(model, language),
    "openai": Endpoint,
}
"""Engines by the name that ``--engine`` takes, made of model, language and URL."""

RECALL = "recall"
"""The engine that transcribes nothing: Recall.ai's own transcript, as it was fetched."""
ENGINE_NAMES = (*ENGINES, RECALL)
