"""Decode packets, place their frames on the file's clock and mix them down to mono blocks."""

import contextlib
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from recall_audio.media.pcm_file import WorkFull, WorkWriter
from recall_audio.media.probe import Damage, start_time_s
from recall_audio.media.timeline import RESTART_S, LostFrames, Placed, Timeline
from recall_audio.typing import Float32Array, FloatArray

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet


MAX_DAMAGE = 1000
"""Damaged places listed one by one; later ones are joined to the last."""

TOLERANCE_S = 0.01
"""Seconds; timestamps that differ from the count by less are rounded. Every codec's frames are longer."""

_TOLERANCE_S = {"vorbis": 0.05}
"""Seconds, by codec: now and then Vorbis' timestamps are late by up to a quarter of a block."""

_FULL_SCALE = {"u1": 128.0, "i2": 32768.0, "i4": 2147483648.0}
"""The float 1.0 of an integer sample, by numpy's type code."""

_KNOWN_FORMATS = frozenset(
    kind + planar for kind in ("u8", "s16", "s32", "flt", "dbl") for planar in ("", "p")
)
"""FFmpeg's names of the kinds of samples that become arrays as they are."""

_MOST_AMPLITUDE = 8.0
"""Full scale is 1; a larger sample is damage, not audio."""

_CANCELLED_SHARE = 0.25
"""Power of the channels' sum, in that of channels with nothing in common, below which they cancel."""


_LOUD_SHARE = 0.01
"""Power of a second, in the mean of all so far, from which it counts by itself."""

_HELD_SHARE = 1e-5
"""Power of a channel, in that of the loudest, from which it holds something: 50 dB below it."""


class Mixdown:
    """Combines a file's channels so that nothing cancels.

    The mean of a voice and the same voice upside down is silence, the mean of a voice and nothing half the
    voice. Channels that would cancel what has been heard so far, or what is heard now, are turned over;
    channels in which nothing has been heard are left out; all others are averaged as they are.

    Attributes:
        signs: 1 or -1 for each channel.
        scale: the value of float samples that is full scale, see :func:`float_scale`.
        is_opposite: whether a channel has been turned over.
    """

    def __init__(self) -> None:
        self.scale = 1.0
        self.signs: FloatArray = np.ones(1)
        self.is_opposite = False
        self._shared = np.zeros((1, 1))
        self._n_blocks = 0

    def mono(self, frame: "AudioFrame") -> Float32Array:
        """Return a frame's channels as one, float32, shape (n,), full scale ±1.

        NaN and values beyond ±8 become 0.
        """
        block, channels = _samples(frame), frame.layout.nb_channels
        if self.scale != 1.0:
            block = block / np.float32(self.scale)
        mixed = block[0] if channels == 1 else self._combine(block)
        single: Float32Array = np.ascontiguousarray(mixed, dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            energy = float(np.dot(single, single))
        if not energy < _MOST_AMPLITUDE**2 * len(single) + 1.0:
            # Damaged float frames hold NaN, infinities or 1e30, any of which would ring in the resampler.
            single = np.where(np.abs(single) <= _MOST_AMPLITUDE, single, np.float32(0.0))
        return single

    def _combine(self, block: Float32Array) -> FloatArray:
        """Return the mean of the channels that hold something, shape (n_channels, n), with their signs."""
        if len(self.signs) != len(block):
            self.signs, self._shared = np.ones(len(block)), np.zeros((len(block), len(block)))
            self._n_blocks = 0
        with np.errstate(over="ignore", invalid="ignore"):
            varying = block - block.mean(axis=1, keepdims=True)
            shared = (varying @ varying.T).astype(np.float64)
        if np.all(np.isfinite(shared)):
            self._shared += shared
            self._n_blocks += 1
            self._turn(shared)
        power = np.diag(self._shared)
        held = (power > _HELD_SHARE * np.max(power)).astype(np.float64)
        weight = self.signs * (held if np.any(held) else np.ones(len(block)))
        mixed: FloatArray = (weight / np.sum(np.abs(weight))) @ block.astype(np.float64)
        return mixed

    def _turn(self, shared: FloatArray) -> None:
        """Turn channels over that cancel what has been heard so far, or in a block that is not quiet."""
        if self._cancels(self._shared):
            self.signs = _agreeing_signs(self._shared)
        is_loud = np.trace(shared) * self._n_blocks > _LOUD_SHARE * np.trace(self._shared)
        if is_loud and self._cancels(shared):
            self.signs, self._shared, self._n_blocks = _agreeing_signs(shared), shared.copy(), 1
        self.is_opposite |= bool(np.any(self.signs < 0.0))

    def _cancels(self, shared: FloatArray) -> bool:
        return bool(self.signs @ shared @ self.signs < _CANCELLED_SHARE * np.trace(shared))


_INTEGER_SCALES = (2.0**15, 2.0**23, 2.0**31)
"""Full scale of the integers that some writers put into files of floats."""

_FEW_SHARE = 1e-4
"""Share of a file's samples that may be larger than a full scale: damage."""


def float_scale(source: "InputContainer", audio: "AudioStream") -> float:
    """Return what a file of float samples takes for full scale, which should be 1.

    Samples that are all whole numbers, or louder on the whole than full scale, are integers: no sound is
    above full scale on average. The file is read to its end.
    """
    import av

    n_samples, n_whole, power = 0, 0, 0.0
    n_above = np.zeros(len(_INTEGER_SCALES), dtype=np.int64)
    with contextlib.suppress(av.error.FFmpegError):
        for frame in source.decode(audio):
            size = np.abs(_samples(frame).astype(np.float64)).ravel()
            size = size[(size > 0.0) & (size <= _INTEGER_SCALES[-1])]
            n_samples += len(size)
            n_whole += int(np.count_nonzero(size == np.rint(size)))
            power += float(np.dot(np.minimum(size, _MOST_AMPLITUDE), np.minimum(size, _MOST_AMPLITUDE)))
            n_above += [int(np.count_nonzero(size > scale)) for scale in _INTEGER_SCALES]
    few = _FEW_SHARE * n_samples
    is_whole = n_whole >= n_samples - few and power > n_samples
    if n_samples == 0 or not (is_whole or power > n_samples):
        return 1.0
    return next((s for s, n in zip(_INTEGER_SCALES, n_above, strict=True) if n <= few), _INTEGER_SCALES[-1])


def _agreeing_signs(shared: FloatArray) -> FloatArray:
    """Return the sign of each channel with which the louder ones before it do not cancel it.

    Args:
        shared: shape (n, n), products of the channels.
    """
    signs = np.zeros(len(shared))
    for channel in np.argsort(-np.diag(shared), kind="stable"):
        signs[channel] = -1.0 if float(signs @ shared[:, channel]) < 0.0 else 1.0
    return np.asarray(signs * signs[0])


def _samples(frame: "AudioFrame") -> Float32Array:
    """Return a frame's samples, shape (n_channels, n), full scale ±1."""
    block: Any = frame.to_ndarray()
    if not frame.format.is_planar:
        block = block.reshape(-1, frame.layout.nb_channels).T
    scale = _FULL_SCALE.get(block.dtype.str[1:])
    if scale is not None:
        middle = 128.0 if block.dtype.kind == "u" else 0.0
        block = (block.astype(np.float32) - np.float32(middle)) / np.float32(scale)
    scaled: Float32Array = block
    return scaled


@dataclass(slots=True)
class Heard:
    """What has been decoded of a file so far, in all its links.

    What was decoded and what was put in add up to what was pushed to the writer.

    Attributes:
        mixdown: combines the channels.
        damage: stretches that could not be decoded, in order.
        n_frames: frames decoded.
        n_failed: packets that the decoder refused.
        decoded_s: seconds that the decoder gave.
        inserted_s: seconds of silence put in where audio is missing.
        back_s: seconds by which timestamps went back, all samples being kept.
        outlier_s: seconds whose timestamps were not believed.
        n_restarts: times that the timestamps began anew.
    """

    mixdown: Mixdown = field(default_factory=Mixdown)
    damage: list[Damage] = field(default_factory=list)
    n_frames: int = 0
    n_failed: int = 0
    decoded_s: float = 0.0
    inserted_s: float = 0.0
    back_s: float = 0.0
    outlier_s: float = 0.0
    n_restarts: int = 0

    def note(self, at_s: float, length_s: float, what: str) -> None:
        """Record one damaged place."""
        if len(self.damage) < MAX_DAMAGE:
            self.damage.append(Damage(at_s, length_s, what))
        else:
            last = self.damage[-1]
            self.damage[-1] = replace(last, length_s=last.length_s + length_s)


class FrameReader:
    """Decodes one open audio stream into a working file.

    Attributes:
        heard: what has been decoded.
        first_pts: the first packet's timestamp, in the stream's ticks.
    """

    def __init__(
        self,
        source: "InputContainer",
        audio: "AudioStream",
        writer: WorkWriter,
        limit_s: float,
        heard: Heard,
    ) -> None:
        import av

        self.heard = heard
        self.first_pts: int | None = None
        self._source, self._audio, self._writer, self._limit_s = source, audio, writer, limit_s
        self._rate_hz = 0
        self._fifo = av.AudioFifo()
        self._timeline = Timeline(1, 0, 0)
        self._mpeg = LostFrames() if audio.codec_context.name.startswith("mp3") else None
        self._failed_before = heard.n_failed

    def run(self) -> bool:
        """Decode to the end.

        Return True where it stopped at the working file's limit.
        """
        try:
            self._decode_all()
            self._finish_rate()
        except WorkFull:
            return True
        return False

    def _decode_all(self) -> None:
        import av

        packets = self._source.demux(self._audio)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self.heard.note(self._writer.position_s, 0.0, "unreadable")
                return
            if self.first_pts is None:
                self.first_pts = packet.pts
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._failed(packet)
                continue
            if self._mpeg is not None and packet.size:
                self._mpeg.decoded(packet)
            for frame in frames:
                self._take(frame)

    def _failed(self, packet: "Packet[AudioStream]") -> None:
        if packet.size:
            self.heard.n_failed += 1
            if self._mpeg is not None:
                self._mpeg.failed(packet)

    def _take(self, frame: "AudioFrame") -> None:
        """Find the place of one frame, and emit the frames whose place is known."""
        rate_hz = frame.sample_rate
        if rate_hz != self._rate_hz:
            self._change(rate_hz)
        if frame.format.name not in _KNOWN_FORMATS:
            frame = self._as_floats(frame)
        n_samples, pts = frame.samples, frame.pts
        self.heard.n_frames += 1
        self.heard.decoded_s += n_samples / rate_hz
        if pts is not None:
            pts = (pts * self._up + self._half) // self._down - self._origin
            if self._mpeg is not None:
                pts += self._mpeg.shift * self._mpeg_samples
            frame.pts = None  # the FIFO refuses jumps
        if self._timeline.follows(pts, n_samples):
            self._batch(frame)
            return
        for placed in self._timeline.place(pts, n_samples, frame):
            self._emit(placed)

    def _as_floats(self, frame: "AudioFrame") -> "AudioFrame":
        """Return a frame of a kind that numpy has no array for, such as 64-bit integers, as floats."""
        import av

        converter = av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate)
        (converted,) = converter.resample(frame)
        return converted

    def _change(self, rate_hz: int) -> None:
        """Change to the rate of the frames that follow.

        The first frame sets it as well.
        """
        self._finish_rate()
        done, self._rate_hz = self._timeline, rate_hz
        codec, base = self._audio.codec_context.name, self._audio.time_base or Fraction(1, rate_hz)
        self._up, self._down, self._half = base.numerator * rate_hz, base.denominator, base.denominator // 2
        self._origin = round(start_time_s(self._audio) * rate_hz)
        self._mpeg_samples = 1152 if rate_hz >= 32_000 else 576  # ISO 13818-3: half below 32 kHz
        self._timeline = Timeline(
            rate_hz,
            round(_TOLERANCE_S.get(codec, TOLERANCE_S) * rate_hz),
            round(self._limit_s * rate_hz),
            round(done.count * rate_hz / done.rate_hz),
        )
        self._writer.source_rate(rate_hz)

    def _emit(self, placed: Placed) -> None:
        """Write one frame in its place, with the silence before it."""
        if placed.n_silence:
            self._flush()
            self._note_missing(placed.n_silence)
            self._writer.silence(placed.n_silence)
        if placed.n_back:
            back_s = placed.n_back / self._rate_hz
            if abs(back_s) > RESTART_S:
                self.heard.n_restarts += 1
            else:
                self.heard.back_s += back_s
        self._batch(placed.item)

    def _batch(self, frame: "AudioFrame") -> None:
        """Collect frames and write them a second at a time."""
        try:
            self._fifo.write(frame)
        except ValueError:  # another layout or sample format from here on
            self._flush()
            self._fifo = type(self._fifo)()
            self._fifo.write(frame)
        if self._fifo.samples >= self._rate_hz:
            self._flush()

    def _flush(self) -> None:
        batch = self._fifo.read(0, partial=True) if self._fifo.samples else None
        if batch is not None:
            self._writer.push(self.heard.mixdown.mono(batch))

    def _finish_rate(self) -> None:
        """Write what is held and what the resampler holds."""
        if self._rate_hz:
            for placed in self._timeline.flush():
                self._emit(placed)
            self._flush()
            self._writer.drain()
            self.heard.outlier_s += self._timeline.n_outliers / self._rate_hz
            self._timeline.n_outliers = 0

    def _note_missing(self, n_silent: int) -> None:
        """Record the silence that stands for missing audio, at the writer's position."""
        what = "undecodable" if self.heard.n_failed > self._failed_before else "missing"
        self._failed_before = self.heard.n_failed
        length_s = n_silent / self._rate_hz
        self.heard.inserted_s += length_s
        self.heard.note(self._writer.position_s, length_s, what)
