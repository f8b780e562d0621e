"""Queue the bots that webhooks name, in a folder with one small file for each bot.

::

    QUEUE/<bot_id>.json           to be processed; one that waits says ``not_before``
    QUEUE/taken/<bot_id>.json     being processed; put back at the next start if that was interrupted
    QUEUE/done/<bot_id>.json      processed: kept for some days, so that a repeated message is known
    QUEUE/failed/<bot_id>.json    failed for good; move it back into QUEUE to have it tried again

Any number of threads add, each entry one at a time; one process takes. A rename takes an entry, so that what
is added meanwhile makes a new entry and is never lost: at worst a bot is processed once more, and finished
work costs nothing.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError, UsageError
from recall_audio.files import disk_error, read_json, sweep_parts, write_json
from recall_audio.model.labels import is_file_name
from recall_audio.units import from_iso, to_iso

WANTED = ("audio_separate.done", "audio_mixed.done", "recording.done")
"""Events to subscribe to: after these there is something to fetch."""

_OF_RECORDINGS = (
    "recording", "audio_separate", "audio_mixed", "video_mixed", "participant_events", "transcript",
    "meeting_metadata",
)  # fmt: skip
_LATER = frozenset({*(f"{what}.{end}" for what in _OF_RECORDINGS for end in ("done", "failed"))} - {*WANTED})
"""Further events after which a recording is looked at: what came late, and what will never come."""
_OF_BOTS = frozenset({"bot.done", "bot.fatal"})
"""Events after which a bot is looked at, though what it recorded may still be processed."""
_STATUS_CHANGE = "bot.status_change"
"""Event of older workspaces, for every status of a bot; the status says which of the above it is."""


@dataclass(frozen=True, slots=True)
class BotEvent:
    """A bot with something new, as a message says or as a user asks.

    Attributes:
        bot_id: the bot.
        message_id: the same however often the message is delivered; empty where a user asks.
        recording_id: the recording, or empty.
        artifacts: ids of what is done, by kind (``audio_separate``, ``audio_mixed``, ``recording``).
    """

    bot_id: str
    message_id: str = ""
    recording_id: str = ""
    artifacts: dict[str, str] = field(default_factory=dict)

    @property
    def is_valid(self) -> bool:
        """Whether the bot's id has the form of one."""
        return is_file_name(self.bot_id)


@dataclass(frozen=True, slots=True)
class IgnoredMessage:
    """A message that needs no action.

    Attributes:
        reason: safe to show: no part of the message but an event's name of the usual form.
        is_odd: whether a message of its kind should have named a bot.
    """

    reason: str
    is_odd: bool = False


def parse_event(body: bytes, message_id: str) -> BotEvent | IgnoredMessage:
    """Parse the body of a verified message.

    Only what has the form of an id is read; everything else about a bot comes from the API.
    """
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return IgnoredMessage("it cannot be read as JSON", is_odd=True)
    event = message.get("event") if isinstance(message, dict) else None
    data = message.get("data") if isinstance(message, dict) else None
    shown = event if isinstance(event, str) and re.fullmatch(r"[a-z_.]{1,60}", event) else "its event"
    if event == _STATUS_CHANGE:
        code = _status_code(data)
        event, shown = f"bot.{code}", f"{_STATUS_CHANGE} to {code or 'no known status'}"
    if not isinstance(event, str) or event not in {*WANTED, *_LATER, *_OF_BOTS}:
        return IgnoredMessage(f"{shown} needs no action")
    bot_id = _id(data, "bot") or _plain_id(data, "bot_id")
    if not bot_id:
        return IgnoredMessage(f"{shown} names no bot", is_odd=True)
    kind, _, end = event.partition(".")
    done = _id(data, kind) if end == "done" and kind != "bot" else ""
    return BotEvent(bot_id, message_id, _id(data, "recording"), {kind: done} if done else {})


def _status_code(data: Any) -> str:
    """Return the code of a status change, or an empty text."""
    status = data.get("status") if isinstance(data, dict) else None
    code = status.get("code") if isinstance(status, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,60}", code) else ""


def _id(data: Any, what: str) -> str:
    """Return an id in a message's data, or an empty text."""
    found = data.get(what) if isinstance(data, dict) else None
    return _plain_id(found, "id")


def _plain_id(data: Any, name: str) -> str:
    """Return an id that is a field of its own, or an empty text."""
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, str) and is_file_name(value) else ""


KIND = "queued"
MAX_MESSAGES = 200
"""Message ids kept of one bot."""

OTHER_ARTIFACTS_WAIT_S = 60.0
"""Wait for messages about a bot's other artifacts, seconds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A bot to be processed.

    Attributes:
        bot_id: the bot.
        since: time of its first message, ISO 8601.
        recordings: ids of artifacts that are done, by recording id and kind, as far as messages say.
        messages: ids of the messages received.
        not_before: time of the next try, ISO 8601, or None for at once.
        tries: times that it was put back.
        why: reason why it was put back.
        kills: times that its process was killed since.
    """

    bot_id: str
    since: str = ""
    recordings: dict[str, dict[str, str]] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    not_before: str | None = None
    tries: int = 0
    why: str = ""
    kills: int = 0

    def with_event(self, event: BotEvent) -> "Entry":
        """Return the entry with one message more, due sooner than before.

        It is due at once if a user asks, if a bot that was tried before has ended, or if separate audio and
        one more artifact are done. Otherwise messages about other artifacts get a minute to follow: each try
        costs API calls, and an artifact that no message named costs a list.
        """
        recordings = {k: dict(v) for k, v in self.recordings.items()}
        artifacts = recordings.setdefault(event.recording_id, {}) if event.recording_id else {}
        artifacts.update(event.artifacts)
        messages = (*self.messages, event.message_id) if event.message_id else self.messages
        is_due = bool(self.since) and self.not_before is None
        named = artifacts.keys() & {event.removesuffix(".done") for event in WANTED}
        is_asked_for = not event.recording_id and (not event.message_id or self.tries > 0)
        is_enough = is_asked_for or ("audio_separate" in named and len(named) > 1)
        return replace(
            self,
            since=self.since or to_iso(time.time()),
            recordings=recordings,
            messages=messages[-MAX_MESSAGES:],
            not_before=None if is_due or is_enough else self._soon(),
        )

    def _soon(self) -> str:
        latest_s = time.time() + OTHER_ARTIFACTS_WAIT_S
        return to_iso(min(latest_s, from_iso(self.not_before) or latest_s))

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the entry's file."""
        return {name: getattr(self, name) for name in self.__slots__} | {"messages": list(self.messages)}


def read_entry(path: Path) -> Entry | None:
    """Return the entry in a file, or None where the file is missing or unreadable.

    Its bot is the file's name, whatever stands inside: other files of the entry are named after it.
    """
    try:
        value = read_json(path, KIND)
        recordings = {str(k): {str(a): str(b) for a, b in v.items()} for k, v in value["recordings"].items()}
        messages = tuple(str(m) for m in value["messages"])
        not_before = value["not_before"]
        return Entry(
            path.name.removesuffix(".json"), str(value["since"]), recordings, messages,
            not_before if isinstance(not_before, str) else None, int(value["tries"]), str(value["why"]),
            int(value.get("kills", 0)),
        )  # fmt: skip
    except (ItemError, KeyError, TypeError, ValueError, AttributeError):
        return None


DONE_KEPT_S = 3 * 86_400.0
"""Time that finished entries are kept, seconds: Svix repeats a message for little more than a day."""

MOST_TRIES = 40
"""Tries of a bot before it is quarantined: a day and a half, more than any outage or artifact has taken."""
MOST_KILLS = 5
"""Kills of the process before the bots that it worked on are quarantined: most kills are the machine's."""
_FIRST_WAIT_S = 60.0
"""Wait before the second try of a bot, seconds; it doubles with each."""
_LONGEST_WAIT_S = 3600.0
_OLD_PART_S = 3600.0
"""Age at which a temporary file counts as left by a killed process, seconds."""


class Queue:
    """A queue in a folder.

    Args:
        folder: created where it does not exist.

    Raises:
        MachineError: it cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._taken = folder, folder / "taken"
        self._done, self._failed = folder / "done", folder / "failed"
        self._due_times: dict[str, tuple[int, float]] = {}
        try:
            for subfolder in (self._taken, self._done, self._failed):
                subfolder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            failure = disk_error(error, folder)
        else:
            return
        raise failure

    def add(self, event: BotEvent) -> bool:
        """Write an event to the disk and return whether its message was new.

        Two calls for one bot must not run at once: the later might not see what the earlier wrote.

        Raises:
            MachineError: it cannot be written.
        """
        name = f"{event.bot_id}.json"
        # In the order in which an entry moves, so that one that moves meanwhile is not overlooked.
        folders = (self.folder, self._taken, self._done, self._failed)
        entries = [read_entry(folder / name) for folder in folders]
        if event.message_id and any(event.message_id in e.messages for e in entries if e is not None):
            return False
        entry = entries[0] or Entry(event.bot_id)
        write_json(self.folder / name, KIND, entry.with_event(event).to_json())
        return True

    def waiting(self) -> int:
        """Count the entries to be processed, now or later."""
        return sum(1 for _ in self._names(self.folder))

    def due(self, now: float, exclude: Iterable[str] = ()) -> list[str]:
        """Return the bots due at `now`, oldest first, without those in `exclude`.

        Args:
            now: seconds since the epoch.
            exclude: bots that are being processed.
        """
        excluded, found = set(exclude), []
        for name, changed_ns in self._names(self.folder):
            if self._due_times.get(name, (0, 0.0))[0] != changed_ns:
                entry = read_entry(self.folder / name)
                self._due_times[name] = (changed_ns, from_iso(entry.not_before if entry else None))
            if self._due_times[name][1] <= now and (bot_id := name.removesuffix(".json")) not in excluded:
                found.append((changed_ns, bot_id))
        return [bot_id for _, bot_id in sorted(found)]

    def take(self, bot_id: str) -> Entry | None:
        """Take a bot's entry, or return None where it is gone.

        An unreadable entry still names its bot.
        """
        name = f"{bot_id}.json"
        self._due_times.pop(name, None)
        try:
            (self.folder / name).replace(self._taken / name)
        except FileNotFoundError:
            return None
        entry = read_entry(self._taken / name)
        return replace(entry, bot_id=bot_id) if entry else Entry(bot_id, since=to_iso(time.time()))

    def finish(self, entry: Entry, outcomes: list[dict[str, Any]], *, failed: bool) -> None:
        """Move a processed bot to ``done`` or ``failed``, with its outcomes."""
        name = f"{entry.bot_id}.json"
        folder, other = (self._failed, self._done) if failed else (self._done, self._failed)
        earlier = [m for p in (folder, other) if (e := read_entry(p / name)) for m in e.messages]
        messages = tuple(dict.fromkeys([*earlier, *entry.messages]))[-MAX_MESSAGES:]
        ended = {"ended": to_iso(time.time()), "outcomes": outcomes}
        write_json(folder / name, KIND, replace(entry, messages=messages).to_json() | ended)
        for obsolete in (other / name, self._taken / name):
            obsolete.unlink(missing_ok=True)

    def _quarantine(self, entry: Entry, why: str) -> None:
        """Move a bot that was tried often enough to ``failed``; a later message about it tries it anew."""
        outcome = {"bot_id": entry.bot_id, "status": "failed", "code": "set_aside"}
        self.finish(entry, [outcome | {"message": f"It is quarantined: {why}."}], failed=True)

    def put_back(self, entry: Entry, why: str = "", *, at_once: bool = False) -> None:
        """Put an unfinished bot back, to be tried after a growing wait."""
        if not at_once and entry.tries + 1 >= MOST_TRIES:
            self._quarantine(replace(entry, why=why), f"it was tried {MOST_TRIES} times, last: {why}")
            return
        if not at_once:
            wait_s = min(_FIRST_WAIT_S * 2.0**entry.tries, _LONGEST_WAIT_S)
            next_try = to_iso(time.time() + wait_s)
            entry = replace(entry, tries=entry.tries + 1, not_before=next_try, why=why, kills=0)
            write_json(self._taken / f"{entry.bot_id}.json", KIND, entry.to_json())
        self._untake(self._taken / f"{entry.bot_id}.json")

    def recover(self) -> int:
        """Put back what a killed process had taken and return how many.

        Each counts as tried, so that one that kills its process every time is quarantined in the end.
        Only for the process that takes entries, before it takes any.
        """
        abandoned = [self._taken / name for name, _ in self._names(self._taken)]
        for taken in abandoned:
            if (entry := read_entry(taken)) is not None:
                entry = replace(entry, kills=entry.kills + 1)
                write_json(taken, KIND, entry.to_json())
            if entry is not None and entry.kills >= MOST_KILLS:
                self._quarantine(entry, f"the process that worked on it was killed {entry.kills} times")
            else:
                self._untake(taken)
        self.clean_up()
        return len(abandoned)

    def clean_up(self) -> None:
        """Delete old ``done`` entries, and temporary files that a killed process left."""
        limit = time.time() - DONE_KEPT_S
        for name, changed_ns in self._names(self._done):
            if changed_ns / 1e9 < limit:
                (self._done / name).unlink(missing_ok=True)
        sweep_parts(self.folder, _OLD_PART_S)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other processes from taking entries of the same queue.

        Raises:
            UsageError: another process does already.
        """
        import filelock

        lock = filelock.FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            is_taken = True
        except (OSError, NotImplementedError):  # this file system has no locks
            is_taken = False
        else:
            is_taken = False
        if is_taken:
            raise UsageError(
                f"Another process is processing the queue {self.folder}.",
                "One process is enough: give it more --jobs.",
                code="queue_taken",
            )
        try:
            yield
        finally:
            lock.release()

    def _untake(self, taken: Path) -> None:
        """Move an entry back, unless a newer one has taken its place."""
        try:
            os.link(taken, self.folder / taken.name)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not (self.folder / taken.name).exists():
                taken.replace(self.folder / taken.name)
        taken.unlink(missing_ok=True)

    @staticmethod
    def _names(folder: Path) -> Iterator[tuple[str, int]]:
        """Yield the name and time of change of each entry in a folder.

        The time is in nanoseconds since the epoch.
        """
        with os.scandir(folder) as rows:
            for row in rows:
                if row.name.endswith(".json") and is_file_name(row.name.removesuffix(".json")):
                    with contextlib.suppress(FileNotFoundError):
                        yield row.name, row.stat().st_mtime_ns
