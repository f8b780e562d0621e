"""Measure the CPU time of decoding: `python tests/benchmarks/bench_decode.py [MINUTES]`.

For MP3, Ogg/Opus and MP4/AAC: CPU seconds of decoding alone (no resampling, nothing written), of the
cheapest route to 16 kHz (PyAV's own resampler on one-second batches, nothing written), and of
recall_audio.media.decode, each the least of three runs.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "sample_data")]

import render  # noqa: E402 - found by the line above
import voices  # noqa: E402

from recall_audio.media.decode import decode  # noqa: E402


def only_decoded(path: Path) -> int:
    """Decode a file, discard the samples and return their number."""
    with av.open(str(path)) as source:
        return sum(frame.samples for frame in source.decode(audio=0))


def cheapest(path: Path) -> int:
    """Decode and resample a file to 16 kHz by PyAV, discard the samples and return their number."""
    n, fifo, resampler = 0, av.AudioFifo(), av.AudioResampler("s16", "mono", 16_000)
    with av.open(str(path)) as source:
        for frame in source.decode(audio=0):
            frame.pts = None
            fifo.write(frame)
            if fifo.samples >= frame.sample_rate:
                n += sum(len(f.to_ndarray()[0]) for f in resampler.resample(fifo.read()))
    return n


def least(run: Callable[[], object]) -> float:
    """Return the CPU seconds of the quickest of three runs."""
    times = []
    for _ in range(3):
        before = time.process_time()
        run()
        times.append(time.process_time() - before)
    return min(times)


def main(minutes: float) -> None:
    """Print one line a format."""
    minute = render.to_int16(voices.speak(voices.VOICES[0], 60.0, seed=1))
    samples = np.tile(minute, round(minutes))
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("mp3", "ogg", "m4a"):
            path, work = Path(folder) / f"x.{kind}", Path(folder) / "w.s16"
            render.encode(samples, path, kind)
            plain = least(lambda p=path: only_decoded(p))
            cheap = least(lambda p=path: cheapest(p))
            ours = least(lambda p=path, w=work: decode(p, w))
            print(
                f"{kind}: {minutes:.0f} min: decode alone {plain:.2f}, cheapest to 16 kHz {cheap:.2f}, "
                f"ours {ours:.2f} CPU-s = {ours / plain:.2f} and {ours / cheap:.2f} times"
            )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
