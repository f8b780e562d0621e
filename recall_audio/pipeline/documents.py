"""Locate and read the files of a recording's folder, ``OUT/<bot_id>/<recording_id>/``."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from recall_audio.errors import ItemError, UsageError
from recall_audio.files import path_in, read_json, sha256
from recall_audio.model.meeting import Meeting
from recall_audio.model.outcome import ending_of
from recall_audio.pipeline.plan import STAGES
from recall_audio.storage import Location, Mirror, ensure_files, upload_if_mirrored

if TYPE_CHECKING:
    from recall_audio.typing import ByteArray


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one recording's folder.

    Attributes:
        folder: the recording's own folder.
    """

    folder: Path

    @property
    def recording(self) -> Path:
        """Return the file with what the API said."""
        return self.folder / "recording.json"

    @property
    def run(self) -> Path:
        """Return the manifest: what was done, with what, from what. It is written last."""
        return self.folder / "run.json"

    @property
    def work(self) -> Path:
        """Return the folder of working files and of an unfinished run, which may be deleted."""
        return self.folder / ".work"

    def working(self, name: str) -> Path:
        """Return the file of decoded samples of one part, by its id, or of the mix.

        Raises:
            ItemError: ``unsafe_path``: the id is no file name.
        """
        return path_in(self.folder, f".work/{name}.s16")

    def check_folders(self) -> None:
        """Check that no folder that is written to is a link out of the recording's own.

        Raises:
            ItemError: ``unsafe_path``.
        """
        for name in (".work", "stems", "source", "export"):
            path_in(self.folder, name)

    @property
    def stems(self) -> Path:
        """Return the folder of one WAV a participant."""
        return self.folder / "stems"

    @property
    def source(self) -> Path:
        """Return the folder of the files as downloaded."""
        return self.folder / "source"

    @property
    def posteriors(self) -> Path:
        """Each track's probability of own speech, one byte for each 20 ms."""
        return self.folder / "posteriors.npz"

    def json(self, kind: str) -> Path:
        """Return the JSON file of one kind, e.g. ``talk.json`` for ``talk``."""
        return self.folder / f"{kind}.json"


Posteriors = Mapping[str, "ByteArray"]
"""Label to the probability of own speech × 255 of each 20 ms."""


def read_posteriors(folder: Path) -> Posteriors | None:
    """Return the probabilities that the speech step left in a recording's folder, None where it left none."""
    import zipfile

    import numpy as np

    ensure_files(folder, ("posteriors.npz",))
    try:
        with np.load(Layout(folder).posteriors, allow_pickle=False) as stored:
            labels, own = stored["labels"].tolist(), np.asarray(stored["own"], dtype=np.uint8)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return dict(zip(map(str, labels), own, strict=False)) if own.ndim == 2 else None


def write_posteriors(stream: IO[bytes], posteriors: Posteriors) -> None:
    """Write the probability of own speech of each track, × 255, for each 20 ms.

    Args:
        stream: gets an ``.npz`` of ``labels``, shape (tracks,), ``own``, shape (tracks, n), and ``frame_s``.
        posteriors: label to shape (n,).
    """
    import numpy as np

    rows = list(posteriors.values())
    own = np.stack(rows) if rows else np.zeros((0, 0), dtype=np.uint8)
    np.savez_compressed(
        stream, labels=np.array(list(posteriors), dtype=np.str_), own=own, frame_s=np.float64(0.02)
    )


def recording_folders(root: Path) -> list[Path]:
    """Return every recording's folder at or below `root`, sorted.

    Raises:
        UsageError: there is none.
    """
    if (root / "recording.json").is_file():
        return [root]
    found = sorted(
        {p.parent for depth in ("*", "*/*") for p in root.glob(f"{depth}/recording.json")}
        if root.is_dir()
        else ()
    )
    if not found:
        raise UsageError(
            f"No recording in {root}: expected a folder with a recording.json, or one of such folders.",
            "Give OUT/BOT_ID/RECORDING_ID, OUT/BOT_ID or OUT; `recall-audio run BOT_ID` makes them.",
        )
    return found


TRANSCRIPT = "transcript"
"""Kind of the document with what was said, which is there once a recording was transcribed."""

KINDS = ("recording", *(kind for stage in STAGES.values() for kind in stage.documents), TRANSCRIPT, "run")
"""Kinds of the JSON files in a recording's folder: what was fetched, what each stage writes, what was
said, the manifest."""

Documents = dict[str, dict[str, Any]]
"""Parsed files by kind; a file that does not exist has no entry."""


def read_documents(folder: Path) -> Documents:
    """Read every JSON file of a recording that exists; a damaged transcript counts as none.

    Raises:
        ItemError: another file is damaged or of another version.
    """
    layout = Layout(folder)
    found = {}
    for kind in (kind for kind in KINDS if layout.json(kind).is_file()):
        with contextlib.suppress(*((ItemError,) if kind == TRANSCRIPT else ())):
            found[kind] = read_json(layout.json(kind), kind)
    return found


def transcript_digest(layout: Layout) -> str:
    """Return a digest of ``transcript.json``, empty where there is none."""
    path = layout.json(TRANSCRIPT)
    return sha256(path) if path.is_file() else ""


def read_meeting(layout: Layout) -> Meeting:
    """Read the meeting of a folder's ``recording.json``.

    Raises:
        ItemError: the file is missing or damaged.
    """
    value = read_json(layout.recording, "recording")
    try:
        return Meeting.from_json(value)
    except (KeyError, TypeError):
        pass
    raise ItemError(
        f"{layout.recording} lacks fields that this version expects.",
        "Fetch the recording again: `recall-audio fetch BOT_ID --force`.",
        code="damaged_file",
    )


@contextlib.contextmanager
def as_this_version_writes() -> Iterator[None]:
    """Report documents of an unexpected shape as the recording's own fault.

    Raises:
        ItemError: inside the context a document lacked a field, or had another kind of value there.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, UsageError) as error:
        wrong = error
    else:
        return
    raise ItemError(
        f"Its files are not as this version writes them ({type(wrong).__name__}).",
        "`recall-audio process DIR --force` makes them anew.",
        code="other_version",
    )


def need(documents: Documents, kind: str) -> dict[str, Any]:
    """Return one document.

    Raises:
        ItemError: it does not exist; the hint says what makes it.
    """
    if kind in documents:
        return documents[kind]
    raise ItemError(
        f"There is no {kind}.json in this recording's folder.",
        "`recall-audio process DIR` makes it; where a meeting has no separate audio it cannot be made.",
        code="missing_file",
    )


def labels_by_id(documents: Documents) -> dict[int, str]:
    """Return participant id to label, by ``speakers.json``.

    Raises:
        ItemError: there is no ``speakers.json``.
    """
    people = need(documents, "speakers")["speakers"]
    return {i: label for label, person in people.items() for i in person["participant_ids"]}


def facts_of(documents: Documents) -> dict[str, Any]:
    """Return the plain facts of a recording: ids, people, length, stages, warnings."""
    recording, run = documents["recording"], documents.get("run", {})
    ending = ending_of(run)
    return {
        "bot": recording["bot"],
        "recording": recording["recording"],
        "participants": recording["participants"],
        "duration_s": documents.get("alignment", {}).get("mix", {}).get("duration_s"),
        "status": ending.status,
        "reasons": [reason.to_json() for reason in ending.reasons],
        "version": run.get("version"),
        "parameters": run.get("parameters"),
        "stages": {s["name"]: s["status"] for s in run.get("stages", [])},
        "warnings": run.get("warnings", recording["findings"]),
    }


def folders_at(location: Location, *needed: str) -> list[Path]:
    """Return every recording's folder at or below a location.

    For a store these are the local folders that mirror the recordings' documents.

    Args:
        location: a folder, or an address in a store.
        needed: prefixes of files that have to be local besides the documents: ``stems/``.

    Raises:
        UsageError: there is no recording.
        MachineError, TransientError: the store refuses, or cannot be reached.
    """
    if isinstance(location, Path):
        return recording_folders(location)
    found = Mirror(location).recordings()
    for folder in found if needed else ():
        ensure_files(folder, needed)
    return found


def root_of(location: Location) -> Path:
    """Return the folder that is a location, or that mirrors it."""
    return location if isinstance(location, Path) else Mirror(location).root


def upload_written(paths: list[Path]) -> list[Path]:
    """Upload those of the written files whose folder mirrors a store, and return all of them."""
    for path in paths:
        upload_if_mirrored(path)
    return paths
