"""Represent what was said, by whom and when (``transcript.json``).

::

    {"schema": "recall-audio/transcript/1",
     "engine": {"name", "model", "language"}, "source": "clips",
     "n_words", "n_dropped", "n_unassigned",
     "speakers": {label: {"name", "n_words", "n_dropped"}},
     "segments": [{"start_s", "end_s", "speaker", "name", "text", "confidence", "in_speech",
                   "words": [{"text", "start_s", "end_s", "confidence"}]}],
     "parameters": {...}, "findings": [...]}

Segments are in order of their start, and those of different speakers may overlap. ``speaker`` is a label;
null only where words that lie in the speech of no one were kept.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from recall_audio.model.outcome import Finding

_WORDS = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+(?:['’.,-]\w+)*"
)
"""A word, or one sign of a script without blanks between words."""
_QUESTIONS = re.compile(r"[?？؟⁇]+")
_PUNCTUATION = re.compile(r"[.!?。！？؟,，、;:]")


@dataclass(frozen=True, slots=True)
class Word:
    """One word as a transcriber gave it.

    Attributes:
        text: without blanks around it.
        start_s: None where the transcriber did not place it.
        end_s: the same.
        confidence: 0 to 1, or None.
    """

    text: str
    start_s: float | None
    end_s: float | None
    confidence: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """One stretch of one speaker's words.

    Attributes:
        start_s: seconds on the mix's clock.
        end_s: seconds on the mix's clock.
        speaker: label, or None where the words lie in the speech of no one.
        text: what was said, without blanks around it.
        words: single words, where the transcriber gave them.
        in_speech: share of its time that lies in the speaker's own speech, 0 to 1; None where not known.
        confidence: mean of its words', or the transcriber's for the whole, 0 to 1, or None.
    """

    start_s: float
    end_s: float
    speaker: str | None
    text: str
    words: tuple[Word, ...] = ()
    in_speech: float | None = None
    confidence: float | None = None

    def to_json(self, name: str | None = None) -> dict[str, Any]:
        """Return plain values, with the speaker's real name."""
        plain = {k: getattr(self, k) for k in self.__slots__ if k not in ("words", "speaker")}
        return {"speaker": self.speaker, "name": name, **plain, "words": [w.to_json() for w in self.words]}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "TranscriptSegment":
        """Return the segment that :meth:`to_json` wrote."""
        fields = {k: value[k] for k in TranscriptSegment.__slots__ if k != "words"}
        return TranscriptSegment(**fields, words=tuple(Word(**w) for w in value["words"]))


@dataclass(frozen=True, slots=True)
class Transcript:
    """The transcript of a recording.

    Attributes:
        segments: in order of their start.
        engine: what made it: ``name``, and ``model`` and ``language`` where known.
        source: what was transcribed: ``clips`` or ``stems`` of each speaker, or the ``mix``.
        dropped: label to the number of words left out, as they lie outside that speaker's own speech.
        n_unassigned: words of the mix left out, as they lie in the speech of no one.
        parameters: the options in force.
        findings: what a reader should know.
        speakers: labels of everyone present, silent ones too.
    """

    segments: tuple[TranscriptSegment, ...]
    engine: Mapping[str, str | None] = field(default_factory=lambda: {"name": None})
    source: str = "stems"
    dropped: Mapping[str, int] = field(default_factory=dict)
    n_unassigned: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    speakers: tuple[str, ...] = ()

    def to_json(self, names: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the plain values of ``transcript.json``; `names` maps labels to real names."""
        counts = count_speech(self.segments, self.speakers)
        return {
            "engine": {"name": None, "model": None, "language": None, **self.engine},
            "source": self.source,
            "n_words": sum(c.n_words for c in counts.values()),
            "n_dropped": sum(self.dropped.values()),
            "n_unassigned": self.n_unassigned,
            "speakers": {
                label: {
                    "name": names.get(label),
                    "n_words": found.n_words,
                    "n_dropped": self.dropped.get(label, 0),
                }
                for label, found in counts.items()
            },
            "segments": [s.to_json(names.get(s.speaker or "")) for s in self.segments],
            "parameters": dict(self.parameters),
            "findings": [f.to_json() for f in self.findings],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Transcript":
        """Return the transcript that :meth:`to_json` wrote.

        Raises:
            KeyError, TypeError: it is not as this version writes it.
        """
        segments = tuple(TranscriptSegment.from_json(s) for s in value["segments"])
        if not all(math.isfinite(t) for s in segments for t in (s.start_s, s.end_s)):
            raise TypeError("a time that is no number")
        return Transcript(
            segments=segments,
            engine=value["engine"],
            source=value["source"],
            dropped={label: s["n_dropped"] for label, s in value["speakers"].items()},
            n_unassigned=value["n_unassigned"],
            parameters=value["parameters"],
            findings=tuple(Finding.from_json(f) for f in value["findings"]),
            speakers=tuple(value["speakers"]),
        )


@dataclass(frozen=True, slots=True)
class SpokenCount:
    """What one speaker said, in numbers.

    Attributes:
        n_words: words.
        n_questions: sentences that end in a question mark; None where the transcript has no punctuation.
    """

    n_words: int
    n_questions: int | None


def count_words(text: str) -> int:
    """Return the words of a text; of scripts without blanks between words, the signs."""
    return len(_WORDS.findall(text))


def count_speech(
    segments: Sequence[TranscriptSegment], speakers: Sequence[str] = ()
) -> dict[str, SpokenCount]:
    """Return label to what they said, 0 words for `speakers` who said nothing."""
    texts: dict[str, list[str]] = {label: [] for label in speakers}
    for segment in segments:
        if segment.speaker is not None:
            texts.setdefault(segment.speaker, []).append(segment.text)
    is_punctuated = any(_PUNCTUATION.search(s.text) for s in segments)
    return {
        label: SpokenCount(
            sum(map(count_words, said)),
            sum(len(_QUESTIONS.findall(t)) for t in said) if is_punctuated or not said else None,
        )
        for label, said in texts.items()
    }
