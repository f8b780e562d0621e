"""Options of the commands that make transcripts: each changes what is sent, written or kept."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cli.covered import covers
from transcripts.lab import Answering, endpoint, labels_of, marked, words_in

Command = Callable[..., tuple[int, str, str]]


def ended_well(command: Command, *arguments: object) -> str:
    code, told, said = command(*arguments)
    assert code == 0, said
    return told


def document(folder: Path, kind: str) -> Any:
    return json.loads((folder / f"{kind}.json").read_text("utf-8"))


@pytest.fixture
def whisper(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put a module in faster-whisper's place that reads marked stems; return what it was called with."""
    seen: dict[str, Any] = {"labels": [], "clips": []}

    class Pipeline:
        def __init__(self, model: Any) -> None:
            self.model = model

        def transcribe(self, audio: Any, clip_timestamps: Any, **more: Any) -> Any:
            seen.update(more)
            seen["clips"] += clip_timestamps
            assert all(c["end"] - c["start"] <= 30.0 for c in clip_timestamps)
            for clip in clip_timestamps:
                first, last = (round(clip[k] * 16_000) for k in ("start", "end"))
                words = words_in(np.asarray(audio[first:last]) * 32_768, seen["labels"])
                moved = [
                    {**w, "start": w["start"] + clip["start"], "end": w["end"] + clip["start"]} for w in words
                ]
                text = " ".join(w["word"] for w in words)
                seen.setdefault("segments", []).append({**clip, "text": text, "words": moved})
            found, seen["segments"] = seen["segments"], []
            return iter(found), SimpleNamespace(language="en")

    def model(name: str, **_: object) -> Any:
        seen["model"] = name
        return SimpleNamespace(model=SimpleNamespace(is_multilingual=True))

    module = SimpleNamespace(WhisperModel=model, BatchedInferencePipeline=Pipeline)
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    return seen


@covers("transcribe", "--engine", "--model", "--language", "--to", "--force", "--quiet")
def test_faster_whisper_hears_clips_only_and_what_was_asked_for_is_written(
    processed: Path, command: Command, whisper: dict[str, Any]
) -> None:
    whisper["labels"] = labels_of(marked(processed))
    code, told, said = command("transcribe", processed, "--to", "srt")
    assert code == 0, said
    assert "transcribe" in said, "progress is shown"
    names = {Path(p).name for p in told.splitlines()}
    assert {"transcript.json", "transcript.srt", "talk.json", "report.html"} <= names
    assert "transcript.vtt" not in names
    assert (whisper["model"], whisper["language"], whisper["multilingual"]) == ("small", None, True)
    heard_s = sum(c["end"] - c["start"] for c in whisper["clips"])
    talk_s = document(processed, "talk")["talk_s"]
    assert talk_s <= heard_s < 1.5 * talk_s
    for segment in document(processed, "transcript")["segments"]:
        assert {w["text"].partition("@")[0] for w in segment["words"]} == {segment["speaker"]}
    n_clips = len(whisper["clips"])
    ended_well(command, "transcribe", processed)
    assert len(whisper["clips"]) == n_clips, "nothing has changed"
    code, _, said = command("transcribe", processed, "--force", "-q", "--model", "tiny", "--language", "de")
    assert (code, said) == (0, "")
    assert (whisper["model"], whisper["language"], whisper["multilingual"]) == ("tiny", "de", False)
    assert len(whisper["clips"]) == 2 * n_clips
    made = document(processed, "transcript")["engine"]
    assert made == {"name": "faster-whisper", "model": "tiny", "language": "de"}


def test_without_the_package_the_extra_is_named(
    processed: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    code, told, said = command("transcribe", processed)
    assert (code, told) == (4, "")
    assert "recall-audio[transcribe]" in said


@covers("transcribe", "--url", "--set")
def test_an_endpoint_of_the_users_is_asked_for_clips_as_long_as_asked_for(
    processed: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recall_audio.results.transcripts.refresh_words", lambda _folder: [])
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("RECALL_TRANSCRIBE_KEY", raising=False)
    answering = Answering(labels_of(marked(processed)))
    assert command("transcribe", processed, "--engine", "openai")[0] == 2, "OpenAI's own host wants a key"
    with endpoint(answering) as url:
        ended_well(command, "transcribe", processed, "--engine", "openai", "--url", url)
        n_asked = len(answering.asked)
        ended_well(
            command, "transcribe", processed, "--engine", "openai", "--url", url, "--set", "clips.longest_s=2"
        )
    assert len(answering.asked) > n_asked
    assert document(processed, "transcript")["n_words"] > 100


@covers("transcribe merge-transcripts", "--keep-outside")
@covers("merge-transcripts", "--set")
def test_words_outside_own_speech_are_kept_or_counted(
    processed: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recall_audio.results.transcripts.refresh_words", lambda _folder: [])
    spoken = document(processed, "segments")["speakers"]["Marcus_Webb"]
    inside, outside = spoken[0][0], spoken[0][0] - 0.6
    file = tmp_path / "Marcus_Webb.json"
    words = [{"word": "Mine.", "start": inside, "end": inside + 0.2}]
    words.append({"word": "Leaked.", "start": outside, "end": outside + 0.2})
    file.write_text(
        json.dumps([{"text": w["word"], "start": w["start"], "end": w["end"], "words": [w]} for w in words])
    )

    def texts(*more: object) -> list[str]:
        ended_well(command, "merge-transcripts", processed, file, *more)
        return [s["text"] for s in document(processed, "transcript")["segments"]]

    assert texts() == ["Mine."]
    found = document(processed, "transcript")
    assert (found["n_dropped"], found["speakers"]["Marcus_Webb"]["n_dropped"]) == (1, 1)
    assert found["findings"][0]["code"] == "words_dropped"
    assert texts("--keep-outside") == ["Leaked.", "Mine."]
    assert texts("--set", "transcript.word_share=0") == ["Leaked.", "Mine."]
    row = {
        "participant": {
            "id": document(processed, "speakers")["speakers"]["Marcus_Webb"]["participant_ids"][0]
        }
    }
    row["words"] = [{"text": w["word"], "start_timestamp": {"relative": w["start"]},
                     "end_timestamp": {"relative": w["end"]}} for w in words]  # fmt: skip
    (processed / "source" / "transcript.json").write_text(json.dumps([row]))
    for more, n_words in (([], 1), (["--keep-outside"], 2)):
        ended_well(command, "transcribe", processed, "--engine", "recall", *more)
        assert document(processed, "transcript")["n_words"] == n_words
