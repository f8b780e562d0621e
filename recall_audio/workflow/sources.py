"""A recording's downloaded audio as the steps take it: 16 kHz arrays."""

from pathlib import Path

from recall_audio.model.meeting import Meeting
from recall_audio.model.tracks import PartAudio, Samples
from recall_audio.workflow.audio import Audio, decode_all
from recall_audio.workflow.documents import need, read_documents
from recall_audio.workflow.layout import Layout


def decoded_sources(folder: Path) -> tuple[Samples | None, list[PartAudio]]:
    """The mix and the parts, decoded now unless the working files of a run are still there.

    Returns:
        The mix, shape (n,), int16, memory-mapped, or None; the parts that can be decoded, in the recording's
        order, at their nominal starts.

    Raises:
        ItemError: ``recording.json`` is missing or damaged.
        MachineError: no room on the disk.
    """
    layout = Layout(folder)
    meeting = Meeting.from_json(need(read_documents(folder), "recording"))
    if not (layout.work / "decode.json").is_file():
        decode_all(layout, meeting, progress=lambda _done, _total: None)
    audio = Audio.open(layout, meeting)
    parts = [
        PartAudio(p.part_id, p.participant_id, p.nominal_start_s, audio.parts[p.part_id].samples)
        for p in meeting.parts
        if p.part_id in audio.parts
    ]
    return (audio.mix.samples if audio.mix else None), parts
