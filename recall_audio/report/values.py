"""Define the values that the report's sections share: speakers, statements, matrix cells."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from recall_audio.core.spans import subtract, total
from recall_audio.model.talk import MOST_PAIRED
from recall_audio.report.formatting import (
    items,
    key,
    listing,
    mapping,
    number,
    number_pairs,
    objects,
    spans_ms,
    text,
)
from recall_audio.typing import Spans

Documents = Mapping[str, Mapping[str, Any]]
"""Parsed JSON files of a recording's folder by kind (``recording``, ``talk``, ...)."""

COLOURS = 10
"""Colours in the style sheet. The eleventh speaker shares the first one's and differs by name."""

FINE, NOTE, CHECK, MATTERS = 0, 1, 2, 3
"""Ranks: nothing to do; good to know; look before using the number; the number may be wrong."""

RANK_WORDS = ("Fine", "Note", "Check", "Matters")
"""The ranks as the page names them."""

HEAT_LEVELS = 9
"""The darkest shade of a matrix cell in the style sheet; 0 is no shade."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One participant of the report.

    Attributes:
        label: as in ``speakers.json`` and the file names.
        name: for display: the real name made safe for one line, else the label.
        colour: class number in the style sheet.
        participant_ids: all ids of this label.
        speech: what counts as their speech, milliseconds.
        taken_out: what was detected on their track but explained by others' leaked voices, milliseconds.
        talk: their entry in ``talk.json``, or an empty mapping.
        is_known: whether it is known how much they spoke.
    """

    label: str
    name: str
    colour: int
    participant_ids: tuple[int, ...]
    speech: Spans
    taken_out: Spans
    talk: Mapping[str, Any]
    is_known: bool = True

    @property
    def talk_s(self) -> float | None:
        """Return seconds of speech: the measured figure, else the sum of the segments, None if unknown."""
        measured = number(self.talk.get("talk_s"))
        if measured is None:
            return total(self.speech) / 1000.0 if self.is_known else None
        return measured


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence about a result.

    Attributes:
        rank: ``FINE`` to ``MATTERS``.
        area: its subject, one word.
        where: a person or a part by name; empty for the whole recording.
        sentence: plain words.
    """

    rank: int
    area: str
    where: str
    sentence: str

    @property
    def word(self) -> str:
        """Return the rank as a word."""
        return RANK_WORDS[self.rank]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a matrix.

    Attributes:
        shown: the figure.
        beside: a second figure, smaller.
        heat: 0 to ``HEAT_LEVELS``, how dark the cell is.
    """

    shown: str
    beside: str = ""
    heat: int = 0


def heat(value: float | None, top: float) -> int:
    """Return the shade of a value: ``HEAT_LEVELS`` for `top`, at least 1 above 0."""
    if value is None or value <= 0 or top <= 0:
        return 0
    return max(1, min(HEAT_LEVELS, round(HEAT_LEVELS * value / top)))


def speakers(documents: Documents) -> list[Speaker]:
    """List every label of ``speakers.json``, ``segments.json`` and ``talk.json``, most talk first."""
    entries = mapping(mapping(documents.get("speakers")).get("speakers"))
    talk = mapping(mapping(documents.get("talk")).get("speakers"))
    segments = mapping(documents.get("segments"))
    clean, raw = mapping(segments.get("speakers")), mapping(segments.get("raw"))
    found = []
    for label in dict.fromkeys([*entries, *talk, *clean]):
        entry = mapping(entries.get(label))
        speech = spans_ms(clean.get(label))
        name = text(entry.get("name")) or text(label)
        taken_out = subtract(spans_ms(raw.get(label)), speech)
        figures = mapping(talk.get(label))
        is_known = "talk_s_reason" not in figures and (label in talk or label in clean)
        found.append(Speaker(label, name, 0, _ids(entry), speech, taken_out, figures, is_known))
    found.sort(key=lambda s: -1.0 if s.talk_s is None else s.talk_s, reverse=True)
    return [replace(s, colour=i % COLOURS) for i, s in enumerate(_told_apart(found))]


def talkers(people: list[Speaker]) -> list[Speaker]:
    """Return who is drawn and has a row and a column in matrices: everyone, in a crowd those with speech."""
    if len(people) <= MOST_PAIRED:
        return people
    return [s for s in people if s.talk_s or len(s.speech) or len(s.taken_out)] or people[:MOST_PAIRED]


def _ids(entry: Mapping[str, Any]) -> tuple[int, ...]:
    """Return every id of a label, of which most have one."""
    ids = [*items(entry.get("participant_ids")), entry.get("participant_id")]
    return tuple(dict.fromkeys(i for i in ids if isinstance(i, int)))


def _told_apart(found: list[Speaker]) -> list[Speaker]:
    """Add the label to names that several speakers share."""
    names = Counter(s.name for s in found)
    return [
        s if names[s.name] == 1 or s.name == text(s.label) else replace(s, name=f"{s.name} ({text(s.label)})")
        for s in found
    ]


def spoke(people: list[Speaker]) -> str:
    """Return how many spoke, and of how many that is not known."""
    unknown = sum(s.talk_s is None for s in people)
    return f"{sum((s.talk_s or 0.0) > 0 for s in people)} spoke" + (
        f", {unknown} not known" if unknown else ""
    )


_LONGEST_IN_TITLE = 30
"""Longest name in such a title, characters."""
_NAMED_IN_TITLE = 3
"""Most people whose names make the title of a meeting that has none."""


def title(documents: Documents) -> str:
    """Return the meeting's title, else who was there, the bot's name or its id."""
    recording = mapping(documents.get("recording"))
    bot, titled = mapping(recording.get("bot")), text(mapping(recording.get("recording")).get("title"))
    if titled:
        return titled
    # A bot's name is one and the same in all meetings of many workspaces, so people come first.
    people = [text(s.name, _LONGEST_IN_TITLE) for s in speakers(documents)]
    if people:
        return f"Meeting of {listing(people, _NAMED_IN_TITLE)}"
    return text(bot.get("name")) or text(bot.get("meeting_id")) or text(bot.get("id")) or "Meeting"


def time_map(part: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return the knots ``(local_s, mix_s)`` of a part's time map, empty where they cannot be read."""
    return number_pairs(part.get("time_map"))


LATEST_S = 1e7
"""Latest time of a meeting that the page believes, seconds: 115 days."""


def duration_s(documents: Documents, people: list[Speaker]) -> float:
    """Return the mix's length in seconds, or the end of the last speech."""
    mix = mapping(mapping(documents.get("alignment")).get("mix"))
    for value in (mapping(documents.get("talk")).get("duration_s"), mix.get("duration_s")):
        length_s = number(value)
        if length_s is not None and 0 < length_s <= LATEST_S:
            return length_s
    return max((float(s.speech[-1, 1]) / 1000.0 for s in people if len(s.speech)), default=0.0)


def names_of_participants(documents: Documents, people: list[Speaker]) -> Callable[[Any], str]:
    """Return a function from a participant's id to the display name, with or without a label."""
    names: dict[Any, str] = {}
    for p in objects(mapping(documents.get("recording")).get("participants")):
        if text(p.get("name")):
            names.setdefault(key(p.get("participant_id")), text(p.get("name")))
    names |= {key(i): s.name for s in reversed(people) for i in s.participant_ids}
    return lambda participant_id: names.get(key(participant_id), f"participant {text(participant_id)}")
