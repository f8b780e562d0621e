"""Every sample lands where it belongs: oracles are the signal that was encoded, and exact resampling."""

from pathlib import Path

import av
import makers
import numpy as np
import numpy.typing as npt
import pytest
import render
import soundfile
import voices

from recall_audio.media.decode import check_duration, decode
from recall_audio.media.pcm_file import open_work, to_int16
from recall_audio.media.probe import probe
from recall_audio.model.options import DecodeOptions

RATE = 16_000
SPEECH = render.to_int16(voices.speak(voices.VOICES[0], 12.0, seed=3))
DELAY_TAGGED = [k for k in render.FORMATS if k != "raw"]

Floats = npt.NDArray[np.float64]


def lag(heard: npt.NDArray, truth: npt.NDArray) -> float:
    """By how many samples `heard` is later than `truth`, from the slope of the cross-spectrum's phase."""
    n = 1 << int(np.ceil(np.log2(len(heard) + len(truth))))
    cross = np.fft.rfft(heard.astype(float), n) * np.conj(np.fft.rfft(truth.astype(float), n))
    whole = int(np.argmax(np.fft.irfft(cross)))
    whole -= n if whole > n // 2 else 0
    f = np.fft.rfftfreq(n)
    cross = cross * np.exp(2j * np.pi * f * whole)
    weight = np.abs(cross) * (f < 0.25)
    return whole - float(np.sum(weight * f * np.angle(cross)) / np.sum(weight * f * f) / (2 * np.pi))


def heard(path: Path, work: Path, declared: str | None = None) -> npt.NDArray[np.int16]:
    return open_work(decode(path, work / "w.s16", declared).path)


@pytest.mark.parametrize("kind", render.FORMATS)
def test_each_format_decodes_to_its_length_with_every_sample_in_its_place(kind: str, tmp_path: Path) -> None:
    path = makers.encoded(SPEECH, tmp_path / f"x.{kind}", kind)
    decoded = decode(path, tmp_path / "w.s16", kind)
    samples = open_work(decoded.path)
    extra = 1024 * RATE // 44_100 + 1 if kind == "m4a" else 0  # MP4 ends with a whole AAC frame
    assert 0 <= decoded.n_samples - len(SPEECH) <= extra
    assert len(samples) == decoded.n_samples
    assert abs(lag(samples, SPEECH)) < 0.01
    assert decoded.encoder_delay_known
    assert not decoded.findings


@pytest.mark.parametrize("kind", ["raw", "wav", "flac"])
def test_lossless_16_khz_audio_comes_through_bit_for_bit(kind: str, tmp_path: Path) -> None:
    path = makers.encoded(SPEECH, tmp_path / "x", kind)
    np.testing.assert_array_equal(heard(path, tmp_path, "raw"), SPEECH)


@pytest.mark.parametrize("kind", DELAY_TAGGED)
def test_the_bytes_are_believed_whatever_was_declared(kind: str, tmp_path: Path) -> None:
    path = makers.encoded(SPEECH, tmp_path / "part.mp4", kind)
    for declared in ("raw", "mp3", "ogg", None):
        assert abs(lag(heard(path, tmp_path, declared), SPEECH)) < 0.01


def test_an_mp3_without_a_lame_tag_is_1105_samples_late_and_says_so(tmp_path: Path) -> None:
    path = makers.encoded(SPEECH, tmp_path / "x.mp3", "mp3", tagged=False)
    decoded = decode(path, tmp_path / "w.s16")
    assert not decoded.encoder_delay_known
    # 576 + 528 + 1 samples of encoder and decoder delay at 44.1 kHz (LAME's technical FAQ).
    assert lag(open_work(decoded.path), SPEECH) == pytest.approx(1105 * RATE / 44_100, abs=0.01)


def test_aac_without_an_edit_list_does_not_claim_to_know_its_delay(tmp_path: Path) -> None:
    makers.encoded(SPEECH, tmp_path / "x.m4a", "m4a")
    how = {"mode": "w", "format": "mp4", "options": {"use_editlist": "0"}}
    with av.open(str(tmp_path / "x.m4a")) as source, av.open(str(tmp_path / "y.m4a"), **how) as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in (p for p in source.demux(audio=0) if p.size):
            packet.pts, packet.dts = packet.pts + 1024, packet.dts + 1024
            packet.stream = stream
            out.mux(packet)
    assert decode(tmp_path / "x.m4a", tmp_path / "w").encoder_delay_known
    assert not decode(tmp_path / "y.m4a", tmp_path / "w").encoder_delay_known


@pytest.mark.parametrize("source_hz", [8_000, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_resampling_moves_nothing_and_folds_nothing_back(source_hz: int, tmp_path: Path) -> None:
    # Noise below 7 kHz (and 0.45 of the source's rate), resampled exactly by cutting its spectrum.
    seconds, rng = 4, np.random.default_rng(source_hz)
    n, n_out = source_hz * seconds, RATE * seconds
    edge = round(min(7_000, 0.4 * source_hz) * seconds)
    low = np.zeros(n // 2 + 1, complex)
    low[1:edge] = np.exp(2j * np.pi * rng.random(edge - 1))
    loudness = 0.1 / np.sqrt(np.mean(np.fft.irfft(low, n) ** 2))
    source = np.fft.irfft(low, n) * loudness
    wide = np.zeros(n_out // 2 + 1, complex)
    wide[1:edge] = low[1:edge]
    exact = np.fft.irfft(wide, n_out) * loudness * n_out / n
    soundfile.write(tmp_path / "x.wav", source, source_hz, subtype="FLOAT")
    got = heard(tmp_path / "x.wav", tmp_path) / 32768.0
    inner = slice(RATE // 4, -RATE // 4)
    error = got[inner] - exact[inner]
    assert len(got) == n_out
    assert abs(lag(got[inner], exact[inner])) < 0.001
    assert np.sqrt(np.mean(error**2)) < 0.1 * 10 ** (-60 / 20)


@pytest.mark.parametrize("source_hz", [44_100, 48_000])
def test_what_16_khz_cannot_hold_is_gone_rather_than_folded_back(source_hz: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", makers.tone(9_500, 2.0, 0.5, source_hz), source_hz)
    inner = heard(tmp_path / "x.wav", tmp_path)[2_000:-2_000]
    assert np.max(np.abs(inner)) <= 1


@pytest.mark.parametrize("source_hz", [44_100, 48_000])
def test_a_click_stays_where_it_is_however_late_it_comes(source_hz: int, tmp_path: Path) -> None:
    # One click a second at both ends of ten minutes: a wrong ratio would pull them apart.
    seconds = 600
    with soundfile.SoundFile(tmp_path / "x.flac", "w", source_hz, 1, "PCM_16") as out:
        for i in range(seconds):
            second = np.zeros(source_hz, np.int16)
            second[source_hz // 2] = 32_000 if i in (0, seconds - 1) else 0
            out.write(second)
    got = heard(tmp_path / "x.flac", tmp_path)
    assert len(got) == seconds * RATE
    ends = [int(np.argmax(got[a : a + RATE])) for a in (0, (seconds - 1) * RATE)]
    assert ends == [RATE // 2, RATE // 2]


@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_another_rate_of_the_working_file_is_an_option(rate_hz: int, tmp_path: Path) -> None:
    path = makers.encoded(SPEECH, tmp_path / "x.flac", "flac")
    decoded = decode(path, tmp_path / "w.s16", options=DecodeOptions(rate_hz=rate_hz))
    assert decoded.n_samples == len(SPEECH) * rate_hz // RATE
    assert decoded.duration_s == pytest.approx(12.0)
    back = np.fft.irfft(np.fft.rfft(open_work(decoded.path))[: len(SPEECH) // 2 + 1], len(SPEECH))
    assert np.corrcoef(back, SPEECH)[0, 1] > 0.999


def test_several_channels_become_their_mean(tmp_path: Path) -> None:
    left, right = makers.tone(300, 1.0).astype(int), makers.tone(700, 1.0).astype(int)
    pair = np.column_stack((left, right)).astype(np.int16)
    for name, form in (("x.wav", "WAV"), ("x.flac", "FLAC")):
        soundfile.write(tmp_path / name, pair, RATE, format=form)
        assert np.max(np.abs(heard(tmp_path / name, tmp_path) - (left + right) / 2)) <= 0.5


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_width_of_a_wav_keeps_its_level(subtype: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", SPEECH / 32768.0, RATE, subtype=subtype)
    error = heard(tmp_path / "x.wav", tmp_path).astype(int) - SPEECH
    # 8 bits: the writer's truncation is an offset of half a step, which is taken out.
    assert np.max(np.abs(error)) <= (384 if subtype == "PCM_U8" else 0)


def test_what_is_not_a_number_is_silence_and_spreads_nowhere(tmp_path: Path) -> None:
    bad = (SPEECH / 32768.0).astype(np.float32)
    bad[50_000:50_003] = (np.nan, np.inf, 1e30)
    good = bad.copy()
    good[50_000:50_003] = 0.0
    got = []
    for i, x in enumerate((bad, good)):
        soundfile.write(tmp_path / f"{i}.wav", np.repeat(x, 3), 48_000, subtype="FLOAT")
        got.append(open_work(decode(tmp_path / f"{i}.wav", tmp_path / f"{i}.s16").path))
    np.testing.assert_array_equal(got[0], got[1])


def test_the_reference_decoder_hears_the_same(tmp_path: Path) -> None:
    import shutil
    import subprocess

    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("no ffmpeg on this machine")
    for kind, rate_hz in (("mp3", 44_100), ("ogg", 48_000), ("m4a", 44_100)):
        path = makers.encoded(SPEECH, tmp_path / f"x.{kind}", kind)
        command = [ffmpeg, "-v", "error", "-i", str(path), "-f", "s16le", "-ac", "1", "-"]
        reference = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<i2")
        got = open_work(decode(path, tmp_path / "w", options=DecodeOptions(rate_hz=rate_hz)).path)
        n = min(len(got), len(reference))
        assert abs(len(got) - len(reference)) <= 1024
        assert np.max(np.abs(got[:n].astype(int) - reference[:n])) <= 2


def test_the_probe_says_what_the_file_is_without_decoding_it(tmp_path: Path) -> None:
    facts = {"mp3": ("mp3", 44_100), "ogg": ("ogg", 48_000), "m4a": ("mp4", 44_100), "raw": ("raw", RATE)}
    for kind, (container, rate_hz) in facts.items():
        found = probe(makers.encoded(SPEECH, tmp_path / kind, kind), kind)
        assert (found.container, found.rate_hz, found.channels) == (container, rate_hz, 1)
        assert found.duration_s == pytest.approx(12.0, abs=0.05)


def test_an_empty_raw_part_is_an_ordinary_silent_one(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"")
    decoded = decode(tmp_path / "x.raw", tmp_path / "w.s16", "raw", declared_s=0.0)
    assert decoded.n_samples == 0
    assert len(open_work(decoded.path)) == 0
    assert [f.code for f in decoded.findings] == ["empty_audio"]


def test_an_ogg_of_headers_alone_is_empty_and_no_error(tmp_path: Path) -> None:
    data = makers.encoded(SPEECH, tmp_path / "x.ogg", "ogg").read_bytes()
    third = data.index(b"OggS", data.index(b"OggS", 4) + 4)
    (tmp_path / "y.ogg").write_bytes(data[:third])
    assert decode(tmp_path / "y.ogg", tmp_path / "w.s16").n_samples == 0


def test_16_bit_values_survive_the_way_through_floats() -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    np.testing.assert_array_equal(to_int16((every / 32768).astype(np.float32)), every)
    np.testing.assert_array_equal(to_int16(np.array([1.0, -2.0, 9.9])), [32767, -32768, 32767])


@pytest.mark.parametrize(
    ("decoded_s", "declared_s", "code"),
    [
        (60.0, 60.0, None),
        (60.0, None, None),
        (60.0, float("nan"), None),
        (59.9, 60.0, None),
        (59.0, 60.0, "duration_differs"),
        (64.0, 60.0, "duration_differs"),
        (57.0, 60.0, "duration_mismatch"),
        (30.0, 60.0, "duration_mismatch"),
        (0.0, 0.3, "duration_differs"),
        (0.0, 60.0, "duration_mismatch"),
        (3570.0, 3600.0, "duration_differs"),
        (3500.0, 3600.0, "duration_mismatch"),
    ],
)
def test_a_large_shortfall_is_damage_and_a_small_difference_a_note(
    decoded_s: float, declared_s: float | None, code: str | None
) -> None:
    finding = check_duration(decoded_s, declared_s)
    assert (finding.code if finding else None) == code


def test_a_signal_while_the_working_file_is_opened_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ``with`` block has begun by then that would clean up."""
    path = tmp_path / "part.raw"
    path.write_bytes(SPEECH.tobytes())
    plain = Path.open

    def then_a_signal(self: Path, mode: str = "r") -> object:
        stream = plain(self, mode)
        if "w" in mode:
            stream.close()
            raise SystemExit(143)
        return stream

    monkeypatch.setattr(Path, "open", then_a_signal)
    with pytest.raises(SystemExit):
        decode(path, tmp_path / "work" / "w.s16", "raw")
    assert list((tmp_path / "work").iterdir()) == []


def test_the_sound_of_a_video_is_decoded_as_the_same_sound_alone_is(tmp_path: Path) -> None:
    """A video of the same AAC stream, with pictures between its packets, gives the same samples."""
    makers.encoded(SPEECH, tmp_path / "sound.m4a", "m4a")
    with av.open(str(tmp_path / "sound.m4a")) as sound, av.open(str(tmp_path / "video.mp4"), "w") as out:
        pictures = out.add_stream("mpeg4", rate=5)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuv420p"
        copied = out.add_stream_from_template(sound.streams.audio[0])
        for packet in sound.demux(sound.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = copied
                out.mux(packet)
        for number in range(20):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number * 10, np.uint8), format="rgb24")
            out.mux(pictures.encode(picture))
        out.mux(pictures.encode(None))
    decode(tmp_path / "sound.m4a", tmp_path / "sound")
    decode(tmp_path / "video.mp4", tmp_path / "video")
    assert (tmp_path / "video").read_bytes() == (tmp_path / "sound").read_bytes()
    assert (tmp_path / "video").stat().st_size > 2 * SPEECH.size * 0.99
