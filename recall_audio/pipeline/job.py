"""One recording's folder as the stages see it: what was fetched, what was chosen, what stages before left."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from recall_audio.files import read_json, write_json
from recall_audio.model.alignment import Alignment, PartAudio, PlacedPart, Track
from recall_audio.model.labels import make_labels
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import Options
from recall_audio.model.speech import SpeechResult
from recall_audio.pipeline.audio import Audio, decode_all
from recall_audio.pipeline.documents import read_meeting
from recall_audio.pipeline.layout import Layout
from recall_audio.pipeline.stems.track_reader import Original, StemSources
from recall_audio.typing import Samples
from recall_audio.units import to_samples


@dataclass(slots=True)
class Job:
    """One recording under way; whoever has its folder and the options can make it, in any process.

    Attributes:
        layout: its folder.
        meeting: what the API said.
        options: what was chosen.
        labels: participant id to label, in the API's order.
    """

    layout: Layout
    meeting: Meeting
    options: Options
    labels: dict[int, str] = field(init=False)
    _audio: Audio | None = None

    def __post_init__(self) -> None:
        self.labels = make_labels(self.meeting.participants)

    @staticmethod
    def of(folder: Path, options: Options) -> "Job":
        """The job of a recording's folder.

        Raises:
            ItemError: ``recording.json`` is missing or damaged.
        """
        layout = Layout(folder)
        return Job(layout, read_meeting(layout), options)

    @property
    def audio(self) -> Audio:
        """The decoded working files, opened once."""
        if self._audio is None:
            self._audio = Audio.open(self.layout, self.meeting)
        return self._audio

    @property
    def alignment(self) -> Alignment:
        """What the align stage left."""
        return Alignment.from_json(self.document("alignment"))

    @property
    def has_tracks(self) -> bool:
        """Whether any part came with a file."""
        return any(part.media.file for part in self.meeting.parts)

    def document(self, kind: str) -> dict[str, Any]:
        """One JSON file of the folder."""
        return read_json(self.layout.json(kind), kind)

    def write(self, kind: str, body: dict[str, Any]) -> Path:
        """Write one JSON file of the folder."""
        path = self.layout.json(kind)
        write_json(path, kind, body)
        return path

    def parts(self) -> list[PartAudio]:
        """Every decoded part, before it is placed."""
        return [
            PartAudio(p.part_id, p.participant_id, p.nominal_start_s, self.audio.parts[p.part_id].samples)
            for p in self.meeting.parts
            if p.part_id in self.audio.parts
        ]

    def tracks(self) -> list[Track]:
        """Every participant's parts on the mix's clock; the silent ones have none."""
        placed: dict[int, list[PlacedPart]] = {i: [] for i in self.labels}
        for part in self.alignment.parts:
            samples = self.audio.parts[part.part_id].samples
            placed[part.participant_id].append(PlacedPart(part.part_id, samples, part.time_map))
        return [
            Track(self.labels[i], tuple(sorted(parts, key=lambda p: p.time_map.start_s)))
            for i, parts in placed.items()
        ]

    @property
    def n_samples(self) -> int:
        """Length of the mix's clock at 16 kHz."""
        return self.audio.mix.n_samples if self.audio.mix else to_samples(self.alignment.duration_s)

    def speech(self) -> SpeechResult:
        """What the speech stage left."""
        return SpeechResult.from_json(self.document("segments"))

    def stem_sources(self, *, with_mix: bool = True) -> StemSources:
        """What the stems can use beside the decoded tracks."""
        names = {self.labels[p.participant_id]: p.name for p in self.meeting.participants if p.name}
        originals = {
            p.part_id: Original(self.layout.folder / p.media.file, p.media.format, p.media.duration_s)
            for p in self.meeting.parts
            if p.media.file
        }
        return StemSources(
            mix=self.audio.mix.samples if self.audio.mix and with_mix else None,
            originals=originals,
            work=self.layout.work,
            names=names,
            recording_id=self.meeting.recording_id,
            started_at=moment(self.meeting.recording.get("started_at")),
        )


def moment(text: str | None) -> datetime | None:
    """A time the API gave, or None where there is none that can be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def decoded_sources(folder: Path) -> tuple[Samples | None, list[PartAudio]]:
    """The mix and the parts, decoded now unless the working files of a run are still there.

    Returns:
        The mix, shape (n,), int16, memory-mapped, or None; the parts that can be decoded, in the recording's
        order, at their nominal starts.

    Raises:
        ItemError: ``recording.json`` is missing or damaged.
        MachineError: no room on the disk.
    """
    job = Job.of(folder, Options())
    if not (job.layout.work / "decode.json").is_file():
        decode_all(job.layout, job.meeting)
    return (job.audio.mix.samples if job.audio.mix else None), job.parts()
