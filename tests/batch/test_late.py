"""What is still being made while the audio is done is asked for again; only what hangs on it is redone."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from batch.lab import Lab

from recall_audio.model.options import FetchOptions
from recall_audio.standin import State, meeting

TRANSCRIPT: list[dict[str, Any]] = [{"participant": {"id": 100, "name": "Ann"}, "words": []}]


def serve(lab: Lab, **codes: Any) -> str:
    """Serve a titled meeting with a transcript in a state, and return its bot."""
    served = lab.root / "titled"
    if not served.exists():
        shutil.copytree(lab.meetings[0], served)
        content = json.loads((served / "meeting.json").read_text("utf-8"))
        ends_at = datetime.now(UTC) + timedelta(days=2)
        content |= {"title": "Budget", "transcript": TRANSCRIPT, "expires_at": ends_at.isoformat()}
        (served / "meeting.json").write_text(json.dumps(content), "utf-8")
    lab.serve_these([meeting(served, State(transcript=codes.pop("transcript", "done"), **codes))])
    return lab.server.bot_ids[0]


def run(lab: Lab, *, transcript: bool = False) -> None:
    """Run the bot."""
    assert [o.status for o in lab.here(fetch=FetchOptions(transcript=transcript))] == ["done"]


def stages(lab: Lab) -> dict[str, str]:
    """The key of each stage."""
    return {s["name"]: s["key"] for s in json.loads((lab.folder(0) / "run.json").read_text())["stages"]}


def warned(lab: Lab) -> set[str]:
    """Codes of the run's warnings."""
    return {w["code"] for w in json.loads((lab.folder(0) / "run.json").read_text())["warnings"]}


def media(lab: Lab) -> list[str]:
    """Media files asked for."""
    return [p for p in lab.server.paths("/store/") if not p.endswith(".json")]


@pytest.mark.parametrize(
    ("late", "code", "redone"),
    [
        ({"metadata": "processing"}, "metadata_waiting", {"report"}),
        ({"transcript": "processing"}, "transcript_waiting", {"report"}),
        ({"events": "processing"}, "events_waiting", {"talk", "report"}),
        ({"events": "missing", "recording": "processing"}, "events_waiting", {"talk", "report"}),
    ],
    ids=["title", "transcript", "events", "no events yet"],
)
def test_what_is_late_comes_with_the_next_run_and_redoes_only_what_hangs_on_it(
    lab: Lab, late: dict[str, str], code: str, redone: set[str]
) -> None:
    serve(lab, **late)
    run(lab, transcript="transcript" in late)
    before, early = stages(lab), json.loads((lab.folder(0) / "recording.json").read_text())
    assert warned(lab) & {"metadata_waiting", "transcript_waiting", "events_waiting"} == {code}
    assert early["recording"]["title"] == (None if "metadata" in late else "Budget")

    serve(lab)
    run(lab)  # without --transcript: it was asked for before
    assert media(lab) == [], "no file comes twice"
    assert len(lab.server.paths("/api/")) <= 3, "the bot, and what is only in a list"
    after = stages(lab)
    assert {name for name in after if after[name] != before[name]} == redone
    assert not warned(lab) & {"metadata_waiting", "transcript_waiting", "events_waiting"}
    assert "expires_soon" in warned(lab), "run.json says until when the media are there"
    now = json.loads((lab.folder(0) / "recording.json").read_text())
    assert now["recording"]["title"] == "Budget"
    assert (lab.folder(0) / "source" / "transcript.json").is_file() is ("transcript" in late)
    assert bool(now["presence"])

    asked = len(lab.server.requests)
    run(lab)
    assert len(lab.server.requests) == asked, "nothing is late any more"
