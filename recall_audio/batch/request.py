"""Describe what a batch is asked to do."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

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

    @classmethod
    def at(cls, location: Location, fetch: FetchOptions, options: Options | None) -> "Request":
        """Return a request for results in a folder or in a store."""
        if isinstance(location, Url):
            return cls(Path(), fetch, options, store=location)
        return cls(location, fetch, options)

    def shared_by(self, n_recordings: int) -> "Request":
        """Return the request with jobs shared out among so many recordings."""
        return replace(self, jobs_each=1 if self.cluster else max(1, self.jobs // max(n_recordings, 1)))


_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def unique(ids: Iterable[str]) -> list[str]:
    """Return ids in order, each once, without blank ones.

    A UUID in capitals is the same one (RFC 9562, 4): it is returned in lower case, as the API writes it.
    """
    spelled = (i.strip() for i in ids)
    return list(dict.fromkeys(i.lower() if _UUID.fullmatch(i) else i for i in spelled if i))
