from .api.settings import Settings
from .bot import BotFilter, ListedBot, check_key, create_bot, delete_media, fetch_bot, list_bots
from .ledger import known_recordings, remove_leftovers
from .recording import BotFetch, FetchedRecording

__all__ = [
    "BotFetch",
    "BotFilter",
    "FetchedRecording",
    "ListedBot",
    "Settings",
    "check_key",
    "create_bot",
    "delete_media",
    "fetch_bot",
    "known_recordings",
    "list_bots",
    "remove_leftovers",
]
