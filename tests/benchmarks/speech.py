"""How well speech is found: frame error, share of talk, overlap, beside each figure's target.

    python tests/benchmarks/speech.py --lab DIR...      meetings with truth.json, as a lab made them
    python tests/benchmarks/speech.py                   meetings made here from synthetic voices

Four rows a meeting: WebRTC's detector on each track by itself (``webrtc``, where webrtcvad is installed:
`pip install webrtcvad-wheels`), Silero's network likewise (``silero``), with levels but without leakage taken
out (``raw``), and the whole (``own``). Frame error is (missed + false) / truth over 10 ms frames farther than
100 ms from every true boundary; share is the worst speaker's error of share of talk in points; overlap is in
per cent of the true overlap. Tracks are placed by the truth, so that the figures are the speech step's own.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recall_audio.typing import Spans

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "sample_data")]

from recall_audio.core import spans as sp  # noqa: E402
from recall_audio.core.speech.evidence import part_evidence  # noqa: E402
from recall_audio.core.speech.find import join_speech  # noqa: E402
from recall_audio.detector import load_detector  # noqa: E402
from recall_audio.detector.ownership import load_ownership  # noqa: E402
from recall_audio.media.decode import decode  # noqa: E402
from recall_audio.media.pcm_file import open_work  # noqa: E402
from recall_audio.model.alignment import (  # noqa: E402
    PlacedPart,
    TimeMap,
    Track,
)
from recall_audio.model.options import SpeechOptions  # noqa: E402

COLLAR = 10  # frames each side of a true boundary
MINUTE = 512 * 1875
KINDS = ("webrtc", "silero", "raw", "own")
Found = Mapping[str, Spans]


def score(found: Found, truth: Found, duration_s: float) -> tuple[float, float, float, float]:
    """Missed and false frames (% of truth), worst share error (points), overlap error (% of truth)."""
    n = int(duration_s * 100)
    missed = false = total = 0
    for label, spans in truth.items():
        right, got = sp.to_mask(spans, 160, n), sp.to_mask(found[label], 160, n)
        edges = np.flatnonzero(np.diff(right.astype(np.int8)))
        away = np.ones(n, dtype=bool)
        for e in edges:
            away[max(0, e + 1 - COLLAR) : e + 1 + COLLAR] = False
        missed += np.count_nonzero(right & ~got & away)
        false += np.count_nonzero(~right & got & away)
        total += np.count_nonzero(right)
    talk, said = ({k: sp.total(v) for k, v in x.items()} for x in (truth, found))
    share = max(abs(said[k] / max(sum(said.values()), 1) - talk[k] / sum(talk.values())) for k in talk)
    over, got_over = (sum(sp.counts(list(x.values()), 0, n * 160)[2:]) for x in (truth, found))
    return 100 * missed / total, 100 * false / total, 100 * share, 100 * (got_over - over) / max(over, 1)


def opened(folder: Path, work: Path) -> tuple[list[Track], dict[str, Spans], float, PlacedPart]:
    """Tracks of a meeting placed by its truth, the true speech, the length, and the mix."""
    meeting = json.loads((folder / "meeting.json").read_text())
    truth = json.loads((folder / "truth.json").read_text())
    parts: dict[str, list[PlacedPart]] = {name: [] for name in truth["speakers"]}
    for part in meeting["parts"]:
        target = work / f"{part['id']}.s16"
        decode(folder / part["file"], target, part["format"], part["duration"])
        placed = PlacedPart(
            part["id"], open_work(target), TimeMap.from_json(truth["parts"][part["id"]]["time_map"])
        )
        parts[part["participant"]["name"]].append(placed)
    tracks = [Track(name, tuple(p)) for name, p in parts.items()]
    duration_s = float(meeting["duration"])
    decode(folder / "mix.mp3", work / "mix.s16", "mp3", duration_s)
    mix = PlacedPart("mix", open_work(work / "mix.s16"), TimeMap.straight(0.0, duration_s))
    return tracks, {k: sp.from_seconds(v) for k, v in truth["speakers"].items()}, duration_s, mix


def meetings(labs: list[Path], work: Path) -> Iterator[tuple[str, Path]]:
    """Meetings given, or made here."""
    for lab in labs:
        yield from ((m.parent.name, m.parent) for m in sorted(lab.rglob("truth.json")))
    if not labs:
        import makers

        for seed, (snr_db, leakage_db) in enumerate([(30, None), (14, None), (30, -26), (30, -14)]):
            made = makers.make(
                n_speakers=3, duration_s=120.0, seed=seed, snr_db=snr_db, leakage_db=leakage_db
            )
            name = f"snr{snr_db}_leak{leakage_db}"
            yield name, made.write(work / name)


def silero(samples: np.ndarray, detector: Any) -> np.ndarray:
    """Frames of 10 ms that the network calls speech by itself, on the whole of a part."""
    minutes = [samples[i : i + MINUTE].astype(np.float32) / 32768 for i in range(0, len(samples), MINUTE)]
    heard = np.concatenate(detector.probabilities(minutes))
    return np.repeat(heard >= 0.5, 512)[80::160]


def webrtc(samples: np.ndarray, _detector: Any) -> np.ndarray | None:
    """The same by WebRTC's detector, mode 2, in frames of 30 ms; None where it is not installed."""
    try:
        import webrtcvad
    except ImportError:
        return None
    vad = webrtcvad.Vad(2)
    frames = (samples[i : i + 480].tobytes() for i in range(0, len(samples) - 479, 480))
    return np.repeat([vad.is_speech(frame, 16_000) for frame in frames], 3)


def alone(tracks: list[Track], n: int, hears: Any, detector: Any) -> Found | None:
    """Speech of every track by a detector that knows only that track, on the mix's clock."""
    found = {}
    middle_s = (np.arange(n) + 0.5) / 100
    for track in tracks:
        mask = np.zeros(n, dtype=bool)
        for part in track.parts:
            local = hears(np.asarray(part.samples), detector)
            if local is None:
                return None
            at = np.floor(np.nan_to_num(part.time_map.to_local(middle_s), nan=-1.0) * 100).astype(int)
            inside = (at >= 0) & (at < len(local))
            mask[inside] |= local[at[inside]]
        found[track.label] = sp.drop_short(sp.bridge(sp.from_mask(mask, 160), 3200), 1600)
    return found


def one(folder: Path, work: Path, detector: Any) -> dict[str, tuple[float, ...]]:
    """Scores of one meeting, and the CPU seconds of the whole step."""
    tracks, truth, duration_s, mix = opened(folder, work)
    started = time.process_time()
    parts = [p for t in tracks for p in t.parts]
    evidence = {p.part_id: part_evidence(p.part_id, p.samples, detector) for p in parts}
    hear = partial(part_evidence, mix.part_id, mix.samples, detector)
    result = join_speech(tracks, evidence, duration_s, SpeechOptions(), load_ownership(), mix, hear)
    cpu_s = time.process_time() - started
    n = int(duration_s * 100)
    rows = {k: alone(tracks, n, hears, detector) for k, hears in (("webrtc", webrtc), ("silero", silero))}
    rows |= {"raw": result.raw, "own": result.segments}
    scores: dict[str, tuple[float, ...]] = {k: score(v, truth, duration_s) for k, v in rows.items() if v}
    spoken_h = sum(sp.total(s) for s in result.raw.values()) / 16_000 / 3600
    return {**scores, "cpu": (cpu_s, cpu_s / max(spoken_h, 1e-9))}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, nargs="*", default=[])
    chosen = parser.parse_args()
    detector = load_detector()
    print(f"{'meeting':<22}{'':7}{'missed %':>9}{'false %':>9}{'error %':>9}{'share pt':>9}{'overlap %':>10}")
    everything = []
    with tempfile.TemporaryDirectory() as folder:
        for name, meeting in meetings(chosen.lab, Path(folder)):
            found = one(meeting, Path(folder) / "work", detector)
            for kind in KINDS:
                if kind not in found:
                    continue
                missed, false, share, over = found[kind]
                columns = f"{missed:9.2f}{false:9.2f}{missed + false:9.2f}{share:9.2f}{over:10.1f}"
                print(f"{name:<22}{kind:7}{columns}", flush=True)
            everything.append(found)
    for kind in KINDS:
        table = np.array([f[kind] for f in everything if kind in f])
        if not len(table):
            continue
        error, share, over = table[:, 0] + table[:, 1], table[:, 2], np.abs(table[:, 3])
        print(
            f"{kind}: frame error mean {error.mean():.2f} worst {error.max():.2f} %, "
            f"share error mean {share.mean():.2f} worst {share.max():.2f} points (target 1), "
            f"overlap error mean {over.mean():.1f} worst {over.max():.1f} % (target 10)"
        )
    cpu = np.array([f["cpu"] for f in everything])
    print(
        f"{cpu[:, 0].sum():.1f} CPU-s in all, {np.median(cpu[:, 1]):.1f} CPU-s an hour of speech (target 12)"
    )
    print(
        "targets for the frame error: 4.5 % at 30 dB, 6 % at 14 dB, 6 % at -26 dB of leakage, 12 % at -14 dB"
    )


if __name__ == "__main__":
    main()
