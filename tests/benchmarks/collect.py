"""``collect`` over thousands of recordings: time, peak memory, and sums checked by a second route.

    python tests/benchmarks/collect.py --recordings 2000 --into FOLDER [--format parquet] [--pseudonymise]

Makes so many recordings' folders (documents as a run leaves them, no audio): people of a pool, who show an
email, a Zoom id, a Teams id or nothing at all, talk in meetings of half an hour to one and a half. Then
``recall-audio collect`` runs in a process of its own, and what it wrote is compared with sums over the
segments themselves (frames of a matrix, no code of the package) and with persons found by spreading labels
along shared keys.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recall_audio import __version__
from recall_audio.files import write_json
from recall_audio.model.alignment import Alignment, PartAlignment, TimeMap
from recall_audio.model.labels import make_labels, speakers_json
from recall_audio.model.meeting import MediaFile, Meeting, Part, Participant
from recall_audio.model.options import Options
from recall_audio.model.speech import SpeechResult
from recall_audio.pipeline.process import parameters_of

FRAME = 1600
"""Speech starts and stops on tenths of a second, so that a matrix of frames holds it exactly."""


def pool(n_people: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """People, and the lasting ids that they may show."""
    return [
        {
            "name": f"Person {i} {'abcdefgh'[i % 8]}",
            "email": f"person{i}@example.com" if rng.random() < 0.6 else None,
            "zoom": f"Z-{i}" if rng.random() < 0.5 else None,
            "teams": f"T-{i}" if rng.random() < 0.3 else None,
        }
        for i in range(n_people)
    ]


def seen(person: dict[str, Any], number: int, rng: np.random.Generator) -> Participant:
    """One appearance: each lasting id is shown in two meetings of three."""
    shown = {k: person[k] if rng.random() < 2 / 3 else None for k in ("email", "zoom", "teams")}
    extra = {}
    if shown["zoom"]:
        extra["zoom"] = {"conf_user_id": shown["zoom"], "user_id": 16778240 + number}
    if shown["teams"]:
        extra["microsoft_teams"] = {"user_id": shown["teams"]}
    return Participant(100 + number, person["name"], None, "desktop", shown["email"], extra or None)


def talk(n_people: int, n_frames: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return each person's speech in samples: one speaks, and at times another interrupts."""
    rows: list[list[tuple[int, int]]] = [[] for _ in range(n_people)]
    at = 0
    while at < n_frames:
        who = int(rng.integers(n_people))
        length = int(rng.exponential(35)) + 3
        rows[who].append((at, min(at + length, n_frames)))
        at += length + int(rng.integers(-8, 20))
        at = max(at, rows[who][-1][0] + 1)
    return [_apart(r) for r in rows]


def _apart(rows: list[tuple[int, int]]) -> np.ndarray:
    merged: list[list[int]] = []
    for a, b in sorted(rows):
        if merged and a <= merged[-1][1] + 2:
            merged[-1][1] = max(merged[-1][1], b)
        elif b > a:
            merged.append([a, b])
    return np.array(merged, dtype=np.int64).reshape(-1, 2) * FRAME


def make(root: Path, number: int, people: list[dict[str, Any]], rng: np.random.Generator) -> None:
    """One recording's folder."""
    bot, recording = f"bot-{number:05d}", f"rec-{number:05d}"
    chosen = rng.choice(len(people), size=int(rng.integers(2, 9)), replace=False)
    participants = tuple(seen(people[i], n, rng) for n, i in enumerate(chosen))
    labels = make_labels(participants)
    n_frames = int(rng.integers(18_000, 54_000))
    spoken = dict(zip(labels.values(), talk(len(chosen), n_frames, rng), strict=True))
    duration_s = n_frames / 10
    parts = tuple(
        Part(f"{recording}-part-{p.participant_id}", p.participant_id, 0.0, MediaFile(duration_s=duration_s))
        for p in participants
    )
    where = TimeMap.straight(0.0, duration_s)
    placed = tuple(
        PartAlignment(p.part_id, p.participant_id, 0.0, where, "aligned", 0.0, 1.0, 0.02) for p in parts
    )
    meeting = Meeting({"id": bot}, {"id": recording}, participants, parts, MediaFile("source/mixed.mp3"))
    speech = SpeechResult(spoken, spoken, unbridged=spoken)
    documents = {
        "recording": meeting.to_json(),
        "speakers": speakers_json(participants, labels),
        "alignment": Alignment(placed, duration_s, True).to_json(),
        "segments": speech.to_json(),
        "leakage": speech.leakage_json(),
        "run": {"version": __version__, "status": "done", "parameters": parameters_of(Options()),
                "inputs": {}, "stages": [], "warnings": []},
    }  # fmt: skip
    for kind, body in documents.items():
        write_json(root / bot / recording / f"{kind}.json", kind, body)


def second_route(root: Path) -> tuple[pd.DataFrame, list[set[tuple[str, str]]]]:
    """Talk, overlap and exclusive time out of frames; persons by labels that spread along shared keys."""
    rows, keys = [], {}
    for file in sorted(root.glob("*/*/segments.json")):
        recording = file.parent.name
        spoken = json.loads(file.read_text())["speakers"]
        whole = round(10 * json.loads((file.parent / "alignment.json").read_text())["mix"]["duration_s"])
        active = np.zeros((len(spoken), whole), dtype=np.int8)
        for row, spans in zip(active, spoken.values(), strict=True):
            for a, b in spans:
                row[round(10 * a) : round(10 * b)] = 1
        at_once = active.sum(axis=0)
        for label, row in zip(spoken, active, strict=True):
            rows.append((recording, label, row.sum() / 10, (row & (at_once == 1)).sum() / 10, whole / 10,
                         (at_once > 0).sum() / 10, (at_once > 1).sum() / 10))  # fmt: skip
        for label, person in json.loads((file.parent / "speakers.json").read_text())["speakers"].items():
            extra = person["extra_data"] or {}
            shown = (
                person["email"],
                extra.get("zoom", {}).get("conf_user_id"),
                extra.get("microsoft_teams", {}).get("user_id"),
            )
            keys[recording, label] = {k for k in shown if k}
    columns = ["recording_id", "speaker", "talk_s", "exclusive_s", "duration_s", "speech_s", "overlap_s"]
    return pd.DataFrame(rows, columns=columns), spread(keys)


def spread(keys: dict[tuple[str, str], set[str]]) -> list[set[tuple[str, str]]]:
    """Sets of appearances that share keys, directly or by others in between."""
    holders = defaultdict(set)
    for who, shown in keys.items():
        for key in shown:
            holders[key].add(who)
    left, groups = set(keys), []
    while left:
        group, edge = set(), {left.pop()}
        while edge:
            group |= edge
            edge = {o for who in edge for key in keys[who] for o in holders[key]} - group
        left -= group
        groups.append(group)
    return groups


def used() -> tuple[float, float]:
    """CPU seconds and peak RSS, MiB, of children that have ended."""
    import resource

    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime, of.ru_maxrss / 1024


def compare(tables: Path, form: str, root: Path, *, coded: bool) -> None:
    """Hold the tables against the second route; AssertionError where they differ."""
    read = pd.read_csv if form == "csv" else pd.read_parquet
    found = {name: read(tables / f"{name}.{form}") for name in ("speakers", "meetings", "people", "persons")}
    plain, groups = second_route(root)
    talk_s = (
        found["speakers"]["talk_s"].sum(),
        found["meetings"]["talk_s"].sum(),
        found["persons"]["talk_s"].sum(),
    )
    for total in talk_s:
        assert abs(total - plain["talk_s"].sum()) < 1e-3, (total, plain["talk_s"].sum())
    meetings = plain.drop_duplicates("recording_id")
    for column in ("duration_s", "speech_s", "overlap_s"):
        assert abs(found["meetings"][column].sum() - meetings[column].sum()) < 1e-3, column
    assert abs(found["speakers"]["exclusive_s"].sum() - plain["exclusive_s"].sum()) < 1e-3
    sizes = Counter(len(g) for g in groups)
    assert Counter(found["people"]["person"].value_counts().tolist()) == sizes
    if not coded:
        codes = found["people"].set_index(["recording_id", "speaker"])["person"]
        for group in groups:
            assert len({codes[who] for who in group}) == 1
        compare_shares(found["persons"], plain, codes)
    print(f"  agrees with the second route: {len(plain)} participants, {len(groups)} persons, "
          f"{plain['talk_s'].sum() / 3600:.1f} h of talk")  # fmt: skip


def compare_shares(persons: pd.DataFrame, plain: pd.DataFrame, codes: "pd.Series[str]") -> None:
    """Means over meetings and pooled shares, by pandas' own grouping."""
    person = [codes[who] for who in zip(plain["recording_id"], plain["speaker"], strict=True)]
    calls = plain.assign(person=person).groupby(["person", "recording_id"])
    calls = calls.agg(talk_s=("talk_s", "sum"), duration_s=("duration_s", "first")).reset_index()
    calls["share"] = calls["talk_s"] / calls["duration_s"]
    by_person = calls.groupby("person")
    mean = by_person["share"].mean()
    pooled = by_person["talk_s"].sum() / by_person["duration_s"].sum()
    written = persons.set_index("person")
    assert np.allclose(written["share_of_meeting_mean"], mean[written.index], atol=1e-12)
    assert np.allclose(written["share_of_meeting_pooled"], pooled[written.index], atol=1e-12)


def main() -> None:
    """Make, collect, compare."""
    options = argparse.ArgumentParser()
    options.add_argument("--recordings", type=int, default=2000)
    options.add_argument("--into", type=Path, required=True)
    options.add_argument("--format", choices=["csv", "parquet"], default="parquet")
    options.add_argument("--pseudonymise", action="store_true")
    chosen = options.parse_args()
    root, rng = chosen.into / f"{chosen.recordings}-recordings", np.random.default_rng(6)
    if not root.is_dir():
        people = pool(max(chosen.recordings // 5, 10), rng)
        for number in range(chosen.recordings):
            make(root, number, people, rng)
    tables = chosen.into / f"tables-{chosen.format}"
    command = [sys.executable, "-m", "recall_audio", "collect", root, "--format", chosen.format]
    command += ["--into", tables, *(["--pseudonymise"] if chosen.pseudonymise else [])]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "RECALL_PSEUDONYM_KEY": "only for measuring"})  # fmt: skip
    seconds = time.perf_counter() - started
    size = sum(f.stat().st_size for f in tables.iterdir()) / 1e6
    cpu_s, peak_mib = used()
    each = f"{seconds:.1f} s, {cpu_s:.1f} s of CPU, {1000 * cpu_s / chosen.recordings:.1f} ms each"
    print(f"{chosen.recordings} recordings, {chosen.format}: {each}, ", end="")
    print(f"peak RSS {peak_mib:.0f} MiB, {size:.0f} MB written")
    compare(tables, chosen.format, root, coded=chosen.pseudonymise)


if __name__ == "__main__":
    main()
