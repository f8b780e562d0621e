"""Check that documents of a pseudonymised copy hold numbers, times, known words and codes, and nothing else.

A document is built from known fields (:mod:`recall_audio.results.pseudonymise`). What stands in a field may
still be anything, where the folder comes from another version or another person: every text of the copy is
looked up here, and one that is unknown refuses the copy.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from recall_audio.errors import ItemError
from recall_audio.model.alignment import PartAlignment
from recall_audio.model.options import STEPS
from recall_audio.model.outcome import WITH_RESULTS, Finding
from recall_audio.model.pseudonyms import CODES, KEPT_APART, LEFT_OUT, OTHER_CODE, TIME, Recoded, sentence_of
from recall_audio.model.speech import Leak, LeakWindow
from recall_audio.model.stems import Stem
from recall_audio.pipeline.documents import Documents
from recall_audio.pipeline.plan import STAGES


def _choices(kind: Any) -> set[str]:
    """Return every text that a type's fields may choose from, e.g. of ``Literal["target", "peak"]``."""
    found: set[str] = set()
    todo = list(get_type_hints(kind).values())
    while todo:
        current = todo.pop()
        if get_origin(current) is Literal:
            found |= {word for word in get_args(current) if isinstance(word, str)}
        else:
            todo += get_args(current)
    return found


_KINDS = (PartAlignment, Stem, Leak, LeakWindow, Finding, *STEPS.values())
_ALL_CODES = CODES | {OTHER_CODE}
WORDS = frozenset(
    {word for kind in _KINDS for word in _choices(kind)}
    | {*STAGES, *WITH_RESULTS, *_ALL_CODES}
    | {sentence_of(code) for code in _ALL_CODES}
    | {"", LEFT_OUT, KEPT_APART, "file", "speech", "warning", "note", "skipped", "failed", "unfinished"}
)
"""Every word and sentence of this package's that a copy may hold beside codes."""

_VERSION = re.compile(r"\d{1,4}(\.\d{1,6}){1,3}((a|b|rc|\.dev|\.post)\d{1,6})?")
_STAGE_KEY = re.compile(r"[0-9a-f]{24}|")
_STEM_FILE = re.compile(r"stems/([^/]+)\.[a-z0-9]{3,4}")


def check_copy(coded: Documents, recoded: Recoded) -> None:
    """Check every text of a copy's documents, keys included.

    Args:
        coded: the documents under codes, without ``talk``, which is measured from them.
        recoded: the codes.

    Raises:
        ItemError: ``unknown_text``: a document holds a text that is no code, time or word of this package.
    """
    meeting = recoded.meeting.to_json()
    codes = {text for text, _ in _texts(meeting)} | {*recoded.labels.values(), *recoded.parts.values()}
    codes |= {name for name, is_key in _texts(coded.get("speakers", {})) if is_key}
    for kind, document in coded.items():
        if kind in ("recording", "speakers"):  # built of codes alone
            continue
        for text, is_key in _texts(document):
            if not (is_key or _is_known(text, codes)):
                raise ItemError(
                    f"{kind}.json holds a text that this version does not write; no copy was made.",
                    "`recall-audio process DIR --force` makes the recording's documents anew.",
                    code="unknown_text",
                )


def _is_known(text: str, codes: set[str]) -> bool:
    """Return whether a text is a code, a stem named after one, a time, or one of :data:`WORDS`."""
    if text in WORDS or text in codes:
        return True
    stem = _STEM_FILE.fullmatch(text)
    if stem is not None:
        return stem[1] in codes or stem[1] in ("mixdown", "poly")
    return any(form.fullmatch(text) for form in (TIME, _VERSION, _STAGE_KEY))


def _texts(value: Any) -> Iterator[tuple[str, bool]]:
    """Yield every text in a value, and whether it is a key."""
    todo = [value]
    while todo:
        current = todo.pop()
        if isinstance(current, str):
            yield current, False
        elif isinstance(current, Mapping):
            yield from ((str(key), True) for key in current)
            todo += current.values()
        elif isinstance(current, list | tuple):
            todo += current
