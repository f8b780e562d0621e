"""Write files that a reader sees whole or not at all, and JSON that every reader accepts.

A file is written under a temporary name in its own folder, flushed to the disk, then renamed over its
final name; the folder is flushed too. A killed process leaves at most a ``.part`` file.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from recall_audio.errors import ItemError, MachineError

PART_SUFFIX = ".part"
DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers that mean a full disk, quota or file."""


def temporary_beside(path: Path) -> Path:
    """Return an unused temporary name in the folder of `path`: ``.{name}.{pid}.{random}.part``."""
    return path.with_name(f".{path.name[:80]}.{os.getpid()}.{secrets.token_hex(4)}{PART_SUFFIX}")


def disk_error(error: OSError, path: Path) -> MachineError:
    """Return the package's error for a failed write to `path`."""
    if error.errno in DISK_FULL_ERRORS:
        return MachineError(
            f"No room left on the disk for {path.name}; nothing half-written was kept.",
            "Free some space, then run the same command again: finished work is kept.",
            code="disk_full",
        )
    return MachineError(
        f"Cannot write {path}: {error.strerror or type(error).__name__}.",
        "Check that the folder exists and that you may write to it.",
        code="cannot_write",
    )


def commit(temporary: Path, path: Path) -> None:
    """Give a finished temporary file (already flushed) its final name, durably."""
    temporary.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def create_file(path: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a file under a temporary name, and rename it to `path` when `fill` has returned.

    Raises:
        MachineError: the disk is full or the folder cannot be written to.
    """
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(temporary)
        commit(temporary, path)
    except OSError as error:
        failure = disk_error(error, path)
    else:
        return
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    raise failure  # outside the handler, so that it does not carry the system's error


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that appears as `path` when the block succeeds, and not at all otherwise.

    Raises:
        MachineError: the disk is full or the folder cannot be written to.
    """
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        commit(temporary, path)
    except OSError as error:
        failure = disk_error(error, path)
    else:
        return
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    raise failure


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, without changing line ends."""
    with atomic(path) as stream:
        stream.write(text.encode("utf-8"))


def write_json(path: Path, kind: str, body: dict[str, Any]) -> None:
    """Write strict JSON atomically, with ``"schema": "recall-audio/<kind>/1"`` as its first key.

    Raises:
        ValueError: a number is NaN or infinite; this is a programming error.
    """
    value = {"schema": f"recall-audio/{kind}/1", **body}
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    with atomic(path) as stream:
        # A lone surrogate in a display name is not UTF-8; its backslash form is the JSON escape.
        stream.write(text.encode("utf-8", "backslashreplace"))


def read_json(path: Path, kind: str) -> dict[str, Any]:
    """Read a file that :func:`write_json` wrote.

    Raises:
        ItemError: the file is missing, damaged, or of another kind or version.
    """
    again = "Run `recall-audio run` or `recall-audio process` on it again."
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise ItemError(f"{path} does not exist.", again, code="missing_file") from None
    except (OSError, ValueError, RecursionError):
        raise ItemError(f"{path} cannot be read as JSON.", again, code="damaged_file") from None
    wanted = f"recall-audio/{kind}/1"
    found = value.get("schema") if isinstance(value, dict) else None
    if found != wanted:
        raise ItemError(f"{path} holds {found!r}, expected {wanted!r}.", again, code="other_schema")
    return dict(value)


def _refuse(name: str) -> Any:
    """Reject NaN and Infinity, which Python's reader accepts although they are no JSON."""
    raise ValueError(name)


def sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def state_folder() -> Path:
    """Return this user's folder for rate limits and locks that processes share; it may be deleted."""
    import platformdirs

    return platformdirs.user_state_path("recall-audio", appauthor=False)


def remove_parts_of(folder: Path, pid: int) -> None:
    """Remove the temporary files of a process that has ended."""
    for path in folder.rglob(f".*.{pid}.????????{PART_SUFFIX}"):
        with contextlib.suppress(OSError):
            path.unlink()


def sweep_parts(folder: Path, older_than_s: float = 6 * 3600.0) -> int:
    """Remove old temporary files, which killed processes have left, and return how many."""
    oldest_s, n_removed = time.time() - older_than_s, 0
    for path in folder.rglob(f".*{PART_SUFFIX}"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest_s:
                path.unlink()
                n_removed += 1
    return n_removed
