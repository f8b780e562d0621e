"""Short meetings by the dozen: two voices of the sample meeting, cut at other places in each, and their sum.

Everything is ``raw``, so that making a thousand takes seconds and no codec.
"""

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from recall_audio.results.sample import sample_folder

RATE_HZ = 16_000


def make_meetings(root: Path, n: int, seconds: float = 4.0) -> list[Path]:
    """So many meetings' folders, the same for the same arguments; no two hold the same audio.

    The voice they are cut from is 18 s long.
    """
    sample = json.loads((sample_folder() / "meeting.json").read_text("utf-8"))
    voice = next(sample_folder() / p["file"] for p in sample["parts"] if p["format"] == "raw")
    whole = np.fromfile(voice, dtype="<i2")
    return [_meeting(root / f"{i:04d}", i, whole, round(seconds * RATE_HZ)) for i in range(n)]


def _meeting(folder: Path, i: int, whole: "np.ndarray[Any, Any]", n_samples: int) -> Path:
    (folder / "parts").mkdir(parents=True)
    space = len(whole) - n_samples
    starts = ((37 * i * 160) % space, (101 * i * 160 + 40_000) % space)
    voices = [whole[s : s + n_samples] for s in starts]
    total = voices[0].astype(np.int32) + voices[1]
    np.clip(total, -32768, 32767).astype("<i2").tofile(folder / "mix.raw")
    parts = []
    people = []
    for k, voice in enumerate(voices):
        part_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"part {i} {k}"))
        person = {"id": 100 + k, "name": ("Ann", "Bob")[k], "is_host": k == 0, "platform": "desktop"}
        people.append(person | {"extra_data": None, "email": None})
        voice.tofile(folder / "parts" / f"{part_id}.raw")
        entry: dict[str, Any] = {"id": part_id, "participant": people[k], "format": "raw"}
        entry |= {"file": f"parts/{part_id}.raw", "start_timestamp": {"relative": 0.0}}
        parts.append(entry | {"duration": n_samples / RATE_HZ})
    content = {"recording_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"recording {i}")), "mix": "mix.raw"}
    content |= {"duration": n_samples / RATE_HZ, "participants": people, "parts": parts}
    (folder / "meeting.json").write_text(json.dumps(content), "utf-8")
    return folder


def results(out: Path) -> dict[str, bytes]:
    """Every file whose bytes are a result, by path below `out`: not the manifests and the journal, which hold
    times, nor the working files."""
    return {
        name: file.read_bytes()
        for file in sorted(out.rglob("*"))
        if file.is_file()
        and not (name := file.relative_to(out).as_posix()).endswith(("/run.json", "journal.jsonl"))
        and "/.work/" not in name
    }
