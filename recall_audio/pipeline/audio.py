"""The decoded working files of a recording: made once, then memory-mapped by every step."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.files import read_json, write_json
from recall_audio.media.decode import check_duration, decode
from recall_audio.media.pcm_file import open_work
from recall_audio.model.meeting import MediaFile, Meeting
from recall_audio.model.outcome import Finding
from recall_audio.pipeline.layout import Layout
from recall_audio.pipeline.parallel import Pieces
from recall_audio.typing import Samples

MIX = "mix"
"""Name of the mixed recording's entry among the decoded files."""


@dataclass(frozen=True, slots=True, eq=False)
class Working:
    """One decoded file.

    Attributes:
        samples: shape (n,), int16, 16 kHz, memory-mapped.
        encoder_delay_known: its time 0 is the recording's; False for an MP3 without a LAME tag.
    """

    samples: Samples
    encoder_delay_known: bool

    @property
    def n_samples(self) -> int:
        """Its length."""
        return len(self.samples)


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """All decoded files of a recording.

    Attributes:
        mix: the mixed recording, or None.
        parts: separate parts by part id; those that could not be decoded are not there.
    """

    mix: Working | None
    parts: dict[str, Working]

    @staticmethod
    def open(layout: Layout, meeting: Meeting) -> "Audio":
        """What :func:`decode_all` left in the folder."""
        facts = read_json(layout.work / "decode.json", "decode")["files"]

        def working(name: str) -> Working | None:
            if name not in facts:
                return None
            return Working(open_work(layout.working(name)), facts[name]["encoder_delay_known"])

        parts = {p.part_id: w for p in meeting.parts if (w := working(p.part_id)) is not None}
        return Audio(working(MIX), parts)


def decode_all(
    layout: Layout,
    meeting: Meeting,
    pieces: Pieces | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    decoded: Callable[[str], None] = lambda _name: None,
) -> tuple[tuple[Path, ...], tuple[Finding, ...]]:
    """Decode every file of a recording; one that cannot be is a finding, and the others go on.

    Args:
        layout: the recording's folder.
        meeting: what the API said.
        pieces: where files are decoded; here where None.
        progress: called with files done and files in all.
        decoded: called with the name of each file that can be worked with.

    Returns:
        The files written, and what was odd about the sources.
    """
    media = {p.part_id: p.media for p in meeting.parts if p.media.file}
    if meeting.mix is not None and meeting.mix.file:
        media = {MIX: meeting.mix, **media}
    calls = [(layout.folder, name, source) for name, source in media.items()]
    files = (pieces or Pieces()).each(decode_one, calls, progress)
    index = layout.work / "decode.json"
    facts: dict[str, Any] = {}
    findings: list[Finding] = []
    for name, file in zip(media, files, strict=True):
        findings += file.findings
        if file.facts is not None:
            facts[name] = file.facts
            decoded(name)
    write_json(index, "decode", {"files": facts})
    written = tuple(layout.working(name) for name in facts)
    return (*written, index), tuple(findings)


@dataclass(frozen=True, slots=True)
class DecodedFile:
    """What came of one file.

    Attributes:
        facts: its entry in ``decode.json``; None where it could not be decoded.
        findings: what is odd about it.
    """

    facts: dict[str, Any] | None
    findings: tuple[Finding, ...]


def decode_one(folder: Path, name: str, source: MediaFile) -> DecodedFile:
    """Decode one file into its working file; that it cannot be is a finding."""
    path, work = folder / str(source.file), Layout(folder).working(name)
    if not path.is_file():
        lost = f"{source.file} is missing from the recording's folder: fetch the recording again."
        return DecodedFile(None, (Finding("part_missing", lost, where=name),))
    try:
        decoded = decode(path, work, source.format, source.duration_s)
    except ItemError as error:
        return DecodedFile(None, (Finding(error.code, error.message, where=name),))
    about = [*decoded.findings, check_duration(decoded.duration_s, source.duration_s)]
    facts = {
        "n_samples": decoded.n_samples,
        "encoder_delay_known": decoded.encoder_delay_known,
        "source": asdict(decoded.source),
        "damage": [asdict(d) for d in decoded.damage],
    }
    return DecodedFile(facts, tuple(replace(f, where=name) for f in about if f is not None))
