"""Read results as records, from which each output selects its own columns.

The terminal, a notebook and a file show different columns of the same results. Each of them names its columns
and passes them to :func:`select`; a new field of a record therefore changes none of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recall_audio.core.talk.measure import slide_talk
from recall_audio.export.tables import joined_reasons
from recall_audio.model.options import TalkOptions
from recall_audio.pipeline.documents import Documents, labels_by_id, need
from recall_audio.pipeline.talk import unknown_speakers

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


def window_records(documents: Documents, options: TalkOptions) -> list[Record]:
    """Measure talk in sliding windows of ``options.window_s``, one record a window.

    A record holds ``start_s``, ``end_s``, ``length_s``, ``speech_s``, ``overlap_s``, ``gini_normalised``,
    ``entropy``, ``reasons`` and, for each speaker, the column of :func:`window_talk_columns`, None where
    their audio is not known.

    Raises:
        ItemError: the recording has no segments or no alignment.
    """
    unknown = unknown_speakers(documents)
    speakers = need(documents, "segments")["speakers"]
    segments = {label: rows for label, rows in speakers.items() if label not in unknown}
    not_known = {_talk_column(label): why for label, why in unknown.items()}
    duration_s = need(documents, "alignment")["mix"]["duration_s"]
    return [
        {
            "start_s": window.start_s,
            "end_s": window.end_s,
            "length_s": window.length_s,
            "speech_s": window.speech_s,
            "overlap_s": window.overlap_s,
            "gini_normalised": window.equality.gini_normalised,
            "entropy": window.equality.entropy,
            "reasons": joined_reasons({**window.equality.reasons, **not_known}),
            **{_talk_column(label): talk_s for label, talk_s in window.talk_s.items()},
        }
        for window in slide_talk(segments, duration_s, options)
    ]


def window_talk_columns(documents: Documents) -> list[str]:
    """Return the names of the windows' talk columns, one a speaker, seconds."""
    return [_talk_column(label) for label in need(documents, "segments")["speakers"]]


def _talk_column(label: str) -> str:
    return f"talk_s {label}"
