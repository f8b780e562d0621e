"""Write a recording's results in other tools' formats."""

import contextlib
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recall_audio.errors import ItemError, UsageError
from recall_audio.export import ExportView, get_format
from recall_audio.files import atomic, create_file, path_in, read_json, write_json
from recall_audio.model.options import ClipOptions
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.pipeline.documents import (
    Documents,
    as_this_version_writes,
    read_documents,
)
from recall_audio.pipeline.talk import remeasure_talk, view_of
from recall_audio.results.pseudonymise import copy_stems, recode_documents
from recall_audio.storage import ensure_files

_log = logging.getLogger(__name__)


def export_recording(
    folder: Path,
    form: str,
    into: Path | None = None,
    pseudonyms: Pseudonyms | None = None,
    clips: ClipOptions = ClipOptions(),  # noqa: B008 - a frozen value
) -> list[Path]:
    """Write one recording in a format and return the files written.

    A format that needs the audio beside its files gets hard links to the stems, or copies where the file
    system allows no links.

    With pseudonyms the stems are copied as well where the format names them: paths in its files are relative
    to the target folder, because the recording's own path contains its ids.

    Args:
        folder: the recording's folder.
        form: a name of :data:`recall_audio.export.FORMATS`.
        into: the target folder; None writes to ``DIR/export/FORMAT``, or with pseudonyms to
            ``DIR/export/FORMAT-pseudonymised``.
        pseudonyms: codes that replace names, ids and emails; None keeps them.
        clips: how long the clips for a transcriber may be, and which silences they join.

    Raises:
        UsageError: there is no such format, or the target folder holds another recording's files.
        ItemError: the recording has no results to export.
        MachineError: the format needs a package that is not installed, or the disk is full.
    """
    chosen = get_format(form)
    if chosen.needs_audio or pseudonyms is not None:
        ensure_files(folder, ("stems/",))
    documents = read_documents(folder)
    written = list[Path]()
    if pseudonyms is None:
        target = into or folder / "export" / form
        view = replace(_view(documents, folder, target), clips=clips)
        files = chosen.write(view)
        stems = [s.file for s in view.stems.values()] if chosen.needs_audio else []
        if into is not None:
            claim(target, view.recording_id, [*files, *stems])
        if chosen.needs_audio:
            written += [_link(path_in(folder, s.file), path_in(target, s.file)) for s in view.stems.values()]
    else:
        target = into or folder / "export" / f"{form}-pseudonymised"
        with as_this_version_writes():
            coded, recoded = recode_documents(documents, pseudonyms)
        view = replace(_view(coded), clips=clips)
        files = chosen.write(view)
        stems = [s.file for s in view.stems.values()] if chosen.names_audio else []
        if into is not None:
            claim(target, view.recording_id, [*files, *stems])
        if chosen.names_audio:
            written += copy_stems(documents, recoded, folder, target)
    for name, content in sorted(files.items()):
        written.append(write_file(path_in(target, name), content))
    return written


def _view(documents: Documents, folder: Path | None = None, target: Path | None = None) -> ExportView:
    with as_this_version_writes():
        return view_of(documents, remeasure_talk(documents), folder, target)


CLAIMS_FILE = ".export.json"
"""Which recording each file of a target folder is of, so that no other overwrites it."""


def claim(target: Path, recording_id: str, names: Sequence[str]) -> None:
    """Note that files of a target folder are a recording's.

    Raises:
        UsageError: one of them is another recording's; nothing was written.
        MachineError: the disk is full.
    """
    claims: dict[str, str] = {}
    with contextlib.suppress(ItemError, AttributeError, TypeError, KeyError):
        found = read_json(target / CLAIMS_FILE, "export")["files"]
        claims = {str(name): str(owner) for name, owner in found.items()}
    taken = [n for n in names if claims.get(n, recording_id) != recording_id and (target / n).is_file()]
    if taken:
        raise UsageError(
            f"{target / taken[0]} is recording {claims[taken[0]]}'s; nothing was written.",
            "Give each recording a folder of its own: --into FOLDER/RECORDING_ID.",
        )
    write_json(target / CLAIMS_FILE, "export", {"files": claims | dict.fromkeys(names, recording_id)})


def write_file(path: Path, content: bytes) -> Path:
    """Write a file that appears whole, and return its path."""
    with atomic(path) as stream:
        stream.write(content)
    return path


def _link(source: Path, target: Path) -> Path:
    """Make a file appear under another name as a hard link, else as a copy."""
    if not source.is_file():
        raise ItemError(f"{source} does not exist.", "Process the recording again.", code="missing_file")

    def fill(temporary: Path) -> None:
        try:
            os.link(source, temporary)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(source, temporary)

    create_file(target, fill)
    return target
