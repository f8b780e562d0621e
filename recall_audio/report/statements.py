"""A statement of the trust section."""

from dataclasses import dataclass

FINE, NOTE, CHECK, MATTERS = 0, 1, 2, 3
"""How bad: nothing to do; good to know; look at it before using the number; the number may be wrong."""

WORDS = ("Fine", "Note", "Check", "Matters")
"""The ranks on the page."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence about a result.

    Attributes:
        rank: ``FINE`` to ``MATTERS``.
        area: what it is about, one word.
        where: a person or a part by name; empty for the whole recording.
        sentence: plain words.
    """

    rank: int
    area: str
    where: str
    sentence: str

    @property
    def word(self) -> str:
        """The rank as a word."""
        return WORDS[self.rank]
