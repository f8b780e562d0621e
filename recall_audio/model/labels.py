"""Name participants: make a label of what they typed.

A display name is any text that the other side typed: ``../../x``, ``CON``, 400 emoji, half a surrogate pair.
Its label keeps the readable characters (``Ann Lee`` is ``Ann_Lee``) and nothing that has a meaning in a file
system, a space-separated format or a terminal. The name itself is kept in ``speakers.json``.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.model.meeting import Participant

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
"""Names in lower case that Windows takes for devices, with any suffix."""

_KEPT_CHARACTERS = 32
_DIGEST_CHARACTERS = 10
_OWN_FILES = ("mixed", "speaker_timeline", "fetched")
"""Stems of the package's own files beside those that are named after ids."""


def is_id(text: str) -> bool:
    """Return whether `text` can be an id: 1 to 64 ASCII letters, digits, ``-`` and ``_``."""
    return _ID.fullmatch(text) is not None


def is_file_name(text: str) -> bool:
    """Return whether an id is an ordinary file name everywhere: no leading ``-`` or ``_``, no device."""
    return is_id(text) and text[0].isalnum() and text.lower() not in DEVICES


def safe_id(identifier: str) -> str:
    """Return `identifier` if :func:`is_file_name`, else its safe letters and a hash of it.

    Two different ids never give one name; case alone does not tell names apart (see :func:`distinct_names`).
    """
    if is_file_name(identifier):
        return identifier
    kept = re.sub(r"[^A-Za-z0-9]+", "_", identifier).strip("_")[:_KEPT_CHARACTERS]
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{kept or 'id'}-{digest}"


def distinct_names(identifiers: list[str]) -> list[str]:
    """Return safe names of several ids, in order.

    They differ from each other and from the package's own files even on file systems that ignore case.
    """
    taken = set(_OWN_FILES)
    names = []
    for identifier in identifiers:
        name, number = safe_id(identifier), 1
        candidate = name
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate.casefold())
        names.append(candidate)
    return names


LONGEST_BYTES = 60
"""UTF-8 bytes of the longest label."""

_KEPT_ASCII = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_OURS = {"overlap", "mix", "mixed", "mixdown", "poly"}
# Letters and marks that draw nothing: two names that differ by them alone would look the same.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def make_labels(
    participants: Sequence[Participant], first_ids: Mapping[int, int] | None = None
) -> dict[int, str]:
    """Return one label a participant id, e.g. ``Ann`` and then ``Ann_2``.

    Two persons are two labels, whatever their names: labels differ even on file systems that ignore case
    (``ann``, ``ANN_2``). The same list always gives the same labels.

    Args:
        participants: in the API's order.
        first_ids: a participant id to the first id of the same person, which gives the label of both.
    """
    labels: dict[int, str] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for person in participants:
        known = labels.get((first_ids or {}).get(person.participant_id, person.participant_id))
        if known is not None:
            labels[person.participant_id] = known
        else:
            label = _untaken(safe_name(person.name, f"participant_{person.participant_id}"), taken, numbers)
            taken.add(_twin_key(label))
            labels[person.participant_id] = label
    return labels


def label_of(names: Mapping[str, str | None], speaker: str) -> str:
    """Return the label of a speaker who is given by label or by real name.

    Args:
        names: label to real name, None where there is none.
        speaker: the label or the name.

    Raises:
        ItemError: ``no_speaker``: no participant, or more than one, has this name.
    """
    if speaker in names:
        return speaker
    found = [label for label, name in names.items() if name is not None and _same(name, speaker)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ItemError(
            f"{len(found)} participants are called {speaker!r}.",
            f"Give the label of one: {', '.join(found)}.",
            code="no_speaker",
        )
    known = ", ".join(label if name is None else f"{label} ({name})" for label, name in names.items())
    raise ItemError(
        f"No participant is called {speaker!r}.", f"There are: {known or 'none'}.", code="no_speaker"
    )


def _same(name: str, other: str) -> bool:
    return " ".join(name.split()).casefold() == " ".join(other.split()).casefold()


def safe_name(name: str | None, otherwise: str = "participant") -> str:
    """Return `name` as a label, or `otherwise` where none of its characters can be kept.

    Unicode is brought to NFKC; surrogates, spaces, separators and ASCII punctuation become ``_``; control,
    format and unassigned characters are dropped; no ``_`` or ``-`` stands at either end. Names that Windows
    keeps for devices, or that the project keeps for files and tiers of its own, get a ``_`` behind them. At
    most :data:`LONGEST_BYTES` of UTF-8, cut between characters. ``safe_name(safe_name(x)) == safe_name(x)``.
    """
    label = "".join(_safe(c) for c in unicodedata.normalize("NFKC", name or ""))
    # What was dropped may have stood between a letter and its accent.
    label = unicodedata.normalize("NFKC", label)
    label = _cut("_".join(part for part in label.split("_") if part), LONGEST_BYTES)
    if not any(unicodedata.category(c)[0] in "LNS" for c in label):
        return otherwise
    return f"{label}_" if label.casefold() in DEVICES | _OURS else label


def speakers_json(participants: Sequence[Participant], labels: Mapping[int, str]) -> dict[str, Any]:
    """Return the plain values of ``speakers.json``: each label's name and ids.

    Of a person with several ids the first that says something gives each field.
    """
    people: dict[str, dict[str, Any]] = {}
    for person in participants:
        known = people.setdefault(labels[person.participant_id], {"participant_ids": []})
        known["participant_ids"] += [person.participant_id]
        for name in ("name", "is_host", "platform", "email"):
            known[name] = getattr(person, name) if known.get(name) is None else known[name]
        known["extra_data"] = _filled(known.get("extra_data"), person.extra_data)
    for known in people.values():
        known["participant_ids"] = list(dict.fromkeys(known["participant_ids"]))
    return {"speakers": people}


def _filled(first: dict[str, Any] | None, second: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a platform's own fields, those of the second where the first has none."""
    if first is None or second is None:
        return first if second is None else second
    both = {k: (first.get(k), v) for k, v in second.items()}
    return first | {
        k: _filled(a, b) if isinstance(a, dict) and isinstance(b, dict) else b if a is None else a
        for k, (a, b) in both.items()
    }


def _safe(character: str) -> str:
    """Return what stands for one character of an NFKC string in a label."""
    if character.isascii() and character.isprintable():
        return character if character in _KEPT_ASCII else "_"
    category = unicodedata.category(character)
    if category == "Cs" or category[0] == "Z" or character in "\t\n\v\f\r\x85":
        return "_"
    variation_selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    invisible = category[0] == "C" or character in _INVISIBLE or variation_selector
    return "" if invisible else character


def _cut(label: str, n_bytes: int) -> str:
    """Cut a label to `n_bytes` of UTF-8, in whole characters that may stand at an end."""
    return label.encode()[:n_bytes].decode(errors="ignore").strip("_-")


def _twin_key(label: str) -> str:
    """Return a key that is equal for labels that some file system takes for one."""
    # Through upper case too: file systems fold by it, and it meets where casefold alone does not (ı and i).
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", label).upper().casefold())


def _untaken(label: str, taken: set[str], numbers: dict[str, int]) -> str:
    """Return `label`, with the first number from 2 where it is taken.

    Args:
        label: what is wanted.
        taken: keys of the labels so far; it only grows.
        numbers: the last number of each wanted label, updated here, so that a thousand guests take no
            half a million tries.
    """
    number = numbers.get(label, 1)
    candidate = label if number == 1 else _cut(label, LONGEST_BYTES - len(f"_{number}")) + f"_{number}"
    while _twin_key(candidate) in taken:
        number += 1
        suffix = f"_{number}"
        candidate = _cut(label, LONGEST_BYTES - len(suffix)) + suffix
    numbers[label] = number
    return candidate
