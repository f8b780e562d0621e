"""Acting: one media file from the store to its final name, or nothing.

::

    .mixed.mp3.PID.RANDOM.part ── 400 kB ── broken ── resumed at 400 kB ── whole ── fsync ── source/mixed.mp3
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import requests

from recall_audio.errors import ItemError, MachineError, RecallAudioError, TransientError
from recall_audio.fetch.download import resume
from recall_audio.fetch.download.media_host import AddressBook, Store, with_fresh_address
from recall_audio.fetch.http import sessions
from recall_audio.fetch.http.retry import attempt
from recall_audio.files import commit, disk_error, temporary_beside
from recall_audio.model.containers import HEAD_BYTES, is_text, recognise
from recall_audio.model.meeting import MediaFile

Progress = Callable[[str, int, int | None], None]
_CHECK_DISK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file to download.

    Attributes:
        stem: path of the final file without its suffix, which the bytes decide.
        key: which address of the book.
        format: declared format, or None.
        duration_s: declared length, or None.
        longest_s: length that bounds the size, or None.
    """

    stem: Path
    key: str
    format: str | None
    duration_s: float | None
    longest_s: float | None


def download(store: Store, book: AddressBook, wanted: Wanted, progress: Progress | None = None) -> MediaFile:
    """Fetch one file to ``{wanted.stem}.{suffix}``, complete and durable; resumed where it breaks off.

    Returns:
        The file's facts; ``file`` is relative to the recording's folder.

    Raises:
        ItemError: not to be had for good: ``not_audio``, ``too_large``, ``gone``, ``url_not_allowed``, ...
        TransientError: no progress within the retry budget, or the deadline passed.
        MachineError: the disk is full.
    """
    folder = wanted.stem.parent
    temporary = temporary_beside(wanted.stem)
    failure: MachineError | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        under_way = _Download(store, book, wanted, temporary, progress)
        try:
            under_way.run()
            return under_way.finish()
        finally:
            under_way.close()
    except OSError as error:
        failure = disk_error(error, wanted.stem)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    raise failure


class _Download:
    """A file under way: its temporary file, and what is known of the object."""

    def __init__(
        self, store: Store, book: AddressBook, wanted: Wanted, temporary: Path, progress: Progress | None
    ) -> None:
        self._store, self._book, self._wanted = store, book, wanted
        self._temporary, self._progress = temporary, progress
        self._limits = store.policy.transfer
        self._cap_bytes = self._limits.cap_bytes(wanted.longest_s)
        self._stream = temporary.open("w+b")
        self._have = resume.Have()
        self._digest = hashlib.sha256()
        self._most_bytes = 0
        self._ends_at = store.policy.monotonic() + self._limits.deadline_s

    def run(self) -> None:
        """Attempts until the file is whole; new bytes start the retry budget anew."""
        while True:
            before = self._most_bytes
            try:
                return attempt(self._once, self._store.policy.retry, self._store.halt, self._is_worth_it)
            except TransientError as error:
                failure = error
            progressed = self._most_bytes - before >= self._limits.progress_bytes
            if failure.code not in ("network", "slow", "short") or not progressed or self._is_late():
                raise failure
            self._store.halt.retries += 1

    def _once(self) -> None:
        with_fresh_address(self._book, self._wanted.key, self._stretch)

    def _is_worth_it(self, _: RecallAudioError) -> bool:
        return not self._is_late()

    def _is_late(self) -> bool:
        return self._store.policy.monotonic() > self._ends_at

    def _stretch(self, url: str) -> None:
        """One request, and as much of its body as arrives."""
        if self._have.is_whole:
            return
        with self._store.opened(url, resume.range_headers(self._have)) as response:
            step = resume.next_step(response.status_code, response.headers, self._have, self._cap_bytes)
            if step is None:
                raise self._store.failure(response, url)
            self._reset_to(step.have)
            if step.action == "again":
                raise TransientError("The store answered with another stretch than asked.", code="restarted")
            self._take(response, url)

    def _reset_to(self, have: resume.Have) -> None:
        """Make the file what `have` says: it only ever goes on at the end, or begins anew."""
        if have.n_bytes == 0:
            self._stream.seek(0)
            self._stream.truncate()
            self._digest = hashlib.sha256()
        self._have = have

    def _take(self, response: requests.Response, url: str) -> None:
        """Append the body, watching speed, size, disk and deadline."""
        clock = self._store.policy.monotonic
        window_at, window_bytes = clock(), self._have.n_bytes
        self._check_disk((self._have.total or 0) - self._have.n_bytes)
        for block in sessions.blocks(response, url):
            self._append(block)
            self._store.halt.check()
            now = clock()
            if now > self._ends_at:
                raise TransientError("The download took longer than allowed.", code="deadline")
            if now - window_at >= self._limits.slow_window_s:
                if self._have.n_bytes - window_bytes < self._limits.slow_bytes:
                    raise TransientError("The store sends next to nothing.", code="slow")
                window_at, window_bytes = now, self._have.n_bytes
        if self._have.total is not None and not self._have.is_whole:
            raise TransientError("The store sent less than it had named.", code="short")

    def _append(self, block: bytes) -> None:
        n_bytes = self._have.n_bytes + len(block)
        resume.check_size(n_bytes, self._cap_bytes)
        if self._have.total is not None and n_bytes > self._have.total:
            self._reset_to(resume.Have())
            raise TransientError("The store sent more than it had named.", code="restarted")
        self._stream.write(block)
        self._digest.update(block)
        if n_bytes // _CHECK_DISK_BYTES > self._have.n_bytes // _CHECK_DISK_BYTES:
            self._check_disk(0)
        self._have = replace(self._have, n_bytes=n_bytes)
        self._most_bytes = max(self._most_bytes, n_bytes)
        if self._progress is not None:
            self._progress(self._wanted.stem.name, n_bytes, self._have.total)

    def _check_disk(self, n_bytes: int) -> None:
        """Raise MachineError ``disk_full`` rather than fill the disk to its last byte."""
        free = shutil.disk_usage(self._temporary.parent).free
        if n_bytes + self._limits.reserve_bytes > free:
            raise MachineError(
                f"Not enough room on the disk for {self._wanted.stem.name}: "
                f"{n_bytes} bytes to come, {free} free, {self._limits.reserve_bytes} kept free.",
                "Free some space, then run the same command again: finished work is kept.",
                code="disk_full",
            )

    def finish(self) -> MediaFile:
        """Judge the bytes, flush them to the disk and give them their final name."""
        self._stream.seek(0)
        suffix = _suffix(self._stream.read(HEAD_BYTES), self._wanted.format)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        path = self._wanted.stem.with_name(f"{self._wanted.stem.name}.{suffix}")
        commit(self._temporary, path)
        return MediaFile(
            file=f"{path.parent.name}/{path.name}",
            format=self._wanted.format,
            n_bytes=self._have.n_bytes,
            sha256=self._digest.hexdigest(),
            duration_s=self._wanted.duration_s,
            length_verified=self._have.is_whole,
        )

    def close(self) -> None:
        """Let go of the temporary file; what cannot be flushed any more is thrown away with it."""
        with contextlib.suppress(OSError):
            self._stream.close()


def _suffix(head: bytes, declared: str | None) -> str:
    """Suffix of a file by its bytes; ItemError ``not_audio`` for what is no audio by any reading."""
    container = recognise(head)
    if container is not None:
        return container
    if declared == "raw" and head and not is_text(head):
        return "raw"
    what = "nothing at all" if not head else "text" if is_text(head) else "no audio"
    raise ItemError(
        f"The file was declared {declared or 'audio'} but holds {what}; it was not kept.", code="not_audio"
    )
