"""What was said, by whom, on the meeting's clock."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Word:
    """One word as a transcriber gave it.

    Attributes:
        text: without spaces around it.
        start_s: None where the transcriber could not place it.
        end_s: the same.
        confidence: 0 to 1, or None.
    """

    text: str
    start_s: float | None
    end_s: float | None
    confidence: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of one speaker's words.

    Attributes:
        start_s: seconds on the mix's clock.
        end_s: seconds on the mix's clock.
        speaker: label.
        text: what was said, without spaces around it.
        words: single words, where the transcriber gave them.
        in_speech: share of it that lies in the speaker's own speech; near 0 the transcriber made it up; None
            where the speech is not known.
    """

    start_s: float
    end_s: float
    speaker: str
    text: str
    words: tuple[Word, ...] = ()
    in_speech: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``words`` only where there are some."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name != "words"}
        return plain | ({"words": [w.to_json() for w in self.words]} if self.words else {})
