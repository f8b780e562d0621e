"""One meeting, and what commands cost on it."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cost_meter import Cost, measured

PEERS = str(Path(__file__).resolve().parent / "cost_peers.py")
JOB = (sys.executable, "-m", "recall_audio", "process", "--quiet")


class Case:
    """One meeting and the folders that processes work in.

    Attributes:
        name: of the case.
        lab: the meeting's folder.
        minutes: length of the mix.
        tracks: how many parts.
    """

    def __init__(self, name: str, lab: Path, chosen: argparse.Namespace) -> None:
        self.name, self.lab, self.chosen = name, lab, chosen
        content = json.loads((lab / "meeting.json").read_text("utf-8"))
        self.minutes, self.tracks = content["duration"] / 60, len(content["parts"])

    def run(self, command: Callable[[Path, Path], tuple[Any, ...]]) -> tuple[Cost, dict[str, float]]:
        """What a command costs on a fresh copy of the recording, and the CPU of the stages it ran."""
        from cost_meetings import recording_folder

        env = {"XDG_STATE_HOME": str(self.chosen.work / "state")}
        if self.chosen.peers_path:
            env["PYTHONPATH"] = str(self.chosen.peers_path)
        with tempfile.TemporaryDirectory(dir=self.chosen.work) as work:
            folder, out = recording_folder(self.lab, Path(work)), Path(work) / "out"
            out.mkdir()
            cost = measured(command(folder, out), env)
            stages = {}
            if (folder / "run.json").is_file():
                run = json.loads((folder / "run.json").read_text("utf-8"))
                stages = {s["name"]: s["cpu_seconds"] for s in run["stages"]}
        return cost, stages

    def peer(self, what: str) -> Cost:
        """One of the scripts of cost_peers."""
        return self.run(lambda folder, out: (sys.executable, PEERS, what, folder, out))[0]

    def job(self, jobs: int) -> tuple[Cost, dict[str, float]]:
        """The whole job."""
        return self.run(lambda folder, _out: (*JOB, "--jobs", str(jobs), folder))

    def ffmpeg(self) -> Cost | None:
        """The floor by ffmpeg's command, a process a file; None where there is none."""
        if shutil.which("ffmpeg") is None:
            return None
        quiet = ("ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1")
        content = json.loads((self.lab / "meeting.json").read_text("utf-8"))
        into, mix = ("-ac", "1", "-ar", "16000"), self.lab / content.get("mix", "mix.mp3")
        total = measured((*quiet, "-i", mix, *into, "-f", "null", "-"))
        with tempfile.TemporaryDirectory(dir=self.chosen.work) as work:
            for part in content["parts"]:
                raw = ("-f", "s16le", "-ar", "16000") if part["format"] == "raw" else ()
                target = Path(work) / "x.wav"
                total = total.and_then(measured((*quiet, *raw, "-i", self.lab / part["file"], *into, target)))
        return total
