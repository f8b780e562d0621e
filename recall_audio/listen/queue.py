"""The queue: a folder with one small file a bot. Nothing else knows what is left to do.

::

    QUEUE/<bot_id>.json           to be worked off; one that waits says ``not_before``
    QUEUE/taken/<bot_id>.json     being worked on; put back at the next start if that was broken off
    QUEUE/done/<bot_id>.json      worked off: kept for some days, so that a message that is repeated is known
    QUEUE/failed/<bot_id>.json    failed for good; move it back into QUEUE to have it tried again

Any number of threads add, each entry one at a time; one process works it off. A rename takes an entry, so
what is added meanwhile stands beside it and is never lost: at worst a bot is looked at once more, and what is
done costs nothing.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError, UsageError
from recall_audio.files import disk_error, read_json, sweep_parts, write_json
from recall_audio.listen.events import Told
from recall_audio.model.ids import is_file_name

KIND = "queued"
MOST_MESSAGES = 200
OTHERS_WITHIN_S = 60.0
"""After a message of something that is done, this long for the others'."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One bot that there is something to do for.

    Attributes:
        bot_id: the bot.
        since: when it was first heard of, ISO 8601.
        recordings: ids of what is done, by recording id and kind, as far as messages said.
        messages: ids of the messages that are known.
        not_before: when to look again, ISO 8601, or None for at once.
        tries: how often it had to be put back.
        why: why it was put back.
    """

    bot_id: str
    since: str = ""
    recordings: dict[str, dict[str, str]] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    not_before: str | None = None
    tries: int = 0
    why: str = ""

    def with_told(self, told: Told) -> "Entry":
        """The entry with one message more: what waits need not wait any longer.

        Separate audio and one thing more that is done are worth a look. Others are given a minute to follow:
        each look costs calls of the API, and an artifact that nobody named costs a list.
        """
        recordings = {k: dict(v) for k, v in self.recordings.items()}
        known = recordings.setdefault(told.recording_id, {}) if told.recording_id else {}
        known.update(told.artifacts)
        messages = (*self.messages, told.message_id) if told.message_id else self.messages
        is_due = bool(self.since) and self.not_before is None
        is_all = not told.recording_id or ("audio_separate" in known and len(known) > 1)
        return replace(
            self,
            since=self.since or stamp(time.time()),
            recordings=recordings,
            messages=messages[-MOST_MESSAGES:],
            not_before=None if is_due or is_all else self._soon(),
        )

    def _soon(self) -> str:
        others = time.time() + OTHERS_WITHIN_S
        return stamp(min(others, seconds(self.not_before) or others))

    def to_json(self) -> dict[str, Any]:
        """Plain values for the entry's file."""
        return {name: getattr(self, name) for name in self.__slots__} | {"messages": list(self.messages)}


def read_entry(path: Path) -> Entry | None:
    """An entry, or None where it is not there or cannot be read."""
    try:
        found = read_json(path, KIND)
        recordings = {str(k): {str(a): str(b) for a, b in v.items()} for k, v in found["recordings"].items()}
        messages = tuple(str(m) for m in found["messages"])
        not_before = found["not_before"]
        return Entry(
            str(found["bot_id"]), str(found["since"]), recordings, messages,
            not_before if isinstance(not_before, str) else None, int(found["tries"]), str(found["why"]),
        )  # fmt: skip
    except (ItemError, KeyError, TypeError, ValueError, AttributeError):
        return None


def stamp(at_s: float) -> str:
    """A time since the epoch as ISO 8601."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")


def seconds(stamped: str | None) -> float:
    """An ISO 8601 time as seconds since the epoch; 0 where there is none."""
    try:
        return 0.0 if stamped is None else datetime.fromisoformat(stamped).timestamp()
    except ValueError:
        return 0.0


KEPT_S = 3 * 86_400.0
"""How long what is done is remembered: Svix repeats a message for little more than a day."""

_WAITS_FIRST_S, _WAITS_MOST_S = 60.0, 3600.0
_OLD_PART_S = 3600.0


class Queue:
    """A queue in a folder.

    Args:
        folder: made, with those in it, where it is not there.

    Raises:
        MachineError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._taken = folder, folder / "taken"
        self._done, self._failed = folder / "done", folder / "failed"
        self._known: dict[str, tuple[int, float]] = {}
        try:
            for made in (self._taken, self._done, self._failed):
                made.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            failure = disk_error(error, folder)
        else:
            return
        raise failure

    def add(self, told: Told) -> bool:
        """Keep what was told; False where the message was known. It is on the disk when this returns.

        Two calls for one bot must not run at once: the later might not see what the earlier wrote.

        Raises:
            MachineError: it cannot be written.
        """
        name = f"{told.bot_id}.json"
        # In the order in which an entry moves, so that one that moves meanwhile is not overlooked.
        places = (self.folder, self._taken, self._done, self._failed)
        known = [read_entry(place / name) for place in places]
        if told.message_id and any(told.message_id in e.messages for e in known if e is not None):
            return False
        entry = known[0] or Entry(told.bot_id)
        write_json(self.folder / name, KIND, entry.with_told(told).to_json())
        return True

    def waiting(self) -> int:
        """How many entries are to be worked off, at once or later."""
        return sum(1 for _ in self._names(self.folder))

    def due(self, now: float, but: Iterable[str] = ()) -> list[str]:
        """Bots to be looked at now, those heard of first coming first, without those in `but`."""
        left_out, found = set(but), []
        for name, changed_ns in self._names(self.folder):
            if self._known.get(name, (0, 0.0))[0] != changed_ns:
                entry = read_entry(self.folder / name)
                self._known[name] = (changed_ns, seconds(entry.not_before if entry else None))
            if self._known[name][1] <= now and (bot_id := name.removesuffix(".json")) not in left_out:
                found.append((changed_ns, bot_id))
        return [bot_id for _, bot_id in sorted(found)]

    def take(self, bot_id: str) -> Entry | None:
        """Take a bot's entry; None where there is none any more. An entry nobody can read is a bare bot."""
        name = f"{bot_id}.json"
        self._known.pop(name, None)
        try:
            (self.folder / name).replace(self._taken / name)
        except FileNotFoundError:
            return None
        entry = read_entry(self._taken / name)
        return replace(entry, bot_id=bot_id) if entry else Entry(bot_id, since=stamp(time.time()))

    def finish(self, entry: Entry, outcomes: list[dict[str, Any]], *, failed: bool) -> None:
        """A bot is worked off; `outcomes` are kept with what is known of it."""
        name = f"{entry.bot_id}.json"
        place, other = (self._failed, self._done) if failed else (self._done, self._failed)
        earlier = [m for p in (place, other) if (e := read_entry(p / name)) for m in e.messages]
        messages = tuple(dict.fromkeys([*earlier, *entry.messages]))[-MOST_MESSAGES:]
        ended = {"ended": stamp(time.time()), "outcomes": outcomes}
        write_json(place / name, KIND, replace(entry, messages=messages).to_json() | ended)
        for left in (other / name, self._taken / name):
            left.unlink(missing_ok=True)

    def put_back(self, entry: Entry, why: str = "", *, at_once: bool = False) -> None:
        """A bot is not worked off: it is looked at again later, later each time, or at once."""
        if not at_once:
            wait_s = min(_WAITS_FIRST_S * 2.0**entry.tries, _WAITS_MOST_S)
            later = stamp(time.time() + wait_s)
            entry = replace(entry, tries=entry.tries + 1, not_before=later, why=why)
            write_json(self._taken / f"{entry.bot_id}.json", KIND, entry.to_json())
        self._untake(self._taken / f"{entry.bot_id}.json")

    def recover(self) -> int:
        """Put back what was taken by somebody who is no more, and tidy up; returns how many.

        Only for the process that works the queue off, before it takes anything.
        """
        left = [self._taken / name for name, _ in self._names(self._taken)]
        for taken in left:
            self._untake(taken)
        self.tidy()
        return len(left)

    def tidy(self) -> None:
        """Forget what was done long ago; remove temporary files that a killed process left."""
        limit = time.time() - KEPT_S
        for name, changed_ns in self._names(self._done):
            if changed_ns / 1e9 < limit:
                (self._done / name).unlink(missing_ok=True)
        sweep_parts(self.folder, _OLD_PART_S)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from working off the same queue.

        Raises:
            UsageError: one does already.
        """
        import filelock

        lock = filelock.FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            is_taken = True
        except (OSError, NotImplementedError):  # no such thing on this file system
            is_taken = False
        else:
            is_taken = False
        if is_taken:
            raise UsageError(
                f"Another process works off {self.folder}.",
                "One is enough: give it more --jobs.",
                code="queue_taken",
            )
        try:
            yield
        finally:
            lock.release()

    def _untake(self, taken: Path) -> None:
        """Move an entry back, unless a newer one stands there: then that one is enough."""
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
        """Names of the entries in a folder, and when each was written, ns since the epoch."""
        with os.scandir(folder) as rows:
            for row in rows:
                if row.name.endswith(".json") and is_file_name(row.name.removesuffix(".json")):
                    with contextlib.suppress(FileNotFoundError):
                        yield row.name, row.stat().st_mtime_ns
