"""Collect every recording below a folder into one set of tables, one recording in memory at a time."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recall_audio.errors import ItemError, UsageError
from recall_audio.export.collect import ALL_TABLES, Ended, Loaded, collect_rows
from recall_audio.export.tables import TABLE_WRITERS
from recall_audio.files import atomic, read_json
from recall_audio.model.outcome import WITH_RESULTS, CountCallback, Ending, Finding, ending_of
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.pipeline.documents import (
    Layout,
    as_this_version_writes,
    need,
    read_documents,
    recording_folders,
)
from recall_audio.pipeline.talk import remeasure_talk, view_of
from recall_audio.results.locations import folders_at, root_of, upload_written
from recall_audio.results.pseudonymise import recode_documents
from recall_audio.storage import parse_location

if TYPE_CHECKING:
    import pandas as pd

_PANDAS_TYPES = {"string": "string", "number": "float64", "integer": "Int64", "boolean": "boolean"}


def collect_recordings(
    root: Path,
    form: str,
    into: Path | None = None,
    progress: CountCallback | None = None,
    pseudonyms: Pseudonyms | None = None,
) -> tuple[list[Path], list[ItemError]]:
    """Write ``<into>/<table>.<form>`` for every table.

    Args:
        root: holds recordings' folders, at any depth that ``recall-audio run`` makes.
        form: a name of :data:`recall_audio.export.tables.TABLE_WRITERS`.
        into: the target folder; None writes to ``ROOT/tables``, or with pseudonyms to
            ``ROOT/tables-pseudonymised``.
        progress: callback with the recordings done and their number.
        pseudonyms: codes that replace names, ids and emails before anything is measured or merged.

    Returns:
        The files written, and why recordings were left out (not processed, damaged).

    Raises:
        UsageError: there is no such format, or no recording.
        MachineError: Parquet needs an extra that is not installed, or the disk is full.
    """
    if form not in TABLE_WRITERS:
        raise UsageError(f"There is no format {form!r}.", f"Choose one of {', '.join(TABLE_WRITERS)}.")
    folders, left_out = recording_folders(root), list[ItemError]()
    target = into or root / ("tables-pseudonymised" if pseudonyms else "tables")
    writer_class = TABLE_WRITERS[form]
    paths = {t.name: target / f"{t.name}{writer_class.suffix}" for t in ALL_TABLES}
    loaded = _load_each(folders, left_out, progress or (lambda *_: None), pseudonyms)
    with contextlib.ExitStack() as stack:
        streams = {name: stack.enter_context(atomic(path)) for name, path in paths.items()}
        writer = writer_class(streams, ALL_TABLES)
        for table, rows in collect_rows(loaded):
            writer.write(table, rows)
        writer.close()
    return list(paths.values()), left_out


def _load_each(
    folders: list[Path],
    left_out: list[ItemError],
    progress: CountCallback,
    pseudonyms: Pseudonyms | None,
) -> Iterator[Loaded | Ended]:
    """Load recordings one by one, and append to `left_out` why one cannot be loaded."""
    for n_done, folder in enumerate(folders, 1):
        try:
            with as_this_version_writes():
                loaded = _load(folder, pseudonyms)
        except ItemError as error:
            left_out.append(ItemError(f"{folder}: {error.message}", error.hint, code=error.code))
            yield _ended(folder, pseudonyms, error)
        else:
            yield loaded
        progress(n_done, len(folders))


def _ended(folder: Path, pseudonyms: Pseudonyms | None, error: ItemError) -> Ended:
    """Return how a recording ended that cannot be loaded: as its ``run.json`` says, else for this error."""
    ending = Ending("failed", (Finding(error.code, error.message),))
    with contextlib.suppress(ItemError), as_this_version_writes():
        found = ending_of(read_json(Layout(folder).run, "run"))
        # Without separate audio there is no talk, and nothing is damaged.
        if found.status not in WITH_RESULTS or error.code == "missing_file":
            ending = found
    if not Layout(folder).run.is_file():
        ending = ending_of(None)
    bot_id, recording_id = folder.parent.name, folder.name
    if pseudonyms is not None:  # a message may name people
        bot_id, recording_id = pseudonyms.code("id", bot_id), pseudonyms.code("id", recording_id)
        ending = replace(ending, reasons=tuple(replace(r, message="", where="") for r in ending.reasons))
    return Ended(bot_id, recording_id, ending)


def _load(folder: Path, pseudonyms: Pseudonyms | None) -> Loaded:
    documents = read_documents(folder)
    if pseudonyms is not None:
        documents, _ = recode_documents(documents, pseudonyms)
    people = {label: dict(p) for label, p in need(documents, "speakers")["speakers"].items()}
    view = view_of(documents, remeasure_talk(documents))
    return Loaded(
        Ended(str(documents["recording"]["bot"]["id"]), view.recording_id, view.ending), view, people
    )


def collect(out: str | Path, into: str | Path | None = None) -> "dict[str, pd.DataFrame]":
    """Return every recording below a folder as one set of data frames.

    ``recall-audio collect`` writes the same tables.

    Args:
        out: holds recordings, at any of ``OUT``, ``OUT/BOT_ID``; ``s3://...`` too.
        into: where the tables are written as CSV on the way; None writes to ``OUT/tables``.

    Returns:
        Name to table: meetings, segments, turns, transitions, overlaps, speakers, pairs, directed, parts, and
        over all of them recordings, people, merges, persons. A warning names each recording left out.

    Raises:
        UsageError: there is no recording.
    """
    import pandas as pd

    location = parse_location(str(out))
    folders_at(location)  # fetches the documents of recordings that lie in a store
    written, left_out = collect_recordings(root_of(location), "csv", None if into is None else Path(into))
    upload_written(written)
    for error in left_out:
        warnings.warn(f"left out: {error}", stacklevel=2)
    found = {}
    for table, path in zip(ALL_TABLES, written, strict=True):
        numeric = [c for c, kind in table.columns.items() if kind != "string"]
        types = {c: _PANDAS_TYPES[kind] for c, kind in table.columns.items()}
        # A speaker's name may be NA: only an empty cell of a figure is a missing one.
        found[table.name] = pd.read_csv(
            path, dtype=types, keep_default_na=False, na_values={c: [""] for c in numeric}
        )
    return found
