"""The API and the media it names, from a bot's id to files on disk.

::

    settings ─ client ─ protocol, payloads      the API: what there is
                 │
    bots ─ recording ─ artifacts, attendance    what is wanted of it
                 │
    media ─ download ─ transfer, store          the store: the bytes

Names come from their modules when they are first used: who only processes loads no HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recall_audio.fetch.bots import create_bot, fetch_bot
    from recall_audio.fetch.ledger import known_recordings, tidy
    from recall_audio.fetch.listing import ListedBot, Wanted, check_key, list_bots
    from recall_audio.fetch.results import BotFetch, FetchedRecording
    from recall_audio.fetch.settings import Settings

_HOME = {
    "BotFetch": "results",
    "FetchedRecording": "results",
    "ListedBot": "listing",
    "Settings": "settings",
    "Wanted": "listing",
    "check_key": "listing",
    "create_bot": "bots",
    "fetch_bot": "bots",
    "known_recordings": "ledger",
    "list_bots": "listing",
    "tidy": "ledger",
}

__all__ = [
    "BotFetch",
    "FetchedRecording",
    "ListedBot",
    "Settings",
    "Wanted",
    "check_key",
    "create_bot",
    "fetch_bot",
    "known_recordings",
    "list_bots",
    "tidy",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
