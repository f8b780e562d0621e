"""Fetch all recordings of a bot, list and create bots, delete their media, and check the key."""

import datetime
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recall_audio.environment import REGION_VARIABLE
from recall_audio.errors import ItemError, KeyRefused, RecallAudioError, TransientError, UsageError, Waiting
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.payloads import Bot, Recording
from recall_audio.fetch.api.settings import REGIONS, Settings
from recall_audio.fetch.artifacts import TRANSCRIPT_FILE, time_of
from recall_audio.fetch.context import FetchContext, open_context
from recall_audio.fetch.http.retry import Policy, RetryPolicy, TransferPolicy
from recall_audio.fetch.ledger import read_meeting
from recall_audio.fetch.recording import BotFetch, Destination, FetchedRecording, fetch_recording
from recall_audio.files import sweep_parts
from recall_audio.model.labels import is_id, safe_id
from recall_audio.model.meeting import Meeting
from recall_audio.model.new_bot import NewBot, body_of
from recall_audio.model.options import FetchOptions
from recall_audio.model.outcome import TRANSCRIPT_WAITING, DownloadCallback

IsFetched = Callable[[Path], bool]
"""Returns whether nothing of a recording's folder needs to be requested again."""

_log = logging.getLogger(__name__)

_CHECK_POLICY = Policy(retry=RetryPolicy(budget_s=0.0), transfer=TransferPolicy(read_s=10.0))
"""One attempt, 10 s for an answer: a key is checked while the user waits."""

_CHECK_QUERY = {"join_at_after": "2999-01-01T00:00:00Z"}
"""Matches no bot; the answer still shows whether the key is accepted."""


def fetch_bot(
    bot_id: str,
    out: Path,
    settings: Settings,
    options: FetchOptions,
    progress: DownloadCallback | None = None,
    stop: threading.Event | None = None,
    is_fetched: IsFetched | None = None,
) -> BotFetch:
    """Fetch every recording of a bot into ``OUT/<bot_id>/<recording_id>/``.

    Args:
        bot_id: the bot.
        out: root of the results.
        settings: where the API is, and the key.
        options: the user's choices.
        progress: called ``(file, done_bytes, total_bytes or None)``, from several threads.
        stop: once set, the fetch ends within a second or two with TransientError ``interrupted``.
        is_fetched: returns whether nothing of a recording's folder needs to be requested again.

    Raises:
        UsageError: `bot_id` cannot be an id.
        KeyRefused: the API accepts no request with this key.
        MachineError: the disk is full, or certificates cannot be checked.
        ItemError: nothing of this bot is available; ``code`` and ``facts['sub_code']`` give the reason.
        TransientError: something may be available later; what arrived is kept and not requested again.
        Waiting: the bot has no recording yet.
    """
    with open_context(settings, options, stop=stop) as context:
        return fetch_with(context, bot_id, out, progress, is_fetched)


def fetch_with(
    context: FetchContext,
    bot_id: str,
    out: Path,
    progress: DownloadCallback | None = None,
    is_fetched: IsFetched | None = None,
) -> BotFetch:
    """Do what :func:`fetch_bot` does in a context that is already open."""
    if not is_id(bot_id):
        raise UsageError(
            f"{bot_id[:80]!r} is not a bot id.", "Expected an id as Recall.ai shows it: 8-4-4-4-12."
        )
    root = out / safe_id(bot_id)
    if root.is_dir():
        sweep_parts(root)
    until = context.policy.monotonic() + context.options.wait_s
    bot = _wait_for_recordings(context, bot_id, until)
    results: list[FetchedRecording] = []
    failures: list[ItemError | TransientError] = []
    for recording in bot.recordings:
        destination = Destination(root / safe_id(recording.recording_id), until, progress)
        try:
            results.append(_fetch_or_reuse(context, bot, recording, destination, is_fetched))
        except ItemError as error:
            failures.append(error)
            bare = Meeting(bot.facts, recording.facts, (), (), None)
            results.append(FetchedRecording(destination.folder, bare, "gone", error.message, error.code))
        except TransientError as error:
            failures.append(error)
    for key in bot.unreadable:
        failures.append(
            ItemError(f"The API's answer for recording {key} cannot be used.", code="bad_payload")
        )
        bare = Meeting(bot.facts, {"id": key}, (), (), None)
        lost = FetchedRecording(root / safe_id(key), bare, "gone", failures[-1].message, "bad_payload")
        results.append(lost)
    transient = [e for e in failures if isinstance(e, TransientError)]
    if transient:
        raise transient[0]
    if failures and all(r.status == "gone" for r in results):
        raise failures[0]
    return BotFetch(bot_id, tuple(results), context.cancellation.retries)


def _fetch_or_reuse(
    context: FetchContext,
    bot: Bot,
    recording: Recording,
    destination: Destination,
    is_fetched: IsFetched | None,
) -> FetchedRecording:
    known = read_meeting(destination.folder)
    if known is not None and any(f.code == TRANSCRIPT_WAITING for f in known.findings):
        # It was asked for before: the option need not be given again.
        context = replace(context, options=replace(context.options, transcript=True))
    wanted = context.options.transcript and not (destination.folder / TRANSCRIPT_FILE).is_file()
    if known is not None and is_fetched is not None and not wanted and is_fetched(destination.folder):
        return FetchedRecording(destination.folder, known, "complete", reused=True)
    return fetch_recording(context, bot, recording, destination)


def _wait_for_recordings(context: FetchContext, bot_id: str, until: float) -> Bot:
    """Return the bot once it has a recording.

    Poll it while one may still appear.
    """
    policy = context.policy
    bot = payloads.bot(context.api.retrieve("bot", bot_id))
    while not bot.recordings and bot.is_under_way and policy.monotonic() + policy.poll_s <= until:
        context.cancellation.sleep(policy.poll_s, policy.retry)
        bot = payloads.bot(context.api.retrieve("bot", bot_id))
    if bot.recordings or bot.unreadable:
        return bot
    why = f" ({bot.code}{', ' + bot.sub_code if bot.sub_code else ''})" if bot.code else ""
    if bot.is_under_way or (not bot.code and _is_in_future(bot.facts["join_at"], policy.now())):
        raise Waiting(f"Bot {bot_id} has no recording yet{why}.", "Run again once the meeting is over.")
    raise ItemError(f"Bot {bot_id} has no recording{why}.", code="gone", sub_code=bot.sub_code)


def _is_in_future(join_at: str | None, now: float) -> bool:
    joins_at = time_of(join_at)
    return joins_at is not None and joins_at.timestamp() > now


def create_bot(settings: Settings, new_bot: NewBot) -> str:
    """Create a bot and return its id.

    Raises:
        UsageError: the body cannot be right; nothing was sent.
        KeyRefused, ItemError, TransientError: as the API answers. A creation that may have succeeded is
            not repeated.
    """
    body, notes = body_of(new_bot, datetime.datetime.now(datetime.UTC))
    for note in notes:
        _log.warning(note)
    with open_context(settings) as context:
        made = payloads.mapping(context.api.create("bot", body), "new bot")
    return payloads.identifier(made.get("id"), "new bot")


def delete_media(settings: Settings, bot_id: str, stop: threading.Event | None = None) -> None:
    """Delete all media of a bot at Recall.ai for good: audio, video, transcripts, events.

    Raises:
        KeyRefused, ItemError, TransientError: as the API answers.
    """
    with open_context(settings, stop=stop) as context:
        context.api.act("bot", bot_id, "delete_media")


@dataclass(frozen=True, slots=True)
class BotFilter:
    """Which bots to list.

    Attributes:
        since: only bots that join, or joined, after this time, or None.
        until: only bots that join before this time, or None.
        statuses: only bots with one of these statuses; empty for any.
        platforms: only bots on one of these platforms; empty for any.
        metadata: only bots with all of these keys and values in their metadata.
        expiring: only bots with media that are deleted for good within this time from now, or None.
    """

    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    statuses: Sequence[str] = ()
    platforms: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    expiring: datetime.timedelta | None = None

    def matches(self, bot: "ListedBot", now: datetime.datetime) -> bool:
        """Return whether a bot passes what the API cannot filter by."""
        if self.expiring is None:
            return True
        ends_at = time_of(bot.expires_at)
        return ends_at is not None and now < ends_at and ends_at - now <= self.expiring

    def query(self) -> dict[str, str | list[str]]:
        """Return the query parameters of the API's list."""
        times = {"join_at_after": self.since, "join_at_before": self.until}
        query: dict[str, str | list[str]] = {
            k: t.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            for k, t in times.items()
            if t is not None
        }
        lists = {"status": list(self.statuses), "platform": list(self.platforms)}
        query |= {f"metadata__{key}": value for key, value in self.metadata.items()}
        return query | {k: v for k, v in lists.items() if v}


@dataclass(frozen=True, slots=True)
class ListedBot:
    """One bot of a list.

    Attributes:
        bot_id: its id.
        status: code of its last status, or empty.
        sub_code: reason of that status, or None.
        platform: the meeting's platform, or None.
        join_at: when it joins or joined, ISO 8601, or None.
        name: its display name, or None.
        recordings: number of its recordings.
        title: the meeting's title, by the first recording that has one, or None.
        metadata: the bot's metadata.
        expires_at: when the next of its media are deleted for good, ISO 8601, or None.
    """

    bot_id: str
    status: str
    sub_code: str | None
    platform: str | None
    join_at: str | None
    name: str | None
    recordings: int
    title: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    expires_at: str | None = None


def list_bots(settings: Settings, bot_filter: BotFilter) -> Iterator[ListedBot]:
    """Yield the bots that match a filter, page after page, each once.

    Raises:
        KeyRefused, ItemError, TransientError: as the API answers.
    """
    seen: set[str] = set()
    now = datetime.datetime.now(datetime.UTC)
    with open_context(settings) as context:
        for row in context.api.list_rows("bot", **bot_filter.query()):
            try:
                bot = _listed_bot(row, now)
            except ItemError as error:
                _log.warning("a bot was left out of the list: %s", error.message)
                continue
            # A bot created meanwhile moves others on to the next page.
            if bot.bot_id not in seen and bot_filter.matches(bot, now):
                seen.add(bot.bot_id)
                yield bot


def _listed_bot(row: Any, now: datetime.datetime) -> ListedBot:
    bot = payloads.bot(row)
    facts, n_recordings = bot.facts, len(bot.recordings)
    titles = (r.facts["title"] for r in bot.recordings)
    kept = [r.facts["expires_at"] for r in bot.recordings if r.code != "deleted"]
    ends = [(ends_at, end) for end in kept if (ends_at := time_of(end)) is not None and ends_at > now]
    return ListedBot(
        bot.bot_id,
        bot.code,
        bot.sub_code,
        facts["platform"],
        facts["join_at"],
        facts["name"],
        n_recordings,
        next((title for title in titles if title), None),
        facts["metadata"],
        min(ends)[1] if ends else None,
    )


def check_key(settings: Settings, other_regions: Mapping[str, Settings] | None = None) -> None:
    """Check that the API accepts the key and, where it does not, find the region that does.

    Args:
        settings: the API to ask.
        other_regions: settings by region; Recall.ai's own regions if None, and none for another host.

    Raises:
        KeyRefused: the key is refused; the hint names the region that accepts it, if one does.
        TransientError, ItemError: the API could not be reached.
    """
    others = _other_regions(settings) if other_regions is None else other_regions
    try:
        _check_once(settings)
    except KeyRefused as error:
        refused = error
    else:
        return
    for region, there in others.items():
        try:
            _check_once(there)
        except RecallAudioError:
            continue
        hint = f"The key belongs to region {region}: set {REGION_VARIABLE}={region}."
        raise KeyRefused(refused.message, hint, code="wrong_region", region=region)
    raise refused


def _check_once(settings: Settings) -> None:
    with open_context(settings, policy=_CHECK_POLICY) as context:
        next(context.api.list_rows("bot", **_CHECK_QUERY), None)


def _other_regions(settings: Settings) -> dict[str, Settings]:
    """Return Recall.ai's other regions, or none where a proxy or a stand-in is used."""
    own_host = settings.origin[1]
    if not own_host.endswith(".recall.ai"):
        return {}
    hosts = {region: f"{region}.recall.ai" for region in REGIONS}
    return {
        region: replace(settings, region=region, base_url=settings.base_url.replace(own_host, host, 1))
        for region, host in hosts.items()
        if host != own_host
    }
