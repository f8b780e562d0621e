"""A batch into an object store by a cluster: bytes, lost workers, writers killed midway, what it costs.

    python tests/benchmarks/storage.py --meetings 60 --workers 3

A server on loopback that speaks S3 (moto), real sockets, real processes. While a batch is written a reader
looks at the store again and again: whatever it takes for finished has to be whole, by SHA-256.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.pop(0)  # this folder, which has a batch.py too
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fsspec
from batch.meetings import make_meetings, results
from distributed import Client, LocalCluster
from object_store import s3_server, stored

from recall_audio import batch
from recall_audio.fetch import Settings
from recall_audio.model.outcome import Outcome
from recall_audio.standin import StandIn
from recall_audio.storage import Url

MAIN = "from recall_audio.cli import main; main()"


def kept(found: dict[str, bytes]) -> dict[str, bytes]:
    """Objects whose bytes are a result."""
    return {
        n: c
        for n, c in found.items()
        if not n.endswith(("/run.json", "/crashes.json")) and not n.startswith("journal/")
    }


class Reader:
    """Looks at the store, while the block lasts, as a pipeline would that takes what is finished."""

    def __init__(self, url: str) -> None:
        self._system = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
        self._root, self._over = url.removeprefix("s3://"), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looks, self.finished, self.halves = 0, 0, 0

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def said(self) -> str:
        """What it saw."""
        seen = f"{self.looks} looks, {self.finished} times a recording counted as finished"
        return f"  a reader: {seen}, {self.halves} files of them not whole"

    def _look(self) -> None:
        while not self._over.wait(1.0):
            self.looks += 1
            for name in [n for n in self._system.find(self._root) if n.endswith("/run.json")]:
                self._check(name)

    def _check(self, name: str) -> None:
        manifest = json.loads(self._system.cat_file(name))
        if manifest["status"] != "done":
            return
        self.finished += 1
        folder = name.removesuffix("run.json")
        for group in (*(s["outputs"] for s in manifest["stages"]), manifest["inputs"]):
            for file, facts in group.items():
                if not file.startswith(".work/"):
                    content = self._system.cat_file(folder + file)
                    self.halves += hashlib.sha256(content).hexdigest() != facts["sha256"]


def told(what: str, outcomes: Sequence[Outcome], seconds: float) -> None:
    """One line of what came of a batch."""
    how = Counter(f"{o.status} {o.code}".strip() for o in outcomes)
    print(f"{what:<44} {dict(how)}, {seconds:.1f} s", flush=True)


def run(what: str, server: StandIn, root: Path, **asked: Any) -> None:
    """One batch over everything that is served."""
    settings = Settings(server.base_url, "us-west-2", server.key)
    os.environ["XDG_STATE_HOME"] = str(root / f"state-{what}")
    began = time.monotonic()
    request = batch.Request(out=root / "here", **asked)
    told(what, batch.run(server.bot_ids, lambda: settings, request), time.monotonic() - began)


def kill_workers(address: str, every_s: float, over: threading.Event) -> int:
    """Kill one worker every so many seconds."""
    dice, killed = random.Random(1), 0
    with Client(address, set_as_default=False) as client:
        while not over.wait(every_s):
            pids = [p for p in client.run(os.getpid, on_error="return").values() if isinstance(p, int)]
            if pids:
                os.kill(dice.choice(pids), signal.SIGKILL)
                killed += 1
    return killed


def killed_writers(server: StandIn, root: Path, url: str, times: int) -> None:
    """The ordinary command, killed with its workers at random moments; then once to its end."""
    dice = random.Random(2)
    env = {**os.environ, "RECALL_API_KEY": server.key, "RECALL_BASE_URL": server.base_url}
    env["XDG_STATE_HOME"] = str(root / "state-killed")
    command = [sys.executable, "-c", MAIN, "run", *server.bot_ids, "--out", url, "--jobs", "2", "--quiet"]
    seen = []
    with Reader(url) as reader:
        for _ in range(times):
            process = subprocess.Popen(
                command, env=env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(dice.uniform(4.0, 14.0))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            seen.append(len([n for n in stored(url) if n.endswith("/run.json")]))
        code = subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=False).returncode
    print(f"killed {times} times, finished by then {seen}, last run's exit code {code}")
    print(reader.said())


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meetings", type=int, default=60)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=8.0, metavar="SECONDS")
    parser.add_argument("--killed-writers", type=int, default=6, metavar="TIMES")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, s3_server() as environment:
        os.environ.update(environment)
        root = Path(temporary)
        with StandIn(make_meetings(root / "served", given.meetings, seconds=4.0)) as server:
            carried_out(server, root, given)


def carried_out(server: StandIn, root: Path, given: argparse.Namespace) -> None:
    """Every scenario."""
    run("a folder, --jobs 2", server, root, jobs=2)
    expected = results(root / "here")
    run("a store, --jobs 2", server, root, jobs=2, store=Url("s3://bucket/jobs"))
    print("  byte-equal:", kept(stored("s3://bucket/jobs")) == expected, f"({len(expected)} files)")
    with LocalCluster(
        n_workers=given.workers, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL"
    ) as started:
        over = threading.Event()
        killer = threading.Thread(
            target=kill_workers, args=(started.scheduler_address, given.kill_every, over)
        )
        with Reader("s3://bucket/cluster") as reader:
            killer.start()
            run(
                f"a store, cluster, a worker lost every {given.kill_every:g} s",
                server,
                root,
                cluster=started.scheduler_address,
                store=Url("s3://bucket/cluster"),
            )
            over.set()
            killer.join()
    print("  byte-equal:", kept(stored("s3://bucket/cluster")) == expected)
    print(reader.said())
    killed_writers(server, root, "s3://bucket/killed", given.killed_writers)
    print("  byte-equal:", kept(stored("s3://bucket/killed")) == expected)


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    main()
