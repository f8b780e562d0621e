"""Represent how processing ended and what a reader of the results should know."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from recall_audio.errors import ItemError, RecallAudioError, UsageError, Waiting

CountCallback = Callable[[int, int], None]
"""Progress of one stage: called with units done and units in all."""

StageCallback = Callable[[str, int, int], None]
"""Progress of one recording's processing: called with the stage's name, units done and units in all."""

DownloadCallback = Callable[[str, int, int | None], None]
"""Progress of a bot's downloads: called with the file's name, bytes done, and bytes in all where known."""

ProgressCallback = Callable[[str, str, int, int | None], None]
"""Progress of a batch: called with a bot's or recording's id, what is done, units done, units in all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing about a result.

    Attributes:
        code: a short word for scripts, e.g. ``nominal_start_kept``.
        message: one sentence: what was found, and what it means for the result.
        where: the part id or the speaker's label it is about; empty for the whole recording.
        severity: ``warning`` may change how the numbers are read, ``note`` does not.
    """

    code: str
    message: str
    where: str = ""
    severity: Literal["warning", "note"] = "warning"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Finding":
        """Return the finding that :meth:`to_json` wrote."""
        return Finding(value["code"], value["message"], value["where"], value["severity"])


@dataclass(frozen=True, slots=True)
class Ending:
    """How a recording's processing ended, by its ``run.json``.

    Everything that shows or counts an ending asks :func:`ending_of`: info, the index, the tables, outcomes.

    Attributes:
        status: ``complete``; ``partial``: something of it is lost for good, or a speaker is not known;
            ``failed``: there are no results; ``not processed``.
        reasons: why it is not complete.
    """

    status: str
    reasons: tuple[Finding, ...] = ()

    @property
    def text(self) -> str:
        """Return the reasons as one text, each ``code: message``."""
        return "; ".join(f"{reason.code}: {reason.message}" for reason in self.reasons)


WITH_RESULTS = ("complete", "partial", "done")
"""Statuses of a ``run.json`` with results; earlier versions wrote ``done`` for the first two."""


def ending_of(run: Mapping[str, Any] | None) -> Ending:
    """Return how a recording ended, from its ``run.json``, or None where it has none."""
    if not run:
        return Ending("not processed")
    status = str(run.get("status") or "not processed")
    given = run.get("reasons")
    reasons = tuple(
        Finding(str(reason.get("code")), str(reason.get("message")), str(reason.get("where") or ""))
        for reason in (given if isinstance(given, list) else ())
        if isinstance(reason, Mapping)
    )
    return Ending({"done": "complete", "unfinished": "not processed"}.get(status, status), reasons)


EVENTS_WAITING, METADATA_WAITING, TRANSCRIPT_WAITING = (
    "events_waiting", "metadata_waiting", "transcript_waiting",
)  # fmt: skip
"""Codes of the notes on what is still being made while the audio is done."""

WAITING_CODES = frozenset({EVENTS_WAITING, METADATA_WAITING, TRANSCRIPT_WAITING})
"""The next run asks again for these, and fetches no media again for them."""

NO_SPEAKER = "no_speaker"
"""Code of the error for a recording without the speakers that were asked for."""

Status = Literal["done", "partial", "failed", "waiting", "transient", "skipped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one bot's recording ended.

    Attributes:
        bot_id: which bot.
        recording_id: which recording; empty where it never came to one.
        status: ``done``; ``partial``: what could be done was, something is missing for good; ``failed`` for
            good; ``waiting`` for artifacts; ``transient``: may work later; ``skipped``: what was asked for
            does not apply to it, and what it had is as before.
        folder: the recording's folder, empty where there is none.
        code: a short word for the reason, empty when done.
        message: the reason in one sentence, empty when done.
        seconds: wall time spent on it.
        reused: everything was there already; nothing was asked, nothing was computed.
    """

    bot_id: str
    status: Status
    recording_id: str = ""
    folder: str = ""
    code: str = ""
    message: str = ""
    seconds: float = 0.0
    reused: bool = False

    @property
    def status_text(self) -> str:
        """Return how it ended in a word or two for people."""
        return f"{self.status} before" if self.reused else self.status

    @staticmethod
    def of_error(
        error: RecallAudioError,
        bot_id: str,
        folder: Path | None = None,
        *,
        seconds: float = 0.0,
        status: Status | None = None,
    ) -> "Outcome":
        """Return the outcome of a bot or recording that failed.

        Args:
            error: why it failed.
            bot_id: the bot.
            folder: the recording's folder, if it came to one.
            seconds: wall time spent on it.
            status: by default ``waiting``, ``skipped`` or ``failed`` by the error; ``transient`` for errors
                that are no fault of the item, as those of the machine.
        """
        if status is None and isinstance(error, Waiting):
            status = "waiting"
        elif status is None and error.code == NO_SPEAKER:
            status = "skipped"
        elif status is None:
            status = "failed" if isinstance(error, ItemError | UsageError) else "transient"
        return Outcome(
            bot_id=bot_id,
            recording_id=folder.name if folder else "",
            status=status,
            folder=str(folder) if folder else "",
            code=error.code,
            message=str(error),
            seconds=round(seconds, 3),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plain values of one line of the journal."""
        return asdict(self)


def exit_code(outcomes: list[Outcome]) -> int:
    """Return 0 if all are done, 1 if something is lost for good, 5 if only to be tried again.

    Skipped recordings count for nothing, but where all were skipped, what was asked for is wrong: 2.
    """
    statuses = {o.status for o in outcomes}
    if statuses == {"skipped"}:
        return 2
    if statuses & {"failed", "partial"}:
        return 1
    return 5 if statuses & {"waiting", "transient"} else 0
