"""Write a recording's results in other tools' formats."""

import os
import shutil
from pathlib import Path

from recall_audio import export
from recall_audio.errors import ItemError
from recall_audio.files import appear, atomic
from recall_audio.model.options import TalkOptions
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.pipeline.documents import Documents, as_this_version_writes, need, read_documents
from recall_audio.pipeline.talk import talk_of, view_of
from recall_audio.results.pseudonymise import copy_stems
from recall_audio.results.pseudonymise_documents import recode_documents
from recall_audio.storage import need_files


def export_recording(
    folder: Path, form: str, into: Path | None = None, pseudonyms: Pseudonyms | None = None
) -> list[Path]:
    """Write one recording in `form` below ``DIR/export/FORMAT`` (or `into`) and give the files written.

    A format that wants the audio beside its files gets links to the stems, or copies where links are not to
    be had.

    Under codes it goes to ``DIR/export/FORMAT-pseudonymised``, with the stems beside it where the format
    names them: paths in it are relative to that folder, because the recording's own path holds its ids.

    Raises:
        UsageError: there is no such format.
        ItemError: the recording has no results to export.
        MachineError: the format needs a package that is not installed, or the disk is full.
    """
    if form in export.HOLDING_AUDIO or pseudonyms is not None:
        need_files(folder, ("stems/",))
    documents = read_documents(folder)
    written = list[Path]()
    if pseudonyms is None:
        target = into or folder / "export" / form
        view = _view(documents, folder, target)
        if form in export.HOLDING_AUDIO:
            written += [_beside(folder / s.file, target / s.file) for s in view.stems.values()]
    else:
        target = into or folder / "export" / f"{form}-pseudonymised"
        with as_this_version_writes():
            coded, known = recode_documents(documents, pseudonyms)
        view = _view(coded)
        if form in export.NAMING_AUDIO:
            written += copy_stems(documents, known, folder, target)
    for name, content in sorted(export.export(view, form).items()):
        path = target / name
        with atomic(path) as stream:
            stream.write(content)
        written.append(path)
    return written


def _view(documents: Documents, folder: Path | None = None, target: Path | None = None) -> export.ExportView:
    with as_this_version_writes():
        options = TalkOptions(**need(documents, "run")["parameters"]["talk"])
        return view_of(documents, talk_of(documents, options), folder, target)


def _beside(source: Path, target: Path) -> Path:
    """A file under another name: a hard link, or a copy."""
    if not source.is_file():
        raise ItemError(f"{source} is not there.", "Process the recording again.", code="missing_file")

    def fill(temporary: Path) -> None:
        try:
            os.link(source, temporary)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, temporary)

    appear(target, fill)
    return target
