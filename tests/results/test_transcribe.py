"""A recording is transcribed clip by clip, each word comes back at its time and to its speaker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transcripts.lab import Answering, TruthEngine, endpoint, labels_of, marked

import recall_audio as ra
from recall_audio.errors import ItemError, KeyRefused, TransientError, UsageError
from recall_audio.fetch.http.retry import Policy, RetryPolicy
from recall_audio.fetch.speech_to_text import SpeechToText
from recall_audio.model.options import Options
from recall_audio.pipeline.process import process
from recall_audio.results.transcribe import make_engine, transcribe_folder
from recall_audio.transcripts.engines import Endpoint

Command = Callable[..., tuple[int, str, str]]
KEY = "canary-key-of-the-endpoint"


REFRESHES = ("test_what_depends_on_the_transcript_is_made_again_and_nothing_else",)


@pytest.fixture(autouse=True)
def talk_as_it_was(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave talk and report as they were, in all tests but those about them: it takes most of the time."""
    if request.node.name not in REFRESHES:
        monkeypatch.setattr("recall_audio.results.transcripts.refresh_words", lambda _folder: [])


def document(folder: Path, kind: str) -> Any:
    return json.loads((folder / f"{kind}.json").read_text("utf-8"))


def own_tenths(folder: Path, label: str) -> list[float]:
    """The tenths of a second that lie wholly in own speech."""
    rows = document(folder, "segments")["speakers"][label]
    return [t / 10 for t in range(2000) if any(a <= t / 10 and t / 10 + 0.1 <= b for a, b in rows)]


def test_every_word_comes_back_at_its_time_to_its_speaker_and_the_silent_are_not_sent(
    processed: Path,
) -> None:
    labels = labels_of(marked(processed))
    engine = TruthEngine(labels)
    transcript = ra.transcribe(ra.open(processed), engine)
    silent = [k for k, rows in document(processed, "segments")["speakers"].items() if not rows]
    assert silent
    assert {name.partition("@")[0] for name in engine.heard} == set(labels) - set(silent)
    words = [(w, s.speaker) for s in transcript.segments for w in s.words]
    assert {w.text.partition("@")[0] == speaker for w, speaker in words} == {True}
    for word, _ in words:
        assert word.start_s == pytest.approx(float(word.text.partition("@")[2]), abs=0.1)
    for label in labels:
        said = [float(w.text.partition("@")[2]) for w, speaker in words if speaker == label]
        assert said == sorted(set(said)), "no word twice"
        assert set(own_tenths(processed, label)) <= set(said), "no word of own speech is lost"


def test_what_depends_on_the_transcript_is_made_again_and_nothing_else(processed: Path) -> None:
    marked(processed)
    before = document(processed, "run")
    assert document(processed, "talk")["speakers"]["Marcus_Webb"]["words"] is None
    assert "transcript" in document(processed, "talk")["speakers"]["Marcus_Webb"]["words_reason"]

    def engine(samples: Any, rate_hz: int) -> list[dict[str, Any]]:
        return [{"start": 0.0, "end": len(samples) / rate_hz, "text": "Is it so? It is."}]

    ra.transcribe(processed, engine)
    figures = document(processed, "talk")["speakers"]
    n_chunks = sum(s["n_words"] for s in document(processed, "transcript")["speakers"].values()) // 5
    assert sum(f["words"] for f in figures.values()) == 5 * n_chunks
    assert sum(f["questions"] for f in figures.values()) == n_chunks
    assert sum(f["share_of_words"] for f in figures.values()) == pytest.approx(1.0, abs=1e-5)
    one = figures["Marcus_Webb"]
    assert one["words_per_minute"] == pytest.approx(60 * one["words"] / one["talk_s"], abs=1e-3)
    assert figures["Jonas_Berg"]["words"] == 0
    assert figures["Jonas_Berg"]["words_per_minute"] is None
    assert figures["Jonas_Berg"]["words_per_minute_reason"]
    keys = [{s["name"]: s["key"] for s in run["stages"]} for run in (before, document(processed, "run"))]
    assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == {"talk", "report"}
    assert process(processed, Options()).reused, "a later run finds nothing to do"
    (processed / "transcript.json").unlink()
    process(processed, Options())
    assert document(processed, "talk")["speakers"]["Marcus_Webb"]["words"] is None


def test_words_outside_own_speech_are_dropped_and_counted_or_kept(processed: Path) -> None:
    labels = labels_of(marked(processed))
    truth = TruthEngine(labels)

    def engine(samples: Any, rate_hz: int) -> list[dict[str, Any]]:
        (segment,) = truth(samples, rate_hz)
        return [{**segment, "text": segment["text"] + " Bye.", "words": [*segment["words"], late(segment)]}]

    def late(segment: dict[str, Any]) -> dict[str, Any]:
        end_s = segment["end"]
        return {"word": "Bye.", "start": end_s - 0.03, "end": end_s, "probability": 0.1}

    made = make_engine(engine)
    transcribe_folder(processed, made)
    found = document(processed, "transcript")
    assert not any("Bye." in s["text"] and len(s["words"]) == 1 for s in found["segments"])
    transcribe_folder(processed, made, options=ra.TranscriptOptions(keep_outside=True), force=True)
    kept = document(processed, "transcript")
    assert kept["n_dropped"] == 0
    assert kept["n_words"] >= found["n_words"] + found["n_dropped"]


def test_a_run_goes_on_where_the_engine_failed(processed: Path) -> None:
    labels = labels_of(marked(processed))
    broken = TruthEngine(labels, fails_at=2)
    with pytest.raises(ItemError, match="out of order") as raised:
        ra.transcribe(processed, broken)
    assert raised.value.code == "engine_failed"
    assert not (processed / "transcript.json").exists()
    whole = TruthEngine(labels)
    ra.transcribe(processed, whole)
    assert whole.heard, "there was more to do"
    assert not set(whole.heard) & set(broken.heard), "what was answered is not asked again"
    again = TruthEngine(labels)
    ra.transcribe(processed, again)
    assert again.heard == [], "nothing has changed"
    ra.transcribe(processed, again, force=True)
    assert sorted(again.heard) == sorted(broken.heard + whole.heard)
    n_heard = len(again.heard)
    transcribe_folder(processed, make_engine(again), options=ra.TranscriptOptions(word_share=0.9))
    assert len(again.heard) == n_heard, "another choice of words asks the engine nothing"


def test_an_edited_function_is_asked_again(processed: Path) -> None:
    marked(processed)
    said = []
    for text in ("One.", "Two.", "Two."):
        scope: dict[str, Any] = {"heard": []}
        exec(f"def engine(samples, rate_hz):\n    heard.append(rate_hz)\n    return {text!r}", scope)  # noqa: S102
        segments = ra.transcribe(processed, scope["engine"]).segments
        said.append(({s.text for s in segments}, bool(scope["heard"])))
    assert said == [({"One."}, True), ({"Two."}, True), ({"Two."}, False)]


def test_stems_of_another_rate_are_heard_at_16_khz(processed: Path) -> None:
    labels = labels_of(marked(processed, rate_hz=48_000))
    lengths = []

    def engine(samples: Any, rate_hz: int) -> str:
        lengths.append((len(samples), rate_hz))
        return ""

    assert ra.transcribe(processed, engine).segments == ()
    clips = TruthEngine(labels)
    marked(processed)
    ra.transcribe(processed, clips, force=True)
    assert {rate for _, rate in lengths} == {16_000}
    assert len(lengths) == len(clips.heard)


def client(url: str, key: str | None = KEY, budget_s: float = 60.0) -> Endpoint:
    quick = Policy(retry=RetryPolicy(budget_s=budget_s, wait_first_s=0.01, wait_most_s=0.02))
    engine = Endpoint.__new__(Endpoint)
    engine.model, engine.language = "whisper-1", "en"
    engine._client = SpeechToText(url, key, quick)
    return engine


def test_an_endpoint_gives_the_same_words_and_gets_the_key_and_the_model(processed: Path) -> None:
    labels = labels_of(marked(processed))
    expected = [s.text for s in ra.transcribe(processed, TruthEngine(labels)).segments]
    answering = Answering(labels, statuses=[503, 429])
    with endpoint(answering) as url:
        transcribe_folder(processed, client(url), force=True)
    assert [s["text"] for s in document(processed, "transcript")["segments"]] == expected
    assert {a["authorization"] for a in answering.asked} == {f"Bearer {KEY}"}
    assert {(a["model"], a["language"]) for a in answering.asked} == {("whisper-1", "en")}
    assert "word" in answering.asked[0]["timestamp_granularities[]"]


def test_a_model_without_times_is_asked_for_its_text(processed: Path) -> None:
    labels = labels_of(marked(processed))
    answering = Answering(labels, forms=("json",))
    with endpoint(answering) as url:
        transcribe_folder(processed, client(url, key=None))
    said = " ".join(s["text"] for s in document(processed, "transcript")["segments"])
    assert all(f"{labels[0]}@{t:.1f}" in said for t in own_tenths(processed, labels[0]))
    assert {a["authorization"] for a in answering.asked} == {""}


@pytest.mark.parametrize(
    ("status", "error"), [(401, KeyRefused), (413, ItemError), (500, TransientError), (429, TransientError)]
)
def test_an_endpoint_that_refuses_is_an_error_and_no_transcript(
    processed: Path, status: int, error: type[Exception]
) -> None:
    labels = labels_of(marked(processed))
    with endpoint(Answering(labels, statuses=[status] * 400)) as url, pytest.raises(error) as raised:
        transcribe_folder(processed, client(url, budget_s=0.1))
    assert KEY not in repr(raised.value) + str(raised.value)
    assert not (processed / "transcript.json").exists()


def test_the_key_and_voices_go_encrypted_only_and_not_to_a_host_of_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RECALL_TRANSCRIBE_KEY", "RECALL_TRANSCRIBE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="RECALL_TRANSCRIBE_KEY") as refused:
        SpeechToText.from_environment()
    assert refused.value.code == "no_key"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert SpeechToText.from_environment().key == KEY
    assert SpeechToText.from_environment("https://other.example/v1").key is None, "it is OpenAI's alone"
    with pytest.raises(UsageError, match="unencrypted"):
        SpeechToText.from_environment("http://other.example/v1")
    monkeypatch.setenv("RECALL_TRANSCRIBE_KEY", KEY)
    (tmp_path / ".env").write_text("RECALL_TRANSCRIBE_URL=https://evil.example/v1\n")
    with pytest.raises(UsageError, match="nothing was sent"):
        SpeechToText.from_environment()
    assert KEY not in repr(SpeechToText.from_environment("https://other.example/v1"))


def test_recalls_own_transcript_is_an_engine_where_it_was_fetched(processed: Path, command: Command) -> None:
    code, _, said = command("transcribe", processed, "--engine", "recall")
    assert code == 1
    assert "--transcript" in said
    people = document(processed, "speakers")["speakers"]
    label, rows = next((k, v) for k, v in document(processed, "segments")["speakers"].items() if v)
    start_s = rows[0][0]
    word = {
        "text": "Ready?",
        "start_timestamp": {"relative": start_s},
        "end_timestamp": {"relative": start_s + 0.3},
    }
    row = {"participant": {"id": people[label]["participant_ids"][0]}, "words": [word]}
    (processed / "source" / "transcript.json").write_text(json.dumps([row]))
    code, told, said = command("transcribe", processed, "--engine", "recall", "--to", "text")
    assert code == 0, said
    assert str(processed / "transcript" / "transcript.txt") in told
    assert [s["text"] for s in document(processed, "transcript")["segments"]] == ["Ready?"]
