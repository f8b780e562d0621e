"""Results as pandas data frames."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recall_audio.export.collect import ALL_TABLES
from recall_audio.pipeline.tables import Table
from recall_audio.results.collect import collect_recordings
from recall_audio.results.locations import all_kept, folders_at, root_of
from recall_audio.storage import parse_location

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {"string": "string", "number": "float64", "integer": "Int64", "boolean": "boolean"}


def frame(table: Table) -> "pd.DataFrame":
    """Rows as a data frame."""
    import pandas as pd

    columns, rows = table
    return pd.DataFrame(rows, columns=columns)


def overlap_frame(talk: dict[str, Any]) -> "pd.DataFrame":
    """``talk.json``'s pairs as a square: seconds of speech at once, talk time on the diagonal."""
    labels = list(talk["speakers"])
    table = frame((labels, [[0.0] * len(labels) for _ in labels]))
    table.index = table.columns.copy()
    for label in labels:
        table.loc[label, label] = talk["speakers"][label]["talk_s"]
    for pair in talk["pairs"]:
        table.loc[pair["a"], pair["b"]] = table.loc[pair["b"], pair["a"]] = pair["overlap_s"]
    return table


def collect(out: str | Path, into: str | Path | None = None) -> "dict[str, pd.DataFrame]":
    """Every recording below a folder as one set of tables; ``recall-audio collect`` writes the same ones.

    Args:
        out: holds recordings, at any of ``OUT``, ``OUT/BOT_ID``; ``s3://...`` too.
        into: where the tables are written as CSV on the way; ``OUT/tables`` where None.

    Returns:
        Name to table: meetings, segments, turns, transitions, overlaps, speakers, pairs, directed, parts, and
        over all of them people, merges, persons. What a recording lacks is told by a warning.

    Raises:
        UsageError: there is no recording.
    """
    import pandas as pd

    place = parse_location(str(out))
    folders_at(place)  # of a store, the documents come here first
    written, left_out = collect_recordings(root_of(place), "csv", None if into is None else Path(into))
    all_kept(written)
    for error in left_out:
        warnings.warn(f"left out: {error}", stacklevel=2)
    found = {}
    for table, path in zip(ALL_TABLES, written, strict=True):
        numeric = [c for c, kind in table.columns.items() if kind != "string"]
        types = {c: _DTYPES[kind] for c, kind in table.columns.items()}
        # Somebody may be called NA: only an empty cell of a figure is a missing one.
        found[table.name] = pd.read_csv(
            path, dtype=types, keep_default_na=False, na_values={c: [""] for c in numeric}
        )
    return found
