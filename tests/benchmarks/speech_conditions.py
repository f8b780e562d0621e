"""Measure the speech step on the conditions of call platforms: the detector alone, before, and now.

    python tests/benchmarks/speech_conditions.py --speech DIR... [--turns DIR...] [--sounds DIR...]
        [--rooms DIR...] [--noise DIR...] [--seeds 501 502 503] [--conditions NAME...] [--before FILE]
        [--write FILE]

Meetings are made by ``platform_lab`` from the quarter of the voices, turns, sounds and rooms that
``fit_speech.py`` leaves out. A row a condition, means over the seeds: frame error (missed + false, % of the
truth, frames farther than 100 ms from a true boundary), the worst error of a share of talk in points, overlap
true and found, the most seconds of a person who never speaks, speakers off by more than two points without a
warning, warnings of speakers who are not off, and CPU seconds a track-hour. ``--write`` keeps the rows,
``--before`` shows rows that were kept earlier beside them.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from platform_lab.conditions import CONDITIONS  # noqa: E402
from platform_lab.material import Material  # noqa: E402
from platform_lab.meeting import Meeting, make_meeting  # noqa: E402
from platform_lab.scores import score  # noqa: E402

from recall_audio.core import spans as sp  # noqa: E402
from recall_audio.core.speech.evidence import part_evidence  # noqa: E402
from recall_audio.core.speech.find import join_speech  # noqa: E402
from recall_audio.core.speech.on_mix import on_mix  # noqa: E402
from recall_audio.core.talk.certainty import uncertainty_findings  # noqa: E402
from recall_audio.core.talk.intervals import with_intervals  # noqa: E402
from recall_audio.core.talk.measure import measure_talk  # noqa: E402
from recall_audio.detector import load_detector  # noqa: E402
from recall_audio.detector.ownership import load_ownership  # noqa: E402
from recall_audio.model.options import SpeechOptions  # noqa: E402
from recall_audio.model.speech import PartEvidence  # noqa: E402
from recall_audio.typing import Spans  # noqa: E402

DURATION_S = 90.0
OFF_POINTS = 2.0
Row = dict[str, Any]


def alone(meeting: Meeting, evidence: Mapping[str, PartEvidence]) -> dict[str, Spans]:
    """Return what the detector calls speech on each track by itself."""
    found = {}
    for track in meeting.tracks:
        _, probability, present = on_mix(track, evidence, 0, int(meeting.duration_s * 100))
        heard = sp.from_mask((probability >= 128) & present, 160)
        found[track.label] = sp.drop_short(sp.bridge(heard, 3200), 1600)
    return found


def measured(meeting: Meeting) -> Row:
    """Return one meeting's figures."""
    detector = load_detector()
    parts = [p for t in meeting.tracks for p in t.parts]
    started = time.process_time()
    evidence = {p.part_id: part_evidence(p.part_id, p.samples, detector) for p in parts}
    hear = partial(part_evidence, meeting.mix.part_id, meeting.mix.samples, detector)
    result = join_speech(
        meeting.tracks, evidence, meeting.duration_s, SpeechOptions(), load_ownership(), meeting.mix, hear
    )
    cpu_s = time.process_time() - started
    now = score(result.segments, meeting.truth, meeting.duration_s)
    first = score(alone(meeting, evidence), meeting.truth, meeting.duration_s)
    off = {label for label, points in now.shares.items() if abs(points) > OFF_POINTS}
    rows = {label: sp.to_seconds(spans) for label, spans in result.segments.items()}
    talk = measure_talk(rows, meeting.duration_s)
    talk = with_intervals(talk, result.segments, result.posteriors, dict.fromkeys(rows, 0.0), {})
    findings = (*result.findings, *uncertainty_findings(talk))
    warned = {f.where for f in findings if f.severity == "warning" and f.where}
    return {
        "detector": first.error,
        "error": now.error,
        "missed": now.missed,
        "false": now.false,
        "share": now.share,
        "overlap": now.overlap_s,
        "found": now.found_overlap_s,
        "never": now.never_s,
        "silent": len(off - warned),
        "needless": len(warned - off),
        "cpu": cpu_s / (len(meeting.tracks) * meeting.duration_s / 3600),
    }


def print_rows(rows: Mapping[str, list[Row]], before: Mapping[str, Row]) -> None:
    """Print a row a condition, and the means."""
    heads = ("detector", "before", "error", "missed", "false", "share", "overlap", "found", "never")
    heads += ("silent", "needless", "cpu")
    print(f"{'condition':<22}" + "".join(f"{h:>9}" for h in heads))
    for name, several in rows.items():
        values = {h: np.mean([r[h] for r in several]) for h in several[0]}
        values["never"] = max(r["never"] for r in several)
        earlier = [before[f"{name}-{r['seed']}"]["error"] for r in several if f"{name}-{r['seed']}" in before]
        values["before"] = np.mean(earlier) if earlier else np.nan
        print(f"{name:<22}" + "".join(f"{values[h]:9.1f}" for h in heads), flush=True)
    errors = np.array([r["error"] for several in rows.values() for r in several])
    shares = np.array([r["share"] for several in rows.values() for r in several])
    print(
        f"frame error mean {errors.mean():.2f}, median {np.median(errors):.2f}, worst {errors.max():.1f} %; "
        f"share median {np.median(shares):.2f}, worst {shares.max():.1f} points"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for kind in ("speech", "turns", "sounds", "rooms", "noise"):
        parser.add_argument(f"--{kind}", type=Path, nargs="*", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[501, 502, 503])
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--before", type=Path)
    parser.add_argument("--write", type=Path)
    a = parser.parse_args()
    material = Material.of(a.speech, a.turns, a.sounds, a.rooms, a.noise).part(left_out=True)
    rows: dict[str, list[Row]] = {}
    for name in a.conditions:
        for seed in a.seeds:
            row = measured(make_meeting(material, name, seed, DURATION_S)) | {"seed": seed}
            rows.setdefault(name, []).append(row)
    if a.write:
        kept = {f"{name}-{r['seed']}": r for name, several in rows.items() for r in several}
        a.write.write_text(json.dumps(kept, indent=1))
    print_rows(rows, json.loads(a.before.read_text()) if a.before else {})


if __name__ == "__main__":
    main()
