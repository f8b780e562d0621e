from .api.settings import Settings
from .bot import ListedBot, Wanted, check_key, create_bot, fetch_bot, list_bots
from .ledger import known_recordings, tidy
from .recording import BotFetch, FetchedRecording

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
