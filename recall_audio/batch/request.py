"""Describe what a batch is asked to do."""

import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recall_audio.errors import UsageError
from recall_audio.model.options import FetchOptions, Options
from recall_audio.model.outcome import Outcome
from recall_audio.storage import Location, Url

if TYPE_CHECKING:
    from recall_audio.fetch.api.settings import Settings

OutcomeCallback = Callable[[Outcome], None]
"""Called with each outcome as it comes, after the journal was written, from the calling thread."""

SettingsSource = Callable[[], "Settings"]
"""Returns key and region; called only where the API has to be asked."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a batch is asked to do.

    Attributes:
        out: the output folder. With a store, recordings are worked on below a temporary one instead.
        fetch: how to download.
        options: how to process; None stops after the download.
        jobs: recordings processed side by side.
        force: do everything again, quarantined recordings included.
        keep_work: keep decoded working files.
        isolate: use processes, so that a crash or a hang costs one recording only; implied by more than one
            job. False works in the calling process.
        item_timeout_s: longest time for processing one recording, seconds; None for no limit. It needs
            `isolate`.
        max_failures: begin no further bot after so many have failed for good; None for no limit.
        verify: hash what earlier runs left, downloads and results, and redo what has changed.
        cluster: address of a Dask scheduler whose workers process, ``tcp://HOST:8786``; empty for this
            machine. `jobs` is then the number of recordings handed over at once, if that exceeds its threads.
        jobs_each: processes for the pieces of one recording; see :meth:`shared_by`.
        store: address of the output in an object store, or None.
        delete_media: delete a bot's media at Recall.ai once all of them are verified here and processed.
    """

    out: Path
    fetch: FetchOptions = field(default_factory=FetchOptions)
    options: Options | None = field(default_factory=Options)
    jobs: int = 1
    force: bool = False
    keep_work: bool = True
    isolate: bool = False
    item_timeout_s: float | None = None
    max_failures: int | None = None
    verify: bool = False
    cluster: str = ""
    jobs_each: int = 1
    store: Url | None = None
    delete_media: bool = False

    @classmethod
    def at(cls, location: Location, fetch: FetchOptions, options: Options | None) -> "Request":
        """Return a request for results in a folder or in a store."""
        if isinstance(location, Url):
            return cls(Path(), fetch, options, store=location)
        return cls(location, fetch, options)

    def shared_by(self, n_recordings: int) -> "Request":
        """Return the request with jobs shared out among so many recordings."""
        return replace(self, jobs_each=1 if self.cluster else max(1, self.jobs // max(n_recordings, 1)))


_UUID_TEXT = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_UUID = re.compile(_UUID_TEXT)
_BARE_UUID = re.compile(r"[0-9A-Fa-f]{32}")
_ADDRESS = re.compile(r"(?i)https?://|www\.|[\w-]+(\.[\w-]+)*\.(ai|com|us|net|org|gov|io)/")
_OF_BOT = re.compile(rf"(?i)(?:/bots?/|[?&#/](?:bot_?id|bot)[=/])({_UUID_TEXT})(?![\w-])")
"""Where an address names a bot: ``/api/v1/bot/ID/``, ``/dashboard/bots/ID``, ``?bot_id=ID``."""
_RECALL_HOST = re.compile(r"(?i)(?:https?://)?(?:[\w-]+\.)*recall\.ai[:/]")
_FIRST_ODD = 3
"""Most texts that the message about odd bot ids quotes."""


def unique(ids: Iterable[str]) -> list[str]:
    """Return ids in order, each once, without blank ones.

    A UUID in capitals is the same one (RFC 9562, 4): it is returned in lower case, as the API writes it.
    """
    spelled = (i.strip() for i in ids)
    return list(dict.fromkeys(i.lower() if _UUID.fullmatch(i) else i for i in spelled if i))


def read_bot_ids(texts: Iterable[str]) -> list[str]:
    """Return the bot ids that a user gave, each once, in order.

    An id may stand in quotes, lack its hyphens, or be part of an address of Recall.ai's API or dashboard.

    Raises:
        UsageError: a text is no bot id. It says what was taken for one, and nothing was done.
    """
    given = [stripped for text in texts if (stripped := text.strip().strip("\"'<>,;").strip())]
    found = [_bot_id(text) for text in given]
    if odd := [text for text, bot_id in zip(given, found, strict=True) if bot_id is None]:
        raise _odd_ids(odd, len(given))
    return unique(bot_id for bot_id in found if bot_id)


def _bot_id(text: str) -> str | None:
    """Return the bot id that a text is or holds, or None."""
    if _UUID.fullmatch(text):
        return text
    if _BARE_UUID.fullmatch(text):
        return str(uuid.UUID(text))
    if in_address := _OF_BOT.search(text):
        return in_address[1]
    held = dict.fromkeys(i.lower() for i in _UUID.findall(text)) if _RECALL_HOST.match(text) else {}
    return next(iter(held)) if len(held) == 1 else None


def _odd_ids(odd: Sequence[str], n_given: int) -> UsageError:
    """Return the error about texts that are no bot ids, with a hint that fits the first of them."""
    first = odd[0]
    hint = (
        "Expected an id in the form 8-4-4-4-12, as Recall.ai's dashboard and `recall-audio bots` show it; "
        "nothing was done."
    )
    if _ADDRESS.match(first) and not _RECALL_HOST.match(first):
        hint = (
            "If this is the link of a meeting, `recall-audio create-bot` sends a bot there and prints its "
            "id; nothing was done."
        )
    elif "," in first or ";" in first or "\t" in first or first.isidentifier():
        hint += " If the ids stand in a CSV file with a header, name their column: --ids-column NAME."
    quoted = ", ".join(repr(text[:80]) for text in odd[:_FIRST_ODD])
    more = f" and {len(odd) - _FIRST_ODD} more" if len(odd) > _FIRST_ODD else ""
    what = "is no bot id" if len(odd) == 1 else "are no bot ids"
    of = f" (of {n_given} given)" if n_given > 1 else ""
    return UsageError(f"{quoted}{more} {what}{of}.", hint, code="no_bot_id")
