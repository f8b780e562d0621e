"""A recording's downloaded audio as the steps take it: 16 kHz arrays."""

from pathlib import Path

from recall_audio.model.options import Options
from recall_audio.model.tracks import PartAudio, Samples
from recall_audio.workflow.audio import decode_all
from recall_audio.workflow.job import Job


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
