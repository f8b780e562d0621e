"""One chronological transcript from a transcriber's files, one file a stem.

::

    Ann.json   [Shall we begin?]              [Fine.]          stems lie on the mix's clock, so do
    Bob.json              [Yes, let's.]                        the times that come back
    merged     Ann: Shall we begin?  Bob: Yes, let's.  Ann: Fine.

What is read: :mod:`recall_audio.export.read_transcripts`.
"""

import html
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from recall_audio.errors import UsageError
from recall_audio.export.read_transcripts import utterances
from recall_audio.export.recording_view import Rows, readable
from recall_audio.export.timelines import timestamp
from recall_audio.model.transcript import Utterance

Names = Mapping[str, str | None]


def match_files(files: Iterable[str], labels: Sequence[str]) -> dict[str, str]:
    """File name to the label of the stem that it transcribes: ``Ann_Lee.json``, ``Ann_Lee.wav.json``.

    Raises:
        UsageError: a file is no stem's, or two are the same one's.
    """
    by_name = {unicodedata.normalize("NFC", label).casefold(): label for label in labels}
    matched: dict[str, str] = {}
    for file in files:
        name = unicodedata.normalize("NFC", file.replace("\\", "/").rsplit("/", 1)[-1]).casefold()
        label = by_name.get(name.split(".", 1)[0])
        if label is None:
            hint = f"Name it after its stem: {', '.join(f'{x}.json' for x in labels)}."
            raise UsageError(f"{file} is no stem's transcript.", hint)
        if label in matched.values():
            raise UsageError(f"{file} is a second transcript of {label}.", "Give one file a stem.")
        matched[file] = label
    return matched


def merge_transcripts(
    transcripts: Mapping[str, Any], speech: Mapping[str, Rows] | None = None
) -> tuple[Utterance, ...]:
    """Everybody's utterances by start.

    Args:
        transcripts: label to what the transcriber's JSON file holds.
        speech: label to ``[[start_s, end_s], ...]``, to tell words that were made up in silence.

    Raises:
        ItemError: a file has no segments, or one of them no start, end and text.
    """
    found = [
        utterance
        for label, value in transcripts.items()
        for utterance in utterances(value, label, None if speech is None else speech.get(label, ()))
    ]
    return tuple(sorted(found, key=lambda u: (u.start_s, u.end_s, u.speaker)))


def write_transcript(said: Sequence[Utterance], names: Names, to: str) -> bytes:
    """The transcript in one of :data:`TRANSCRIPT_FORMATS`.

    Raises:
        UsageError: there is no such format.
    """
    if to not in TRANSCRIPT_FORMATS:
        raise UsageError(
            f"There is no transcript format {to!r}.", f"Choose one of {', '.join(TRANSCRIPT_FORMATS)}."
        )
    return TRANSCRIPT_FORMATS[to](said, names).encode("utf-8", "replace")


def _name(utterance: Utterance, names: Names) -> str:
    return readable(names.get(utterance.speaker)) or utterance.speaker


def _json(said: Sequence[Utterance], names: Names) -> str:
    rows = [{"name": names.get(u.speaker), **u.to_json()} for u in said]
    # Escaped as ASCII: half a surrogate pair in a name stays what it was.
    body = {"schema": "recall-audio/transcript/1", "utterances": rows}
    return json.dumps(body, allow_nan=False, indent=1) + "\n"


def _webvtt(said: Sequence[Utterance], names: Names) -> str:
    cues = ["WEBVTT\n"]
    for u in said:
        name, text = (html.escape(x, quote=False) for x in (_name(u, names), u.text))
        cues.append(f"{timestamp(u.start_s)} --> {timestamp(u.end_s)}\n<v {name}>{text}</v>\n")
    return "\n".join(cues)


def _srt(said: Sequence[Utterance], names: Names) -> str:
    cues = []
    for i, u in enumerate(said, start=1):
        times = f"{timestamp(u.start_s, ',')} --> {timestamp(u.end_s, ',')}"
        cues.append(f"{i}\n{times}\n{_name(u, names)}: {u.text}\n")
    return "\n".join(cues)


def _text(said: Sequence[Utterance], names: Names) -> str:
    return "".join(f"[{timestamp(u.start_s)[:8]}] {_name(u, names)}: {u.text}\n" for u in said)


TRANSCRIPT_FORMATS: Mapping[str, Callable[[Sequence[Utterance], Names], str]] = {
    "json": _json,
    "webvtt": _webvtt,
    "srt": _srt,
    "text": _text,
}
"""Name to writer."""
