"""Stems on disk: as long as the mix, at the level they say, readable by others, whole or not there."""

import json
import shutil
import struct
import tracemalloc
from pathlib import Path

import makers
import numpy as np
import pytest
import soundfile as sf
from meters import babble, clicks, int16, landing, libebur128, libebur128_of

from recall_audio.core.spans import EMPTY, spans
from recall_audio.errors import ItemError, MachineError, UsageError
from recall_audio.model.alignment import PlacedPart, TimeMap, Track
from recall_audio.model.options import StemOptions
from recall_audio.model.stems import StemsResult
from recall_audio.pipeline.stems import export as module
from recall_audio.pipeline.stems.export import export_stems
from recall_audio.pipeline.stems.track_reader import SourceFile, StemSources

RATE_HZ = 16_000
N = 40 * RATE_HZ + 123
HAVE_FFMPEG = shutil.which("ffmpeg") is not None


def part(name: str, signal: np.ndarray, start_s: float, drift_ppm: float = 0.0) -> PlacedPart:
    return PlacedPart(name, int16(signal), TimeMap.straight(start_s, len(signal) / RATE_HZ, drift_ppm))


@pytest.fixture(scope="module")
def tracks() -> list[Track]:
    """Somebody with two parts and drift, somebody quiet and exact, a muted one, one who never had audio."""
    hiss = 1e-3 * np.random.default_rng(3).standard_normal(30 * RATE_HZ)
    quiet = 0.05 * babble(30.0, 2) * (np.sin(np.arange(30 * RATE_HZ) / RATE_HZ) > 0.2) + hiss * 0.01
    return [
        Track(
            "Ann", (part("a1", babble(12.0, 1), -1.0 + 0.3 / RATE_HZ, 40.0), part("a2", babble(9.0, 5), 20.0))
        ),
        Track("Bob", (part("b1", quiet, 2.0),)),
        Track("Mute", (part("m1", np.zeros(20 * RATE_HZ), 1.0),)),
        Track("Gone", ()),
    ]


SPEECH = {
    "Ann": spans([(0, 11 * RATE_HZ), (20 * RATE_HZ, 29 * RATE_HZ)]),
    "Bob": spans([(2 * RATE_HZ, 32 * RATE_HZ)]),
    "Mute": EMPTY,
    "Gone": EMPTY,
}


def export(
    tracks: list[Track], folder: Path, sources: StemSources | None = None, **options: object
) -> StemsResult:
    return export_stems(tracks, SPEECH, N, folder / "stems", StemOptions(**options), sources=sources)


def test_every_stem_is_as_long_as_the_mix_and_reads_what_its_record_says(
    tracks: list[Track], tmp_path: Path
) -> None:
    done: list[tuple[int, int]] = []
    options = StemOptions(silent=True)
    result = export_stems(
        tracks, SPEECH, N, tmp_path / "stems", options, progress=lambda d, t: done.append((d, t))
    )
    assert [s.participant for s in result.stems] == ["Ann", "Bob", "Mute", "Gone"]
    for stem in result.stems:
        info = sf.info(tmp_path / stem.file)
        assert (info.frames, info.samplerate, info.channels, info.subtype) == (N, RATE_HZ, 1, "PCM_16")
        lufs, dbtp = libebur128_of(tmp_path / stem.file)
        assert lufs == pytest.approx(stem.integrated_lufs_after, abs=0.02)
        assert dbtp == pytest.approx(stem.true_peak_dbtp_after, abs=0.02)
        if stem.gain_set_by == "target":
            assert lufs == pytest.approx(-23.0, abs=0.1)
    assert [s.gain_set_by for s in result.stems] == ["target", "target", "silence", "silence"]
    assert done[-1] == (done[-1][1], done[-1][1])
    assert sorted(p.name for p in (tmp_path / "stems").iterdir()) == [
        "Ann.wav",
        "Bob.wav",
        "Gone.wav",
        "Mute.wav",
    ]


def test_the_levels_before_and_after_are_those_of_the_stem_without_and_with_its_gain(
    tracks: list[Track], tmp_path: Path
) -> None:
    plain = export(tracks[:2], tmp_path / "plain", normalize="none", bits="32f")
    levelled = export(tracks[:2], tmp_path / "levelled", bits="32f")
    for before, after in zip(plain.stems, levelled.stems, strict=True):
        lufs, dbtp = libebur128_of(tmp_path / "plain" / before.file)
        source, stem = (sf.read(tmp_path / f / before.file)[0] for f in ("plain", "levelled"))
        assert after.gain_db == pytest.approx(
            20.0 * np.log10(np.abs(stem).max() / np.abs(source).max()), abs=0.01
        )
        assert after.integrated_lufs_before == pytest.approx(lufs, abs=0.02)
        assert after.true_peak_dbtp_before == pytest.approx(dbtp, abs=0.02)
        spoken = np.zeros(N)
        for start, end in SPEECH[before.participant]:
            spoken[start:end] = source[start:end]
        assert after.speech_lufs_before == pytest.approx(libebur128(spoken, RATE_HZ)[0], abs=0.2)
        assert after.speech_lufs_after - after.speech_lufs_before == pytest.approx(after.gain_db, abs=0.05)


def test_a_silent_track_stays_all_zeros(tracks: list[Track], tmp_path: Path) -> None:
    result = export(tracks, tmp_path, silent=True)
    for stem in result.stems[2:]:
        assert not sf.read(tmp_path / stem.file, dtype="int16")[0].any()
        value = json.loads(json.dumps(stem.to_json(), allow_nan=False))
        assert value["integrated_lufs_before"] is None
        assert value["true_peak_dbtp_after"] is None
        assert (value["gain_db"], value["gain_set_by"]) == (0.0, "silence")
        assert value["reason"]


def test_who_never_speaks_has_a_record_and_no_file(tracks: list[Track], tmp_path: Path) -> None:
    """Neither noise on an open microphone nor a part that is missing makes a file."""
    noise = np.random.default_rng(3).normal(0.0, 300.0, 30 * RATE_HZ)
    tracks = [*tracks, Track("Listener", (part("l1", noise, 1.0),))]
    speech = {**SPEECH, "Listener": EMPTY}
    done: list[tuple[int, int]] = []
    for folder, silent in (("few", False), ("all", True)):
        options = StemOptions(mixdown=True, poly=True, silent=silent)
        result = export_stems(tracks, speech, N, tmp_path / folder, options, lambda d, t: done.append((d, t)))
        assert done[-1][0] == done[-1][1]
        assert [s.participant for s in result.stems] == ["Ann", "Bob", "Mute", "Gone", "Listener"]
        written = ["Ann", "Bob"] + ["Mute", "Gone", "Listener"] * silent
        value = result.to_json()
        assert [s["participant"] for s in value["stems"] if s["file"] is not None] == written
        assert value["poly"]["channels"] == written
        assert {p.stem for p in (tmp_path / folder).iterdir()} == {*written, "mixdown", "poly"}
        assert sf.info(tmp_path / folder / "poly.wav").channels == len(written)
    result = export_stems(tracks, speech, N, tmp_path / "again")
    for stem in result.to_json()["stems"][2:]:
        assert (stem["gain_set_by"], stem["gain_db"], stem["n_samples"]) == ("silence", 0.0, N)
        assert "--silent-stems" in stem["reason"]
        assert stem["integrated_lufs_before"] is None, "not measured, which is not the same as quiet"


def test_without_a_gain_a_whole_start_is_the_source_bit_for_bit(tracks: list[Track], tmp_path: Path) -> None:
    export(tracks, tmp_path, normalize="none")
    stem = sf.read(tmp_path / "stems" / "Bob.wav", dtype="int16")[0]
    source = tracks[1].parts[0].samples
    assert np.array_equal(stem[2 * RATE_HZ + 80 : 32 * RATE_HZ - 80], source[80:-80])


def test_the_same_call_writes_the_same_bytes(tracks: list[Track], tmp_path: Path) -> None:
    for run in ("one", "two"):
        export(tracks, tmp_path / run, mixdown=True, poly=True)
    for path in (tmp_path / "one" / "stems").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "stems" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(("bits", "subtype"), [("16", "PCM_16"), ("24", "PCM_24"), ("32f", "FLOAT")])
def test_sum_and_poly_hold_the_stems_in_order(
    tracks: list[Track], tmp_path: Path, bits: str, subtype: str
) -> None:
    result = export(tracks, tmp_path, bits=bits, mixdown=True, poly=True, silent=True)
    stems = np.stack([sf.read(tmp_path / s.file)[0] for s in result.stems], axis=1)
    poly, _ = sf.read(tmp_path / result.poly)
    assert sf.info(tmp_path / result.poly).subtype == subtype
    assert np.array_equal(poly, stems)
    assert result.to_json()["poly"]["channels"] == ["Ann", "Bob", "Mute", "Gone"]
    total, _ = sf.read(tmp_path / result.mixdown.file)
    assert np.abs(total - stems.sum(axis=1) * 10 ** (result.mixdown.gain_db / 20)).max() < 2.0**-15
    lufs, dbtp = libebur128_of(tmp_path / result.mixdown.file)
    assert lufs == pytest.approx(result.mixdown.integrated_lufs, abs=0.02)
    assert dbtp <= -1.0 + 0.02


def test_the_limiter_reaches_the_target_under_the_ceiling(tracks: list[Track], tmp_path: Path) -> None:
    plain = export(tracks[:2], tmp_path / "plain", lufs=-10.0)
    assert plain.stems[0].gain_set_by == "peak"
    assert any(f.code == "stem_below_target" and f.where == "Ann" for f in plain.findings)
    limited = export(tracks[:2], tmp_path, lufs=-13.0, limit=True, max_gain_db=60.0)
    for stem in limited.stems:
        lufs, dbtp = libebur128_of(tmp_path / stem.file)
        assert stem.gain_set_by == "target"
        assert stem.limited_db > 1.0
        reading = lufs if stem.measured_over == "file" else stem.speech_lufs_after
        assert reading == pytest.approx(-13.0, abs=0.1)
        assert dbtp <= -1.0
    source = export(tracks[:2], tmp_path / "source", normalize="none", bits="32f")
    held = export(tracks[:2], tmp_path / "held", lufs=-13.0, limit=True, max_gain_db=60.0, bits="32f")
    for before, stem in zip(source.stems, held.stems, strict=True):
        raised = sf.read(tmp_path / "source" / before.file)[0] * 10 ** (stem.gain_db / 20)
        loud = np.abs(raised) > 0.01
        most_db = -20.0 * np.log10((sf.read(tmp_path / "held" / stem.file)[0][loud] / raised[loud]).min())
        assert stem.limited_db == pytest.approx(most_db, abs=0.1), "the most that the limiter took away"
    beyond = export(tracks[:1], tmp_path, lufs=-5.0, limit=True).stems[0]
    assert beyond.gain_set_by == "peak", "what no gain can reach is not raised for ever"
    assert libebur128_of(tmp_path / beyond.file)[1] <= -1.0


def test_the_gate_leaves_speech_alone(tracks: list[Track], tmp_path: Path) -> None:
    only = {"Bob": spans([(5 * RATE_HZ, 8 * RATE_HZ)])}
    options = StemOptions(gate=True, speakers=("Bob",), normalize="none")
    export_stems(tracks, only, N, tmp_path / "stems", options)
    stem = sf.read(tmp_path / "stems" / "Bob.wav", dtype="int16")[0]
    assert np.array_equal(
        stem[5 * RATE_HZ : 8 * RATE_HZ], tracks[1].parts[0].samples[3 * RATE_HZ : 6 * RATE_HZ]
    )
    assert not stem[: 5 * RATE_HZ - 1920].any()
    assert not stem[8 * RATE_HZ + 1920 :].any()
    assert [p.name for p in (tmp_path / "stems").iterdir()] == ["Bob.wav"]


def test_an_unknown_speaker_is_named_with_those_there_are(tracks: list[Track], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Zoe.*Ann, Bob"):
        export(tracks, tmp_path, speakers=("Ann", "Zoe"))


def test_a_stem_holds_its_samples_and_no_name(tracks: list[Track], tmp_path: Path) -> None:
    export(tracks[:1], tmp_path)
    data = (tmp_path / "stems" / "Ann.wav").read_bytes()
    names, position = [], 12
    while position < len(data):
        names.append(data[position : position + 4])
        size = struct.unpack_from("<I", data, position + 4)[0]
        position += 8 + size + size % 2
    assert position == len(data)
    assert names == [b"JUNK", b"fmt ", b"data"]
    assert b"Ann" not in data


def test_what_is_in_no_track_is_listed_by_time(tracks: list[Track], tmp_path: Path) -> None:
    export(tracks, tmp_path, normalize="none")
    mix = sum(sf.read(tmp_path / "stems" / f"{name}.wav")[0] for name in ("Ann", "Bob"))
    whole = export(tracks, tmp_path, StemSources(mix=int16(mix)), speakers=("Bob",))
    assert whole.residual.unexplained == ()
    mix[31 * RATE_HZ : 38 * RATE_HZ] += babble(7.0, 9)
    result = export(tracks, tmp_path, StemSources(mix=int16(mix)))
    ((start_s, end_s),) = result.residual.unexplained
    assert abs(start_s - 31.0) <= 2.0
    assert abs(end_s - 38.0) <= 2.0
    assert [f.code for f in result.findings] == ["mix_unexplained"]
    assert result.to_json()["residual"]["unexplained"] == [[start_s, end_s]]


def test_other_rates_are_decoded_again_from_the_downloads(tmp_path: Path) -> None:
    at_s = np.arange(0.5, 8.0, 0.5)
    original = clicks(8 * RATE_HZ, at_s * RATE_HZ)
    sf.write(tmp_path / "part.wav", np.repeat(original, 1), RATE_HZ, subtype="PCM_16")
    time_map = TimeMap.straight(1.0 + 0.37 / RATE_HZ, 8.0, 80.0)
    track = Track("Ann", (PlacedPart("p1", original, time_map),))
    sources = StemSources(files={"p1": SourceFile(tmp_path / "part.wav")}, work=tmp_path / "work")
    for rate_hz, expected in ((48_000, 48_000), (0, RATE_HZ)):
        export_stems(
            [track], {}, 10 * RATE_HZ, tmp_path / "stems", StemOptions(rate_hz=rate_hz), sources=sources
        )
        stem, found_hz = sf.read(tmp_path / "stems" / "Ann.wav")
        assert (len(stem), found_hz) == (10 * expected, expected)
        for t in time_map.to_mix(at_s):
            assert abs(landing(stem, t * expected) / expected - t) < 1e-5
    assert not list((tmp_path / "work").iterdir())
    with pytest.raises(ItemError, match="48000"):
        export_stems([track], {}, N, tmp_path / "stems", StemOptions(rate_hz=48_000))


@pytest.mark.skipif(not HAVE_FFMPEG, reason="ffmpeg is not on the PATH")
@pytest.mark.parametrize("kind", ["flac", "mp3", "opus"])
def test_encoded_stems_hold_the_same_sound_and_no_wav_is_left(
    tracks: list[Track], tmp_path: Path, kind: str
) -> None:
    export(tracks[:2], tmp_path / "wav")
    result = export(tracks[:2], tmp_path, format=kind, mixdown=True)
    names = sorted(p.name for p in (tmp_path / "stems").iterdir())
    assert names == sorted([f"Ann.{kind}", f"Bob.{kind}", "mixdown.wav"])
    assert [s.file for s in result.stems] == [f"stems/Ann.{kind}", f"stems/Bob.{kind}"]
    decoded, _ = sf.read(tmp_path / "stems" / f"Ann.{kind}")
    wanted, _ = sf.read(tmp_path / "wav" / "stems" / "Ann.wav")
    assert len(decoded) == N
    if kind == "flac":
        assert np.array_equal(decoded, wanted)
    else:
        assert np.corrcoef(decoded, wanted)[0, 1] > 0.9  # in place to the sample: noise forgives no shift


def test_without_an_encoder_nothing_is_begun(
    tracks: list[Track], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_ffmpeg", lambda: None)
    with pytest.raises(MachineError, match="ffmpeg") as caught:
        export(tracks, tmp_path, format="opus")
    assert "recall-audio[ffmpeg]" in caught.value.hint
    assert not (tmp_path / "stems").exists()


def test_a_full_disk_leaves_no_half_written_stem(
    tracks: list[Track], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recall_audio.media.wav import StemWriter

    def full(self: StemWriter, block: np.ndarray) -> None:
        raise MachineError("No room left on the disk.", code="disk_full")

    monkeypatch.setattr(StemWriter, "write", full)
    with pytest.raises(MachineError):
        export(tracks, tmp_path)
    assert not list((tmp_path / "stems").iterdir())


def test_a_meeting_of_known_truth_comes_out_at_its_level_and_in_its_place(tmp_path: Path) -> None:
    made = makers.make(n_speakers=3, duration_s=40.0, seed=4, drift_ppm=60.0, leakage_db=-26.0, parts=2)
    speech = {t.label: s.spans for t, s in zip(made.tracks(), made.speakers, strict=True)}
    result = export_stems(
        made.tracks(), speech, len(made.mix), tmp_path / "stems", sources=StemSources(mix=made.mix)
    )
    assert result.residual.explained > 0.9
    assert result.residual.unexplained == ()
    for stem in result.stems:
        if stem.gain_set_by == "target":
            assert stem.reading == pytest.approx(-23.0, abs=0.05)
        assert libebur128_of(tmp_path / stem.file)[1] <= -1.0 + 0.02


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    peaks = []
    for minutes in (3, 9):
        (tmp_path / "work").write_bytes(np.tile(int16(babble(10.0, 1)), 6 * minutes).tobytes())
        n = minutes * 60 * RATE_HZ
        samples = np.memmap(tmp_path / "work", dtype="<i2", mode="r", shape=(n,))
        track = Track("Ann", (PlacedPart("p", samples, TimeMap.straight(0.0, n / RATE_HZ, 50.0)),))
        tracemalloc.start()
        export_stems([track], {}, n, tmp_path / "stems", sources=StemSources(mix=samples))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000, peaks
