"""A batch on a cluster against the same batch on one machine: bytes, lost workers, a poison meeting, speed.

    python tests/benchmarks/cluster.py --meetings 60 --workers 3

Real processes on this machine, the ordinary code path. The stand-in's meetings are a few seconds each, so
that what a cluster costs by itself shows; the speed-up is measured on longer ones, fetched before.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.pop(0)  # this folder, which has a batch.py too
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batch import poison
from batch.meetings import make_meetings, results
from distributed import Client, LocalCluster

from recall_audio import batch
from recall_audio.fetch import Settings
from recall_audio.model.outcome import Outcome
from recall_audio.standin import StandIn, meeting


@contextmanager
def workers(n: int) -> Iterator[str]:
    """A scheduler and so many worker processes; gives the scheduler's address."""
    with LocalCluster(
        n_workers=n, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL"
    ) as started:
        yield started.scheduler_address


class Killer:
    """Kills one worker every so many seconds, while the block lasts."""

    def __init__(self, address: str, every_s: float) -> None:
        self._address, self._every_s, self._over = address, every_s, threading.Event()
        self._thread = threading.Thread(target=self._kill)
        self.killed = 0

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _kill(self) -> None:
        dice = random.Random(1)
        with Client(self._address, set_as_default=False) as client:
            while not self._over.wait(self._every_s):
                pids = [p for p in client.run(os.getpid, on_error="return").values() if isinstance(p, int)]
                if pids:
                    os.kill(dice.choice(pids), signal.SIGKILL)
                    self.killed += 1


def told(what: str, outcomes: Sequence[Outcome], seconds: float) -> None:
    """One line of what came of a batch."""
    how = Counter(f"{o.status} {o.code}".strip() for o in outcomes)
    print(f"{what:<44} {dict(how)}, {seconds:.1f} s", flush=True)


def run(what: str, server: StandIn, out: Path, **asked: Any) -> list[Outcome]:
    """One batch over everything that is served."""
    settings = Settings(server.base_url, "us-west-2", server.key)
    os.environ["XDG_STATE_HOME"] = str(out.parent / f"state-{out.name}")
    began = time.monotonic()
    outcomes = batch.run(server.bot_ids, lambda: settings, batch.Request(out=out, **asked))
    told(what, outcomes, time.monotonic() - began)
    return outcomes


def finished(out: Path) -> dict[str, bytes]:
    """Result files; what a killed process left under another name is none."""
    return {n: b for n, b in results(out).items() if not n.endswith((".part", "/crashes.json"))}


def same_bytes(root: Path, n: int, n_workers: int, every_s: float) -> None:
    """What a cluster leaves, undisturbed, with workers lost, and with one poison meeting."""
    folders = make_meetings(root / "served", n, seconds=4.0)
    with StandIn(folders) as server, workers(n_workers) as address:
        run("one machine, --jobs 2", server, root / "here", jobs=2)
        expected = finished(root / "here")
        run(f"cluster of {n_workers}", server, root / "there", cluster=address)
        print("  byte-equal:", finished(root / "there") == expected, f"({len(expected)} files)")
        with Killer(address, every_s) as killer:
            run(f"one worker killed every {every_s:g} s", server, root / "killed", cluster=address)
        print(f"  byte-equal: {finished(root / 'killed') == expected}; killed {killer.killed}")
        ill = meeting(folders[n // 2]).recording_id
        (root / "poison.json").write_text(json.dumps({"light": False, "ills": {ill: "killed"}}))
        with mock.patch("recall_audio.batch.tasks.process_safely", poison.process_safely):
            run("one poison meeting", server, root / "ill", cluster=address)
        tried = Counter((root / "calls.log").read_text().split())
        print(f"  poison tried {tried.pop(ill)} times, others at most {max(tried.values())}")
        spared = {name: content for name, content in expected.items() if ill not in name}
        left = {name: content for name, content in finished(root / "ill").items() if ill not in name}
        print("  byte-equal but for it:", left == spared)


def speed(root: Path, n: int, seconds: float) -> None:
    """1 and 2 workers on meetings that have been fetched, and what of the loss is whose."""
    with StandIn(make_meetings(root / "longer", n, seconds=seconds)) as server:
        run("fetched for the measurement", server, root / "fetched", options=None)
    took, inside = {}, {}
    for n_workers in (1, 2):
        out = root / f"speed-{n_workers}"
        shutil.copytree(root / "fetched", out)
        folders = sorted(f.parent for f in out.glob("*/*/recording.json"))
        with workers(n_workers) as address:
            batch.process_folders(folders[:n_workers], batch.Request(out=out, cluster=address))  # imports
            began = time.monotonic()
            asked = batch.Request(out=out, cluster=address, force=True)
            outcomes = batch.process_folders(folders, asked)
            took[n_workers] = time.monotonic() - began
        inside[n_workers] = sum(o.seconds for o in outcomes)
        idle_s = n_workers * took[n_workers] - inside[n_workers]
        told(f"{n_workers} worker(s), {n} meetings of {seconds:g} s", outcomes, took[n_workers])
        print(f"  in the workers {inside[n_workers]:.1f} s, idle or handing over {idle_s:.1f} s")
    print(f"speed-up {took[1] / took[2]:.2f}")
    print(f"the same work took {inside[2] / inside[1]:.2f} times as long side by side")


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meetings", type=int, default=60)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=8.0, metavar="SECONDS")
    parser.add_argument("--longer", type=float, default=15.0, help="length of the meetings for the speed-up")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        same_bytes(Path(temporary), given.meetings, given.workers, given.kill_every)
        speed(Path(temporary), 24, given.longer)


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    main()
