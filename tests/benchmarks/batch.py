"""A night's batch through the stand-in, with one request in ten failing.

    python tests/benchmarks/batch.py --meetings 1000 --jobs 2

Real sockets, the ordinary command, the ordinary limits (so a thousand meetings take some twenty minutes: 55
lists a minute are the workspace's ceiling). What fails, at random: 503, 429 with ``Retry-After``, a body cut
short, a connection reset, an address that has ended. Prints whether all were done and none twice, the requests
made, the most lists in any minute, and the parent's memory as the batch grew.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batch.meetings import make_meetings

from recall_audio.standin import RIGHT, Reply, StandIn

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
    """Resident memory of a process, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meetings", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.1, help="of requests that fail")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        server = StandIn(make_meetings(root / "served", given.meetings, seconds=4.0))
        server.script = Unreliable(given.share, given.seed)  # type: ignore[assignment]
        with server:
            report(*carried_out(server, root, given.jobs), server, given.meetings)


def carried_out(server: StandIn, root: Path, jobs: int) -> tuple[int, float, Path, list[tuple[int, float]]]:
    """Run the batch; gives its exit code, seconds, output, and the parent's memory by recordings done."""
    (root / "ids.txt").write_text("\n".join(server.bot_ids * 2))
    env = {**os.environ, "RECALL_API_KEY": server.key, "RECALL_BASE_URL": server.base_url}
    env["XDG_STATE_HOME"] = str(root / "state")
    out = root / "out"
    command = ["recall-audio", "run", "--ids-file", str(root / "ids.txt"), "--out", str(out)]
    command += ["--jobs", str(jobs), "--json", "--quiet"]
    began, memory = time.monotonic(), []
    with (root / "said").open("w") as said:
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=said)
        while process.poll() is None:
            journal = out / "journal.jsonl"
            n = len(journal.read_bytes().splitlines()) if journal.is_file() else 0
            memory.append((n, memory_mib(process.pid)))
            time.sleep(2.0)
    print((root / "said").read_text()[-500:])
    return process.returncode, time.monotonic() - began, out, memory


def report(
    code: int, seconds: float, out: Path, memory: list[tuple[int, float]], server: StandIn, n: int
) -> None:
    """Print what came of it."""
    script: Unreliable = server.script  # type: ignore[assignment]
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    done = Counter(line["recording_id"] for line in lines if line["status"] == "done")
    print(f"exit code {code}, {seconds:.0f} s, {60 * n / seconds:.1f} meetings a minute")
    print(
        f"done {len(done)} of {n}, twice {sum(c > 1 for c in done.values())}, others {len(lines) - len(done)}"
    )
    print(f"manifests {len(list(out.glob('*/*/run.json')))}, left over {len(list(out.rglob('*.part')))}")
    print(f"requests {len(script.asked)}, failed on purpose {script.failed.total()} {dict(script.failed)}")
    for what, pattern in (("lists", r"GET /api/v1/\w+/\?"), ("retrieves", r"GET /api/v1/\w+/[\w-]+/")):
        made = sum(bool(re.match(pattern, target)) for _, target in script.asked)
        print(f"{what}: {made}, most in any minute {script.most_in_a_minute(pattern)}")
    for share in (0.05, 0.25, 0.5, 0.75, 1.0):
        at = next((m for m in memory if m[0] >= share * len(lines)), memory[-1])
        print(f"parent after {at[0]} recordings: {at[1]:.1f} MiB")


if __name__ == "__main__":
    main()
