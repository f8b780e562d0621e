"""Download one media file to its final name, or leave nothing.

::

    .mixed.mp3.PID.RANDOM.part ── 400 kB ── broken ── resumed at 400 kB ── all ── fsync ── source/mixed.mp3
"""

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import requests

from recall_audio.errors import ItemError, MachineError, RecallAudioError, TransientError
from recall_audio.fetch.download import resume
from recall_audio.fetch.download.media_host import MediaHost, SignedUrls, with_fresh_url
from recall_audio.fetch.http import sessions
from recall_audio.fetch.http.retry import MIB, attempt
from recall_audio.files import commit, disk_error, temporary_beside
from recall_audio.model.containers import identify, is_text, read_head
from recall_audio.model.meeting import MediaFile
from recall_audio.model.outcome import DownloadCallback

_CHECK_DISK_BYTES = 64 << 20
"""Bytes written between two looks at the free disk space."""
_ORDINARY_BYTES = 1 << 30
"""Nine hours of 16-bit samples: what is announced as more than this, and does not fit, is not believed."""
_ORDINARY_BYTES_PER_S = 40_000
"""The same for a declared length: 320 kbit/s, or 16-bit samples at 16 kHz and a margin."""


@dataclass(frozen=True, slots=True)
class FileRequest:
    """One file to download.

    Attributes:
        stem: path of the final file without its suffix, which the bytes decide.
        key: which of the signed URLs.
        format: declared format, or None.
        duration_s: declared length, or None.
        longest_s: length that bounds the size, or None.
    """

    stem: Path
    key: str
    format: str | None
    duration_s: float | None
    longest_s: float | None


def download(
    media_host: MediaHost,
    signed_urls: SignedUrls,
    request: FileRequest,
    progress: DownloadCallback | None = None,
) -> MediaFile:
    """Download one file to ``{request.stem}.{suffix}``, complete and flushed to the disk.

    A transfer that breaks is resumed where it broke.

    Returns:
        The file's facts; ``file`` is relative to the recording's folder.

    Raises:
        ItemError: not available for good: ``not_audio``, ``too_large``, ``gone``, ``url_not_allowed``, ...
        TransientError: no progress within the retry budget, or the deadline passed.
        MachineError: the disk is full.
    """
    folder = request.stem.parent
    temporary = temporary_beside(request.stem)
    failure: MachineError | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        transfer = _Transfer(media_host, signed_urls, request, temporary, progress)
        try:
            transfer.run()
            return transfer.finish()
        finally:
            transfer.close()
    except OSError as error:
        failure = disk_error(error, request.stem)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    raise failure


class _Transfer:
    """A file under way: its temporary file, and what is known of the object."""

    def __init__(
        self,
        media_host: MediaHost,
        signed_urls: SignedUrls,
        request: FileRequest,
        temporary: Path,
        progress: DownloadCallback | None,
    ) -> None:
        self._media_host, self._signed_urls, self._request = media_host, signed_urls, request
        self._temporary, self._progress = temporary, progress
        self._limits = media_host.policy.transfer
        self._cap_bytes = self._limits.cap_bytes(request.longest_s)
        self._stream = temporary.open("w+b")
        self._have = resume.Have()
        self._digest = hashlib.sha256()
        self._most_bytes = 0
        self._ends_at = media_host.policy.monotonic() + self._limits.deadline_s

    def run(self) -> None:
        """Request stretches until the file is complete.

        New bytes restart the retry budget.
        """
        host = self._media_host
        while True:
            before = self._most_bytes
            try:
                attempt(self._request_stretch, host.policy.retry, host.cancellation, self._is_in_time)
            except TransientError as error:
                failure = error
            else:
                return
            progressed = self._most_bytes - before >= self._limits.progress_bytes
            if failure.code not in ("network", "slow", "short") or not progressed or self._is_late():
                raise failure
            host.cancellation.retries += 1

    def _request_stretch(self) -> None:
        with_fresh_url(self._signed_urls, self._request.key, self._read_stretch)

    def _is_in_time(self, error: RecallAudioError) -> bool:
        return not self._is_late() and error.code != "no_room"

    def _is_late(self) -> bool:
        return self._media_host.policy.monotonic() > self._ends_at

    def _read_stretch(self, url: str) -> None:
        """Send one request and append as much of its body as arrives."""
        if self._have.is_whole:
            return
        with self._media_host.open(url, resume.range_headers(self._have)) as response:
            step = resume.next_step(response.status_code, response.headers, self._have, self._cap_bytes)
            if step is None:
                raise self._media_host.failure(response, url)
            self._reset_to(step.have)
            if step.action == "again":
                raise TransientError("The media host sent another range than requested.", code="restarted")
            self._append_body(response, url)

    def _reset_to(self, have: resume.Have) -> None:
        """Set the file to what `have` says: it continues at the end, or begins anew."""
        if have.n_bytes == 0:
            self._stream.seek(0)
            self._stream.truncate()
            self._digest = hashlib.sha256()
        self._have = have

    def _append_body(self, response: requests.Response, url: str) -> None:
        """Append the body while checking speed, size, disk space and deadline."""
        clock = self._media_host.policy.monotonic
        window_at, window_bytes = clock(), self._have.n_bytes
        self._check_disk((self._have.total or 0) - self._have.n_bytes)
        for block in sessions.blocks(response, url):
            self._append(block)
            self._media_host.cancellation.check()
            now = clock()
            if now > self._ends_at:
                raise TransientError("The download took longer than allowed.", code="deadline")
            if now - window_at >= self._limits.slow_window_s:
                if self._have.n_bytes - window_bytes < self._limits.slow_bytes:
                    raise TransientError("The media host sends almost nothing.", code="slow")
                window_at, window_bytes = now, self._have.n_bytes
        if self._have.total is not None and not self._have.is_whole:
            raise TransientError("The media host sent fewer bytes than it announced.", code="short")

    def _append(self, block: bytes) -> None:
        n_bytes = self._have.n_bytes + len(block)
        resume.check_size(n_bytes, self._cap_bytes)
        if self._have.total is not None and n_bytes > self._have.total:
            self._reset_to(resume.Have())
            raise TransientError("The media host sent more bytes than it announced.", code="restarted")
        self._stream.write(block)
        self._digest.update(block)
        if n_bytes // _CHECK_DISK_BYTES > self._have.n_bytes // _CHECK_DISK_BYTES:
            self._check_disk(0)
        self._have = replace(self._have, n_bytes=n_bytes)
        self._most_bytes = max(self._most_bytes, n_bytes)
        if self._progress is not None:
            self._progress(self._request.stem.name, n_bytes, self._have.total)

    def _check_disk(self, n_bytes: int) -> None:
        """Raise MachineError ``disk_full`` rather than fill the disk to its last byte.

        Raise TransientError ``no_room`` where the disk is not full, but too small for an announced size that
        no audio of the declared length has: that costs this bot alone.
        """
        free = shutil.disk_usage(self._temporary.parent).free
        length_s = self._request.longest_s
        ordinary = _ORDINARY_BYTES if length_s is None else _ORDINARY_BYTES_PER_S * length_s + MIB
        if n_bytes + self._limits.reserve_bytes > free and n_bytes > min(ordinary, _ORDINARY_BYTES):
            raise TransientError(
                f"{self._request.stem.name} is announced as {n_bytes} bytes, and {free} are free; nothing of "
                "it was kept.",
                "If it is that large, free some space, then run the same command again.",
                code="no_room",
            )
        if n_bytes + self._limits.reserve_bytes > free:
            raise MachineError(
                f"Not enough space on the disk for {self._request.stem.name}: "
                f"{n_bytes} bytes to come, {free} free, {self._limits.reserve_bytes} kept free.",
                "Free some space, then run the same command again: finished work is kept.",
                code="disk_full",
            )

    def finish(self) -> MediaFile:
        """Check the bytes, flush them to the disk and give the file its final name."""
        self._stream.seek(0)
        suffix = _suffix(read_head(self._stream)[0], self._have.n_bytes, self._request)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        path = self._request.stem.with_name(f"{self._request.stem.name}.{suffix}")
        commit(self._temporary, path)
        return MediaFile(
            file=f"{path.parent.name}/{path.name}",
            format=self._request.format,
            n_bytes=self._have.n_bytes,
            sha256=self._digest.hexdigest(),
            duration_s=self._request.duration_s,
            length_verified=self._have.is_whole,
        )

    def close(self) -> None:
        """Close the temporary file.

        Bytes that cannot be flushed any more are discarded with it.
        """
        with contextlib.suppress(OSError):
            self._stream.close()


def _suffix(head: bytes, n_bytes: int, request: FileRequest) -> str:
    """Return a file's suffix by its first bytes, else by its size beside the declared length.

    Raise ItemError ``not_audio`` where none fits.
    """
    container = identify(head, n_bytes, request.format, request.duration_s)
    if container is not None and (n_bytes or request.duration_s is not None):
        return container
    what = "nothing at all" if not head else "text" if is_text(head) else "no audio"
    raise ItemError(
        f"The file was declared {request.format or 'audio'} but holds {what}; it was not kept.",
        code="not_audio",
    )
