"""Say in one sentence who spoke, for a page and for a terminal."""

from collections.abc import Mapping
from dataclasses import dataclass

from recall_audio.report.formatting import count, mapping, number, percent, text
from recall_audio.report.values import Documents, Speaker

_MOST = 0.6
"""From this share of all talk on, one person did most of the talking."""
_BOTH = 0.7
"""From this share on, two people shared the talk..."""
_ALIKE = 0.5
"""...if the second one talked at least this much of what the first one did."""
_EVEN = 1.5
"""Talk was spread evenly where no one has more than this many equal shares, and no speaker under the half."""
_FEW = 3
"""Most silent people who are named."""


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of a sentence.

    Attributes:
        text: the words.
        is_name: whether they are a person's name, which may run from right to left.
    """

    text: str
    is_name: bool = False


def lede(people: list[Speaker]) -> list[Word]:
    """Return one sentence about who spoke, in pieces; empty where there are no people."""
    if not people:
        return []
    spoke = [s for s in people if (s.talk_s or 0.0) > 0]
    silent = [s for s in people if s.talk_s == 0]
    unknown = [s for s in people if s.talk_s is None]
    clauses = [_who_spoke(spoke, n_known=len(spoke) + len(silent))]
    if silent and spoke:
        verb = "was" if len(silent) == 1 else "were"
        clauses.append([*_names(silent), Word(f" {verb} there and said nothing")])
    if unknown:
        clauses.append([Word("how much "), *_names(unknown), Word(" spoke is not known")])
    words: list[Word] = []
    for i, clause in enumerate(clauses):
        words += [Word("; ")] * (i > 0) + clause
    if not words[0].is_name:
        words[0] = Word(words[0].text[:1].upper() + words[0].text[1:])
    return [*words, Word(".")]


def plain(words: list[Word]) -> str:
    """Return a sentence as plain text."""
    return "".join(word.text for word in words)


def _who_spoke(spoke: list[Speaker], n_known: int) -> list[Word]:
    """Return the clause about those who spoke, most talk first."""
    if not spoke:
        return [Word("of no one is it known whether they spoke" if n_known == 0 else "no one spoke")]
    if len(spoke) == 1:
        return [Word(spoke[0].name, is_name=True), Word(" did all the talking")]
    return _shared(spoke, _shares(spoke))


def _shared(spoke: list[Speaker], shares: dict[str, float]) -> list[Word]:
    """Return how the talk was shared among two or more."""
    first, second = spoke[0], spoke[1]
    top, next_share = shares[first.label], shares[second.label]
    both = [Word(first.name, is_name=True), Word(" and "), Word(second.name, is_name=True)]
    if top >= _MOST:
        return [Word(first.name, is_name=True), Word(f" did most of the talking ({percent(top, 0)})")]
    if len(spoke) == 2 or (top + next_share >= _BOTH and next_share >= _ALIKE * top):
        what = " shared the talk" if len(spoke) == 2 else " shared most of the talk"
        return [*both, Word(f"{what} ({percent(top, 0)} and {percent(next_share, 0)})")]
    equal = 1.0 / len(spoke)
    if top <= _EVEN * equal and shares[spoke[-1].label] >= 0.5 * equal:
        return [*_names(spoke), Word(" shared the talk about evenly")]
    if _may_be_equal(first, second):
        return [*both, Word(f" spoke most, about as much as each other ({percent(top, 0)})")]
    rest = [Word(" spoke most ("), Word(f"{percent(top, 0)}), then "), Word(second.name, is_name=True)]
    return [Word(first.name, is_name=True), *rest, Word(f" ({percent(next_share, 0)})")]


def _shares(spoke: list[Speaker]) -> dict[str, float]:
    """Return label to share of the known talk, as measured where it was."""
    measured = {s.label: number(s.talk.get("share_of_talk")) for s in spoke}
    known = {label: share for label, share in measured.items() if share is not None}
    if len(known) == len(spoke):
        return known
    whole = sum(s.talk_s or 0.0 for s in spoke)
    return {s.label: (s.talk_s or 0.0) / whole for s in spoke} if whole > 0 else {s.label: 0.0 for s in spoke}


def _may_be_equal(first: Speaker, second: Speaker) -> bool:
    """Return whether the intervals of two shares overlap."""
    low, high = interval(first), interval(second)
    return low is not None and high is not None and high[1] >= low[0]


def interval(s: Speaker, share: str = "share_of_talk") -> tuple[float, float] | None:
    """Return the interval of a speaker's share, None where there is none."""
    low, high = number(s.talk.get(f"{share}_low")), number(s.talk.get(f"{share}_high"))
    return None if low is None or high is None or low > high else (low, high)


def _names(people: list[Speaker]) -> list[Word]:
    """List names: all of a few, else the first ones and how many more."""
    shown = people if len(people) <= _FEW + 1 else people[:_FEW]
    more = len(people) - len(shown)
    words: list[Word] = []
    for i, s in enumerate(shown):
        last = i == len(shown) - 1 and not more
        words += [Word(" and " if last else ", ")] * (i > 0) + [Word(s.name, is_name=True)]
    return [*words, Word(f" and {count(more, 'other')}")] if more else words


_MONTHS = "January February March April May June July August September October November December"


def when(documents: Documents) -> str:
    """Return the date and time of the meeting's start for a reader, e.g. ``20 November 2026, 09:00 UTC``."""
    started = text(mapping(mapping(documents.get("recording")).get("recording")).get("started_at"))
    try:
        year, month, day = (int(n) for n in started[:10].split("-"))
        date = f"{day} {_MONTHS.split()[month - 1]} {year}"
    except (ValueError, IndexError):
        return started[:16].replace("T", " ")
    zone = started[19:].lstrip(".0123456789")
    named = {"Z": " UTC", "+00:00": " UTC", "": ""}.get(zone, f" {zone}" if zone[:1] in "+-" else "")
    return f"{date}, {started[11:16]}{named}" if len(started) >= 16 else date


def metadata(documents: Documents) -> list[tuple[str, str]]:
    """Return the metadata of bot and recording, key and value."""
    recording = mapping(documents.get("recording"))
    both: list[Mapping[str, object]] = [
        mapping(mapping(recording.get(name)).get("metadata")) for name in ("bot", "recording")
    ]
    return [(text(key), text(value)) for found in both for key, value in found.items()]


def platform(documents: Documents) -> str:
    """Return the platform's name as people write it."""
    name = text(mapping(mapping(documents.get("recording")).get("bot")).get("platform"))
    known = {
        "zoom": "Zoom",
        "microsoft_teams": "Microsoft Teams",
        "google_meet": "Google Meet",
        "webex": "Webex",
    }
    return known.get(name, name.replace("_", " "))
