"""Bots: fetch all recordings of one, create one, look at what is here already."""

import datetime
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from recall_audio.environment import REGION_VARIABLE
from recall_audio.errors import ItemError, KeyRefused, RecallAudioError, TransientError, UsageError, Waiting
from recall_audio.fetch import context
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.payloads import Bot, Recording
from recall_audio.fetch.api.rate_limit import pace_of
from recall_audio.fetch.api.settings import REGIONS, Settings
from recall_audio.fetch.context import Patience, World
from recall_audio.fetch.download.file import Progress
from recall_audio.fetch.http.retry import Policy, RetryPolicy, TransferPolicy
from recall_audio.fetch.ledger import read_meeting, safe_id
from recall_audio.fetch.recording import BotFetch, FetchedRecording, Place, fetch_recording
from recall_audio.files import sweep_parts
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import FetchOptions

IsFetched = Callable[[Path], bool]


def fetch_bot(
    bot_id: str,
    out: Path,
    settings: Settings,
    options: FetchOptions,
    progress: Progress | None = None,
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
        stop: once set, everything under way ends within a second or two with TransientError ``interrupted``.
        is_fetched: says of a recording's folder that nothing of it is to be asked for again.

    Raises:
        UsageError: `bot_id` cannot be an id.
        KeyRefused: the API takes no request with this key.
        MachineError: the disk is full, or certificates cannot be checked.
        ItemError: nothing of this bot can be had; ``code`` and ``facts['sub_code']`` say why.
        TransientError: something may be had later; what came is kept and not asked for again.
        Waiting: the bot has no recording yet.
    """
    with context.opened(settings, options, _ordinary(settings), stop) as opened:
        return fetch_in(opened, bot_id, out, progress, is_fetched)


def _ordinary(settings: Settings) -> Patience:
    return Patience(Policy(), pace_of(settings.key))


def fetch_in(
    w: World, bot_id: str, out: Path, progress: Progress | None = None, is_fetched: IsFetched | None = None
) -> BotFetch:
    """:func:`fetch_bot` in a world that is already open."""
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", bot_id):
        raise UsageError(
            f"{bot_id[:80]!r} is no bot's id.", "Expected an id as Recall.ai shows it: 8-4-4-4-12."
        )
    root = out / safe_id(bot_id)
    if root.is_dir():
        sweep_parts(root)
    until = w.policy.monotonic() + w.options.wait_s
    bot = _with_recordings(w, bot_id, until)
    results: list[FetchedRecording] = []
    failures: list[ItemError | TransientError] = []
    for recording in bot.recordings:
        place = Place(root / safe_id(recording.recording_id), until, progress)
        try:
            results.append(_one(w, bot, recording, place, is_fetched))
        except ItemError as error:
            failures.append(error)
            bare = Meeting(bot.facts, recording.facts, (), (), None)
            results.append(FetchedRecording(place.folder, bare, "gone", error.message, error.code))
        except TransientError as error:
            failures.append(error)
    transient = [e for e in failures if isinstance(e, TransientError)]
    if transient:
        raise transient[0]
    if failures and all(r.status == "gone" for r in results):
        raise failures[0]
    return BotFetch(bot_id, tuple(results), w.halt.retries)


def _one(
    w: World, bot: Bot, recording: Recording, place: Place, is_fetched: IsFetched | None
) -> FetchedRecording:
    if is_fetched is not None and is_fetched(place.folder):
        meeting = read_meeting(place.folder)
        if meeting is not None:
            return FetchedRecording(place.folder, meeting, "complete", reused=True)
    return fetch_recording(w, bot, recording, place)


def _with_recordings(w: World, bot_id: str, until: float) -> Bot:
    """The bot once it has a recording; waited for as long as one may still come."""
    bot = payloads.bot(w.api.retrieve("bot", bot_id))
    while not bot.recordings and bot.is_under_way and w.policy.monotonic() + w.policy.poll_s <= until:
        w.halt.sleep(w.policy.poll_s, w.policy.retry)
        bot = payloads.bot(w.api.retrieve("bot", bot_id))
    if bot.recordings:
        return bot
    why = f" ({bot.code}{', ' + bot.sub_code if bot.sub_code else ''})" if bot.code else ""
    if bot.is_under_way or (not bot.code and _is_ahead(bot.facts["join_at"], w.policy.now())):
        raise Waiting(f"Bot {bot_id} has no recording yet{why}.", "Run again once the meeting is over.")
    raise ItemError(f"Bot {bot_id} has no recording{why}.", code="gone", sub_code=bot.sub_code)


def _is_ahead(join_at: str | None, now: float) -> bool:
    try:
        return join_at is not None and datetime.datetime.fromisoformat(join_at).timestamp() > now
    except (ValueError, OverflowError):
        return False


def create_bot(
    settings: Settings,
    meeting_url: str,
    name: str | None = None,
    join_at: str | None = None,
    separate: Literal["mp3", "raw"] = "mp3",
) -> str:
    """Send a bot that records what this package needs, mixed and separate audio; returns its id.

    Raises:
        UsageError: an argument cannot be right; nothing was sent.
        KeyRefused, ItemError, TransientError: as the API answers. A creation is not repeated where it may
            already have succeeded.
    """
    body: dict[str, object] = {
        "meeting_url": meeting_url,
        "recording_config": {"audio_mixed_mp3": {}, f"audio_separate_{separate}": {}},
    }
    if not re.match(r"https?://[^/\s]+", meeting_url):
        raise UsageError("This is no meeting's address.", "Expected one that begins with https://.")
    if name is not None:
        if not 0 < len(name) <= 100:
            raise UsageError(f"A bot's name has 1 to 100 characters, not {len(name)}.")
        body["bot_name"] = name
    if join_at is not None:
        try:
            datetime.datetime.fromisoformat(join_at)
        except ValueError:
            raise UsageError("The time to join is no ISO 8601 time.", "E.g. 2026-01-31T09:00:00Z.") from None
        body["join_at"] = join_at
    with context.opened(settings, FetchOptions(), _ordinary(settings), None) as opened:
        made = payloads.mapping(opened.api.create("bot", body), "new bot")
    return payloads.identifier(made.get("id"), "new bot")


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
