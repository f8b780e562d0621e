"""What a command costs: CPU, wall time, peak memory; that of its children included."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 0.2
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


@dataclass(frozen=True)
class Cost:
    """What one command cost.

    Attributes:
        cpu_s: user and system time of the process and of all its children.
        wall_s: from its start to its end.
        peak_mb: peak resident memory of its largest process, memory-mapped files included; 0 where it ended
            before anybody could look.
        own_mb: the same without mapped files, which the kernel takes back whenever it likes; as it was seen.
        code: its exit code.
        out: what it printed.
        err: what it complained about.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float
    code: int = 0
    out: str = ""
    err: str = ""
    own_mb: float = 0.0

    def and_then(self, other: "Cost") -> "Cost":
        """Both, one after the other."""
        return Cost(
            self.cpu_s + other.cpu_s,
            self.wall_s + other.wall_s,
            max(self.peak_mb, other.peak_mb),
            self.code or other.code,
            self.out + other.out,
            self.err + other.err,
            max(self.own_mb, other.own_mb),
        )


def measured(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Cost:
    """Run a command, one thread a numeric library."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(c) for c in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, **_ONE_THREAD, **(env or {})},
        )
        peaks = _Peaks(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        # Of a process that was ended by a signal: 128 + its number, as in a shell.
        process.returncode = os.waitstatus_to_exitcode(status)
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        out.seek(0)
        err.seek(0)
        cpu_s, (peak_mb, own_mb) = used.ru_utime + used.ru_stime, peaks.end()
        if not Path("/proc").is_dir():
            peak_mb = used.ru_maxrss / 1024
        return Cost(cpu_s, wall_s, peak_mb, code, out.read(), err.read(), own_mb)


class _Peaks:
    """Looks at a process and its children now and then.

    The kernel keeps each one's peak (VmHWM); wait4's own figure would hold what was inherited from us.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._most_kb, self._over = pid, {"VmHWM:": 0, "RssAnon:": 0}, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> tuple[float, float]:
        """The peaks of the largest, MB; 0 where there is no /proc, or it was too quick."""
        self._over.set()
        self._thread.join()
        return self._most_kb["VmHWM:"] / 1024, self._most_kb["RssAnon:"] / 1024

    def _look(self) -> None:
        n = 0
        while not self._over.wait(min(0.002 * 1.2**n, _LOOK_S)):
            n += 1
            waiting = [self._pid]
            while waiting:
                pid = waiting.pop()
                try:
                    waiting += _children(pid)
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                except OSError:  # it has just ended
                    continue
                for name, kb in (line.split()[:2] for line in lines if line.startswith(tuple(self._most_kb))):
                    self._most_kb[name] = max(self._most_kb[name], int(kb))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(c) for c in (task / "children").read_text().split()]
    return found
