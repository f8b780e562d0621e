"""The API and the media it names, from a bot's id to files on disk.

::

    settings ─ client ─ protocol, payloads      the API: what there is
                 │
    bots ─ recording ─ artifacts, attendance    what is wanted of it
                 │
    media ─ download ─ transfer, store          the store: the bytes
"""

from recall_audio.fetch.bots import create_bot, fetch_bot, known_recordings
from recall_audio.fetch.ledger import tidy
from recall_audio.fetch.listing import ListedBot, Wanted, check_key, list_bots
from recall_audio.fetch.results import BotFetch, FetchedRecording
from recall_audio.fetch.settings import Settings

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
