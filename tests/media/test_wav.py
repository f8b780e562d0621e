"""WAV files that others read back: libsndfile is the reference reader, RIFF's own arithmetic the rest."""

import struct
from pathlib import Path

import makers
import numpy as np
import pytest
import render
import soundfile
import voices

from recall_audio.errors import ItemError, MachineError
from recall_audio.media import encode as encoding
from recall_audio.media.encode import SUFFIXES, encode, find_ffmpeg
from recall_audio.media.wav import (
    PLAIN_LIMIT,
    Stem,
    StemWriter,
    WavFormat,
    copy_wav,
    pack,
    read_block,
    wav_header,
)

RATE = 16_000
NOISE = (np.random.default_rng(0).standard_normal(RATE + 1) * 0.1).astype(np.float32)
STEP = {"16": 2.0**-15, "24": 2.0**-23, "32f": 0.0}


@pytest.mark.parametrize("bits", STEP)
@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_libsndfile_reads_back_what_was_written_to_half_a_step(
    bits: str, n_channels: int, tmp_path: Path
) -> None:
    block = NOISE if n_channels == 1 else np.column_stack([NOISE * (i + 1) / 5 for i in range(n_channels)])
    with StemWriter(tmp_path / "x.wav", RATE, bits, n_channels) as stem:
        for start in range(0, len(block), 999):
            stem.write(block[start : start + 999])
    assert stem.n_frames == len(block)
    back, rate_hz = soundfile.read(tmp_path / "x.wav")
    assert rate_hz == RATE
    assert back.shape == block.shape
    assert np.max(np.abs(back - block)) <= STEP[bits] / 2
    size = (tmp_path / "x.wav").stat().st_size
    assert struct.unpack("<I", (tmp_path / "x.wav").read_bytes()[4:8])[0] == size - 8


@pytest.mark.parametrize("bits", STEP)
def test_int16_keeps_its_value_in_every_width(bits: str, tmp_path: Path) -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    with StemWriter(tmp_path / "x.wav", RATE, bits) as stem:
        stem.write(every)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "x.wav")[0] * 32768.0, every)


def test_too_loud_floats_are_clipped_and_never_wrap() -> None:
    loud = np.array([1.0, 1.5, -1.0, -7.0], np.float32)
    assert np.frombuffer(pack(loud, "16"), "<i2").tolist() == [32767, 32767, -32768, -32768]
    wide = pack(loud, "24")
    assert [int.from_bytes(wide[i : i + 3], "little", signed=True) for i in range(0, 12, 3)] == [
        8388607,
        8388607,
        -8388608,
        -8388608,
    ]


def test_the_same_samples_give_the_same_bytes_whatever_the_blocks(tmp_path: Path) -> None:
    for bits in STEP:
        for name, size in (("a", 10**6), ("b", 77)):
            with StemWriter(tmp_path / name, RATE, bits) as stem:
                for start in range(0, len(NOISE), size):
                    stem.write(NOISE[start : start + size])
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def chunks_of(path: Path) -> list[bytes]:
    """Names of the chunks of a WAV file, which fill it to its end."""
    data, names, position = path.read_bytes(), [], 12
    while position < len(data):
        names.append(data[position : position + 4])
        size = struct.unpack_from("<I", data, position + 4)[0]
        position += 8 + size + size % 2
    assert position == len(data)
    return names


@pytest.mark.parametrize("bits", STEP)
@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_a_copy_has_every_sample_and_nothing_of_what_stood_in_the_old_header(
    bits: str, n_channels: int, tmp_path: Path
) -> None:
    """Stems of earlier versions name the speaker in ``bext`` and ``iXML`` chunks before the samples."""
    block = NOISE if n_channels == 1 else np.column_stack([NOISE * (i + 1) / 5 for i in range(n_channels)])
    with StemWriter(tmp_path / "new.wav", RATE, bits, n_channels) as stem:
        stem.write(block)
    data = (tmp_path / "new.wav").read_bytes()
    names = b"".join(
        name + struct.pack("<I", 602) + b"Ann Lee".ljust(602, b"\0") for name in (b"bext", b"iXML")
    )
    old = data[:4] + struct.pack("<I", len(data) + len(names) - 8) + data[8:48] + names + data[48:]
    (tmp_path / "old.wav").write_bytes(old)
    assert {b"bext", b"iXML"} < set(chunks_of(tmp_path / "old.wav"))
    copy_wav(tmp_path / "old.wav", tmp_path / "copy.wav")
    assert (tmp_path / "copy.wav").read_bytes() == data
    assert b"Ann" not in data


def test_a_stem_without_samples_is_a_valid_file(tmp_path: Path) -> None:
    with StemWriter(tmp_path / "x.wav", RATE):
        pass
    assert soundfile.info(tmp_path / "x.wav").frames == 0


def test_a_failed_stem_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="channels"),
        StemWriter(tmp_path / "x.wav", RATE, n_channels=2) as stem,
    ):
        stem.write(NOISE)
    assert not list(tmp_path.iterdir())


def test_the_header_has_one_length_and_turns_to_rf64_past_4_gib() -> None:
    kind = WavFormat(48_000, "32f", 2)
    small, large = wav_header(kind, 800), wav_header(kind, 3 * 2**32)
    assert len(small) == len(large)
    assert small[:4] == b"RIFF"
    assert large[:8] == b"RF64" + struct.pack("<I", PLAIN_LIMIT)
    riff, data, frames = struct.unpack("<QQQ", large[20:44])
    assert large[12:16] == b"ds64"
    assert (riff, data, frames) == (len(large) - 8 + 3 * 2**32, 3 * 2**32, 3 * 2**32 // 8)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 10])
@pytest.mark.parametrize("n_data", [960_000, 6_000_000_000])
def test_libsndfile_finds_the_samples_of_any_number_of_channels_on_both_sides_of_4_gib(
    n_channels: int, n_data: int, tmp_path: Path
) -> None:
    kind = WavFormat(48_000, "16", n_channels)
    n_data -= n_data % kind.frame_bytes
    header = wav_header(kind, n_data)
    with (tmp_path / "a.wav").open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + n_data)  # a hole: takes no room
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.frames, info.channels) == (n_data // kind.frame_bytes, n_channels)
    assert info.format == ("RF64" if n_data > 2**32 else "WAV" if n_channels < 3 else "WAVEX")


def test_libsndfile_reads_an_rf64_file_to_its_end(tmp_path: Path) -> None:
    # 5 GiB of samples of which the disk holds only the last few: a sparse file.
    kind, n_data = WavFormat(RATE), 5 * 2**30
    start = wav_header(kind, n_data)
    with (tmp_path / "x.wav").open("wb") as out:
        out.write(start)
        out.truncate(len(start) + n_data - 4)
        out.seek(len(start) + n_data - 4)
        out.write(struct.pack("<hh", 1234, -4321))
    assert soundfile.info(tmp_path / "x.wav").frames == n_data // 2
    block, rate_hz = read_block(tmp_path / "x.wav", (n_data // 2 - 2) / RATE)
    assert rate_hz == RATE
    np.testing.assert_array_equal(block * 32768, [1234, -4321])


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_stretch_is_read_by_its_times_and_clipped_to_the_file(kind: str, tmp_path: Path) -> None:
    ramp = np.arange(RATE * 2, dtype=np.int16)
    path = makers.encoded(ramp, tmp_path / "x", kind)
    block, rate_hz = read_block(path, 0.5, 1.25)
    assert (rate_hz, block.dtype) == (RATE, np.float32)
    np.testing.assert_array_equal(block * 32768, ramp[8_000:20_000])
    assert len(read_block(path, 1.5, 99.0)[0]) == RATE // 2
    assert len(read_block(path, 5.0)[0]) == 0
    assert len(read_block(path, -3.0)[0]) == 2 * RATE


def test_several_channels_are_read_librosas_way(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.column_stack((NOISE, -NOISE)), RATE)
    block, _ = read_block(tmp_path / "x.wav", 0.0, 0.5)
    assert block.shape == (2, RATE // 2)


def test_a_missing_file_is_an_item_error(tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        read_block(tmp_path / "gone.wav")
    assert caught.value.code == "missing_file"


@pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")
@pytest.mark.parametrize("kind", SUFFIXES)
def test_an_encoded_stem_is_the_stem_and_starts_with_it(kind: str, tmp_path: Path) -> None:
    speech = voices.speak(voices.VOICES[0], 3.0, seed=1)
    with StemWriter(tmp_path / "x.wav", RATE) as stem:
        stem.write(speech)
    target = tmp_path / f"-odd name{SUFFIXES[kind]}"
    encode(tmp_path / "x.wav", target, kind)
    assert sorted(p.name for p in tmp_path.iterdir()) == [target.name, "x.wav"]
    block, rate_hz = read_block(target)
    step = rate_hz // RATE
    assert len(block) == pytest.approx(len(speech) * step, abs=1)
    assert np.corrcoef(block[::step], speech[: len(block[::step])])[0, 1] > (0.95 if kind == "opus" else 0.99)


def test_encoding_without_ffmpeg_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "find_ffmpeg", lambda: None)
    with pytest.raises(MachineError) as caught:
        encode(tmp_path / "x.wav", tmp_path / "x.mp3", "mp3")
    assert "recall-audio[ffmpeg]" in caught.value.hint


@pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")
def test_the_encoder_never_sees_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    real = encoding.subprocess.run

    def spy(command: list[str], **how: object) -> object:
        seen.update(how["env"], command=" ".join(command))  # type: ignore[call-overload]
        return real(command, **how)  # type: ignore[call-overload]

    monkeypatch.setenv("RECALL_API_KEY", "canary")
    monkeypatch.setattr(encoding.subprocess, "run", spy)
    makers.encoded(render.to_int16(NOISE), tmp_path / "x.wav", "wav")
    encode(tmp_path / "x.wav", tmp_path / "x.flac", "flac")
    assert "canary" not in str(seen)
    assert "PATH" in seen


def test_a_file_that_cannot_be_encoded_is_the_machines_error_and_leaves_nothing(tmp_path: Path) -> None:
    if find_ffmpeg() is None:
        pytest.skip("no ffmpeg on this machine")
    (tmp_path / "x.wav").write_bytes(b"not a wav")
    with pytest.raises(MachineError):
        encode(tmp_path / "x.wav", tmp_path / "x.mp3", "mp3")
    assert [p.name for p in tmp_path.iterdir()] == ["x.wav"]


@pytest.mark.parametrize(("start_s", "end_s"), [(2.0, None), (100.0, 120.0), (0.5, 0.5), (1.0, 0.5)])
def test_a_stretch_that_holds_nothing_is_refused_with_the_stems_length(
    tmp_path: Path, start_s: float, end_s: float | None
) -> None:
    soundfile.write(tmp_path / "Ann.wav", np.zeros(RATE + RATE // 2), RATE)
    stem = Stem("Ann", tmp_path / "Ann.wav")
    with pytest.raises(ValueError, match=r"Ann .*1\.500 s long"):
        stem.load(start_s, end_s)
    assert stem.load(1.0, 20.0)[0].shape == (RATE // 2,), "what lies beyond the end is left out"
