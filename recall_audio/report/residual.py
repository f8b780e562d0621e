"""Sound of the mix that is in nobody's track: a lane, a table, a sentence."""

from collections.abc import Iterator

from recall_audio.report.formatting import clock, count, mapping, number, percent, seconds
from recall_audio.report.intervals import Stretches, stretches, total_s
from recall_audio.report.speakers import Documents, Speaker
from recall_audio.report.statements import CHECK, FINE, Statement

_EXPLAINED = 0.9


def unexplained(documents: Documents) -> Stretches:
    """Stretches of the mix that no track explains."""
    residual = mapping(mapping(documents.get("stems")).get("residual"))
    return stretches(residual.get("unexplained"))


def explained(documents: Documents) -> str:
    """Share of the mix's sound that the tracks explain; empty where it was not measured."""
    share = number(mapping(mapping(documents.get("stems")).get("residual")).get("explained"))
    return "" if share is None else percent(share)


def unexplained_rows(documents: Documents) -> list[tuple[str, str, str]]:
    """From, to and length of each stretch that no track explains."""
    return [(clock(a / 1000), clock(b / 1000), seconds((b - a) / 1000, 1)) for a, b in unexplained(documents)]


def residual_statements(documents: Documents, _people: list[Speaker]) -> Iterator[Statement]:
    """How much of what is heard in the meeting is in somebody's track."""
    found, share = unexplained(documents), explained(documents)
    if found:
        yield Statement(
            CHECK,
            "Unexplained",
            "",
            f"{count(len(found), 'stretch', 'stretches')} of the mix, {clock(total_s(found))} in all, "
            f"{'is' if len(found) == 1 else 'are'} in nobody's track: a shared screen's sound, somebody "
            "without a track of their own, a lost part, or one in the wrong place.",
        )
    elif share:
        part = number(mapping(mapping(documents.get("stems")).get("residual")).get("explained")) or 0.0
        # Codecs and the platform's own processing leave some of every mix unexplained, spread all over it.
        rest = "" if part >= _EXPLAINED else ", the rest spread thinly over the meeting"
        yield Statement(FINE, "Unexplained", "", f"The tracks explain {share} of the sound of the mix{rest}.")
