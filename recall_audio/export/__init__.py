"""Write a recording in the formats of other tools, one small writer a format.

A writer takes an :class:`ExportView` and returns ``{path below the recording's folder: bytes}``. It opens no
file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from recall_audio.errors import UsageError
from recall_audio.export.manifests import hf, kaldi, lhotse, nemo, seglst
from recall_audio.export.recording_view import ExportView, StemFile
from recall_audio.export.tables import to_csv, to_parquet
from recall_audio.export.timelines import audacity, rttm, textgrid, uem, webvtt, whisper


@dataclass(frozen=True, slots=True)
class Format:
    """One format of ``export --to``.

    Attributes:
        write: makes its files: path below the target folder (with ``/``) to content.
        names_audio: its files contain paths of the stems.
        needs_audio: readers expect the stems beside its files.
    """

    write: Callable[[ExportView], dict[str, bytes]]
    names_audio: bool = False
    needs_audio: bool = False


FORMATS: Mapping[str, Format] = {
    "rttm": Format(rttm),
    "uem": Format(uem),
    "textgrid": Format(textgrid),
    "audacity": Format(audacity),
    "webvtt": Format(webvtt),
    "seglst": Format(seglst, names_audio=True),
    "nemo": Format(nemo, names_audio=True),
    "kaldi": Format(kaldi, names_audio=True),
    "lhotse": Format(lhotse, names_audio=True),
    "whisper": Format(whisper),
    "hf": Format(hf, names_audio=True, needs_audio=True),
    "csv": Format(to_csv),
    "parquet": Format(to_parquet),
}
"""Every format by the name that ``export --to`` takes."""


def get_format(name: str) -> Format:
    """Return a format by its name.

    Raises:
        UsageError: there is no such format.
    """
    if name not in FORMATS:
        raise UsageError(f"There is no format {name!r}.", f"Choose one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def export(view: ExportView, to: str) -> dict[str, bytes]:
    """Return the files of one format: path below the target folder (with ``/``) to content.

    Raises:
        UsageError: there is no such format.
        MachineError: the format needs an extra that is not installed.
    """
    return get_format(to).write(view)


__all__ = ["FORMATS", "ExportView", "Format", "StemFile", "export", "get_format"]
