"""Measure what attendees who never speak cost: CPU seconds, memory and bytes beside the same meeting without.

    python crowd.py --seconds 30 --attendees 0 120 1000 --parts none short
    python crowd.py --webinar                  two hours, three speakers, 500 attendees

Three people talk; the others are in the recording without a part (``none``) or with one of three seconds of
background noise (``short``), as somebody leaves who unmutes by mistake. One in three is called "Guest". Each
run is a process of its own.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from benchmarks.cost_meetings import Recipe, make, recording_folder  # noqa: E402 - found by the line above

from recall_audio.files import sha256, write_json  # noqa: E402
from recall_audio.model.meeting import MediaFile, Part, Participant, Presence  # noqa: E402
from recall_audio.pipeline.documents import Layout, read_meeting  # noqa: E402

TALKERS = 3
NOISE_S = 3.0
NAMES = ("Guest", "Ann Lee {}", "{} (external)")

JOB = """
import json, resource, sys, time
from pathlib import Path
from recall_audio.pipeline.process import process
started = time.process_time()
process(Path(sys.argv[1]))
job_s, peak_kb = time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"cpu_s": time.process_time(), "job_s": job_s, "rss_mb": peak_kb / 1024}))
"""


def with_crowd(folder: Path, attendees: int, parts: str = "none", noise_s: float = NOISE_S) -> Path:
    """Add attendees who never speak to a fetched recording, and return its folder.

    Args:
        folder: of the recording.
        attendees: how many to add.
        parts: ``none``, or ``short``: one part of background noise each.
        noise_s: its length.
    """
    meeting = read_meeting(Layout(folder))
    noise = np.random.default_rng(1).normal(0.0, 8.0, round(noise_s * 16_000)).astype("<i2").tobytes()
    people, more, present = list(meeting.participants), list(meeting.parts), list(meeting.presence)
    for i in range(attendees):
        number = 10_000 + i
        people.append(Participant(number, NAMES[i % 3].format(i)))
        present.append(Presence(number, float(i % 20), 25.0))
        if parts == "short":
            part_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"attendee {i}"))
            file = folder / "source" / f"{part_id}.raw"
            file.write_bytes(noise)
            media = MediaFile(f"source/{file.name}", "raw", len(noise), sha256(file), noise_s, True)
            more.append(Part(part_id, number, float(i % 20), media))
    whole = replace(meeting, participants=tuple(people), parts=tuple(more), presence=tuple(present))
    write_json(folder / "recording.json", "recording", whole.to_json())
    return folder


def measure(folder: Path) -> dict[str, float]:
    """Process a folder in a process of its own and return the figures."""
    done = subprocess.run([sys.executable, "-c", JOB, folder], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    run = json.loads((folder / "run.json").read_text("utf-8"))
    figures |= {s["name"]: s["cpu_seconds"] for s in run["stages"]}
    figures["report_kb"] = (folder / "report.html").stat().st_size / 1024
    figures["json_kb"] = sum(p.stat().st_size for p in folder.glob("*.json")) / 1024
    return figures


def main() -> None:
    """Measure and print a row for each crowd."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--attendees", type=int, nargs="+", default=[0, 100, 300, 1000])
    parser.add_argument("--parts", nargs="+", choices=("none", "short"), default=["none", "short"])
    parser.add_argument("--keep", type=Path, help="folder for the meetings; a temporary one by default")
    parser.add_argument("--webinar", action="store_true", help="two hours with 500 attendees, and without")
    chosen = parser.parse_args()
    if chosen.webinar:
        chosen.seconds, chosen.attendees, chosen.parts = 7200.0, [0, 500], ["none"]
    with tempfile.TemporaryDirectory() as temporary:
        root = chosen.keep or Path(temporary)
        lab = make(root / f"lab-{chosen.seconds:g}", Recipe(chosen.seconds, TALKERS, ("ogg",)))
        header = True
        for parts in chosen.parts:
            for attendees in chosen.attendees:
                out = root / f"{chosen.seconds:g}-{parts}-{attendees}"
                shutil.rmtree(out, ignore_errors=True)
                folder = with_crowd(recording_folder(lab, out), attendees, parts)
                figures = measure(folder)
                if header:
                    print(f"{'attendees':>15} " + " ".join(f"{k:>9}" for k in figures), flush=True)
                    header = False
                print(
                    f"{attendees:>9} {parts:>5} " + " ".join(f"{v:9.2f}" for v in figures.values()),
                    flush=True,
                )


if __name__ == "__main__":
    main()
