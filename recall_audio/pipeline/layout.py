"""Where everything of one recording lies: ``OUT/<bot_id>/<recording_id>/``."""

from dataclasses import dataclass
from pathlib import Path

from recall_audio.errors import UsageError


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one recording's folder.

    Attributes:
        folder: the recording's own folder.
    """

    folder: Path

    @property
    def recording(self) -> Path:
        """What the API said."""
        return self.folder / "recording.json"

    @property
    def run(self) -> Path:
        """The manifest: what was done, with what, from what. Written last."""
        return self.folder / "run.json"

    @property
    def work(self) -> Path:
        """Decoded working files and the manifest of an unfinished run; may be deleted at any time."""
        return self.folder / ".work"

    def working(self, name: str) -> Path:
        """The decoded samples of one file: a part's, by its id, or the mix's."""
        return self.work / f"{name}.s16"

    @property
    def stems(self) -> Path:
        """One WAV a participant."""
        return self.folder / "stems"

    @property
    def source(self) -> Path:
        """The files as downloaded."""
        return self.folder / "source"

    def json(self, kind: str) -> Path:
        """The JSON file of one kind, e.g. ``talk`` for ``talk.json``."""
        return self.folder / f"{kind}.json"


def recording_folders(root: Path) -> list[Path]:
    """Every recording's folder at or below `root`, sorted: one recording's, a bot's, or a whole output.

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
