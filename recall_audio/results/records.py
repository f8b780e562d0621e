"""Read results as records, from which each output selects its own columns.

The terminal, a notebook and a file show different columns of the same results. Each of them names its columns
and passes them to :func:`select`; a new field of a record therefore changes none of them.

Every data frame has the same columns with the same types for every recording, whatever it holds: text
``string``, seconds and shares ``float64`` (NaN where a figure is not known), counts ``Int64``, yes or no
``boolean``. So frames of many recordings can be concatenated, and an empty one has its columns.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recall_audio.core.spans import subtract
from recall_audio.core.talk.intervals import with_window_intervals
from recall_audio.core.talk.measure import slide_talk
from recall_audio.errors import ItemError, UsageError
from recall_audio.export.tables import TABLES, Row, Type, columns_of, joined_reasons
from recall_audio.files import read_json
from recall_audio.model.alignment import Alignment
from recall_audio.model.options import TalkOptions
from recall_audio.model.talk import PairTalk, SpeakerTalk, TalkWindow
from recall_audio.pipeline.documents import Documents, Layout, Posteriors, labels_by_id, need
from recall_audio.pipeline.talk import (
    remeasure_talk,
    spans_of,
    uncertainty_of,
    unknown_speakers,
    view_of,
    without,
)

if TYPE_CHECKING:
    import pandas as pd

Record = Mapping[str, Any]
"""One thing's fields by name; times in seconds."""

Table = tuple[list[str], list[list[Any]]]
"""Column names, and rows in their order."""


def select(records: Iterable[Record], columns: Sequence[str]) -> Table:
    """Return a table with the given columns, None where a record lacks a field."""
    return list(columns), [[record.get(column) for column in columns] for record in records]


def data_frame(table: Table) -> "pd.DataFrame":
    """Return a table as a pandas data frame."""
    import pandas as pd

    columns, rows = table
    return pd.DataFrame(rows, columns=columns)


def part_records(documents: Documents) -> list[Record]:
    """Return the parts of ``alignment.json``, each with its label as ``participant``.

    Raises:
        ItemError: the recording has no alignment.
    """
    labels = labels_by_id(documents)
    return [
        {**part, "part": part["part_id"], "participant": labels.get(part["participant_id"])}
        for part in need(documents, "alignment")["parts"]
    ]


def speaker_records(documents: Documents) -> list[Record]:
    """Return the speakers of ``talk.json``, each with its label as ``speaker``, and ``reasons`` in one text.

    Raises:
        ItemError: the recording has no talk.
    """
    speakers = need(documents, "talk")["speakers"]
    return [{**_with_reasons(figures), "speaker": label} for label, figures in speakers.items()]


def _with_reasons(figures: Record) -> Record:
    """Return figures with the reasons of those that are null joined to one text."""
    named = {name.removesuffix("_reason"): why for name, why in figures.items() if name.endswith("_reason")}
    alike = set(named.values())
    # One reason for many figures, such as an unknown speaker's, is said once.
    reasons = alike.pop() if len(alike) == 1 and len(named) > 1 else joined_reasons(named)
    return {**figures, "reasons": reasons}


def pair_records(documents: Documents) -> list[Record]:
    """Return the pairs of ``talk.json``.

    Raises:
        ItemError: the recording has no talk.
    """
    return [_with_reasons(pair) for pair in need(documents, "talk")["pairs"]]


def segment_records(documents: Documents) -> list[Record]:
    """Return the segments as ``speaker``, ``start_s``, ``end_s``, in order of time.

    Raises:
        ItemError: the recording has no segments.
    """
    speakers = need(documents, "segments")["speakers"]
    rows = [(start_s, end_s, label) for label, spans in speakers.items() for start_s, end_s in spans]
    return [{"speaker": label, "start_s": start_s, "end_s": end_s} for start_s, end_s, label in sorted(rows)]


def window_records(
    documents: Documents, options: TalkOptions, posteriors: Posteriors | None = None
) -> list[Record]:
    """Measure talk in sliding windows of ``options.window_s``, one record a window.

    A record holds ``start_s``, ``end_s``, ``length_s``, ``speech_s``, ``overlap_s``, ``gini_normalised``,
    ``entropy``, ``reasons`` and, for each speaker, the columns of :func:`window_talk_columns`, None where
    their audio is not known. With `posteriors`, the ends of the 95 % intervals stand beside talk, shares and
    overlap.

    Raises:
        ItemError: the recording has no segments or no alignment.
    """
    not_known = {_column("talk_s", label): why for label, why in unknown_speakers(documents).items()}
    return [
        {
            "start_s": window.start_s,
            "end_s": window.end_s,
            "length_s": window.length_s,
            "speech_s": window.speech_s,
            "overlap_s": window.overlap_s,
            "overlap_s_low": window.overlap_s_low,
            "overlap_s_high": window.overlap_s_high,
            "gini_normalised": window.equality.gini_normalised,
            "entropy": window.equality.entropy,
            "reasons": joined_reasons({**window.equality.reasons, **not_known}),
            **{_column(name, k): v for name in WINDOW_FIGURES for k, v in getattr(window, name).items()},
        }
        for window in windows_of(documents, options, posteriors)
    ]


def windows_of(
    documents: Documents, options: TalkOptions, posteriors: Posteriors | None = None
) -> tuple[TalkWindow, ...]:
    """Measure the known speakers' talk in sliding windows, with intervals where there are `posteriors`.

    Raises:
        ItemError: segments or alignment are not there.
        UsageError: a window's length or step is not above 0.
    """
    segments, alignment = need(documents, "segments"), Alignment.from_json(need(documents, "alignment"))
    known = without(segments["speakers"], unknown_speakers(documents))
    windows = slide_talk(known, alignment.duration_s, options)
    if posteriors is None:
        return windows
    spans, raw = (spans_of(x, list(known), alignment.duration_s) for x in (known, segments["raw"]))
    leaked = {label: subtract(raw[label], spans[label]) for label in known}
    places_ms = uncertainty_of(alignment, labels_by_id(documents))
    return with_window_intervals(windows, spans, leaked, posteriors, places_ms)


WINDOW_FIGURES = (
    "talk_s", "talk_s_low", "talk_s_high", "share_of_talk", "share_of_talk_low", "share_of_talk_high",
)  # fmt: skip
"""Figures of each speaker in a window."""


def window_talk_columns(documents: Documents, figures: Sequence[str] = ("talk_s",)) -> list[str]:
    """Return the names of the windows' columns of some of :data:`WINDOW_FIGURES`, speaker by speaker."""
    labels = need(documents, "segments")["speakers"]
    return [_column(name, label) for label in labels for name in figures]


def _column(figure: str, label: str) -> str:
    return f"{figure} {label}"


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
    "start_s": "number", "end_s": "number", "length_s": "number", "speaker": "string",
    "talk_s": "number", "talk_s_low": "number", "talk_s_high": "number",
    "share_of_talk": "number", "share_of_talk_low": "number", "share_of_talk_high": "number",
    "speech_s": "number", "overlap_s": "number", "overlap_s_low": "number", "overlap_s_high": "number",
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
    documents: Documents,
    length: str | float,
    step: str | float | None = None,
    posteriors: Posteriors | None = None,
) -> "pd.DataFrame":
    """Return talk in windows, a row a window and speaker.

    Args:
        documents: the recording's.
        length: of a window, e.g. ``"60s"``, ``"5min"`` or seconds.
        step: from one window's start to the next one's; `length` where None.
        posteriors: what the speech step left; without, the ends of intervals are NA.

    Raises:
        UsageError: a length cannot be read, or is not above 0.
        ItemError: the recording has no segments or no alignment.
    """
    length_s = seconds_of(length)
    options = TalkOptions(window_s=length_s, step_s=length_s if step is None else seconds_of(step))
    labels = list(need(documents, "segments")["speakers"])
    records: list[Record] = []
    for window in windows_of(documents, options, posteriors):
        alike = {name: getattr(window, name, None) for name in WINDOW_COLUMNS if name not in WINDOW_FIGURES}
        for label in labels:
            own = {name: getattr(window, name).get(label) for name in WINDOW_FIGURES}
            records.append({**alike, **own, "speaker": label})
    return record_frame(WINDOW_COLUMNS, records)


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
