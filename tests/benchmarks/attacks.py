"""Attack the package by files, names, servers and batches, and print what held.

    python attacks.py --table                  the attacks of tests/hostile by kind, before and now
    python attacks.py --batch 300 --ill 0.3    a batch in which three in ten bots are ill

"Before" is what the attacks did to the version of September 2026. The batch is fetched and processed, each
ill bot with one of the illnesses below. Every bot has to be accounted for once, the well ones done, memory
and open files flat, and the time lost to the worst bot bounded.
"""

import argparse
import gzip
import json
import os
import random
import resource
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]  # not this folder, which has a batch.py of its own

from batch.meetings import make_meetings  # noqa: E402 - found by the line above

from recall_audio import batch  # noqa: E402
from recall_audio.fetch import Settings  # noqa: E402
from recall_audio.model.options import FetchOptions, Options  # noqa: E402
from recall_audio.model.outcome import Outcome  # noqa: E402
from recall_audio.standin import Fault, Reply, StandIn, meeting  # noqa: E402

BEFORE = {
    "paths": "any file of the user deleted, overwritten or taken in, exit 0",
    "stores": "results uploaded to an address that a planted file names",
    "batches": "exit 4 or a crash: the batch ends, a queue never gets past it",
    "servers": "hangs for ever, 2 GB of memory, the key in clear to a proxy",
    "documents": "OverflowError, real names in copies, a pipe waited on for ever",
    "streams": 'exit 1, "error that should not happen"',
    "crowds": "quadratic: 80 s and 1 GB for 1,000 attendees",
}
"""What each kind of attack did, by the module of tests/hostile that holds it."""

Json = dict[str, Any]
DEEP = b"[" * 200_000
TINY = b"[" + b"[]," * 8_000_000 + b"[]]"
BOMB = gzip.compress(bytes(64 << 20))


class Tally:
    """A plugin of pytest that counts attacks and those that got through, by module.

    Attributes:
        tried: module to attacks.
        through: module to the names of those that got through.
    """

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.through: defaultdict[str, list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count one attack."""
        module = Path(report.nodeid.split("::")[0]).stem.removeprefix("test_")
        if report.when == "call" and not report.skipped:
            self.tried[module] += 1
        if report.failed:
            self.through[module].append(report.nodeid.split("::")[1])


def print_table() -> bool:
    """Run the attacks of tests/hostile, print a row a kind, and return whether all held."""
    tally = Tally()
    pytest.main(["-q", "-n", "0", "--no-header", "--tb=no", str(ROOT / "tests" / "hostile")], plugins=[tally])
    print(f"\n{'attacks by':12} {'tried':>6} {'held':>6}  before")
    for module, n in tally.tried.items():
        print(f"{module:12} {n:6} {n - len(tally.through[module]):6}  {BEFORE.get(module, '')}")
        for name in tally.through[module]:
            print(f"{'':12} through: {name}")
    total = sum(tally.tried.values())
    print(f"{'all':12} {total:6} {total - sum(map(len, tally.through.values())):6}")
    return not any(tally.through.values())


def years(content: Json) -> None:
    """Let the recording last to the year 2999."""
    content["duration"] = 974 * 365.25 * 86_400.0


def negative(content: Json) -> None:
    """Let a part start before the recording, with a negative length."""
    content["parts"][0]["start_timestamp"]["relative"], content["parts"][0]["duration"] = -9e9, -1.0


def enormous(content: Json) -> None:
    """Declare a part of 1e308 seconds."""
    content["parts"][0]["duration"] = 1e308


def odd_names(content: Json) -> None:
    """Give people names of controls, marks and 4,000 characters, Windows's and look-alikes of paths."""
    names = ["\u202e\u2066gpj.exe", "NUL.txt", "a" * 4000, "..\u2215..\u2215etc\u2215passwd", "\x00\x1b[2J"]
    for person, name in zip(content["participants"], names, strict=False):
        person["name"] = name
    for part in content["parts"]:
        part["participant"] = content["participants"][0]


def crowd(content: Json) -> None:
    """Let 300 silent guests attend."""
    guest = content["participants"][0]
    content["participants"] += [guest | {"id": 5000 + i, "name": "Guest"} for i in range(300)]


def many_parts(content: Json) -> None:
    """List every part sixty times under other ids."""
    rows = [p | {"id": str(uuid.uuid4())} for p in content["parts"] for _ in range(60)]
    content["parts"] += rows


ILL_CONTENT: tuple[Callable[[Json], None], ...] = (years, negative, enormous, odd_names, crowd, many_parts)


def faults_of(folder: Path) -> dict[str, list[Fault]]:
    """Return the ways in which a server can be ill about one meeting, by name."""
    served = meeting(folder)
    bot, store = f"/bot/{served.bot_id}", f"/store/{served.recording_id}"

    def always(path: str, **reply: Any) -> list[Fault]:
        return [Fault(path, (Reply(**reply),), forever=True)]

    row = {"id": "x\x00y/../..", "participant": {"id": 1}, "start_timestamp": {"relative": 0.0}}
    urls = ["file:///etc/passwd", "http://169.254.169.254/latest", "http://[::1]/", "https://evil.example/x"]
    elsewhere = json.dumps([row | {"duration": 1.0, "download_url": url} for url in urls]).encode()
    nan = b'[{"id": "p", "duration": NaN, "start_timestamp": {"relative": 1e999}}]'
    return {
        "drips": always(f"{store}/mix.raw", chunk_bytes=256, pause_s=0.05, endless=True),
        "drips in the API": always(bot, chunk_bytes=1, pause_s=0.2),
        "deep JSON": always(bot, body=DEEP),
        "64 MB of []": always(f"{store}/parts.json", body=TINY),
        "gzip bomb": always(f"{store}/mix.raw", body=BOMB, headers={"Content-Encoding": "gzip"}),
        "NaN and 1e999": always(f"{store}/parts.json", body=nan),
        "addresses elsewhere": always(f"{store}/parts.json", body=elsewhere),
        "redirect to a file": always(
            f"{store}/mix.raw", status=302, headers={"Location": "file:///etc/passwd"}
        ),
        "redirect to metadata": always(bot, status=302, headers={"Location": "http://169.254.169.254/"}),
        "ends early": always(f"{store}/mix.raw", cut_at=100, reset=True),
        "a terabyte": always(f"{store}/mix.raw", headers={"Content-Length": str(1 << 40)}),
        "year 9999": always(bot, status=503, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}),
        "a page": always(f"{store}/mix.raw", body=b"<html>" * 100),
        "a zip": always(f"{store}/mix.raw", body=b"PK\x03\x04" + bytes(4000)),
    }


def open_files() -> int:
    """Return the number of files and sockets that this process holds open, 0 where it cannot be asked."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def make_ill(folders: list[Path], share: float, seed: int) -> tuple[dict[str, str], list[Fault]]:
    """Make a share of the meetings ill, and return bot id to illness, and the server's faults."""
    rng = random.Random(seed)
    ill: dict[str, str] = {}
    faults: list[Fault] = []
    chosen = rng.sample(range(len(folders)), round(share * len(folders)))
    for k, i in enumerate(chosen):
        by_server = faults_of(folders[i])
        kinds = [*by_server, *(f.__name__ for f in ILL_CONTENT)]
        kind = kinds[k % len(kinds)]
        if kind in by_server:
            faults += by_server[kind]
        else:
            file = folders[i] / "meeting.json"
            content = json.loads(file.read_text("utf-8"))
            next(f for f in ILL_CONTENT if f.__name__ == kind)(content)
            file.write_text(json.dumps(content), "utf-8")
        ill[meeting(folders[i]).bot_id] = kind
    return ill, faults


def run_batch(n: int, share: float, seed: int, *, process: bool) -> bool:
    """Run a batch with ill bots, print what became of it, and return whether all held."""
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_STATE_HOME"] = f"{temporary}/state"
        folders = make_meetings(Path(temporary) / "meetings", n, seconds=1.0)
        ill, faults = make_ill(folders, share, seed)
        order = [meeting(f).bot_id for f in folders]
        seen: list[tuple[Outcome, float, int, float]] = []
        began = time.monotonic()

        def on_outcome(outcome: Outcome) -> None:
            rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            seen.append((outcome, rss_mb, open_files(), time.monotonic() - began))

        with StandIn(folders, faults) as server:
            settings = Settings(server.base_url, "us-west-2", server.key)
            request = batch.Request(
                out=Path(temporary) / "out",
                fetch=FetchOptions(longest_s=60.0, bots_at_once=8),
                options=Options() if process else None,
            )
            batch.run(order, lambda: settings, request, on_outcome=on_outcome)
    return report(order, ill, seen)


def report(order: list[str], ill: dict[str, str], seen: list[tuple[Outcome, float, int, float]]) -> bool:
    """Print the outcomes by illness and the course of memory and files."""
    by_kind: defaultdict[str, Counter[str]] = defaultdict(Counter)
    worst: defaultdict[str, float] = defaultdict(float)
    for outcome, *_ in seen:
        kind = ill.get(outcome.bot_id, "well")
        by_kind[kind][f"{outcome.status} {outcome.code}".strip()] += 1
        worst[kind] = max(worst[kind], outcome.seconds)
    print(f"{'illness':22} {'bots':>5} {'worst s':>8}  outcomes")
    for kind, counts in sorted(by_kind.items()):
        told = ", ".join(f"{k} × {n}" for k, n in counts.most_common())
        print(f"{kind:22} {sum(counts.values()):5} {worst[kind]:8.1f}  {told}")
    times = Counter(outcome.bot_id for outcome, *_ in seen)
    lost, twice = set(order) - times.keys(), [k for k, n in times.items() if n > 1]
    quarter = len(seen) // 4
    print(f"bots {len(order)}, ill {len(ill)}, accounted {len(times)}, lost {len(lost)}, twice {len(twice)}")
    print(f"peak memory after a quarter {seen[quarter][1]:.0f} MB, at the end {seen[-1][1]:.0f} MB")
    print(f"open files after a quarter {seen[quarter][2]}, at the end {seen[-1][2]}; {seen[-1][3]:.0f} s")
    unwell = [k for k in by_kind["well"] if not k.startswith("done")]
    crashed = [k for counts in by_kind.values() for k in counts if k.split()[-1] == "unexpected"]
    print(f"well bots that are not done: {unwell or 'none'}; unforeseen errors: {crashed or 'none'}")
    return not (lost or twice or unwell or crashed)


def main() -> None:
    """Run what was asked for, and exit with 1 where something got through."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--table", action="store_true", help="run the attacks of tests/hostile")
    parser.add_argument("--batch", type=int, default=0, help="bots of a batch")
    parser.add_argument("--ill", type=float, default=0.3, help="share of them that is ill")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fetch-only", action="store_true", help="do not process what was fetched")
    chosen = parser.parse_args()
    held = True
    if chosen.batch:
        held &= run_batch(chosen.batch, chosen.ill, chosen.seed, process=not chosen.fetch_only)
    if chosen.table:
        held &= print_table()
    sys.exit(not held)


if __name__ == "__main__":
    main()
