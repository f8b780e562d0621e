"""Which sound lies beside the page, as addresses relative to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from recall_audio.report.people import Documents
from recall_audio.report.words import mapping, objects

_PLAYS = (".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a", ".mp4")


@dataclass(frozen=True, slots=True)
class Assets:
    """Audio files beside ``report.html``.

    Attributes:
        mix: path of the mixed recording below the page's folder, or None.
        stems: label to path of that speaker's stem.
    """

    mix: str | None = None
    stems: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def named_in(documents: Documents) -> "Assets":
        """The files that ``recording.json`` and ``stems.json`` name, unseen."""
        mix = mapping(mapping(documents.get("recording")).get("mix")).get("file")
        stems = {}
        for stem in objects(mapping(documents.get("stems")).get("stems")):
            label, file = stem.get("participant"), stem.get("file")
            if isinstance(label, str) and isinstance(file, str):
                stems[label] = file if "/" in file else f"stems/{file}"
        return Assets(mix if isinstance(mix, str) else None, stems)


def address(path: str | None) -> str | None:
    """A relative URL of a file below the page, or None where the path leads elsewhere or cannot be played."""
    if not path or not path.lower().endswith(_PLAYS):
        return None
    steps = path.replace("\\", "/").split("/")
    if any(step in {"", ".", ".."} for step in steps):
        return None
    # Every step is quoted whole, so that neither "https:" nor "#" can mean anything in the address.
    return "/".join(quote(step.encode("utf-8", "replace"), safe="") for step in steps)
