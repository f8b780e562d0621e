"""Write files that a reader sees whole or not at all, and JSON that every reader accepts.

A file is written under a temporary name in its own folder, flushed to the disk, then renamed over its
final name; the folder is flushed too. A killed process leaves at most a ``.part`` file.
"""

import contextlib
import errno
import glob
import hashlib
import json
import math
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from recall_audio.errors import ItemError, MachineError

PART_SUFFIX = ".part"
DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers that mean a full disk, quota or file."""


MOST_DOCUMENT_BYTES = 1 << 30
"""Largest JSON document that is read: 24 h of 1,000 people stay below a tenth of it."""
_MOST_DIGITS = 40
"""Digits of the longest integer that is read: a size of 2^64 has 20, and a float holds it."""
_NAMED_FILES = ("inputs", "outputs")
"""Fields of documents whose keys are paths."""
_FOREIGN_FIELDS = ("extra_data", "metadata")
"""Fields whose content is the platform's or the user's, and names no file of a recording."""


def path_in(folder: Path, name: object) -> Path:
    """Return the path of a file in `folder` whose name was read from outside.

    Every name that comes from a document, a listing of a store or an API goes through here before it is
    read, written or deleted.

    Raises:
        ItemError: ``unsafe_path``: the name is none, or it or a link on its way leads out of the folder.
    """
    path = folder / relative_name(name)
    try:
        leads_out = not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        leads_out = True
    if leads_out:
        raise _unsafe(name, "a link on its way leads out of the folder")
    return path


def relative_name(name: object) -> str:
    """Return a name from outside if it is a path downwards on every system: ``stems/Ann.wav``.

    Raises:
        ItemError: ``unsafe_path``: it is absolute, holds ``..``, a drive, a backslash or a control
            character, or ends in what Windows drops.
    """
    if not isinstance(name, str):
        raise _unsafe(name, "a text was expected")
    if any(c in '\\:<>"|?*' or c < " " for c in name):
        raise _unsafe(name, "it holds a character that no name of this package has")
    if any(step in ("", ".", "..") or step[-1] in ". " for step in name.split("/")):
        raise _unsafe(name, "a path downwards was expected, such as stems/Ann.wav")
    return name


def _unsafe(name: object, why: str) -> ItemError:
    shown = "".join(c if c.isprintable() else "?" for c in str(name))[:80]
    return ItemError(
        f"The file name {shown!r} is refused: {why}; nothing was read or changed there.",
        "This version did not write the document that holds it: remove that, then run the command again.",
        code="unsafe_path",
    )


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
        ItemError: the file is missing, damaged, or of another kind or version; ``unsafe_path``: it names a
            file outside its folder.
    """
    again = "Run `recall-audio run` or `recall-audio process` on it again."
    try:
        value = parse_json(_read_bounded(path).decode("utf-8"))
    except FileNotFoundError:
        raise ItemError(f"{path} does not exist.", again, code="missing_file") from None
    except (OSError, ValueError, RecursionError):
        raise ItemError(f"{path} cannot be read as JSON.", again, code="damaged_file") from None
    wanted = f"recall-audio/{kind}/1"
    found = value.get("schema") if isinstance(value, dict) else None
    if found != wanted:
        raise ItemError(f"{path} holds {found!r}, expected {wanted!r}.", again, code="other_schema")
    _check_names(value)
    return dict(value)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON from outside, whose numbers all fit a float.

    Raises:
        ValueError: it is no JSON, or holds NaN, Infinity or a number beyond every float.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_short_integer)


def _refuse(name: str) -> Any:
    """Reject NaN and Infinity, which Python's reader accepts although they are no JSON."""
    raise ValueError(name)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number beyond every float")
    return number


def _short_integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError("an integer beyond every size")
    return int(digits)


def _read_bounded(path: Path) -> bytes:
    """Return a document's bytes, without waiting on a pipe or a device.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no file, or too large for a document.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > MOST_DOCUMENT_BYTES:
        raise ValueError("no document")
    return path.read_bytes()


def _check_names(value: Any) -> None:
    """Check every file name that a document holds.

    Raises:
        ItemError: ``unsafe_path``.
    """
    todo = [value]
    while todo:
        current = todo.pop()
        if isinstance(current, Mapping):
            if current.get("file") is not None:
                relative_name(current["file"])
            for field in _NAMED_FILES:
                for name in current[field] if isinstance(current.get(field), Mapping) else ():
                    relative_name(name)
            own = (v for field, v in current.items() if field not in _FOREIGN_FIELDS)
            todo += [v for v in own if isinstance(v, Mapping | list)]
        elif isinstance(current, list) and not (current and isinstance(current[0], int | float)):
            todo += [v for v in current if isinstance(v, Mapping | list)]


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


def sweep_parts_of(paths: Iterable[Path], older_than_s: float = 6 * 3600.0) -> None:
    """Remove old temporary files of these files, in folders that may hold others' files as well."""
    oldest_s = time.time() - older_than_s
    for path in paths:
        name = glob.escape(f".{path.name[:80]}.")
        for left in path.parent.glob(f"{name}*.????????{PART_SUFFIX}"):
            with contextlib.suppress(OSError):
                if left.stat().st_mtime < oldest_s:
                    left.unlink()


def sweep_parts(folder: Path, older_than_s: float = 6 * 3600.0) -> int:
    """Remove old temporary files, which killed processes have left, and return how many."""
    oldest_s, n_removed = time.time() - older_than_s, 0
    for path in folder.rglob(f".*{PART_SUFFIX}"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest_s:
                path.unlink()
                n_removed += 1
    return n_removed
