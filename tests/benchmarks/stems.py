"""What stems measure, and what they cost: `python tests/benchmarks/stems.py [--hours 8] [--people 10]`.

Prints four tables: loudness and true peak of written stems by libebur128 and by this package; where clicks
land; what a sweep leaves beside itself; formats as ffprobe and libsndfile see them. Then CPU and peak memory
of ten minutes with four people, and of `--hours` with `--people`, each in a process of its own. Needs room
on the disk for the stems: 0.12 GB an hour and person.
"""

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyebur128
import soundfile as sf

from recall_audio.typing import Samples, Spans

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests")]

from meters import babble, clicks, int16, landing  # noqa: E402 - found by the line above

from recall_audio.core.resample import read_at  # noqa: E402
from recall_audio.core.spans import EMPTY, spans  # noqa: E402
from recall_audio.core.stems.placement import (  # noqa: E402
    Source,
    plan,
    render,
)
from recall_audio.media.pcm_file import open_work  # noqa: E402
from recall_audio.model.alignment import (  # noqa: E402
    PlacedPart,
    TimeMap,
    Track,
)
from recall_audio.model.options import StemOptions  # noqa: E402
from recall_audio.pipeline.stems.export import export_stems  # noqa: E402
from recall_audio.pipeline.stems.track_reader import StemSources  # noqa: E402

RATE_HZ = 16_000


def libebur128(path: Path) -> tuple[float, float]:
    """Integrated loudness and true peak of a file of any length."""
    mode = pyebur128.MeasurementMode.MODE_I | pyebur128.MeasurementMode.MODE_TRUE_PEAK
    with sf.SoundFile(path) as source:
        state = pyebur128.R128State(1, source.samplerate, mode)
        for block in source.blocks(RATE_HZ * 60, dtype="float32"):
            state.add_frames(block, len(block))
    with np.errstate(divide="ignore"):
        peak_dbtp = float(20 * np.log10(pyebur128.get_true_peak(state, 0)))
    return pyebur128.get_loudness_global(state), peak_dbtp


def talk(seconds: float, seed: int, hiss_db: float, duty: float = 0.3) -> tuple[Samples, Spans]:
    """Babble at about -20 dBFS in stretches of 1 to 6 s, over hiss; and the stretches."""
    rng = np.random.default_rng(seed)
    n, at, rows = round(seconds * RATE_HZ), 0, []
    signal = 10 ** (hiss_db / 20) * rng.standard_normal(n).astype(np.float32)
    while at < n:
        length = min(round(rng.uniform(1, 6) * RATE_HZ), n - at)
        signal[at : at + length] += babble(length / RATE_HZ, seed)[:length]
        rows.append((at, at + length))
        at += round(length / duty)
    return int16(signal), spans(rows)


def long_work(path: Path, hours: float) -> tuple[Samples, Spans]:
    """A working file of hours: one of ten minutes, over and over."""
    part, said = talk(600.0, 5, -50.0)
    rounds = max(round(hours * 6), 1)
    with path.open("wb") as stream:
        for _ in range(rounds):
            stream.write(part.tobytes())
    return open_work(path), spans(
        (a + k * len(part), b + k * len(part)) for k in range(rounds) for a, b in said
    )


def tracks_of_all_kinds(work: Path, hours: float) -> dict[str, tuple[Samples, Spans]]:
    """Tracks by kind."""
    rng = np.random.default_rng(0)
    sparse = 1e-3 * rng.standard_normal(3600 * RATE_HZ).astype(np.float32)
    sparse[1000 * RATE_HZ : 1020 * RATE_HZ] += 0.1 * babble(20.0, 8)
    loud, said = talk(60.0, 2, -50.0)
    return {
        "ordinary": talk(600.0, 1, -55.0),
        "sparse: 20 s in 1 h": (int16(sparse), spans([(1000 * RATE_HZ, 1020 * RATE_HZ)])),
        "silent": (np.zeros(60 * RATE_HZ, dtype=np.int16), EMPTY),
        "clipped": (int16(np.clip(loud / 32768.0 * 30.0, -1, 1)), said),
        "noise only": (int16(1e-2 * rng.standard_normal(60 * RATE_HZ)), EMPTY),
        "very short: 0.3 s": (int16(babble(0.3, 3)), spans([(0, 4800)])),
        f"{hours:g} h": long_work(work / "long.pcm", hours),
    }


def show_levels(work: Path, hours: float) -> None:
    """Every kind, offset by a fraction and drifting, as written."""
    heads = f"{'ours':>9}{'libebur':>9}{'ours':>8}{'libebur':>8}{'speech':>9}"
    print(f"\n{'track':22}{'before':>9}{'gain':>8} {'set by':9}{'over':8}{heads}")
    print(f"{'':22}{'LUFS':>9}{'dB':>8} {'':17}{'LUFS':>9}{'LUFS':>9}{'dBTP':>8}{'dBTP':>8}{'LUFS':>9}")
    for name, (samples, said) in tracks_of_all_kinds(work, hours).items():
        time_map = TimeMap.straight(0.37 / RATE_HZ, len(samples) / RATE_HZ, 40.0)
        track = Track("a", (PlacedPart("a", samples, time_map),))
        stem = export_stems([track], {"a": said}, len(samples), work / "stems").stems[0]
        lufs, dbtp = libebur128(work / stem.file)
        print(
            f"{name:22}{stem.integrated_lufs_before:9.3f}{stem.gain_db:8.2f} {stem.gain_set_by:9}"
            f"{stem.measured_over or '-':8}{stem.integrated_lufs_after:9.3f}{lufs:9.3f}"
            f"{stem.true_peak_dbtp_after:8.3f}{dbtp:8.3f}{stem.speech_lufs_after:9.3f}"
        )


def show_clicks() -> None:
    """Worst error of a click train."""
    maps = {
        "offset 0.37 samples": TimeMap.straight(0.37 / RATE_HZ, 60.0),
        "+80 ppm": TimeMap.straight(1 + 0.37 / RATE_HZ, 60.0, 80.0),
        "after a step (0.2 s lost)": TimeMap(((0.0, 0.1), (20.0, 20.1), (20.0, 20.3), (60.0, 60.3))),
        "after a step (0.3 s repeated)": TimeMap(((0.0, 1.0), (20.0, 21.0), (20.0, 20.7), (60.0, 60.7))),
        "1 % fast, then slow": TimeMap(((0.0, 0.5), (30.0, 30.8), (60.0, 60.5))),
    }
    print(f"\n{'click train':32}{'clicks':>8}{'worst error, ms':>18}")
    local_s = np.arange(0.623, 59.9, 1.0)
    for name, time_map in maps.items():
        at_s = local_s[(local_s < 20) | (local_s > 20.35)]
        sources = [Source(clicks(60 * RATE_HZ, at_s * RATE_HZ), time_map)]
        track = render(plan(sources, 62 * RATE_HZ, RATE_HZ), sources, 0, 62 * RATE_HZ)
        errors = [abs(landing(track, t * RATE_HZ) / RATE_HZ - t) * 1e3 for t in time_map.to_mix(at_s)]
        print(f"{name:32}{len(errors):8}{max(errors):18.6f}")


def show_sweep() -> None:
    """What sines leave beside themselves, worst over the band."""
    print(f"\n{'sweep, 100 Hz to 7.95 kHz':32}{'worst spur, dB':>16}{'pass band to 7.2 kHz, dB':>26}")
    for ppm in (0.0, 20.0, 80.0, -300.0):
        spurs, ripple = [], []
        for hz in np.arange(100.0, 7951.0, 50.0):
            wave = np.rint(32000 * np.sin(2 * np.pi * hz / RATE_HZ * np.arange(20_000))).astype(np.int16)
            step = 1 + ppm * 1e-6
            got = read_at(wave, 1000.37, step, 16_000)
            at = 2 * np.pi * hz / RATE_HZ * (1000.37 + np.arange(16_000) * step)
            basis = np.stack([np.sin(at), np.cos(at)])
            weights = np.linalg.lstsq(basis.T, got.astype(np.float64), rcond=None)[0]
            rest = got - weights @ basis
            spurs.append(
                20 * np.log10(np.abs(np.fft.rfft(rest * np.hanning(16_000))).max() / 4000 * 32768 / 32000)
            )
            if hz <= 7200:
                ripple.append(abs(20 * np.log10(np.hypot(*weights) * 32768 / 32000)))
        print(f"{f'{ppm:+g} ppm, offset 0.37':32}{max(spurs):16.1f}{max(ripple):26.5f}")


def show_formats(work: Path) -> None:
    """Every format as others read it."""
    samples, said = talk(30.0, 1, -50.0)
    pair = [Track(k, (PlacedPart(k, samples, TimeMap.straight(0.5, 30.0)),)) for k in ("a", "b")]
    kinds = [{"bits": b, "poly": True} for b in ("16", "24", "32f")]
    kinds += [{"format": f} for f in ("flac", "mp3", "opus")] if shutil.which("ffmpeg") else []
    print(f"\n{'format':34}libsndfile: frames, rate, channels, kind; ffprobe: codec, rate, channels, seconds")
    for kind in kinds:
        shutil.rmtree(work / "stems", ignore_errors=True)
        export_stems(pair, {"a": said, "b": said}, 31 * RATE_HZ, work / "stems", StemOptions(**kind))
        for path in sorted((work / "stems").iterdir()):
            if path.stem != "b":
                info = sf.info(path)
                seen = f"{info.frames} {info.samplerate} {info.channels} {info.format} {info.subtype}"
                print(f"{path.name + ' ' + str(kind):34.34}{seen}; {ffprobe(path)}")


def ffprobe(path: Path) -> str:
    """What ffprobe says of a file."""
    if shutil.which("ffprobe") is None:
        return "no ffprobe"
    entries = "stream=codec_name,sample_rate,channels,duration"
    command = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout.strip() + " " + done.stderr.strip()).strip()


def cost(work: Path, hours: float, people: int, drift_ppm: float) -> None:
    """CPU and peak memory of one export, with the residual check; runs in a process of its own."""
    samples = open_work(work / "long.pcm")
    said = spans([(k * 20 * RATE_HZ, (k * 20 + 6) * RATE_HZ) for k in range(int(hours * 180))])
    seconds = len(samples) / RATE_HZ
    drifts = [drift_ppm * (k + 1) / people for k in range(people)]
    tracks = [
        Track(f"p{k}", (PlacedPart(f"p{k}", samples, TimeMap.straight(0.37 / RATE_HZ + k, seconds, d)),))
        for k, d in enumerate(drifts)
    ]
    began = time.process_time()
    speech = {t.label: said for t in tracks}
    export_stems(tracks, speech, len(samples), work / "stems", sources=StemSources(mix=samples))
    cpu_s = time.process_time() - began
    size_gb = sum(p.stat().st_size for p in (work / "stems").iterdir()) / 1e9
    each_s = cpu_s / hours / people
    print(
        f"{hours:6.2f} h x {people:2}, {drift_ppm:+g} ppm: {cpu_s:7.1f} CPU-s, {each_s:5.2f} a track-hour; "
        f"peak RSS {peak_rss_mb():.0f} MB; {size_gb:.2f} GB written",
        flush=True,
    )


def peak_rss_mb() -> float:
    """Peak resident memory of this process alone (getrusage may carry over its parent's)."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--work", type=Path)
    parser.add_argument(
        "--cost", type=float, nargs=3, metavar=("HOURS", "PEOPLE", "PPM"), help=argparse.SUPPRESS
    )
    chosen = parser.parse_args()
    if chosen.cost:
        cost(chosen.work, chosen.cost[0], int(chosen.cost[1]), chosen.cost[2])
        return
    with tempfile.TemporaryDirectory(dir=chosen.work) as folder:
        show_levels(Path(folder), chosen.hours)
        show_clicks()
        show_sweep()
        show_formats(Path(folder))
    print("\ncost, the residual check included")
    cases = (
        (1 / 6, 4, 0.0),
        (1 / 6, 4, 40.0),
        (chosen.hours, chosen.people, 0.0),
        (chosen.hours, chosen.people, 40.0),
    )
    for case in cases:
        with tempfile.TemporaryDirectory(dir=chosen.work) as folder:
            long_work(Path(folder) / "long.pcm", case[0])
            command = [sys.executable, __file__, "--work", folder, "--cost", *(str(c) for c in case)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
