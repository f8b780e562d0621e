"""Measure who gets the words of Recall.ai's transcript: by its own labels, and by our segments.

    python tests/benchmarks/recall_labels.py [MEETING...] [--lag 0.5]

A meeting is a folder with ``meeting.json`` and ``truth.json``; the sample meeting by default. Words of 0.3 s
are laid end to end into the true speech of each participant, so that the speaker of each is known; where two
speak at once, both have words. Recall.ai's transcript of the mix is made of them: each word has the label of
whom the platform reports as the active speaker, one at a time, the last who began, as much too late as
``--lag`` says. Then

    Recall.ai's labels          as they come
    Recall.ai's labels, merged  `merge-transcripts DIR transcript.json`: words outside own speech are dropped
    our segments                `merge-transcripts DIR mixed.json`: the same words, each by who speaks then

Prints words of the right person, of a wrong one and without one, in % of all words, and the right ones in %
of the words during which one person alone speaks; where two speak at once, times cannot tell whose a word is.
Target: our segments give at least 95 % of the words said alone to the right person, and more of all words
than Recall.ai's labels do.
"""

import argparse
import json
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recall_audio import batch
from recall_audio.fetch import Settings
from recall_audio.results.transcripts import merge_files
from recall_audio.standin import StandIn

WORD_S = 0.3
ROOT = Path(__file__).resolve().parents[2]

Said = tuple[str, float, str]
"""A word, its start in seconds, and who said it."""


def words_of(truth: Mapping[str, Sequence[Sequence[float]]]) -> list[Said]:
    """Every word, in order of time."""
    found = [
        (start_s + n * WORD_S, who)
        for who, spans in truth.items()
        for start_s, end_s in spans
        for n in range(int((end_s - start_s) / WORD_S))
    ]
    return [(f"w{n}", start_s, who) for n, (start_s, who) in enumerate(sorted(found))]


def active_speakers(truth: Mapping[str, Sequence[Sequence[float]]], lag_s: float) -> list[tuple[float, str]]:
    """When the platform reports another active speaker, in order of time."""
    return sorted((start_s + lag_s, who) for who, spans in truth.items() for start_s, _ in spans)


def recall_transcript(
    words: Sequence[Said], active: Sequence[tuple[float, str]], people: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The transcript as Recall.ai gives it: a row for each run of words with one label."""
    times = [at_s for at_s, _ in active]
    rows: list[dict[str, Any]] = []
    for text, start_s, _ in words:
        label = active[max(bisect_right(times, start_s + WORD_S / 2) - 1, 0)][1]
        if not rows or rows[-1]["participant"] != people[label]:
            rows.append({"participant": people[label], "language_code": "en", "words": []})
        ends = {"relative": round(start_s + WORD_S, 3), "absolute": None}
        starts = {"relative": round(start_s, 3), "absolute": None}
        rows[-1]["words"].append({"text": text, "start_timestamp": starts, "end_timestamp": ends})
    return rows


def merged(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], into: Path) -> dict[str, str]:
    """The speaker of each word after a merge."""
    into.mkdir()
    (into / name).write_text(json.dumps(rows), "utf-8")
    [path] = merge_files(folder, [into / name], ["json"], into / "out")
    body = json.loads(path.read_text("utf-8"))
    return {
        word.strip(): segment["speaker"]
        for segment in body["segments"]
        for word in segment["text"].split()
        if segment["speaker"] is not None
    }


def score(way: str, given: Mapping[str, str], words: Sequence[Said]) -> tuple[float, float]:
    """Print one row, and return the share of words that the right person has: of all, and of those alone."""
    right = sum(given.get(text) == who for text, _, who in words) / len(words)
    without = sum(text not in given for text, _, _ in words) / len(words)
    alone = [
        word
        for word in words
        if not any(abs(word[1] - other[1]) < WORD_S and word[2] != other[2] for other in words)
    ]
    right_alone = sum(given.get(text) == who for text, _, who in alone) / len(alone)
    shares = (right, 1 - right - without, without, right_alone)
    print(f"  {way:<28}" + "".join(f"{100 * share:9.1f}" for share in shares))
    return right, right_alone


def measure(meeting: Path, lag_s: float) -> bool:
    """Measure one meeting, and return whether the target is reached."""
    content = json.loads((meeting / "meeting.json").read_text("utf-8"))
    truth_file = (
        meeting / "truth.json" if (meeting / "truth.json").is_file() else ROOT / "sample_data/truth.json"
    )
    truth = json.loads(truth_file.read_text("utf-8"))["speakers"]
    people = {p["name"]: p for p in content["participants"]}
    with tempfile.TemporaryDirectory() as folder, StandIn([meeting]) as server:
        settings = Settings(server.base_url, "us-west-2", server.key)
        [outcome] = batch.run(server.bot_ids, lambda: settings, batch.Request(out=Path(folder) / "out"))
        result, work = Path(outcome.folder), Path(folder)
        known = json.loads((result / "speakers.json").read_text("utf-8"))["speakers"]
        labels = {person["name"]: label for label, person in known.items()}
        words = [(text, at_s, labels[who]) for text, at_s, who in words_of(truth)]
        rows = recall_transcript(words_of(truth), active_speakers(truth, lag_s), people)
        own = {w["text"]: labels[row["participant"]["name"]] for row in rows for w in row["words"]}
        print(f"{meeting.name}: {len(words)} words      right   wrong   no one    alone, %")
        by_recall, _ = score("Recall.ai's labels", own, words)
        score("Recall.ai's labels, merged", merged(result, "transcript.json", rows, work / "a"), words)
        by_us, alone = score("our segments", merged(result, "mixed.json", rows, work / "b"), words)
    return alone >= 0.95 and by_us > by_recall


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("meetings", nargs="*", type=Path, default=[ROOT / "sample_data"])
    arguments.add_argument("--lag", type=float, default=0.5, help="lag of the platform's reports, seconds")
    chosen = arguments.parse_args()
    reached = [measure(meeting, chosen.lag) for meeting in chosen.meetings]
    print("target:", "reached" if all(reached) else "NOT reached")
    sys.exit(0 if all(reached) else 1)


if __name__ == "__main__":
    main()
