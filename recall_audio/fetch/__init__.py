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
    from recall_audio.fetch.api.settings import Settings
    from recall_audio.fetch.bot import create_bot, fetch_bot
    from recall_audio.fetch.bot_list import ListedBot, Wanted, check_key, list_bots
    from recall_audio.fetch.ledger import known_recordings, tidy
    from recall_audio.fetch.recording import BotFetch, FetchedRecording

_HOME = {
    "BotFetch": "recording",
    "FetchedRecording": "recording",
    "ListedBot": "bot_list",
    "Settings": "api.settings",
    "Wanted": "bot_list",
    "check_key": "bot_list",
    "create_bot": "bot",
    "fetch_bot": "bot",
    "known_recordings": "ledger",
    "list_bots": "bot_list",
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
