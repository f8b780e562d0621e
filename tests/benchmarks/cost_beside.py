"""What stands beside the job itself: starting, doing nothing again, fetching."""

import contextlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cost_meter import Cost, measured

PEERS = str(Path(__file__).resolve().parent / "cost_peers.py")
CLI = (sys.executable, "-m", "recall_audio")


class Server:
    """A stand-in of the API in a process of its own, so that its CPU is nobody else's."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        told = json.loads(self._line())
        self.bot, self.env = str(told["bot"]), dict(told["env"])

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def asked(self) -> list[str]:
        """Addresses asked for so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        addresses: list[str] = json.loads(self._line())
        return addresses


@contextlib.contextmanager
def serving(lab: Path) -> Iterator[Server]:
    """Serve a meeting's folder."""
    command = [sys.executable, PEERS, "serve", str(lab), "."]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Server(process)
    finally:
        process.communicate()  # the end of its input ends it


def quickest(command: tuple[Any, ...], env: dict[str, str] | None = None) -> Cost:
    """The run of three that took least CPU."""
    runs = [measured(command, env) for _ in range(3)]
    if any(r.code for r in runs):
        raise SystemExit(f"{command} ended with {runs[0].code}:\n{runs[0].err}")
    return min(runs, key=lambda r: r.cpu_s)


def show_fixed(lab: Path, work: Path) -> dict[str, Any]:
    """Starting, and a warm re-run."""
    print("\nWhat any call costs: CPU and wall in seconds, memory in MB, least of three")
    found: dict[str, Any] = {}

    def show(name: str, cost: Cost, more: str = "") -> None:
        found[name] = {"cpu_s": cost.cpu_s, "wall_s": cost.wall_s, "peak_mb": cost.peak_mb}
        print(
            f"{name:36}{cost.cpu_s:7.3f}{cost.wall_s:9.2f}{cost.peak_mb or math.nan:7.0f}{more}", flush=True
        )

    show("python -c pass", quickest((sys.executable, "-c", "pass")))
    show("import recall_audio", quickest((sys.executable, "-c", "import recall_audio")))
    show("recall-audio --help", quickest((*CLI, "--help")))
    with tempfile.TemporaryDirectory(dir=work) as folder, serving(lab) as server:
        env = {**server.env, "XDG_STATE_HOME": str(work / "state")}
        run = (*CLI, "run", server.bot, "--out", folder, "--quiet")
        first = measured(run, env)
        if first.code not in (0, 1):
            raise SystemExit(f"recall-audio run ended with {first.code}:\n{first.err}")
        show(f"recall-audio run, of {lab.name}", first, f"   {len(server.asked())} requests")
        before = len(server.asked())
        show(
            "the same again", quickest(run, env), f"   {len(server.asked()) - before} requests in three runs"
        )
        show("recall-audio process, done already", quickest((*CLI, "process", folder, "--quiet"), env))
    return found


def show_fetch(lab: Path, work: Path) -> dict[str, Any]:
    """Downloads from loopback, beside curl's of the same addresses."""
    found: dict[str, Any] = {}
    print(f"\nFetching {lab.name} from loopback: CPU and wall in seconds, the server's not counted")
    with serving(lab) as server, tempfile.TemporaryDirectory(dir=work) as folder:
        env = {**server.env, "XDG_STATE_HOME": str(work / "state")}
        fetch = measured((*CLI, "fetch", server.bot, "--out", folder, "--quiet"), env)
        if fetch.code:
            raise SystemExit(f"recall-audio fetch ended with {fetch.code}:\n{fetch.err}")
        addresses = [a for a in server.asked() if "/store/" in a and not a.split("?")[0].endswith(".json")]
        size_mb = sum(p.stat().st_size for p in Path(folder).rglob("source/*")) / 1e6
        start = quickest((*CLI, "fetch", "--help"))
        rows = {"recall-audio fetch": fetch}
        with contextlib.suppress(FileNotFoundError):
            pairs = [("-o", str(Path(folder) / f"curl{i}"), a) for i, a in enumerate(addresses)]
            rows["curl"] = measured(("curl", "-s", "--fail", *(x for pair in pairs for x in pair)))
    for name, cost in rows.items():
        found[name] = {"mb": size_mb, "cpu_s": cost.cpu_s, "wall_s": cost.wall_s, "code": cost.code}
        speed = size_mb / cost.wall_s
        print(
            f"{name:36}{cost.cpu_s:7.3f}{cost.wall_s:9.2f}{speed:9.0f} MB/s of {size_mb:.0f} MB", flush=True
        )
    print(f"{'  of that, to start (fetch --help)':36}{start.cpu_s:7.3f}{start.wall_s:9.2f}")
    return found
