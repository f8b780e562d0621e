"""Show voices that leaked into other tracks, and sound of the mix that is in no track."""

from collections.abc import Iterator, Mapping
from typing import Any

from recall_audio.core.spans import total
from recall_audio.report.formatting import (
    clock,
    count,
    key,
    listing,
    mapping,
    number,
    objects,
    percent,
    quantity,
    seconds,
    spans_ms,
    text,
)
from recall_audio.report.summary import interval
from recall_audio.report.values import CHECK, FINE, NOTE, Cell, Documents, Speaker, Statement
from recall_audio.typing import Spans

_EXPLAINED = 0.9


def unexplained(documents: Documents) -> Spans:
    """Return the spans of the mix, in milliseconds, that no track explains."""
    residual = mapping(mapping(documents.get("stems")).get("residual"))
    return spans_ms(residual.get("unexplained"))


def explained(documents: Documents) -> str:
    """Return the share of the mix's sound that the tracks explain, or an empty text."""
    share = number(mapping(mapping(documents.get("stems")).get("residual")).get("explained"))
    return "" if share is None else percent(share)


def unexplained_rows(documents: Documents) -> list[tuple[str, str, str]]:
    """Return start, end and length of each stretch that no track explains."""
    return [(clock(a / 1000), clock(b / 1000), seconds((b - a) / 1000, 1)) for a, b in unexplained(documents)]


def residual_statements(documents: Documents, _people: list[Speaker]) -> Iterator[Statement]:
    """Yield how much of the meeting's sound is in a track."""
    found, share = unexplained(documents), explained(documents)
    if len(found):
        yield Statement(
            CHECK,
            "Unexplained",
            "",
            f"{count(len(found), 'stretch', 'stretches')} of the mix, {clock(total(found) / 1000.0)} in all, "
            f"{'is' if len(found) == 1 else 'are'} in no track: a shared screen's sound, a participant "
            "without a track of their own, a lost part, or one in the wrong place.",
        )
    elif share:
        part = number(mapping(mapping(documents.get("stems")).get("residual")).get("explained")) or 0.0
        # Codecs and the platform's own processing leave some of every mix unexplained, spread all over it.
        rest = "" if part >= _EXPLAINED else ", the rest spread thinly over the meeting"
        yield Statement(FINE, "Unexplained", "", f"The tracks explain {share} of the sound of the mix{rest}.")


_LIKELY = 0.5
"""A leak of at least this certainty is shown."""
_LOUD_DB = -18.0
"""From here on a leak is as strong as soft own speech."""
_FAINT_DB = -40.0
"""Below this level a leak never counts as speech."""
_NOTEWORTHY_SHARE = 0.1
_NOTEWORTHY_S = 5.0
"""Speech attributed to others is worth a statement from this share and this length on."""
_WIDE_SHARE = 0.02
"""Half an interval of a share from which it is worth a check: two points."""
_MOST_OF_IT = 0.5
"""From this share on, speech attributed to others is worth a check."""


def leaks(documents: Documents) -> list[Mapping[str, Any]]:
    """Return the leaks of ``leakage.json`` that are more likely than not, loudest first."""
    found = [
        leak
        for leak in objects(mapping(documents.get("leakage")).get("leaks"))
        if (number(leak.get("certainty")) or 0.0) >= _LIKELY and number(leak.get("gain_db")) is not None
    ]
    return sorted(found, key=lambda leak: -float(leak["gain_db"]))


def leakage_statements(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """Yield one statement on all leaked voices: how many tracks, the loudest, and what hangs on it."""
    names = {s.label: s.name for s in people}
    loud = [leak for leak in leaks(documents) if float(leak["gain_db"]) >= _FAINT_DB]
    taken = {s.name: total(s.taken_out) / 1000.0 for s in people}
    noteworthy = {
        s.name: taken[s.name]
        for s in people
        if taken[s.name] >= _NOTEWORTHY_S and _taken_share(s) >= _NOTEWORTHY_SHARE
    }
    if not loud and not noteworthy:
        if documents.get("leakage") and not leaks(documents):
            yield Statement(FINE, "Leakage", "", "No voice was found on another person's track.")
        return
    sentences = []
    if loud:
        first = loud[0]
        source, listener = (
            names.get(str(first.get(end)), text(first.get(end))) for end in ("source", "listener")
        )
        tracks = len({key(leak.get("listener")) for leak in loud})
        level = quantity(first["gain_db"], "dB", 0)
        sentences.append(
            f"Other people's voices are heard on {count(tracks, 'track')} of {len(people)}, the loudest that "
            f"of {source} on the track of {listener} ({level})."
        )
    sentences += _hangs_on_it(people, noteworthy)
    is_loud = bool(loud) and float(loud[0]["gain_db"]) >= _LOUD_DB
    is_much = is_loud or any(_taken_share(s) >= _MOST_OF_IT for s in people if s.name in noteworthy)
    half = _widest_half(people)
    if half is not None:
        sentences.append(f"With all that, shares of talk are known to within ±{100 * half:.1f} points.")
        is_much = half >= _WIDE_SHARE
    elif is_loud:
        sentences.append("Where others are so loud, soft speech may be missed, or theirs counted.")
    yield Statement(CHECK if is_much else NOTE, "Leakage", "", " ".join(sentences))


def _widest_half(people: list[Speaker]) -> float | None:
    """Return half the widest interval of a share of talk, None where not every known share has one."""
    found = [interval(s) for s in people if s.talk_s is not None]
    widths = [high - low for low, high in (pair for pair in found if pair is not None)]
    return max(widths) / 2.0 if widths and len(widths) == len(found) else None


def _hangs_on_it(people: list[Speaker], noteworthy: Mapping[str, float]) -> Iterator[str]:
    """Yield how much of what sounded like speech is not counted, and for whom most."""
    if not noteworthy:
        return
    taken_s = sum(noteworthy.values())
    kept_s = sum(s.talk_s or 0.0 for s in people)
    ordered = sorted(noteworthy, key=lambda name: -noteworthy[name])
    whose = "" if len(ordered) == 1 and len(people) == 1 else f", on the tracks of {listing(ordered)}"
    yield (
        f"{clock(taken_s)} of what sounds like speech was put down to others and is not counted{whose}; "
        f"{clock(kept_s)} of talk is."
    )


def _taken_share(s: Speaker) -> float:
    """Return the share of what sounds like speech on a track that was put down to others."""
    taken_s = total(s.taken_out) / 1000.0
    return taken_s / (taken_s + (s.talk_s or 0.0)) if taken_s > 0 else 0.0


def taken_out(people: list[Speaker]) -> list[tuple[str, str]]:
    """Return how much of each track was put down to others, and its share of what sounds like speech."""
    return [
        (clock(total(s.taken_out) / 1000.0), percent(_taken_share(s), 0)) if len(s.taken_out) else ("", "")
        for s in people
    ]


def leakage_matrix(documents: Documents, people: list[Speaker]) -> list[list[Cell]]:
    """Return the level of each voice (column) on each track (row), dB against its own track.

    The matrix is empty where there are no leaks.
    """
    found = {(key(leak.get("listener")), key(leak.get("source"))): leak for leak in leaks(documents)}
    if not found:
        return []
    return [[_cell(found.get((row.label, column.label))) for column in people] for row in people]


def _cell(leak: Mapping[str, Any] | None) -> Cell:
    if leak is None:
        return Cell("")
    level_db = float(leak["gain_db"])
    delay = quantity(leak.get("delay_ms"), "ms", 0)
    return Cell(quantity(level_db, "dB", 0), delay, max(1, min(9, round(10 + level_db / 4))))
