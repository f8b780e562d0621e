"""``OUT/journal.jsonl``: one line for each finished or failed bot, as it ends. A log, not the truth."""

import contextlib
import json
import os
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from recall_audio.errors import TransientError
from recall_audio.files import disk_error
from recall_audio.model.outcome import Outcome
from recall_audio.storage import Store

JOURNAL_FILE = "journal.jsonl"
_PART_LINES, _PART_S = 100, 60.0


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
        line = self._begin + _line(outcome)
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


class JournalParts:
    """A journal in a store, which appends to nothing: an object for so many lines, none written twice.

    ``journal/<when the run began>-<random>-<number>.jsonl``; by name they are in order.

    Args:
        store: the output's.
    """

    def __init__(self, store: Store) -> None:
        began = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._store, self._run = store, f"journal/{began}-{secrets.token_hex(4)}"
        self._lines: list[bytes] = []
        self._n_parts, self._since = 0, time.monotonic()

    def add(self, outcome: Outcome) -> None:
        """Keep one line; written soon, at the latest when the run ends.

        Raises:
            MachineError: the store refuses.
        """
        self._lines.append(_line(outcome))
        if len(self._lines) >= _PART_LINES or time.monotonic() - self._since >= _PART_S:
            self.write()

    def write(self) -> None:
        """Write what has been kept as one more part."""
        self._since = time.monotonic()
        if self._lines:
            with contextlib.suppress(TransientError):  # a log: the next part takes these lines along
                self._store.write(f"{self._run}-{self._n_parts:05d}.jsonl", b"".join(self._lines))
                self._n_parts += 1
                self._lines.clear()


def _line(outcome: Outcome) -> bytes:
    facts = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **outcome.to_json()}
    return json.dumps(facts, allow_nan=False).encode("ascii") + b"\n"


def _is_torn(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    except OSError:
        return False  # not there, or empty
