"""Files as they come: odd inputs of the field, each with the value that is right.

The rows are examples of a kind; each test tries further values of its kind.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import makers
import numpy as np
import pytest
import render
import soundfile
import voices

from recall_audio.errors import ItemError
from recall_audio.media.decode import decode
from recall_audio.media.pcm_file import FULL_SCALE, open_work
from recall_audio.media.probe import Decoded
from recall_audio.model.containers import mpeg_frame
from recall_audio.model.options import DecodeOptions
from recall_audio.typing import FloatArray, Samples

RATE = 16_000
SPEECH = render.to_int16(voices.speak_spans(voices.VOICES[1], 30.0, seed=5, pause_s=(0.3, 0.8))[0])


def read(
    path: Path, tmp_path: Path, declared: str | None = None, declared_s: float | None = None
) -> tuple[Samples, Decoded]:
    decoded = decode(path, tmp_path / "w.s16", declared, declared_s)
    return np.array(open_work(decoded.path)), decoded


def codes(decoded: Decoded) -> list[str]:
    return [f.code for f in decoded.findings]


def without_low(samples: Samples) -> FloatArray:
    """The oracle: the spectrum above 20 Hz, by one transform of the whole."""
    n = len(samples)
    hz = np.fft.rfftfreq(n, 1 / RATE)
    gain = (hz / 20.0) ** 4 / (1.0 + (hz / 20.0) ** 4)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples) * gain, n))


@pytest.mark.parametrize("offset", [-0.3, 0.005, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("kind", ["raw", "flac", "flac48"])
def test_a_constant_offset_is_taken_out_and_nothing_else(kind: str, offset: float, tmp_path: Path) -> None:
    lifted = SPEECH / FULL_SCALE + offset
    path = tmp_path / "x"
    if kind == "raw":
        path.write_bytes(render.to_int16(lifted).tobytes())
    else:
        soundfile.write(
            path,
            lifted if kind == "flac" else np.repeat(lifted, 3),
            RATE * (3 if kind == "flac48" else 1),
            format="FLAC",
        )
    heard, decoded = read(path, tmp_path, "raw")
    truth = without_low(SPEECH)
    if kind != "flac48":  # the repeated samples are not a resampler's
        assert np.max(np.abs(heard - truth)[RATE:-RATE]) <= 2  # the transform is circular
    assert abs(np.mean(heard)) < 1.0
    assert ("offset_removed" in codes(decoded)) == (abs(offset) >= 0.01)


def test_rumble_below_20_hz_is_taken_out_and_a_voice_keeps_its_phase(tmp_path: Path) -> None:
    rumble = makers.tone(6.0, 30.0, 0.05)
    (tmp_path / "x").write_bytes((SPEECH + rumble[: len(SPEECH)]).astype("<i2").tobytes())
    heard, decoded = read(tmp_path / "x", tmp_path, "raw")
    inner = slice(RATE, -RATE)
    assert np.sqrt(np.mean((heard - without_low(SPEECH))[inner] ** 2)) < 0.02 * 0.05 * FULL_SCALE
    assert "offset_removed" in codes(decoded)


def test_an_offset_that_pauses_leaves_no_click_at_the_silence_between(tmp_path: Path) -> None:
    lifted = render.to_int16(SPEECH / FULL_SCALE + 0.1)
    lifted[10 * RATE : 12 * RATE] = 0
    (tmp_path / "x").write_bytes(lifted.tobytes())
    heard, _ = read(tmp_path / "x", tmp_path, "raw")
    assert not heard[10 * RATE : 12 * RATE].any()
    for edge in (slice(9 * RATE, 10 * RATE), slice(12 * RATE, 13 * RATE)):
        assert np.max(np.abs(heard[edge] - without_low(SPEECH)[edge])) < 0.01 * FULL_SCALE


@pytest.mark.parametrize("snr_db", [10.0, 30.0, None])
def test_an_ordinary_track_keeps_every_sample(snr_db: float | None, tmp_path: Path) -> None:
    made = makers.make(n_speakers=2, duration_s=30.0, seed=77, snr_db=snr_db)
    for samples in (made.mix, made.parts[0].samples):
        (tmp_path / "x").write_bytes(samples.tobytes())
        heard, decoded = read(tmp_path / "x", tmp_path, "raw")
        np.testing.assert_array_equal(heard, samples)
        assert codes(decoded) == []


@pytest.mark.parametrize("signs", [(1, -1), (-1, 1), (1, -0.5), (1, -1, 1, -1), (0, 1, -1)])
def test_channels_that_are_opposite_do_not_cancel(signs: tuple[float, ...], tmp_path: Path) -> None:
    hum = makers.tone(50.0, 30.0, 0.001)[: len(SPEECH)]  # common to all, and first
    channels = np.column_stack([sign * SPEECH.astype(float) + hum for sign in signs])
    soundfile.write(tmp_path / "x.wav", channels / FULL_SCALE, RATE, subtype="FLOAT")
    heard, decoded = read(tmp_path / "x.wav", tmp_path)
    level = np.mean(np.abs(signs))
    assert abs(np.dot(heard, SPEECH / np.dot(SPEECH.astype(float), SPEECH))) == pytest.approx(level, rel=0.05)
    assert "opposite_channels" in codes(decoded)


@pytest.mark.parametrize("at_s", [10.0, 15.0])
def test_channels_that_become_opposite_do_not_cancel_from_then_on(at_s: float, tmp_path: Path) -> None:
    at = round(at_s * RATE)
    other = np.concatenate([SPEECH[:at], -SPEECH[at:].astype(np.int32)])
    pair = np.column_stack([SPEECH, other]) / FULL_SCALE
    soundfile.write(tmp_path / "x.wav", pair, RATE, subtype="FLOAT")
    heard, decoded = read(tmp_path / "x.wav", tmp_path)
    assert np.max(np.abs(heard - SPEECH.astype(float))[at + RATE :]) <= 1
    assert np.max(np.abs(heard - SPEECH.astype(float))[: at - RATE]) <= 1
    assert "opposite_channels" in codes(decoded)


@pytest.mark.parametrize("silent", [0.0, 0.3, "noise"])
@pytest.mark.parametrize("n_silent", [1, 5])
def test_a_voice_in_one_channel_alone_keeps_its_level(silent: Any, n_silent: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0.0, 1e-4, len(SPEECH))
    nothing = noise if silent == "noise" else np.full(len(SPEECH), silent)
    channels = [nothing] * n_silent
    channels.insert(1, SPEECH / FULL_SCALE)
    soundfile.write(tmp_path / "x.wav", np.column_stack(channels), RATE, subtype="FLOAT")
    heard, decoded = read(tmp_path / "x.wav", tmp_path)
    assert np.max(np.abs(heard - SPEECH.astype(float))) <= 1
    assert codes(decoded) == []


def test_channels_with_nothing_in_common_are_averaged_as_they_are(tmp_path: Path) -> None:
    pair = np.random.default_rng(3).normal(0, 2000, (5 * RATE, 2)).astype(np.int16)
    soundfile.write(tmp_path / "x.wav", pair, RATE)
    heard, decoded = read(tmp_path / "x.wav", tmp_path)
    assert np.max(np.abs(heard - pair.mean(axis=1))) <= 0.5
    assert codes(decoded) == []


def test_the_offset_is_taken_out_at_every_rate_of_the_working_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(render.to_int16(SPEECH / FULL_SCALE + 0.1).tobytes())
    options = DecodeOptions(rate_hz=48_000)
    heard = open_work(decode(tmp_path / "x", tmp_path / "w", "raw", options=options).path)
    assert abs(np.mean(heard)) < 1.0


def _crc(byte: int) -> int:
    register = byte << 24
    for _ in range(8):
        register = ((register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


CRC = [_crc(byte) for byte in range(256)]


def ogg_checksum(page: bytes) -> int:
    """CRC-32 of an Ogg page (RFC 3533, 6.1: polynomial 0x04c11db7, not reflected, start and end 0)."""
    register = 0
    for byte in page:
        register = (register << 8) & 0xFFFFFFFF ^ CRC[register >> 24 ^ byte]
    return register


def with_granules(data: bytes, change: Callable[[int, int], int]) -> bytes:
    """The Ogg file with the granule of each page of audio changed: f(index, granule)."""
    pages = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"]
    out = bytearray(data)
    for k, (first, last) in enumerate(zip(pages, [*pages[1:], len(data)], strict=True)):
        granule = struct.unpack_from("<q", data, first + 6)[0]
        if granule > 0:
            struct.pack_into("<q", out, first + 6, change(k, granule))
            struct.pack_into("<I", out, first + 22, 0)
            struct.pack_into("<I", out, first + 22, ogg_checksum(bytes(out[first:last])))
    return bytes(out)


def opus(
    samples: Samples,
    path: Path,
    page_s: float = 0.2,
    codec: str = "libopus",
    rate_hz: int = 48_000,
    layout: str = "mono",
) -> bytes:
    """The samples as Ogg with pages of `page_s`."""
    with av.open(str(path), "w", format="ogg", options={"page_duration": str(round(page_s * 1e6))}) as out:
        stream = out.add_stream(codec, rate=rate_hz, layout=layout)
        resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate_hz)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        for made in (*resampler.resample(frame), *resampler.resample(None)):
            for packet in stream.encode(made):
                out.mux(packet)
        out.mux(stream.encode(None))
    return path.read_bytes()


TIMESTAMPS: dict[str, tuple[Callable[[int, int], int], str]] = {
    "one page at time 0": (lambda k, g: 0 if k == 60 else g, "timestamps_ignored"),
    "five pages at time 0": (lambda k, g: 0 if k in (20, 40, 60, 80, 100) else g, "timestamps_ignored"),
    "one page 3 s late": (lambda k, g: g + 3 * 48_000 * (k == 60), "timestamps_ignored"),
    "one page 40 s late": (lambda k, g: g + 40 * 48_000 * (k == 60), "timestamps_ignored"),
    "back 40 ms, eight times": (lambda k, g: g - 1920 * min(max((k - 20) // 12, 0), 8), "timestamps_back"),
    "back 0.9 s once": (lambda k, g: g - 43_200 * (k >= 60), "timestamps_back"),
    "back 12 s once": (lambda k, g: g - 12 * 48_000 * (k >= 80), "timestamps_restart"),
}


@pytest.mark.parametrize("name", TIMESTAMPS)
def test_timestamps_that_few_pages_claim_move_and_drop_nothing(name: str, tmp_path: Path) -> None:
    change, code = TIMESTAMPS[name]
    data = opus(SPEECH, tmp_path / "x.ogg")
    truth, _ = read(tmp_path / "x.ogg", tmp_path)
    (tmp_path / "y.ogg").write_bytes(with_granules(data, change))
    heard, decoded = read(tmp_path / "y.ogg", tmp_path, "ogg", 30.0)
    np.testing.assert_array_equal(heard, truth)
    assert codes(decoded) == [code]
    assert not decoded.damage
    if code == "timestamps_back":
        back_s = {"back 40 ms, eight times": "0.32", "back 0.9 s once": "0.90"}[name]
        assert f"by {back_s} s in all" in decoded.findings[0].message


@pytest.mark.parametrize("late_s", [0.5, 3.0, 8.0])
def test_samples_decoded_are_samples_kept_and_dropped(late_s: float, tmp_path: Path) -> None:
    data = opus(SPEECH, tmp_path / "x.ogg")
    late = with_granules(data, lambda k, g: g + round(late_s * 48_000) * (k >= 60) - 2400 * (k >= 100))
    (tmp_path / "y.ogg").write_bytes(late)
    _, decoded = read(tmp_path / "y.ogg", tmp_path, "ogg", 30.0)
    assert decoded.inserted_s == pytest.approx(late_s, abs=0.001)
    assert sum(d.length_s for d in decoded.damage) == pytest.approx(decoded.inserted_s)
    kept_s = decoded.duration_s - decoded.inserted_s
    assert decoded.dropped_s == pytest.approx(max(30.0 + late_s - 36.5, 0.0), abs=0.05), "36.5 s at most"
    assert kept_s + decoded.dropped_s == pytest.approx(30.0, abs=0.05)


@pytest.mark.parametrize("kind", ["raw", "wav", "flac", "ogg", "mp3"])
def test_what_is_kept_and_dropped_of_a_file_beyond_every_length_is_all_of_it(
    kind: str, tmp_path: Path
) -> None:
    path = makers.encoded(SPEECH, tmp_path / "x", kind)
    whole, complete = read(path, tmp_path, kind)
    heard, decoded = read(path, tmp_path, kind, 2.0)
    assert (complete.dropped_s, complete.undecoded_s) == (pytest.approx(0.0, abs=0.03), 0.0)
    assert codes(decoded) == ["too_long"]
    np.testing.assert_array_equal(heard[: len(heard) - RATE // 10], whole[: len(heard) - RATE // 10])
    assert decoded.dropped_s is not None
    assert decoded.duration_s + decoded.dropped_s == pytest.approx(len(whole) / RATE, abs=0.05)
    assert f"{decoded.dropped_s:.1f} s are left out" in decoded.findings[0].message


def pages_of(data: bytes) -> list[bytes]:
    starts = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"]
    return [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


def vorbis(samples: Samples, path: Path, times: int = 1) -> bytes:
    soundfile.write(path, np.repeat(samples, times), RATE * times, format="OGG", subtype="VORBIS")
    return path.read_bytes()


@pytest.mark.parametrize("claimed", [240_000, -240_000, 1 << 40])
def test_the_last_pages_time_alone_makes_no_file_short_or_damaged(claimed: int, tmp_path: Path) -> None:
    data = opus(SPEECH, tmp_path / "x.ogg")
    last = len(pages_of(data)) - 1
    (tmp_path / "y.ogg").write_bytes(with_granules(data, lambda k, g: g + claimed if k == last else g))
    heard, decoded = read(tmp_path / "y.ogg", tmp_path, "ogg", 30.0)
    assert len(heard) == pytest.approx(30 * RATE, abs=0.03 * RATE)
    assert codes(decoded) in ([], ["timestamps_ignored"])


@pytest.mark.parametrize(
    "begin", [b"FORM\0\0\0\0AIFF", b"caff\0\1", b".snd\0\0\0", b"riff.\x91\xcf\x11", b"\x1aE\xdf\xa3"]
)
@pytest.mark.parametrize("declared", ["raw", "mp3", None])
def test_files_of_other_kinds_are_no_headerless_samples(
    begin: bytes, declared: str | None, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(begin + SPEECH.tobytes())
    with pytest.raises(ItemError, match="neither MP3"):
        read(tmp_path / "x", tmp_path, declared, 30.0)


def stereo(samples: Samples, path: Path) -> bytes:
    return opus(samples, path, layout="stereo")


LINKS = {
    "equal": (opus, opus),
    "another codec and rate": (opus, vorbis),
    "another rate": (vorbis, lambda samples, path: vorbis(samples, path, 3)),
    "more channels": (opus, stereo),
    "fewer channels": (stereo, opus),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_chained_ogg_is_read_on_whatever_its_next_link_is(name: str, tmp_path: Path) -> None:
    half = len(SPEECH) // 2
    first, second = LINKS[name]
    data = first(SPEECH[:half], tmp_path / "a.ogg") + second(SPEECH[half:], tmp_path / "b.ogg")
    (tmp_path / "x.ogg").write_bytes(data)
    heard, decoded = read(tmp_path / "x.ogg", tmp_path, "ogg", 30.0)
    assert len(heard) == pytest.approx(len(SPEECH), abs=0.05 * RATE)
    for at in (5 * RATE, half + 5 * RATE):
        piece = SPEECH[at : at + 4 * RATE].astype(float)
        around = heard[at - RATE // 10 : at + 4 * RATE + RATE // 10].astype(float)
        match = np.correlate(around, piece, "valid")
        assert int(np.argmax(match)) == pytest.approx(RATE // 10, abs=0.05 * RATE)
        assert np.max(match) > 0.6 * np.dot(piece, piece)
    assert codes(decoded) == []


def test_bit_rates_that_vary_do_not_invent_a_length(tmp_path: Path) -> None:
    quiet_then_loud = np.concatenate([SPEECH // 3000, SPEECH])
    with av.open(str(tmp_path / "x.mp3"), "w", format="mp3", options={"write_xing": "0"}) as out:
        stream = out.add_stream("libmp3lame", rate=44_100, layout="mono", options={"compression_level": "5"})
        stream.codec_context.qscale = True
        stream.codec_context.global_quality = 4 * 118
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=44_100)
        frame = av.AudioFrame.from_ndarray(quiet_then_loud[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        for made in (*resampler.resample(frame), *resampler.resample(None)):
            for packet in stream.encode(made):
                out.mux(packet)
        out.mux(stream.encode(None))
    heard, decoded = read(tmp_path / "x.mp3", tmp_path, "mp3", 60.0)
    assert len(heard) == pytest.approx(60 * RATE, abs=0.1 * RATE)
    assert codes(decoded) == []
    assert decoded.source.duration_s is None


def pcm_wav(body: bytes, tag: int, bits: int, before: bytes = b"", rate_hz: int = RATE) -> bytes:
    """A WAV file of one channel, with chunks before its samples."""
    form = struct.pack("<HHIIHH", tag, 1, rate_hz, rate_hz * bits // 8, bits // 8, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + form + before + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def odd_chunk(name: bytes, size: int) -> bytes:
    return name + struct.pack("<I", size) + b"x" * size  # no pad byte


WAVS = {
    "64-bit integers": pcm_wav((SPEECH.astype("<i8") << 48).tobytes(), 1, 64),
    "floats in int16 scale": pcm_wav(SPEECH.astype("<f4").tobytes(), 3, 32),
    "doubles in int16 scale": pcm_wav(SPEECH.astype("<f8").tobytes(), 3, 64),
    "floats in int32 scale": pcm_wav((SPEECH.astype("<f4") * 65536).astype("<f4").tobytes(), 3, 32),
    "quiet floats in int16 scale": pcm_wav((SPEECH // 5000).astype("<f4").tobytes(), 3, 32),
    "an odd chunk without its pad byte": pcm_wav(SPEECH.tobytes(), 1, 16, odd_chunk(b"abcd", 7)),
    "two of them": pcm_wav(SPEECH.tobytes(), 1, 16, odd_chunk(b"LIST", 15) + odd_chunk(b"bext", 603)),
}


@pytest.mark.parametrize("name", WAVS)
def test_a_wav_that_others_write_is_read_sample_by_sample(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(WAVS[name])
    heard, decoded = read(tmp_path / "x.wav", tmp_path, "wav", 30.0)
    np.testing.assert_array_equal(heard, SPEECH // 5000 if "quiet" in name else SPEECH)
    assert codes(decoded) == (["float_scale"] if "scale" in name else [])


@pytest.mark.parametrize("gain", [0.01, 0.5, 1.0, 2.5])
def test_floats_around_full_scale_are_taken_as_they_are(gain: float, tmp_path: Path) -> None:
    loud = (SPEECH / FULL_SCALE * gain).astype("<f4")
    loud[1000] = 1e30
    (tmp_path / "x.wav").write_bytes(pcm_wav(loud.tobytes(), 3, 32))
    heard, decoded = read(tmp_path / "x.wav", tmp_path)
    loud[1000] = 0.0
    np.testing.assert_array_equal(heard, render.to_int16(loud))
    assert codes(decoded) == []


@pytest.mark.parametrize("declared", ["mp3", "ogg", None])
def test_samples_without_a_header_are_read_where_the_size_is_that_of_the_length(
    declared: str | None, tmp_path: Path
) -> None:
    (tmp_path / "x.mp3").write_bytes(SPEECH.tobytes())
    heard, decoded = read(tmp_path / "x.mp3", tmp_path, declared, 30.0)
    np.testing.assert_array_equal(heard, SPEECH)
    assert codes(decoded) == ["raw_undeclared"]
    with pytest.raises(ItemError):
        read(tmp_path / "x.mp3", tmp_path, declared, 29.5)


@pytest.mark.parametrize("kind", ["mp3", "ogg", "flac"])
@pytest.mark.parametrize("n_zeros", [70_000, 65_536, 1_000_000])
def test_zeros_before_a_file_are_no_part_of_it(n_zeros: int, kind: str, tmp_path: Path) -> None:
    data = makers.encoded(SPEECH, tmp_path / "x", kind).read_bytes()
    truth, _ = read(tmp_path / "x", tmp_path)
    (tmp_path / "y").write_bytes(bytes(n_zeros) + data)
    heard, decoded = read(tmp_path / "y", tmp_path, "mp3", 30.0)
    np.testing.assert_array_equal(heard, truth)
    assert codes(decoded) == []


TAG = b"TAG" + bytes(125)
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8)


@pytest.mark.parametrize("tail", [b"", TAG, APE, APE + TAG])
@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_an_mp3_of_few_frames_is_one_whatever_its_tags(n_frames: int, tail: bytes, tmp_path: Path) -> None:
    data = makers.encoded(SPEECH, tmp_path / "x.mp3", "mp3", tagged=False).read_bytes()
    at = stop = data.index(b"\xff\xfb")
    for _ in range(n_frames):
        stop += mpeg_frame(data[stop : stop + 4])[0]  # type: ignore[index]
    (tmp_path / "y.mp3").write_bytes(data[at:stop] + tail)
    heard, decoded = read(tmp_path / "y.mp3", tmp_path, "mp3", 0.03 * n_frames)
    # One frame gives no sound without the next one.
    assert len(heard) == pytest.approx((n_frames - (n_frames == 1)) * 1152 * RATE / 44_100, abs=420)
    assert not [f for f in decoded.findings if f.severity == "warning"]


@pytest.mark.parametrize("declared", ["mp3", "ogg", "raw"])
def test_a_part_of_no_bytes_and_no_length_loses_nothing(declared: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    heard, decoded = read(tmp_path / "x", tmp_path, declared, 0.0)
    assert (len(heard), codes(decoded)) == (0, ["empty_audio"])
    if declared != "raw":
        with pytest.raises(ItemError):
            read(tmp_path / "x", tmp_path, declared, 3.0)
