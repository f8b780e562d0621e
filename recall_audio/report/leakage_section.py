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
    """Yield a statement for each track with leaked voices, or with much speech attributed to others."""
    names = {s.label: s.name for s in people}
    leaked: dict[str, list[tuple[str, float]]] = {}
    for leak in leaks(documents):
        source, listener = (
            names.get(str(leak.get(end)), text(leak.get(end))) for end in ("source", "listener")
        )
        if float(leak["gain_db"]) >= _FAINT_DB:
            leaked.setdefault(listener, []).append((source, float(leak["gain_db"])))
    for s in people:
        yield from _track(s.name, leaked.pop(s.name, []), s)
    for listener, sources in leaked.items():
        yield from _track(listener, sources, None)
    if documents.get("leakage") and not leaks(documents):
        yield Statement(FINE, "Leakage", "", "No voice was found on another person's track.")


def _track(name: str, sources: list[tuple[str, float]], s: Speaker | None) -> Iterator[Statement]:
    """Yield a statement on one track: whose voices leaked, how loud, and how much is not counted."""
    sentences = []
    if sources:
        voices = listing((f"{source} ({quantity(level_db, 'dB', 0)})" for source, level_db in sources), 5)
        sentences.append(f"On this track one also hears {voices}, against their own tracks.")
    taken_s, own_s = (total(s.taken_out) / 1000.0, s.talk_s or 0.0) if s else (0.0, 0.0)
    share = taken_s / (taken_s + own_s) if taken_s > 0 else 0.0
    if share >= _NOTEWORTHY_SHARE and taken_s >= _NOTEWORTHY_S:
        kept = f"{clock(own_s)} is" if own_s > 0 else "nothing else was found"
        sentences.append(
            f"Of what sounds like speech on it, {clock(taken_s)} ({percent(share, 0)}) was put down to "
            f"others and is not counted; {kept}."
        )
    loud = bool(sources) and sources[0][1] >= _LOUD_DB
    if loud:
        sentences.append("Others are so loud here that soft speech may be missed, or theirs counted.")
    if sentences:
        yield Statement(CHECK if loud or share >= _MOST_OF_IT else NOTE, "Leakage", name, " ".join(sentences))


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
