"""Write the report of a recording and the index of many."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from recall_audio import report
from recall_audio.files import write_text
from recall_audio.pipeline.documents import Documents, read_documents
from recall_audio.pipeline.talk import remeasure_talk


def render_report(documents: Documents) -> str:
    """Render the page of one recording.

    Processing times are left out, so that the same results give the same page.
    """
    run = documents.get("run", {})
    timeless = {**run, "stages": [{**s, "seconds": None, "cpu_seconds": None} for s in run.get("stages", [])]}
    shown = {**documents, "run": timeless}
    if {"segments", "alignment", "speakers", "talk", "run"} <= documents.keys():
        talk = remeasure_talk(documents)
        shown["events"] = {"overlaps": [asdict(overlap) for overlap in talk.events.overlaps]}
    return report.render(shown)


def write_report(folder: Path) -> Path:
    """Render and write ``report.html`` of one recording, and return its path."""
    path = folder / "report.html"
    write_text(path, render_report(read_documents(folder)))
    return path


def write_index(root: Path, folders: Sequence[Path]) -> Path:
    """Write ``index.html`` over many recordings' reports, and return its path."""
    path = root / "index.html"
    rows = [
        report.index_row(read_documents(folder), (folder / "report.html").relative_to(root).as_posix())
        for folder in folders
    ]
    write_text(path, report.render_index([*rows, *_failures(root)]))
    return path


def _failures(root: Path) -> Iterator[dict[str, object]]:
    """Yield the bots whose last line of the journal is a failure without a recording's folder."""
    journal = root / "journal.jsonl"
    last: dict[str, dict[str, object]] = {}
    for line in journal.read_text("utf-8").splitlines() if journal.is_file() else ():
        try:
            entry = json.loads(line)
            last[str(entry["bot_id"])] = entry
        except (ValueError, KeyError, TypeError):
            continue  # a line that a killed run left half-written
    for bot_id, entry in last.items():
        if not entry.get("folder") and entry.get("status") != "done":
            yield {"bot_id": bot_id, "status": entry.get("status"), "reason": entry.get("message")}
