"""Bots by when they joined, how far they are and where; and whether a region knows a key."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recall_audio.errors import KeyRefused, RecallAudioError
from recall_audio.fetch import context
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.rate_limit import pace_of
from recall_audio.fetch.api.settings import REGION_VARIABLE, REGIONS, Settings
from recall_audio.fetch.context import Patience
from recall_audio.fetch.http.limits import Policy, RetryPolicy, TransferPolicy
from recall_audio.model.options import FetchOptions

_ONCE = Policy(retry=RetryPolicy(budget_s=0.0), transfer=TransferPolicy(read_s=10.0))
_NEVER = {"join_at_after": "2999-01-01T00:00:00Z"}
# Matches no bot: whether the key is taken shows all the same.


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which bots are wanted.

    Attributes:
        since: that join, or joined, after this time, or None.
        until: before this time, or None.
        statuses: whose status is one of these; empty takes any.
        platforms: on one of these platforms; empty takes any.
    """

    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    statuses: Sequence[str] = ()
    platforms: Sequence[str] = ()

    def query(self) -> dict[str, str | list[str]]:
        """As the API is asked."""
        times = {"join_at_after": self.since, "join_at_before": self.until}
        asked: dict[str, str | list[str]] = {
            k: t.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            for k, t in times.items()
            if t is not None
        }
        several = {"status": list(self.statuses), "platform": list(self.platforms)}
        return asked | {k: v for k, v in several.items() if v}


@dataclass(frozen=True, slots=True)
class ListedBot:
    """One bot of a list.

    Attributes:
        bot_id: its id.
        status: the last code it came to, or empty.
        sub_code: why, or None.
        platform: the meeting's platform, or None.
        join_at: when it joins or joined, ISO 8601, or None.
        name: its display name, or None.
        recordings: how many recordings it has.
    """

    bot_id: str
    status: str
    sub_code: str | None
    platform: str | None
    join_at: str | None
    name: str | None
    recordings: int


def list_bots(settings: Settings, wanted: Wanted) -> Iterator[ListedBot]:
    """Bots as the API lists them, page after page, each once.

    Raises:
        KeyRefused, ItemError, TransientError: as the API answers.
    """
    seen: set[str] = set()
    with context.opened(settings, FetchOptions(), Patience(Policy(), pace_of(settings.key)), None) as w:
        for row in w.api.listed("bot", **wanted.query()):
            bot = _listed(row)
            if bot.bot_id not in seen:  # a bot made meanwhile moves others on to the next page
                seen.add(bot.bot_id)
                yield bot


def _listed(row: Any) -> ListedBot:
    bot = payloads.bot(row)
    facts, n = bot.facts, len(bot.recordings)
    return ListedBot(
        bot.bot_id, bot.code, bot.sub_code, facts["platform"], facts["join_at"], facts["name"], n
    )


def check_key(settings: Settings, elsewhere: Mapping[str, Settings] | None = None) -> None:
    """Ask whether the API takes the key; where it does not, find the region that does.

    Args:
        settings: whom to ask.
        elsewhere: other regions by name; Recall.ai's own where None, and none for another address.

    Raises:
        KeyRefused: it does not; the hint names the region that knows the key, if one does.
        TransientError, ItemError: the API could not be asked.
    """
    others = _other_regions(settings) if elsewhere is None else elsewhere
    try:
        _ask(settings)
    except KeyRefused as error:
        refused = error
    else:
        return
    for region, there in others.items():
        try:
            _ask(there)
        except RecallAudioError:
            continue
        hint = f"The key belongs to region {region}: set {REGION_VARIABLE}={region}."
        raise KeyRefused(refused.message, hint, code="wrong_region", region=region)
    raise refused


def _ask(settings: Settings) -> None:
    with context.opened(settings, FetchOptions(), Patience(_ONCE, pace_of(settings.key)), None) as w:
        next(w.api.listed("bot", **_NEVER), None)


def _other_regions(settings: Settings) -> dict[str, Settings]:
    """Recall.ai's other regions; none where a proxy or a stand-in is asked."""
    own = settings.origin[1]
    if not own.endswith(".recall.ai"):
        return {}
    at = {region: f"{region}.recall.ai" for region in REGIONS}
    return {
        region: replace(settings, region=region, base_url=settings.base_url.replace(own, host, 1))
        for region, host in at.items()
        if host != own
    }
