"""Files as they come: odd inputs of the field, each with the value that is right.

The rows are examples of a kind; each test tries further values of its kind.
"""

from pathlib import Path

import makers
import numpy as np
import pytest
import render
import soundfile
import voices

from recall_audio.media.decode import decode
from recall_audio.media.pcm_file import FULL_SCALE, open_work
from recall_audio.media.probe import Decoded
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
