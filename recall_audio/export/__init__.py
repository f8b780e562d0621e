"""What other tools read: one small writer a format, from values to files' contents.

A writer gets an :class:`ExportView` and gives ``{path below the recording's folder: bytes}``: it opens
nothing.
"""

from collections.abc import Callable, Mapping

from recall_audio.errors import UsageError
from recall_audio.export.manifests import hf, kaldi, lhotse, nemo, seglst
from recall_audio.export.recording_view import ExportView, StemFile
from recall_audio.export.tables import to_csv, to_parquet
from recall_audio.export.timelines import audacity, rttm, textgrid, uem, webvtt, whisper

WRITERS: Mapping[str, Callable[[ExportView], dict[str, bytes]]] = {
    "rttm": rttm,
    "uem": uem,
    "textgrid": textgrid,
    "audacity": audacity,
    "webvtt": webvtt,
    "seglst": seglst,
    "nemo": nemo,
    "kaldi": kaldi,
    "lhotse": lhotse,
    "whisper": whisper,
    "hf": hf,
    "csv": to_csv,
    "parquet": to_parquet,
}
FORMATS: tuple[str, ...] = tuple(WRITERS)
"""Every name that ``export --to`` takes."""
NAMING_AUDIO = frozenset({"seglst", "nemo", "kaldi", "lhotse", "hf"})
"""Formats whose files say where the stems are."""
HOLDING_AUDIO = frozenset({"hf"})
"""Formats that want the stems beside their files."""


def export(view: ExportView, to: str) -> dict[str, bytes]:
    """The files of one format: path below the recording's folder (with ``/``) to content.

    Raises:
        UsageError: there is no such format.
        MachineError: the format needs an extra that is not installed.
    """
    if to not in WRITERS:
        raise UsageError(f"There is no format {to!r}.", f"Choose one of {', '.join(FORMATS)}.")
    return WRITERS[to](view)


__all__ = ["FORMATS", "HOLDING_AUDIO", "NAMING_AUDIO", "ExportView", "StemFile", "export"]
