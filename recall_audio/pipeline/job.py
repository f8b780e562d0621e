"""Give the stages one recording's data: the meeting, the options, decoded audio, earlier results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.files import path_in, read_json, write_json
from recall_audio.media.decode import check_duration, decode
from recall_audio.media.pcm_file import allow_maps, open_work
from recall_audio.model.alignment import Alignment, PartAudio, PlacedPart, TimeMap, Track
from recall_audio.model.labels import make_labels
from recall_audio.model.meeting import MediaFile, Meeting
from recall_audio.model.options import Options
from recall_audio.model.outcome import CountCallback, Finding
from recall_audio.model.persons import Persons, find_persons
from recall_audio.model.speech import SpeechResult
from recall_audio.pipeline.documents import Layout, read_meeting
from recall_audio.pipeline.parallel import Pieces
from recall_audio.pipeline.stems.track_reader import SourceFile, StemSources
from recall_audio.typing import Samples
from recall_audio.units import RATE_HZ, to_samples

MIX = "mix"
"""Name of the mixed recording's entry among the decoded files."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedAudio:
    """One decoded file.

    Attributes:
        samples: shape (n,), int16, 16 kHz, memory-mapped.
        encoder_delay_known: its time 0 is the recording's; False for an MP3 without a LAME tag.
    """

    samples: Samples
    encoder_delay_known: bool

    @property
    def n_samples(self) -> int:
        """Return its length, samples."""
        return len(self.samples)


class DecodedParts(Mapping[str, DecodedAudio]):
    """The decoded parts of a recording by part id, each opened when it is asked for.

    Args:
        layout: the recording's folder.
        facts: entries of ``decode.json``; a part without one could not be decoded.
        part_ids: of the recording's parts, in order.
    """

    def __init__(self, layout: Layout, facts: Mapping[str, Any], part_ids: Sequence[str]) -> None:
        self._layout, self._facts = layout, facts
        self._ids = dict.fromkeys(i for i in part_ids if i in facts)
        self._open: dict[str, DecodedAudio] = {}
        self._n_maps: int | None = None

    def __getitem__(self, part_id: str) -> DecodedAudio:
        if part_id not in self._ids:
            raise KeyError(part_id)
        if part_id not in self._open:
            if self._n_maps is None:
                self._n_maps = allow_maps(len(self._ids))
            path = self._layout.working(part_id)
            samples = open_work(path, mapped=len(self._open) < self._n_maps)
            self._open[part_id] = DecodedAudio(samples, self._facts[part_id]["encoder_delay_known"])
        return self._open[part_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """All decoded files of a recording.

    Attributes:
        mix: the mixed recording, or None.
        parts: separate parts by part id; those that could not be decoded are not there.
    """

    mix: DecodedAudio | None
    parts: Mapping[str, DecodedAudio]

    @staticmethod
    def open(layout: Layout, meeting: Meeting) -> "Audio":
        """Open what :func:`decode_all` left in the folder."""
        facts = read_json(layout.work / "decode.json", "decode")["files"]
        mix = None
        if MIX in facts:
            mix = DecodedAudio(open_work(layout.working(MIX)), facts[MIX]["encoder_delay_known"])
        return Audio(mix, DecodedParts(layout, facts, [p.part_id for p in meeting.parts]))


def decode_all(
    layout: Layout,
    meeting: Meeting,
    pieces: Pieces | None = None,
    progress: CountCallback = lambda _done, _total: None,
    decoded: Callable[[str], None] = lambda _name: None,
) -> tuple[tuple[Path, ...], tuple[Finding, ...]]:
    """Decode every file of a recording, reporting those that cannot be decoded as findings.

    Args:
        layout: the recording's folder.
        meeting: what the API said.
        pieces: runs the decoding of each file; in this process where None.
        progress: called with files done and files in all.
        decoded: called with the name of each file that can be worked with.

    Returns:
        The files written, and what was odd about the sources.
    """
    media = {p.part_id: p.media for p in meeting.parts if p.media.file}
    if meeting.mix is not None and meeting.mix.file:
        media = {MIX: meeting.mix, **media}
    calls = [(layout.folder, name, source) for name, source in media.items()]
    files = (pieces or Pieces()).map(decode_one, calls, progress)
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
class DecodeOutcome:
    """What decoding one file gave.

    Attributes:
        facts: its entry in ``decode.json``; None where it could not be decoded.
        findings: what is odd about it.
    """

    facts: dict[str, Any] | None
    findings: tuple[Finding, ...]


def decode_one(folder: Path, name: str, source: MediaFile) -> DecodeOutcome:
    """Decode one file into its working file."""
    path, work = path_in(folder, source.file), Layout(folder).working(name)
    if not path.is_file():
        lost = f"{source.file} is missing from the recording's folder: fetch the recording again."
        return DecodeOutcome(None, (Finding("part_missing", lost, where=name),))
    try:
        decoded = decode(path, work, source.format, source.duration_s)
    except ItemError as error:
        return DecodeOutcome(None, (Finding(error.code, error.message, where=name),))
    about = [*decoded.findings, check_duration(decoded.duration_s, source.duration_s)]
    facts = {
        "n_samples": decoded.n_samples,
        "encoder_delay_known": decoded.encoder_delay_known,
        "source": asdict(decoded.source),
        "damage": [asdict(d) for d in decoded.damage],
    }
    return DecodeOutcome(facts, tuple(replace(f, where=name) for f in about if f is not None))


@dataclass(slots=True)
class Job:
    """The processing of one recording, opened from its folder and the options in any process.

    Attributes:
        layout: its folder.
        meeting: what the API said.
        options: what was chosen.
    """

    layout: Layout
    meeting: Meeting
    options: Options
    _audio: Audio | None = None
    _persons: Persons | None = None
    _labels: dict[int, str] | None = None

    @staticmethod
    def of(folder: Path, options: Options) -> "Job":
        """Return the job of a recording's folder.

        Raises:
            ItemError: ``recording.json`` is missing or damaged.
        """
        layout = Layout(folder)
        return Job(layout, read_meeting(layout), options)

    @property
    def persons(self) -> Persons:
        """Return which participants are one person, found once."""
        if self._persons is None:
            self._persons = find_persons(self.meeting, join=self.options.people.join)
        return self._persons

    @property
    def labels(self) -> dict[int, str]:
        """Return participant id to label, in the API's order, made once: one person has one."""
        if self._labels is None:
            self._labels = make_labels(self.meeting.participants, self.persons.first_ids)
        return self._labels

    @property
    def audio(self) -> Audio:
        """Return the decoded working files, opened once."""
        if self._audio is None:
            self._audio = Audio.open(self.layout, self.meeting)
        return self._audio

    @property
    def alignment(self) -> Alignment:
        """Return the alignment that the align stage left."""
        return Alignment.from_json(self.document("alignment"))

    @property
    def has_tracks(self) -> bool:
        """Return whether any part could be decoded and lies on the mix's clock."""
        return bool(self.alignment.parts)

    def document(self, kind: str) -> dict[str, Any]:
        """Read one JSON file of the folder."""
        return read_json(self.layout.json(kind), kind)

    def write(self, kind: str, body: dict[str, Any]) -> Path:
        """Write one JSON file of the folder and return its path."""
        path = self.layout.json(kind)
        write_json(path, kind, body)
        return path

    def parts(self) -> list[PartAudio]:
        """Return every decoded part, before it is placed."""
        return [
            PartAudio(p.part_id, p.participant_id, p.nominal_start_s, self.audio.parts[p.part_id].samples)
            for p in self.meeting.parts
            if p.part_id in self.audio.parts
        ]

    def tracks(self, label: str | None = None) -> list[Track]:
        """Return every participant's parts on the mix's clock, none for silent participants.

        Args:
            label: the only participant whose track is returned; everyone's where None.
        """
        placed: dict[str, list[PlacedPart]] = {
            own: [] for own in self.labels.values() if label in (None, own)
        }
        for part in self.alignment.parts:
            own = self.labels[part.participant_id]
            if own in placed:
                samples = self.audio.parts[part.part_id].samples
                placed[own].append(PlacedPart(part.part_id, samples, part.time_map))
        return [
            Track(label, tuple(sorted(parts, key=lambda p: p.time_map.start_s)))
            for label, parts in placed.items()
        ]

    def placed_mix(self) -> PlacedPart | None:
        """Return the decoded mix on its own clock, or None where there is none."""
        mix = self.audio.mix
        if mix is None:
            return None
        return PlacedPart(MIX, mix.samples, TimeMap.straight(0.0, max(mix.n_samples, 1) / RATE_HZ))

    @property
    def n_samples(self) -> int:
        """Return the length of the mix's clock, samples at 16 kHz."""
        return self.audio.mix.n_samples if self.audio.mix else to_samples(self.alignment.duration_s)

    def speech(self) -> SpeechResult:
        """Return the speech that the speech stage left."""
        return SpeechResult.from_json(self.document("segments"))

    def stem_sources(self, *, with_mix: bool = True) -> StemSources:
        """Return what the stems can use besides the decoded tracks."""
        files = {
            p.part_id: SourceFile(
                path_in(self.layout.folder, p.media.file), p.media.format, p.media.duration_s
            )
            for p in self.meeting.parts
            if p.media.file
        }
        return StemSources(
            mix=self.audio.mix.samples if self.audio.mix and with_mix else None,
            files=files,
            work=self.layout.work,
        )


def decoded_sources(folder: Path) -> tuple[Samples | None, list[PartAudio]]:
    """Return the mix and the parts, decoding them unless a run's working files exist.

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
