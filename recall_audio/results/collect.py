"""Every recording below a folder as one set of tables, one recording in memory at a time."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from recall_audio.errors import ItemError, UsageError
from recall_audio.export.collect import ALL_TABLES, Loaded, collect
from recall_audio.export.tables import CsvTables, ParquetTables
from recall_audio.files import atomic
from recall_audio.model.options import TalkOptions
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.pipeline.documents import as_this_version_writes, need, read_documents
from recall_audio.pipeline.layout import recording_folders
from recall_audio.pipeline.talk import talk_of, view_of
from recall_audio.results.pseudonymise import recode_documents

_WRITERS: dict[str, type[CsvTables] | type[ParquetTables]] = {"csv": CsvTables, "parquet": ParquetTables}


def collect_recordings(
    root: Path,
    form: str,
    into: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    pseudonyms: Pseudonyms | None = None,
) -> tuple[list[Path], list[ItemError]]:
    """Write ``<into>/<table>.<form>`` for every table; `into` is ``ROOT/tables`` where None.

    Under codes names, ids and emails are replaced before anything is measured or merged, and ``ROOT/tables``
    is ``ROOT/tables-pseudonymised``.

    Returns:
        The files written, and why recordings were left out (not processed, damaged).

    Raises:
        UsageError: there is no such format, or no recording.
        MachineError: Parquet needs an extra that is not installed, or the disk is full.
    """
    if form not in _WRITERS:
        raise UsageError(f"There is no format {form!r}.", f"Choose one of {', '.join(_WRITERS)}.")
    folders, left_out = recording_folders(root), list[ItemError]()
    target = into or root / ("tables-pseudonymised" if pseudonyms else "tables")
    writer_class = _WRITERS[form]
    paths = {t.name: target / f"{t.name}{writer_class.suffix}" for t in ALL_TABLES}
    loaded = _loaded(folders, left_out, progress or (lambda *_: None), pseudonyms)
    with contextlib.ExitStack() as stack:
        streams = {name: stack.enter_context(atomic(path)) for name, path in paths.items()}
        tables = writer_class(streams, ALL_TABLES)
        for table, rows in collect(loaded):
            tables.write(table, rows)
        tables.close()
    return list(paths.values()), left_out


def _loaded(
    folders: list[Path],
    left_out: list[ItemError],
    progress: Callable[[int, int], None],
    pseudonyms: Pseudonyms | None,
) -> Iterator[Loaded]:
    for done, folder in enumerate(folders, 1):
        try:
            with as_this_version_writes():
                loaded = _load(folder, pseudonyms)
        except ItemError as error:
            left_out.append(ItemError(f"{folder}: {error.message}", error.hint, code=error.code))
        else:
            yield loaded
        progress(done, len(folders))


def _load(folder: Path, pseudonyms: Pseudonyms | None) -> Loaded:
    documents = read_documents(folder)
    options = TalkOptions(**need(documents, "run")["parameters"]["talk"])
    if pseudonyms is not None:
        documents, _ = recode_documents(documents, pseudonyms)
    people = {label: dict(p) for label, p in need(documents, "speakers")["speakers"].items()}
    return Loaded(view_of(documents, talk_of(documents, options)), people)
