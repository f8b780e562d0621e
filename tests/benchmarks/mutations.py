"""Measure how many small faults the tests notice.

    python tests/benchmarks/mutations.py --limit 60 --seed 1            # a random sample of all areas
    python tests/benchmarks/mutations.py --only core/stems              # every fault of one area: hours
    python tests/benchmarks/mutations.py --chosen --only download       # the faults written by hand

Each fault is one changed operator, constant or condition (cosmic-ray's, extra ``mutation``), or one of
``chosen_faults.py``. It is put into a copy of the checkout, the quick tests of its module run there until
one fails, and the copy is mended again. A fault that no test notices survives: the score is the share that
does not. Results are kept in a file and used again as long as module and tests are the same, so that a run
may be stopped and started again.
"""

import argparse
import ast
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chosen_faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "recall_audio"

TESTS = {
    "core/alignment": ("tests/core/alignment", "tests/core/test_timemap.py"),
    "core/stems": ("tests/core/stems",),
    "core/talk": ("tests/core/talk",),
    "core/voice.py": ("tests/core/test_voice.py",),
    "core/activity.py": ("tests/core/talk",),
    "core/spans.py": ("tests/core/test_spans.py", "tests/core/talk"),
    "core/resample.py": ("tests/core/stems", "tests/core/test_timemap.py"),
    "pipeline/plan.py": ("tests/pipeline",),
    "fetch/http": ("tests/fetch",),
    "fetch/download": ("tests/fetch",),
}
"""Where random faults are put, and the quick tests of each place; the longest entry that fits counts."""

CHOSEN_TESTS = {
    "talk": ("tests/core/talk",),
    "download": ("tests/fetch",),
    "alignment": ("tests/core/alignment",),
    "plan": ("tests/pipeline",),
    "stems": ("tests/core/stems", "tests/pipeline/test_stems.py"),
    "options": ("tests/cli",),
}
"""The tests that have to notice the chosen faults of each area."""

HARDLY_A_FAULT = re.compile(r"\d[\d_]+|[\d.]+e|(True|False)\b")
"""Numbers of ten or more, which cosmic-ray changes by one, and what decorators such as dataclass are told."""

SLACK = 4.0
"""A run of tests may take so many times what it takes without a fault, and STARTUP_S more."""
STARTUP_S = 20.0


@dataclass(frozen=True)
class Mutant:
    """One fault in one module.

    Attributes:
        module: path of the module below the package.
        line: where the fault begins.
        what: the fault in words.
        before: the module's text without it.
        after: the module's text with it.
        area: what its result is counted with.
        tests: files and folders of the tests to run.
    """

    module: str
    line: int
    what: str
    before: str
    after: str
    area: str
    tests: tuple[str, ...]

    @property
    def key(self) -> str:
        """Digest of everything that the result depends on but the tests."""
        return hashlib.sha256(f"{self.module}\0{self.after}".encode()).hexdigest()[:16]


def area_of(module: str) -> str:
    """Return the entry of TESTS for a module."""
    return max((area for area in TESTS if module.startswith(area)), key=len)


def modules(areas: tuple[str, ...]) -> list[Path]:
    """Return the modules of the areas, in order."""
    found = sorted((ROOT / PACKAGE).rglob("*.py"))
    return [p for p in found if str(p.relative_to(ROOT / PACKAGE).as_posix()).startswith(areas)]


def random_mutants(areas: tuple[str, ...], seed: int) -> Iterator[Mutant]:
    """Yield mutants by cosmic-ray's operators in random order, one a place.

    Places are drawn first and then one of the operators that apply there: a sum has eleven others to be
    replaced by, and would otherwise be drawn eleven times as often as a condition.
    """
    from cosmic_ray import plugins
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.mutating import mutate_code

    places: dict[tuple[Path, int, int], list[tuple[str, int]]] = defaultdict(list)
    for path in modules(areas):
        tree, left_out = get_ast_from_path(path), annotated_lines(path)
        for name in plugins.operator_names():
            operator_class = plugins.get_operator(name)
            if operator_class.arguments():
                continue
            found = [p for node in ast_nodes(tree) for p in operator_class().mutation_positions(node)]
            for occurrence, (start, _) in enumerate(found):
                if start not in left_out:
                    places[path, *start].append((name, occurrence))
    rng = random.Random(seed)
    for path, line, column in rng.sample(sorted(places), len(places)):
        name, occurrence = rng.choice(places[path, line, column])
        before = path.read_text("utf-8")
        after = mutate_code(before, plugins.get_operator(name)(), occurrence)
        text = before.splitlines()[line - 1]
        is_trivial = (name.endswith("NumberReplacer") or text.startswith("@")) and HARDLY_A_FAULT.match(
            text, column
        )
        if after is not None and not is_trivial and compiles(after):
            module = path.relative_to(ROOT / PACKAGE).as_posix()
            area = area_of(module)
            yield Mutant(module, line, name.removeprefix("core/"), before, after, area, TESTS[area])


def annotated_lines(path: Path) -> set[tuple[int, int]]:
    """Return line and column of all that stands in annotations: ``int | None`` is no computation."""
    found: set[tuple[int, int]] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(annotation, ast.expr):
                last = annotation.end_lineno or annotation.lineno
                for line in range(annotation.lineno, last + 1):
                    first_column = annotation.col_offset if line == annotation.lineno else 0
                    end = (annotation.end_col_offset or 0) if line == last else 1000
                    found |= {(line, column) for column in range(first_column, end)}
    return found


def compiles(text: str) -> bool:
    """Return whether a text is Python."""
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def chosen_mutants(areas: tuple[str, ...]) -> Iterator[Mutant]:
    """Yield the faults written by hand.

    Raises:
        ValueError: the text that a fault replaces is not in its module, or more than once.
    """
    for fault in FAULTS:
        if fault.area in areas or fault.module.startswith(areas):
            before, after = fault.applied(ROOT / PACKAGE)
            line = before[: before.index(fault.old)].count("\n") + 1
            tests = CHOSEN_TESTS[fault.area]
            yield Mutant(fault.module, line, fault.what, before, after, fault.area, tests)


class Copy:
    """A copy of the checkout in which faults are tried.

    Attributes:
        root: its folder.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._usual_s = root, dict[tuple[str, ...], float]()
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)

    def usual_s(self, tests: tuple[str, ...]) -> float:
        """Return how long tests take without a fault, in seconds; NaN if they fail."""
        if tests not in self._usual_s:
            started = time.monotonic()
            outcome = self._run(tests, 3600.0)
            passed = outcome == "survived"
            self._usual_s[tests] = time.monotonic() - started if passed else float("nan")
        return self._usual_s[tests]

    def outcome(self, mutant: Mutant) -> str:
        """Return ``noticed``, ``survived`` or ``timeout``, which counts as noticed."""
        limit_s = SLACK * self.usual_s(mutant.tests) + STARTUP_S
        path = self.root / PACKAGE / mutant.module
        path.write_text(mutant.after, "utf-8")
        try:
            return self._run(mutant.tests, limit_s)
        finally:
            path.write_text(mutant.before, "utf-8")

    def _run(self, tests: tuple[str, ...], limit_s: float) -> str:
        command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-m", "not slow", *tests]
        command += ["-p", "no:cacheprovider", "--basetemp", str(self.root.parent / "basetemp")]
        environment = os.environ | {
            "PYTHONPATH": str(self.root),
            # A module's compiled form is recognised by its size and second: too coarse for a run of faults.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        process = subprocess.Popen(
            command, cwd=self.root, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return "survived" if process.wait(limit_s) == 0 else "noticed"
        except subprocess.TimeoutExpired:
            return "timeout"
        finally:
            end_group(process)


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its children, which have a session of their own."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:
        process.kill()
    process.wait()


def tests_digest(tests: tuple[str, ...]) -> str:
    """Return a digest of the tests' files."""
    digest = hashlib.sha256()
    for name in tests:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def run(mutants: list[Mutant], results: Path) -> list[tuple[Mutant, str]]:
    """Try each mutant whose result is not known, print and return all outcomes."""
    known = read_results(results)
    outcomes: list[tuple[Mutant, str]] = []
    results.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, results.open("a", encoding="utf-8") as log:
        copy = Copy(Path(folder) / "checkout")
        for mutant in mutants:
            key = f"{mutant.key}-{tests_digest(mutant.tests)}"
            if key not in known:
                if copy.usual_s(mutant.tests) != copy.usual_s(mutant.tests):
                    print(f"left out: {' '.join(mutant.tests)} fail without a fault", flush=True)
                    continue
                known[key] = copy.outcome(mutant)
                log.write(json.dumps({"key": key, "outcome": known[key]}) + "\n")
                log.flush()
            outcomes.append((mutant, known[key]))
            print(f"{known[key]:9} {mutant.module}:{mutant.line} {mutant.what}", flush=True)
            if known[key] == "survived":
                print(*changed_lines(mutant), sep="\n", flush=True)
    return outcomes


def changed_lines(mutant: Mutant) -> list[str]:
    """Return the lines that a mutant changes, before and after."""
    import difflib

    lines = difflib.unified_diff(mutant.before.splitlines(), mutant.after.splitlines(), n=0, lineterm="")
    return [f"          {line}" for line in lines if line[:3] not in {"---", "+++"} and line[:2] != "@@"]


def read_results(results: Path) -> dict[str, str]:
    """Return the outcomes that earlier runs wrote."""
    lines = results.read_text("utf-8").splitlines() if results.is_file() else []
    return {entry["key"]: entry["outcome"] for entry in map(json.loads, lines)}


def print_scores(outcomes: list[tuple[Mutant, str]]) -> None:
    """Print the score of each area and of all."""
    by_area: dict[str, list[bool]] = defaultdict(list)
    for mutant, outcome in outcomes:
        by_area[mutant.area].append(outcome != "survived")
    print("\narea                noticed  of")
    for area, noticed in sorted(by_area.items()):
        print(f"{area:19} {sum(noticed):7} {len(noticed):3}")
    everything = [noticed for area in by_area.values() for noticed in area]
    if everything:
        print(f"{'all':19} {sum(everything):7} {len(everything):3}  {sum(everything) / len(everything):.0%}")


def main() -> None:
    """Parse the command line, try the faults, print the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--only", action="append", help="an area or a module below the package; may be repeated"
    )
    parser.add_argument("--limit", type=int, help="so many faults at most")
    parser.add_argument("--seed", type=int, default=1, help="of the random order")
    parser.add_argument("--chosen", action="store_true", help="the faults written by hand")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "mutations.jsonl")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that tests under way are ended too
    if arguments.chosen:
        mutants = list(chosen_mutants(tuple(arguments.only or CHOSEN_TESTS)))
    else:
        mutants = list(take(random_mutants(tuple(arguments.only or TESTS), arguments.seed), arguments.limit))
    print_scores(run(mutants[: arguments.limit], arguments.results))


def take(mutants: Iterator[Mutant], limit: int | None) -> Iterator[Mutant]:
    """Yield the first `limit` mutants, or all."""
    from itertools import islice

    return islice(mutants, limit)


if __name__ == "__main__":
    main()
