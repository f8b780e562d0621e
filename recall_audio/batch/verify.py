"""Whether what earlier runs left still is what they left: by SHA-256, not by size."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.files import read_json, sha256
from recall_audio.model.meeting import MediaFile
from recall_audio.storage import discard
from recall_audio.workflow.documents import read_meeting
from recall_audio.workflow.layout import Layout


def discard_changed(folder: Path) -> list[str]:
    """Delete results whose bytes have changed, so that their stages run again; gives their paths.

    Raises:
        ItemError: ``changed_input``: a downloaded file has changed, and only the API can mend that.
    """
    changed = changed_inputs(folder)
    if changed:
        raise ItemError(
            f"{', '.join(changed)} changed since the download; expected the bytes that came.",
            "Fetch it again: `recall-audio run BOT_ID --verify`.",
            code="changed_input",
        )
    discarded = [name for name, facts in _outputs(folder) if _differs(folder / name, facts)]
    for name in discarded:
        discard(folder, name)
    return discarded


def changed_inputs(folder: Path) -> list[str]:
    """Downloaded files of a recording whose bytes are not those that came, by path below its folder.

    Raises:
        ItemError: ``recording.json`` cannot be read.
    """
    return [
        m.file
        for m in media_of(folder)
        if m.file and _differs(folder / m.file, {"bytes": m.n_bytes, "sha256": m.sha256})
    ]


def media_of(folder: Path) -> list[MediaFile]:
    """What was downloaded of a recording, or should have been; raises as :func:`changed_inputs`."""
    meeting = read_meeting(Layout(folder))
    return [p.media for p in meeting.parts] + ([meeting.mix] if meeting.mix else [])


def discard_inputs(folder: Path) -> bool:
    """Delete downloaded files that have changed, so that they are fetched again; whether there were any."""
    changed = changed_inputs(folder)
    for name in changed:
        discard(folder, name)
    return bool(changed)


def _outputs(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    layout = Layout(folder)
    for manifest in (layout.run, layout.work / "run.json"):
        with contextlib.suppress(ItemError, KeyError, TypeError, AttributeError):
            for stage in read_json(manifest, "run")["stages"]:
                yield from stage["outputs"].items()


def _differs(path: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a file is not what it was; a missing one differs too."""
    try:
        return bool(path.stat().st_size != facts["bytes"] or sha256(path) != facts["sha256"])
    except OSError:
        return True
