"""What platforms give stands in one table with its month, and a warning says it as it stands there."""

import datetime
import re
from pathlib import Path

import pytest

import recall_audio
from recall_audio.fetch.artifacts import PLATFORM_FACTS, never_recorded

# Read from Recall.ai's public documents by hand. A change of the table needs a change here, with its month.
READ: dict[str | None, tuple[str, int | None, str]] = {
    "zoom": ("2025-11", 16, "up to 16 people at a time, and to a native bot not for people who dial in"),
    "microsoft_teams": ("2025-11", 9, "up to 9 people at a time"),
    "microsoft_teams_live": ("2025-11", 9, "up to 9 people at a time"),
    "google_meet": ("2025-11", 16, "up to 16 people at a time"),
    "webex": ("2025-11", None, "Webex may not give it"),
    "slack_huddle_observer": ("2025-11", None, "Slack Huddles may not give it"),
    "slack_authenticator": ("2025-11", None, "Slack Huddles may not give it"),
    "goto_meeting": ("2025-11", None, "GoTo Meeting may not give it"),
}


@pytest.mark.parametrize("platform", READ)
def test_a_warning_says_what_the_documents_said_and_when(platform: str) -> None:
    month, most, words = READ[platform]
    fact = PLATFORM_FACTS[platform]
    assert (fact.as_of, fact.most) == (month, most)
    message = never_recorded("audio_separate", platform).message
    assert words in message
    assert f"as of {month}" in message
    assert f"a {platform} meeting" in message
    assert "audio_separate_mp3" in message, "what to ask for with the next bot"


@pytest.mark.parametrize("platform", ["zoom_rtms", "chime_sdk", "from_next_year", None])
def test_a_platform_of_which_nothing_is_known_is_said_to_give_it_perhaps(platform: str | None) -> None:
    message = never_recorded("audio_separate", platform).message
    assert "may not give it" in message
    assert platform is None or platform in message


def test_the_table_is_whole_and_no_month_lies_ahead() -> None:
    assert PLATFORM_FACTS.keys() == READ.keys()
    for fact in PLATFORM_FACTS.values():
        assert datetime.date.fromisoformat(f"{fact.as_of}-01") <= datetime.datetime.now(datetime.UTC).date()
        assert fact.most is None or fact.most > 0


def test_no_other_module_says_how_many_streams_a_platform_gives() -> None:
    package = Path(recall_audio.__file__).parent
    said = re.compile(r"\b\d+ (people|streams|participants) at a time")
    found = [
        p.relative_to(package).as_posix() for p in package.rglob("*.py") if said.search(p.read_text("utf-8"))
    ]
    assert found == []
