"""A night's batch with one request in ten failing; and a batch that is killed again and again.

    python tests/benchmarks/batch.py night --meetings 1000 --jobs 2
    python tests/benchmarks/batch.py kills --kills 200

Real sockets, the ordinary command, the ordinary limits. ``night``: 55 lists a minute are the workspace's
ceiling, so a thousand meetings take some twenty minutes; what fails, at random, is a 503, a 429 with
``Retry-After``, a body cut short, a connection reset, an address that has ended. ``kills``: a batch of 12 is
sent SIGKILL at random moments, the parent alone or all its processes, and begun again until it is through;
then it has to be, byte for byte, what a batch is that nobody disturbed (but for timings: ``run.json`` and the
journal are left out).
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.pop(0)  # this file has the name of a package in the folder above
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batch.meetings import make_meetings, results

from recall_audio.standin import RIGHT, Reply, StandIn

COMMAND = [sys.executable, "-c", "from recall_audio.cli import main; main()"]
_STEPS = 150
# A batch of 12 takes some 430 in all: several kills to each.
EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
WRONG = {
    "503": Reply(status=503, body=b""),
    "429": Reply(status=429, headers={"Retry-After": "1"}, body=b"{}"),
    "short": Reply(cut_at=60),
    "reset": Reply(cut_at=60, reset=True),
    "expired": Reply(status=403, body=EXPIRED, headers={"Content-Type": "application/xml"}),
}


class Unreliable:
    """One request in so many fails, in one of the ways that fit it; all are noted with their time."""

    def __init__(self, share: float, seed: int) -> None:
        self._share, self._random, self._lock = share, random.Random(seed), threading.Lock()
        self.asked: list[tuple[float, str]] = []
        self.failed: Counter[str] = Counter()

    def next(self, method: str, target: str) -> Reply:
        """What happens to a request."""
        with self._lock:
            self.asked.append((time.monotonic(), f"{method} {target}"))
            if self._random.random() >= self._share:
                return RIGHT
            is_store = target.startswith("/store/")
            how = self._random.choice([h for h in WRONG if h != ("429" if is_store else "expired")])
            self.failed[how] += 1
            return WRONG[how]

    def most_in_a_minute(self, pattern: str) -> int:
        """Most requests of a kind in any 60 s."""
        times = [t for t, target in self.asked if re.match(pattern, target)]
        start, most = 0, 0
        for end, at in enumerate(times):
            while at - times[start] >= 60.0:
                start += 1
            most = max(most, end - start + 1)
        return most


def memory_mib(pid: int) -> float:
    """Resident memory of a process, MiB; 0 for one that has just ended."""
    found = re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[0]) / 1024 if found else 0.0


def environment(server: StandIn, state: Path) -> dict[str, str]:
    """The environment that the command runs in; limits and locks are shared by those with one `state`."""
    own = {"RECALL_API_KEY": server.key, "RECALL_BASE_URL": server.base_url}
    return {**os.environ, **own, "XDG_STATE_HOME": str(state)}


def night(given: argparse.Namespace, root: Path) -> None:
    """A batch with failing requests, once."""
    server = StandIn(make_meetings(root / "served", given.meetings, seconds=given.seconds))
    script = Unreliable(given.share, given.seed)
    server.script = script  # type: ignore[assignment]
    with server:
        code, seconds, memory = carried_out(server, root, given.jobs)
    out, n = root / "out", given.meetings
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    done = Counter(line["recording_id"] for line in lines if line["status"] == "done")
    print(f"exit code {code}, {seconds:.0f} s, {60 * n / seconds:.1f} meetings a minute")
    print(f"done {len(done)} of {n}, twice {sum(c > 1 for c in done.values())}, others", end=" ")
    print(dict(Counter(f"{line['status']} {line['code']}" for line in lines if line["status"] != "done")))
    print(f"manifests {len(list(out.glob('*/*/run.json')))}, left over {len(list(out.rglob('*.part')))}")
    print(f"requests {len(script.asked)}, failed on purpose {script.failed.total()} {dict(script.failed)}")
    kinds = (("lists", r"GET /api/v1/\w+/\?"), ("retrieves", r"GET /api/v1/\w+/[\w-]+/"))
    for what, pattern in (*kinds, ("store", r"GET /store/")):
        made = sum(bool(re.match(pattern, target)) for _, target in script.asked)
        print(f"{what}: {made}, most in any minute {script.most_in_a_minute(pattern)}")
    for share in (0.01, 0.05, 0.25, 0.5, 0.75, 1.0):
        at = next((m for m in memory if m[0] >= share * len(lines)), memory[-1])
        print(f"parent after {at[0]} recordings: {at[1]:.1f} MiB")


def carried_out(server: StandIn, root: Path, jobs: int) -> tuple[int, float, list[tuple[int, float]]]:
    """Run the batch; gives its exit code, seconds, and the parent's memory by recordings done."""
    (root / "ids.txt").write_text("\n".join(server.bot_ids * 2))  # each twice: none may be done twice
    options = ["--ids-file", str(root / "ids.txt"), "--out", str(root / "out"), "--jobs", str(jobs)]
    began, memory, journal = time.monotonic(), [], root / "out" / "journal.jsonl"
    with (root / "said").open("w") as said:
        process = subprocess.Popen(
            [*COMMAND, "run", *options, "--json", "--quiet"],
            env=environment(server, root / "state"), stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        while process.poll() is None:
            n = len(journal.read_bytes().splitlines()) if journal.is_file() else 0
            memory.append((n, memory_mib(process.pid)))
            time.sleep(2.0)
    print((root / "said").read_text()[-500:].strip())
    return process.returncode, time.monotonic() - began, [m for m in memory if m[1]]


def kills(given: argparse.Namespace, root: Path) -> None:
    """Batches killed at random moments, and each compared with one that nobody disturbed."""
    draw = random.Random(given.seed)
    n_killed, n_batches, n_parts, different = 0, 0, 0, set()
    with StandIn(make_meetings(root / "served", given.batch, seconds=given.seconds)) as server:
        assert begun(server, root, "undisturbed").wait() == 0
        expected = results(root / "undisturbed")
        while n_killed < given.kills:
            out = f"out-{n_batches}"
            n_killed += until_through(server, root, out, draw, given.kills - n_killed)
            n_batches += 1
            n_parts += len(aged(root / out))
            assert begun(server, root, out).wait() == 0
            assert not list((root / out).rglob("*.part")), "orphans of an earlier day stay"
            there = results(root / out)
            different |= {n for n in there.keys() | expected.keys() if there.get(n) != expected.get(n)}
            print(
                f"{n_killed} killed, {n_batches} batches, different: {sorted(different) or None}", flush=True
            )
    print(f"{len(expected)} files compared, {Counter(Path(name).suffix for name in expected)}")
    print(f"orphans swept: {n_parts}; different: {sorted(different) or 'none'}")


def begun(server: StandIn, root: Path, out: str) -> "subprocess.Popen[bytes]":
    """A run in a process group of its own. Each batch has limits of its own: else all would wait for them."""
    return subprocess.Popen(
        [*COMMAND, "run", *server.bot_ids, "--out", str(root / out), "--jobs", "2", "--json", "--quiet"],
        env=environment(server, root / f"state-{out}"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def until_through(server: StandIn, root: Path, out: str, draw: random.Random, most: int) -> int:
    """Begin and kill until a run is through or so many were killed; how many were."""
    for n in range(most):
        process = begun(server, root, out)
        kill_at = steps(server, root / out) + draw.randrange(_STEPS)
        while process.poll() is None and steps(server, root / out) < kill_at:
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.1))
        if process.poll() is not None:
            assert process.returncode == 0, f"exit code {process.returncode}"
            return n
        kill = draw.choice((os.kill, os.killpg))  # the workers end by themselves, or are killed too
        kill(process.pid, signal.SIGKILL)
        process.wait()
    assert begun(server, root, out).wait() == 0
    return most


def steps(server: StandIn, out: Path) -> int:
    """How far a batch is, whatever the time it takes: requests made, and files that lie there."""
    return len(server.requests) + sum(len(files) for _, _, files in os.walk(out))


def aged(out: Path) -> list[Path]:
    """Temporary files that killed runs left, made to look a day old."""
    time.sleep(5.0)  # workers that outlived their parent end by then
    left = list(out.rglob("*.part"))
    for part in left:
        os.utime(part, (time.time() - 86_400.0,) * 2)
    return left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["night", "kills"])
    parser.add_argument("--meetings", type=int, default=1000, help="of the night")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.1, help="of requests that fail")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--batch", type=int, default=12, help="meetings of a batch that is killed")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each meeting")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        {"night": night, "kills": kills}[given.what](given, Path(temporary))


if __name__ == "__main__":
    main()
