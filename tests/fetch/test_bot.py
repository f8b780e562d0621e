"""Which region knows a key; which bots there are."""

import datetime
from dataclasses import replace

import pytest
from fetch.lab import Lab, make_meeting

from recall_audio.errors import KeyRefused, TransientError
from recall_audio.fetch import BotFilter, Settings, check_key, list_bots
from recall_audio.standin import Fault, Reply, ServedMeeting, StandIn, StandInOptions, meeting


def test_a_key_of_another_region_is_recognised_and_its_region_named(lab: Lab) -> None:
    make_meeting(lab.folder)
    with (
        lab.serve() as here,
        StandIn([meeting(lab.folder)], options=StandInOptions(key="canary-other")) as there,
    ):
        mine = lab.settings
        wrong, nobodys = replace(mine, key="canary-other"), replace(mine, key="canary-nobodys")

        def regions(asked: Settings) -> dict[str, Settings]:
            return {
                "eu-central-1": replace(asked, region="eu-central-1", base_url=here.base_url),
                "ap-northeast-1": replace(asked, region="ap-northeast-1", base_url=there.base_url),
            }

        check_key(mine, regions(mine))
        assert there.requests == []
        with pytest.raises(KeyRefused) as caught:
            check_key(wrong, regions(wrong))
        assert caught.value.code == "wrong_region"
        assert "RECALL_REGION=ap-northeast-1" in caught.value.hint
        assert "canary" not in str(caught.value)
        with pytest.raises(KeyRefused) as caught:
            check_key(nobodys, regions(nobodys))
        assert caught.value.code == "key_refused"
        assert len(there.requests) == 2


def test_an_api_that_cannot_be_asked_is_no_verdict_on_the_key(lab: Lab) -> None:
    with lab.serve(Fault(".", [Reply(status=503)], forever=True)), pytest.raises(TransientError):
        check_key(lab.settings, {})
    assert len(lab.server.requests) == 1, "a doctor does not wait"


def test_every_page_of_bots_is_listed_and_none_twice(lab: Lab) -> None:
    """A bot made meanwhile moves others on to the next page."""
    make_meeting(lab.folder)
    one = meeting(lab.folder)
    bots = [ServedMeeting(one.folder, one.content, one.state, f"bot-{i}") for i in (1, 2, 2, 3, 4)]
    with StandIn(bots, options=StandInOptions(key="canary-key-5f1e9c", page_size=2)) as lab.server:
        since = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
        found = list(list_bots(lab.settings, BotFilter(since=since, statuses=["done"])))
        assert [b.bot_id for b in found] == ["bot-1", "bot-2", "bot-3", "bot-4"]
        assert "join_at_after=2025-12-31T22%3A00%3A00Z" in lab.server.requests[0].query
        assert list(list_bots(lab.settings, BotFilter(statuses=["fatal"]))) == []
