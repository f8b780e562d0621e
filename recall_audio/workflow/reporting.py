"""Write the pages that people look at."""

from collections.abc import Sequence
from pathlib import Path

from recall_audio import report
from recall_audio.files import write_text
from recall_audio.workflow.documents import Documents, read_documents


def render_report(documents: Documents) -> str:
    """The page of one recording. Times taken are left out: the same results give the same page."""
    run = documents.get("run", {})
    timeless = {**run, "stages": [{**s, "seconds": None, "cpu_seconds": None} for s in run.get("stages", [])]}
    return report.render({**documents, "run": timeless})


def write_report(folder: Path) -> Path:
    """Render and write ``report.html`` of one recording; gives its path."""
    path = folder / "report.html"
    write_text(path, render_report(read_documents(folder)))
    return path


def write_index(root: Path, folders: Sequence[Path]) -> Path:
    """Write ``index.html`` over many recordings' reports; gives its path."""
    path = root / "index.html"
    rows = [_row(root, folder) for folder in folders]
    write_text(path, report.render_index(rows))
    return path


def _row(root: Path, folder: Path) -> dict[str, object]:
    documents = read_documents(folder)
    recording, run = documents["recording"], documents.get("run", {})
    return {
        "href": (folder / "report.html").relative_to(root).as_posix(),
        "bot_id": recording["bot"]["id"],
        "recording_id": recording["recording"]["id"],
        "started_at": recording["recording"].get("started_at"),
        "duration_s": documents.get("alignment", {}).get("mix", {}).get("duration_s"),
        "participants": len(recording["participants"]),
        "status": run.get("status", "not processed"),
        "warnings": len(run.get("warnings", [])),
        "reason": next((w["message"] for w in run.get("warnings", [])), ""),
    }
