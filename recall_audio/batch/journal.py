"""``OUT/journal.jsonl``: one line for each finished or failed bot, as it ends. A log, not the truth."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from recall_audio.files import disk_error
from recall_audio.model.outcome import Outcome

JOURNAL_FILE = "journal.jsonl"


class Journal:
    """Appends lines, each in one write, so that several processes can share a journal.

    A line that a killed process left half-written is ended first.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / JOURNAL_FILE
        self._begin = b"\n" if _is_torn(self._path) else b""

    def add(self, outcome: Outcome) -> None:
        """Append one line.

        Raises:
            MachineError: it cannot be written.
        """
        facts = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **outcome.to_json()}
        line = self._begin + json.dumps(facts, allow_nan=False).encode("ascii") + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            journal = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(journal, line)
            finally:
                os.close(journal)
        except OSError as error:
            failure = disk_error(error, self._path)
        else:
            self._begin = b""
            return
        raise failure


def _is_torn(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    except OSError:
        return False  # not there, or empty
