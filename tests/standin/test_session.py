"""The whole road of one bot: created, recorded, reported, fetched, processed, deleted, as documented."""

import re
from pathlib import Path

import pytest
from standin.session import DOCUMENT, KEY, Session, play, text_of


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return play(tmp_path_factory.mktemp("session"))


def test_a_bot_goes_from_its_creation_to_the_deletion_of_its_media(session: Session) -> None:
    assert [o.status for o in session.outcomes] == ["done"]
    assert session.outcomes[0].bot_id == session.bot_id
    first, *_, last = session.calls
    assert (first[:2], first[3]) == (("POST", "/api/v1/bot/"), 201)
    assert (last[:2], last[3]) == (("POST", f"/api/v1/bot/{session.bot_id}/delete_media/"), 200)
    assert [line["code"] for line in session.journal] == ["", "media_deleted"]
    names = {Path(name).name for name in session.files}
    assert names >= {
        "talk.json",
        "run.json",
        "report.html",
        "Ann.wav",
        "Bob.wav",
        "mixed.raw",
        "deleted.json",
    }


def test_what_a_webhook_named_is_retrieved_and_not_listed(session: Session) -> None:
    asked = [path for method, path, *_ in session.calls if method == "GET" and path.startswith("/api/")]
    assert len(asked) == 2
    assert all(re.fullmatch(r"/api/v1/\w+/[0-9a-f-]{36}/", path) for path in asked)


def test_the_document_is_what_was_recorded_and_holds_no_key(session: Session) -> None:
    text = text_of(session)
    assert KEY not in text
    assert "127.0.0.1" not in text
    assert "Signature=" not in text
    assert DOCUMENT.read_text("utf-8") == text, "run `python tests/standin/session.py`"
