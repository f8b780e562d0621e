"""Damage, lies and hostile files: what is lost leaves the rest in its place, and nothing else is touched."""

import struct
import tracemalloc
from pathlib import Path

import av
import makers
import numpy as np
import pytest
import render
import soundfile
import voices
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_audio.errors import ItemError
from recall_audio.media import pcm_file
from recall_audio.media.decode import check_duration, decode
from recall_audio.media.pcm_file import open_work
from recall_audio.media.probe import open_audio, probe
from recall_audio.model.containers import mpeg_frame
from recall_audio.model.options import DecodeOptions

RATE = 16_000
# One phrase without a pause: every stretch of it is found in its place and nowhere else.
SPEECH = render.to_int16(voices.speak_spans(voices.VOICES[1], 30.0, seed=5, pause_s=(0.0, 0.0))[0])


def shift(heard: np.ndarray, at_s: float) -> int:
    """By how many samples three seconds of `heard` from `at_s` on are later than in the original."""
    at, reach = round(at_s * RATE), 4 * RATE
    piece = heard[at : at + 3 * RATE].astype(float)
    low = max(at - reach, 0)
    around = SPEECH[low : at + 3 * RATE + reach].astype(float)
    n = 1 << int(np.ceil(np.log2(len(around) + len(piece))))
    match = np.fft.irfft(np.fft.rfft(around, n) * np.conj(np.fft.rfft(piece, n)), n)
    return at - low - int(np.argmax(match[: len(around)]))


def damaged(path: Path, how: str) -> Path:
    """The file with a twentieth of its bytes, from its middle on, zeroed, made random or cut out."""
    data = path.read_bytes()
    middle, n = len(data) // 2, len(data) // 20
    filler = {"zeros": bytes(n), "random": np.random.default_rng(1).bytes(n), "cut": b""}[how]
    path.write_bytes(data[:middle] + filler + data[middle + n :])
    return path


@pytest.mark.parametrize("how", ["zeros", "random"])
@pytest.mark.parametrize("kind", ["mp3", "ogg", "vorbis", "m4a", "flac"])
def test_audio_behind_damage_stays_in_its_place(kind: str, how: str, tmp_path: Path) -> None:
    path = damaged(makers.encoded(SPEECH, tmp_path / "x", kind), how)
    decoded = decode(path, tmp_path / "w.s16")
    heard = open_work(decoded.path)
    assert shift(heard, 5.0) == 0
    assert shift(heard, 25.0) == 0
    assert sum(d.length_s for d in decoded.damage) == pytest.approx(1.5, abs=1.2)
    assert "damaged_audio" in [f.code for f in decoded.findings]
    place = decoded.damage[0]
    assert place.local_s == pytest.approx(15.0, abs=1.5)
    silent = heard[
        round((place.local_s + 0.05) * RATE) : round((place.local_s + place.length_s - 0.05) * RATE)
    ]
    assert not silent.any()


@pytest.mark.parametrize("n_frames", [1, 4, 40])
def test_whole_mp3_frames_that_are_gone_are_counted_to_the_frame(n_frames: int, tmp_path: Path) -> None:
    # Damage from one frame's first byte to another's: the demuxer hands it over behind a frame that decodes.
    path = makers.encoded(SPEECH, tmp_path / "x.mp3", "mp3")
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xfb")
    for _ in range(500):
        frame = mpeg_frame(bytes(data[at : at + 4]))
        assert frame is not None
        at += frame[0]
    end = at
    for _ in range(n_frames):
        end += mpeg_frame(bytes(data[end : end + 4]))[0]  # type: ignore[index]
    data[at:end] = bytes(end - at)
    path.write_bytes(bytes(data))
    decoded = decode(path, tmp_path / "w.s16")
    assert shift(open_work(decoded.path), 25.0) == 0
    assert decoded.n_samples == pytest.approx(len(SPEECH), abs=418)  # the last frame keeps its padding


def test_frames_whose_timestamps_go_back_are_all_kept(tmp_path: Path) -> None:
    # From the 300th packet on everything is dated 900 samples early: less than a frame, more than rounding.
    early = 900
    makers.encoded(SPEECH, tmp_path / "x.m4a", "m4a")
    with (
        av.open(str(tmp_path / "x.m4a")) as source,
        av.open(str(tmp_path / "y.m4a"), "w", format="mp4") as out,
    ):
        stream = out.add_stream_from_template(source.streams.audio[0])
        for i, packet in enumerate(p for p in source.demux(audio=0) if p.size):
            if i >= 300:
                packet.pts, packet.dts = packet.pts - early, packet.dts - early
            packet.stream = stream
            out.mux(packet)
    whole = decode(tmp_path / "x.m4a", tmp_path / "x.s16").n_samples
    decoded = decode(tmp_path / "y.m4a", tmp_path / "y.s16")
    assert decoded.n_samples == pytest.approx(whole, abs=2)
    assert shift(open_work(decoded.path), 3.0) == 0
    assert shift(open_work(decoded.path), 20.0) == 0
    (back,) = (f for f in decoded.findings if f.code == "timestamps_back")
    assert f"{early / 44_100:.2f} s" in back.message


@pytest.mark.parametrize("kind", ["ogg", "vorbis", "flac"])
def test_audio_behind_a_cut_stays_in_its_place_where_the_format_has_a_clock(
    kind: str, tmp_path: Path
) -> None:
    path = damaged(makers.encoded(SPEECH, tmp_path / "x", kind), "cut")
    heard = open_work(decode(path, tmp_path / "w.s16").path)
    assert (shift(heard, 5.0), shift(heard, 25.0)) == (0, 0)


def test_an_mp3_that_lost_bytes_says_that_it_is_short(tmp_path: Path) -> None:
    path = damaged(makers.encoded(SPEECH, tmp_path / "x", "mp3"), "cut")
    assert "cut_short" in [f.code for f in decode(path, tmp_path / "w.s16").findings]


@pytest.mark.parametrize("kind", ["mp3", "ogg", "vorbis", "flac"])
def test_half_a_file_decodes_and_the_declared_duration_gives_it_away(kind: str, tmp_path: Path) -> None:
    path = makers.encoded(SPEECH, tmp_path / "x", kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    decoded = decode(path, tmp_path / "w.s16", declared_s=30.0)
    finding = check_duration(decoded.duration_s, 30.0)
    assert decoded.duration_s == pytest.approx(15.0, abs=1.6)
    assert finding is not None
    assert finding.code == "duration_mismatch"


@pytest.mark.parametrize("kind", ["mp3", "ogg", "vorbis", "flac"])
def test_two_files_in_one_are_heard_one_after_the_other(kind: str, tmp_path: Path) -> None:
    path = makers.encoded(SPEECH, tmp_path / "x", kind)
    path.write_bytes(path.read_bytes() * 2)
    heard = open_work(decode(path, tmp_path / "w.s16").path)
    assert len(heard) == pytest.approx(2 * len(SPEECH), abs=0.1 * RATE)
    again = heard[len(SPEECH) :]
    assert shift(heard, 20.0) == 0
    assert abs(shift(again, 20.0)) < 0.1 * RATE


FAKES = {
    "empty": b"",
    "html": b"<!DOCTYPE html><html><body>Not here</body></html>",
    "s3": b'<?xml version="1.0"?><Error><Code>ExpiredToken</Code></Error>',
    "json": b'{"detail": "gone"}',
    "hls": b"#EXTM3U\n#EXTINF:9,\nsibling.wav\n",
    "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
    "ffconcat": b"ffconcat version 1.0\nfile sibling.wav\n",
    "ffconcat behind a tag": b"ID3\x04\x00\x00\x00\x00\x00\x00ffconcat version 1.0\nfile sibling.wav\n",
    "random": np.random.default_rng(0).bytes(5000),
    "a tag and nothing": b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10),
    "only a signature": b"OggS" + bytes(100),
}


@pytest.mark.parametrize("fake", FAKES)
def test_what_is_not_audio_is_refused_and_its_neighbours_are_not_read(fake: str, tmp_path: Path) -> None:
    makers.encoded(SPEECH[:RATE], tmp_path / "sibling.wav", "wav")
    (tmp_path / "x.mp3").write_bytes(FAKES[fake])
    with pytest.raises(ItemError) as caught:
        decode(tmp_path / "x.mp3", tmp_path / "w.s16", "mp3", declared_s=1.0)
    assert caught.value.code == "not_audio"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sibling.wav", "x.mp3"]


@pytest.mark.parametrize("fake", ["html", "s3", "json", "hls", "sdp", "ffconcat"])
def test_text_is_refused_as_raw_audio_too(fake: str, tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(FAKES[fake] * 50)
    with pytest.raises(ItemError) as caught:
        decode(tmp_path / "x.raw", tmp_path / "w.s16", "raw")
    assert caught.value.code == "not_audio"


@pytest.mark.parametrize(("at", "value"), [(34, 106), (20, 0xAAAA), (24, 1), (22, 0)])
def test_a_wav_that_no_decoder_fits_is_not_audio(at: int, value: int, tmp_path: Path) -> None:
    # Bits a sample, format tag, sample rate, channels of the fmt chunk.
    data = bytearray(makers.encoded(SPEECH, tmp_path / "x.wav", "wav").read_bytes())
    assert data[12:16] == b"fmt "
    struct.pack_into("<H", data, at, value)
    (tmp_path / "x.wav").write_bytes(bytes(data))
    with pytest.raises(ItemError) as caught:
        decode(tmp_path / "x.wav", tmp_path / "w.s16", "wav")
    assert caught.value.code == "not_audio"
    with pytest.raises(ItemError):
        probe(tmp_path / "x.wav")


def test_a_decoder_can_open_nothing_but_the_file_itself(tmp_path: Path) -> None:
    makers.encoded(SPEECH[:RATE], tmp_path / "x.m4a", "m4a")
    with open_audio(tmp_path / "x.m4a", "mp4") as (source, _), pytest.raises(PermissionError):
        source.io_open("sibling.wav", 1, {})


def test_an_odd_byte_at_the_end_of_raw_audio_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(SPEECH.tobytes() + b"\x01")
    decoded = decode(tmp_path / "x.raw", tmp_path / "w.s16", "raw")
    np.testing.assert_array_equal(open_work(decoded.path), SPEECH)
    assert [f.code for f in decoded.findings] == ["odd_byte"]


@pytest.mark.parametrize("claimed", [0, 1000, 0xFFFFFFFF, 3_000_000_000])
def test_a_wav_whose_header_lies_gives_what_is_there_at_most(claimed: int, tmp_path: Path) -> None:
    data = bytearray(makers.encoded(SPEECH, tmp_path / "x.wav", "wav").read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", claimed)
    (tmp_path / "x.wav").write_bytes(bytes(data))
    decoded = decode(tmp_path / "x.wav", tmp_path / "w.s16", declared_s=30.0)
    heard = open_work(decoded.path)
    assert len(heard) <= len(SPEECH)
    np.testing.assert_array_equal(heard, SPEECH[: len(heard)])
    if claimed > 1000:
        assert len(heard) == len(SPEECH)


def test_a_small_file_of_many_hours_stops_at_its_cap_in_little_memory(tmp_path: Path) -> None:
    # An hour of digital silence is some 50 kB of FLAC and 115 MB of PCM.
    block = np.zeros(RATE * 600, np.int16)
    with soundfile.SoundFile(tmp_path / "bomb.flac", "w", RATE, 1, "PCM_16") as out:
        for _ in range(6):
            out.write(block)
    assert (tmp_path / "bomb.flac").stat().st_size < 200_000
    tracemalloc.start()
    decoded = decode(tmp_path / "bomb.flac", tmp_path / "w.s16", "flac", declared_s=60.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoded.duration_s == pytest.approx(60.0 * 1.05 + 5.0)
    assert "too_long" in [f.code for f in decoded.findings]
    assert peak < 20_000_000


def test_nothing_is_longer_than_the_longest_even_without_a_declared_duration(tmp_path: Path) -> None:
    path = makers.encoded(SPEECH, tmp_path / "x.ogg", "ogg")
    assert decode(path, tmp_path / "w", options=DecodeOptions(longest_s=7.0)).n_samples == 7 * RATE


def test_timestamps_that_leap_past_the_cap_restart_instead_of_filling_the_disk(tmp_path: Path) -> None:
    # The granule of a middle page jumps by 30 years; the page's checksum is made to fit again.
    data = bytearray(makers.encoded(SPEECH, tmp_path / "x.ogg", "ogg").read_bytes())
    pages = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"]
    for first, last in zip(pages[10:], [*pages[11:], len(data)], strict=True):
        granule = struct.unpack_from("<q", data, first + 6)[0]
        struct.pack_into("<q", data, first + 6, granule + 48_000 * 86_400 * 365 * 30)
        struct.pack_into("<I", data, first + 22, 0)
        struct.pack_into("<I", data, first + 22, ogg_checksum(bytes(data[first:last])))
    (tmp_path / "x.ogg").write_bytes(bytes(data))
    decoded = decode(tmp_path / "x.ogg", tmp_path / "w.s16", declared_s=30.0)
    assert decoded.duration_s == pytest.approx(30.0, abs=0.1)
    assert "timestamps_restart" in [f.code for f in decoded.findings]
    assert not decoded.damage


def ogg_checksum(page: bytes) -> int:
    """CRC-32 of an Ogg page (RFC 3533, 6.1: polynomial 0x04c11db7, not reflected, start and end 0)."""
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = ((register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from recall_audio.errors import MachineError

    def full(_: np.ndarray) -> np.ndarray:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pcm_file, "to_int16", full)
    path = makers.encoded(SPEECH, tmp_path / "x.mp3", "mp3")
    with pytest.raises(MachineError) as caught:
        decode(path, tmp_path / "w.s16")
    assert caught.value.code == "disk_full"
    assert [p.name for p in tmp_path.iterdir()] == ["x.mp3"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    return {k: makers.encoded(SPEECH[: 3 * RATE], folder / k, k).read_bytes() for k in render.FORMATS}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_raises_anything_but_an_item_error(
    originals: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(render.FORMATS))
    broken = bytearray(originals[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(broken)) | st.integers(0, min(len(broken), 500)))
        n = data.draw(st.integers(0, 3000) | st.integers(0, 4))
        broken[at : at + n] = data.draw(st.binary(max_size=40))
    (tmp_path / "x").write_bytes(bytes(broken))
    try:
        decoded = decode(tmp_path / "x", tmp_path / "w.s16", kind, declared_s=3.0)
    except ItemError:
        return
    assert decoded.n_samples == len(open_work(decoded.path)) <= (3.0 * 1.05 + 5.0) * RATE + 1
    assert probe(tmp_path / "x", kind, declared_s=3.0).container == decoded.source.container
