"""Make data frames of a recording's results.

Every frame has the same columns with the same types for every recording, whatever it holds: text ``string``,
seconds and shares ``float64`` (NaN where a figure is not known), counts ``Int64``, yes or no ``boolean``. So
frames of many recordings can be concatenated, and an empty one has its columns.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recall_audio.core.talk.measure import slide_talk
from recall_audio.errors import ItemError, UsageError
from recall_audio.export.tables import TABLES, Row, Type, columns_of
from recall_audio.files import read_json
from recall_audio.model.options import TalkOptions
from recall_audio.model.talk import PairTalk, SpeakerTalk
from recall_audio.pipeline.documents import Documents, Layout, need
from recall_audio.pipeline.talk import remeasure_talk, unknown_speakers, view_of
from recall_audio.results.records import Record

if TYPE_CHECKING:
    import pandas as pd

PANDAS_TYPES: Mapping[Type, str] = {
    "string": "string",
    "number": "float64",
    "integer": "Int64",
    "boolean": "boolean",
}
"""The pandas type of each type of column."""

SEGMENT_COLUMNS: Mapping[str, Type] = {"speaker": "string", "start_s": "number", "end_s": "number"}
"""Columns of ``Recording.segments``."""
TALK_COLUMNS: Mapping[str, Type] = {
    name: kind
    for name, kind in columns_of(SpeakerTalk).items()
    if name
    in {
        "talk_s", "talk_s_low", "talk_s_high", "exclusive_s", "overlapped_s", "presence_s",
        "share_of_talk", "share_of_talk_low", "share_of_talk_high",
        "share_of_speech", "share_of_meeting", "share_of_presence",
        "turns", "longest_monologue_s", "words", "words_per_minute", "questions", "shares_over", "reasons",
    }
}  # fmt: skip
"""Columns of ``Recording.talk``, indexed by speaker."""
PAIR_COLUMNS: Mapping[str, Type] = columns_of(PairTalk)
"""Columns of ``Recording.pairs``."""
PART_COLUMNS: Mapping[str, Type] = {
    "part": "string", "participant": "string", "nominal_start_s": "number", "start_s": "number",
    "drift_ppm": "number", "status": "string", "confidence": "number", "uncertainty_ms": "number",
}  # fmt: skip
"""Columns of ``Recording.parts``."""
WINDOW_COLUMNS: Mapping[str, Type] = {
    "start_s": "number", "end_s": "number", "length_s": "number", "speaker": "string", "talk_s": "number",
    "share_of_talk": "number", "speech_s": "number", "overlap_s": "number",
}  # fmt: skip
"""Columns of ``Recording.windows``."""
TRANSCRIPT_COLUMNS: Mapping[str, Type] = {
    "start_s": "number", "end_s": "number", "speaker": "string", "text": "string", "in_speech": "number",
    "confidence": "number",
}  # fmt: skip
"""Columns of ``Recording.transcript``."""

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|sec|min|m|h)?")
_UNITS_S = {"ms": 1e-3, None: 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def typed_frame(columns: Mapping[str, Type], rows: Iterable[Row]) -> "pd.DataFrame":
    """Return rows as a data frame with the given columns and their types."""
    import pandas as pd

    frame = pd.DataFrame([list(row) for row in rows], columns=list(columns), dtype=object)
    return frame.astype({name: PANDAS_TYPES[kind] for name, kind in columns.items()})


def record_frame(columns: Mapping[str, Type], records: Iterable[Record]) -> "pd.DataFrame":
    """Return records as a data frame, NA where one lacks a field."""
    return typed_frame(columns, ([record.get(name) for name in columns] for record in records))


def event_frame(documents: Documents, name: str) -> "pd.DataFrame":
    """Return one of the tables of turns, transitions or overlaps, without the recording's id.

    Raises:
        ItemError: the recording has no segments, alignment or talk.
    """
    table = next(table for table in TABLES if table.name == name)
    view = view_of(documents, remeasure_talk(documents))
    columns = {column: kind for column, kind in table.columns.items() if column != "recording_id"}
    return typed_frame(columns, (row[1:] for row in table.rows(view)))


def window_frame(
    documents: Documents, length: str | float, step: str | float | None = None
) -> "pd.DataFrame":
    """Return talk in windows, a row a window and speaker.

    Args:
        documents: the recording's.
        length: of a window, e.g. ``"60s"``, ``"5min"`` or seconds.
        step: from one window's start to the next one's; `length` where None.

    Raises:
        UsageError: a length cannot be read, or is not above 0.
        ItemError: the recording has no segments or no alignment.
    """
    length_s = seconds_of(length)
    options = TalkOptions(window_s=length_s, step_s=length_s if step is None else seconds_of(step))
    unknown, spoken = unknown_speakers(documents), need(documents, "segments")["speakers"]
    known = {label: rows for label, rows in spoken.items() if label not in unknown}
    rows: list[Row] = []
    for window in slide_talk(known, need(documents, "alignment")["mix"]["duration_s"], options):
        whole_s = sum(window.talk_s.values())
        for label in spoken:
            talk_s = window.talk_s.get(label)
            share = None if talk_s is None or not whole_s else talk_s / whole_s
            times = (window.start_s, window.end_s, window.length_s)
            rows.append((*times, label, talk_s, share, window.speech_s, window.overlap_s))
    return typed_frame(WINDOW_COLUMNS, rows)


def seconds_of(length: str | float) -> float:
    """Return a length of time in seconds: a number, or text such as ``60s``, ``5 min``, ``1h``.

    Raises:
        UsageError: it is none.
    """
    found = _LENGTH.fullmatch(str(length).strip().lower())
    if found is None:
        raise UsageError(f"{length!r} is no length of time.", 'Expected e.g. "60s", "5min" or 60.')
    return float(found[1]) * _UNITS_S[found[2]]


def transcript_frame(folder: Path) -> "pd.DataFrame":
    """Return what was said, a row a segment, in order of time.

    Raises:
        ItemError: the recording has no transcript.
    """
    path = Layout(folder).json("transcript")
    if not path.is_file():
        raise ItemError(
            "The recording has no transcript.",
            "Make one with `recall-audio transcribe`, or join a transcriber's files with "
            "`recall-audio merge-transcripts`.",
            code="missing_file",
        )
    return record_frame(TRANSCRIPT_COLUMNS, read_json(path, "transcript")["segments"])
