"""What a fetch gives back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recall_audio.model.meeting import Meeting


@dataclass(frozen=True, slots=True)
class FetchedRecording:
    """One recording of a bot.

    Attributes:
        folder: ``OUT/<bot_id>/<recording_id>``; exists unless nothing was fetched.
        meeting: what the API said; without files where the status is ``waiting`` or ``gone``.
        status: ``complete``: all that the API has of it is here (mixed audio alone, or separate audio alone,
            is complete where the other was never recorded); ``partial``: something of it is lost for good;
            ``waiting``: its audio is still being made; ``gone``: none of it can be had.
        reason: one sentence, empty when complete.
        code: a short word for the reason (``gone``, ``not_audio``, ``waiting``, ...), empty when complete.
        reused: it was here already, and not asked for again.
    """

    folder: Path
    meeting: Meeting
    status: Literal["complete", "partial", "waiting", "gone"]
    reason: str = ""
    code: str = ""
    reused: bool = False


@dataclass(frozen=True, slots=True)
class BotFetch:
    """One bot.

    Attributes:
        bot_id: which.
        recordings: at least one, in the API's order.
        retries: requests beyond those that an undisturbed fetch makes.
    """

    bot_id: str
    recordings: tuple[FetchedRecording, ...]
    retries: int = 0
