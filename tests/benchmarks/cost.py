"""What the whole job costs, beside the floor, the usual script and the assembled peers, in one run.

    python tests/benchmarks/cost.py                                      about ten minutes on two cores
    python tests/benchmarks/cost.py --minutes 5 20 60 --people 2 4 10 --formats ogg mp3 raw
    python tests/benchmarks/cost.py --minutes 20 60 --hours 8 --people 10          is it linear?
    python tests/benchmarks/cost.py --lab MEETING...                    folders with meeting.json, mix, parts/

Every row is a process of its own, one thread a numeric library, one after the other; CPU is user and system
time with all children, imports included; memory is the peak of the largest process, and its own part of it
(what is not a mapped file). The floor is the decoding
of all files (PyAV, soxr) and the writing of one WAV a part. Meetings are made from synthetic voices and kept
in --work for the next run. On a busy machine CPU seconds are up to 1.4 times too many, ratios less so; then
--repeat takes the least of several.

The usual script wants pyloudnorm, which nothing else here does: `pip install --target DIR pyloudnorm`, and
--peers-path DIR.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from cost_beside import show_fetch, show_fixed  # noqa: E402 - found by the line above
from cost_case import Case  # noqa: E402
from cost_meter import Cost, measured  # noqa: E402

from recall_audio.pipeline.plan import STAGES  # noqa: E402

USUAL = ((5, 4, "ogg"), (5, 4, "mp3"), (5, 4, "raw"), (20, 10, "ogg"), (60, 4, "ogg"))
"""Minutes, people, format of the meetings that are measured where none are chosen."""


def cases(chosen: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Name and folder of each meeting; those that are not there yet are made."""
    for lab in chosen.lab:
        yield lab.name, lab
    picked = chosen.minutes or chosen.people or chosen.formats or chosen.hours or chosen.lab
    asked: list[tuple[float, int, str]] = [] if picked else list(USUAL)
    lengths = (chosen.minutes or []) + [h * 60 for h in chosen.hours or []]
    if picked and not (chosen.lab and not lengths):
        asked = list(product(lengths or [5, 20, 60], chosen.people or [4], chosen.formats or ["ogg"]))
    for minutes, people, kind in asked:
        leak = () if chosen.leak_db is None else (f"{chosen.leak_db:g}",)
        name = " ".join((f"{minutes:g} min x {people} {kind}", *leak))
        folder = chosen.work / "meetings" / name.replace(" ", "_")
        if not (folder / "meeting.json").is_file():
            print(f"(making {name})", file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            made = measured(
                (sys.executable, HERE / "cost_meetings.py", folder, str(minutes), str(people), kind)
            )
            if made.code:
                raise SystemExit(f"{name} could not be made:\n{made.err}")
        yield name, folder


def least(found: list[tuple[Cost, dict[str, float]]]) -> tuple[Cost, dict[str, float]]:
    """The run that took least CPU."""
    for cost, _ in found:
        if cost.code:
            raise SystemExit(f"It ended with {cost.code}:\n{cost.out}\n{cost.err}")
    return min(found, key=lambda c: c[0].cpu_s)


def show_case(case: Case) -> dict[str, Any]:
    """One line of the first table, and all of it as plain values."""
    # One after the other and again, so that a busy minute of the machine meets all of them.
    rounds = range(case.chosen.repeat)
    pairs = [((case.peer("floor"), {}), case.job(1), case.job(2)) for _ in rounds]
    (floor, _), (job, stages), (two, _) = (least(list(column)) for column in zip(*pairs, strict=True))
    ffmpeg = case.ffmpeg()
    track_minutes = case.minutes * case.tracks
    found: dict[str, Any] = {
        "case": case.name,
        "track_minutes": round(track_minutes, 2),
        "floor_cpu_s": floor.cpu_s,
        "ffmpeg_cpu_s": ffmpeg.cpu_s if ffmpeg else None,
        "job_cpu_s": job.cpu_s,
        "job_over_floor": job.cpu_s / floor.cpu_s,
        "job_wall_s": job.wall_s,
        "job_peak_mb": job.peak_mb,
        "job_own_mb": job.own_mb,
        "cpu_s_a_track_minute": job.cpu_s / track_minutes,
        "two_jobs_cpu_s": two.cpu_s,
        "two_jobs_wall_s": two.wall_s,
        "two_jobs_wall_over_cpu": two.wall_s / job.cpu_s,
        "two_jobs_peak_mb": two.peak_mb,
        "stages_cpu_s": {name: stages.get(name, 0.0) for name in STAGES},
    }
    beside = job.cpu_s - sum(stages.values())
    found["stages_cpu_s"]["rest"] = beside
    shares = "".join(f"{100 * s / job.cpu_s:7.0f}" for s in found["stages_cpu_s"].values())
    by_ffmpeg = f"{ffmpeg.cpu_s:8.2f}" if ffmpeg else f"{'-':>8}"
    print(
        f"{case.name:20}{floor.cpu_s:8.2f}{by_ffmpeg}{job.cpu_s:8.2f}{found['job_over_floor']:7.2f}"
        f"{found['cpu_s_a_track_minute']:9.4f}{job.wall_s:8.1f}{job.peak_mb:6.0f}{job.own_mb:6.0f}"
        f"{two.wall_s:8.1f}{found['two_jobs_wall_over_cpu']:7.2f}{two.peak_mb:6.0f}{shares}",
        flush=True,
    )
    return found


def show_cases(found: list[Case]) -> list[dict[str, Any]]:
    """The first table."""
    print(
        "\nThe whole job and its floor: CPU and wall in seconds, memory in MB, stages in % of the job's CPU;"
    )
    print("the rest is starting two processes, their imports, and the hashing of what was written")
    print(f"{'':20}{'CPU':>24}{'job /':>7}{'CPU a':>9}{'':20}{'--jobs 2':>21}")
    heads = "".join(f"{h:>7}" for h in (*STAGES, "rest"))
    print(
        f"{'meeting':20}{'floor':>8}{'ffmpeg':>8}{'job':>8}{'floor':>7}{'trk-min':>9}{'wall':>8}{'MB':>6}{'own':>6}"
        f"{'wall':>8}{'/ CPU':>7}{'MB':>6}{heads}"
    )
    return [show_case(case) for case in found]


def show_peers(found: list[Case], jobs: list[dict[str, Any]], longest: float) -> list[dict[str, Any]]:
    """The second table."""
    print("\nWhat else one could run: CPU in seconds, times of the floor and of the job, memory in MB")
    print(f"{'meeting':20}{'what':12}{'CPU':>9}{'/ floor':>9}{'/ job':>9}{'wall':>9}{'MB':>7}")
    rows = []
    for case, job in zip(found, jobs, strict=True):
        for what in ("naive", "assembled") if case.minutes <= longest else ():
            cost = case.peer(what)
            if cost.code:
                reason = (cost.err.strip().splitlines() or [f"ended with {cost.code}"])[-1]
                print(f"{case.name:20}{what:12} left out: {reason}", flush=True)
                continue
            row = {"case": case.name, "what": what, "cpu_s": cost.cpu_s, "peak_mb": cost.peak_mb}
            over_floor, over_job = cost.cpu_s / job["floor_cpu_s"], cost.cpu_s / job["job_cpu_s"]
            rows.append(row | {"over_floor": over_floor, "over_job": over_job, "wall_s": cost.wall_s})
            print(
                f"{case.name:20}{what:12}{cost.cpu_s:9.2f}{over_floor:9.2f}{over_job:9.2f}"
                f"{cost.wall_s:9.1f}{cost.peak_mb:7.0f}",
                flush=True,
            )
    return rows


def show_growth(found: list[Case], jobs: list[dict[str, Any]]) -> None:
    """CPU a track-minute of meetings that differ in length alone; the shortest of 20 minutes or more is 1."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for case, job in zip(found, jobs, strict=True):
        if case.minutes >= 20 and " min x " in case.name:
            kind = case.name.split(" min x ")[1]
            groups.setdefault(kind, []).append((case.minutes, job["cpu_s_a_track_minute"]))
    for kind, several in groups.items():
        if len(several) > 1:
            first, *rest = sorted(several)
            grown = ", ".join(f"{m:g} min {c / first[1]:.3f}" for m, c in rest)
            print(f"\nCPU a track-minute, x {kind}, {first[0]:g} min = 1: {grown}")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, nargs="+")
    parser.add_argument("--hours", type=float, nargs="+")
    parser.add_argument("--people", type=int, nargs="+")
    parser.add_argument("--formats", nargs="+", choices=("ogg", "mp3", "raw", "ogg,mp3,raw"))
    parser.add_argument("--leak-db", type=float, help="others in each part, quieter by so much, say -26")
    parser.add_argument("--lab", type=Path, nargs="+", default=[], help="meetings that are there already")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; the one with least CPU counts")
    parser.add_argument("--peers-up-to", type=float, default=5.0, metavar="MINUTES", help="default 5")
    parser.add_argument("--peers-path", type=Path, help="where pip put what only the peers want")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "recall-audio-cost")
    parser.add_argument("--json", type=Path, help="write all figures to this file, too")
    return parser.parse_args()


def size(case: Case) -> float:
    """Track-minutes."""
    return case.minutes * case.tracks


def main() -> None:
    """Print the tables."""
    chosen = options()
    chosen.work.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}"
    )
    found = [Case(name, lab, chosen) for name, lab in cases(chosen)]
    told: dict[str, Any] = {"load": load, "jobs": show_cases(found)}
    show_growth(found, told["jobs"])
    told["peers"] = show_peers(found, told["jobs"], chosen.peers_up_to)
    told["fixed"] = show_fixed(min(found, key=size).lab, chosen.work)
    told["fetch"] = show_fetch(max(found, key=size).lab, chosen.work)
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
