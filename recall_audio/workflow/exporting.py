"""Write a recording's results in other tools' formats."""

from pathlib import Path

from recall_audio import export
from recall_audio.files import atomic
from recall_audio.model.options import TalkOptions
from recall_audio.workflow.documents import need, read_documents
from recall_audio.workflow.measuring import talk_of, view_of


def export_recording(folder: Path, form: str, into: Path | None = None) -> list[Path]:
    """Write one recording in `form` below ``DIR/export/FORMAT`` (or `into`) and give the files written.

    Raises:
        UsageError: there is no such format.
        ItemError: the recording has no results to export.
        MachineError: the format needs a package that is not installed, or the disk is full.
    """
    target = into or folder / "export" / form
    documents = read_documents(folder)
    options = TalkOptions(**need(documents, "run")["parameters"]["talk"])
    view = view_of(documents, talk_of(documents, options), folder, target)
    written = []
    for name, content in sorted(export.export(view, form).items()):
        path = target / name
        with atomic(path) as stream:
            stream.write(content)
        written.append(path)
    return written
