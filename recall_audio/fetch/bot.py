"""Bots: fetch all recordings of one, create one, look at what is here already."""

import re
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

from recall_audio.errors import ItemError, TransientError, UsageError, Waiting
from recall_audio.fetch import context
from recall_audio.fetch.api import fields, payloads
from recall_audio.fetch.api.payloads import Bot, Recording
from recall_audio.fetch.api.rate_limit import pace_of
from recall_audio.fetch.api.settings import Settings
from recall_audio.fetch.context import Patience, World
from recall_audio.fetch.download.file import Progress
from recall_audio.fetch.http.limits import Policy
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
        return join_at is not None and datetime.fromisoformat(join_at).timestamp() > now
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
            datetime.fromisoformat(join_at)
        except ValueError:
            raise UsageError("The time to join is no ISO 8601 time.", "E.g. 2026-01-31T09:00:00Z.") from None
        body["join_at"] = join_at
    with context.opened(settings, FetchOptions(), _ordinary(settings), None) as opened:
        made = fields.mapping(opened.api.create("bot", body), "new bot")
    return fields.identifier(made.get("id"), "new bot")
