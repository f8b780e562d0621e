"""Local folders that recordings of a store are worked on in, and what of each is in the store.

A folder's sidecar (``.store.json``) tells what lies at its address, so that files which nobody needs here are
known to be there without coming.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from recall_audio.errors import UsageError
from recall_audio.files import sha256, write_text
from recall_audio.storage.address import Url
from recall_audio.storage.cache import SIDECAR
from recall_audio.storage.publish import MANIFEST, RECORDING, digests
from recall_audio.storage.store import Facts, Store

_MARKER = "crashes.json"
_LOCK = "owner.lock"


@contextlib.contextmanager
def temporary_workspace() -> Iterator[Path]:
    """A folder of this process, below the system's for temporary files (``TMPDIR``); gone at the end.

    Folders of processes that were killed are removed on the way: nobody holds their lock.
    """
    import filelock

    root = Path(tempfile.gettempdir()) / f"recall-audio-{_user()}"
    root.mkdir(mode=0o700, exist_ok=True)
    with filelock.FileLock(root / "sweep.lock"):  # nobody sweeps what is just being made
        for left in root.iterdir():
            with contextlib.suppress(OSError), filelock.FileLock(left / _LOCK, timeout=0):
                shutil.rmtree(left, ignore_errors=True)
        mine = Path(tempfile.mkdtemp(dir=root))
        owned = filelock.FileLock(mine / _LOCK)
        owned.acquire()
    try:
        yield mine / "out"
    finally:
        owned.release()
        shutil.rmtree(mine, ignore_errors=True)


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def load_state(store: Store, folder: Path) -> bool:
    """Bring what says how far a recording is; False where it is not in the store.

    Args:
        store: at the recording's own address.
        folder: its folder here.
    """
    there = store.listing()
    if RECORDING not in there:
        return False
    _bring_facts(store, "", folder, there)
    return True


def load_states(store: Store, prefix: str, root: Path) -> list[Path]:
    """:func:`load_state` for every recording below ``<prefix>/<recording_id>``; gives their folders."""
    found: dict[str, dict[str, Facts]] = {}
    for name, facts in store.listing(prefix).items():
        recording, _, rest = name[len(prefix) + 1 :].partition("/")
        if rest:
            found.setdefault(recording, {})[rest] = facts
    folders = []
    for recording, there in sorted(found.items()):
        if RECORDING in there:
            folders.append(root / prefix / recording)
            _bring_facts(store, f"{prefix}/{recording}", folders[-1], there)
    return folders


def _bring_facts(store: Store, prefix: str, folder: Path, there: Mapping[str, Facts]) -> None:
    begin = f"{prefix}/" if prefix else ""
    names = [n for n in (RECORDING, MANIFEST, _MARKER) if n in there]
    contents = store.read_all([begin + n for n in names])
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if begin + name in contents:
            (folder / name).write_bytes(contents[begin + name])
    url = store.url / prefix if prefix else store.url
    body: dict[str, Any] = {"url": url.text, "there": {n: f.n_bytes for n, f in sorted(there.items())}}
    write_text(folder / SIDECAR, json.dumps(body))


def download_documents(store: Store, folder: Path) -> None:
    """Bring the small files that the manifest names; one whose bytes are others counts as lost."""
    try:
        named = digests(json.loads((folder / MANIFEST).read_bytes()))
    except (OSError, ValueError):
        return
    there = _there(folder)
    wanted = [n for n in named if "/" not in n and n in there and n not in (RECORDING, MANIFEST)]
    for name, content in store.read_all(wanted).items():
        (folder / name).write_bytes(content)
        if sha256(folder / name) != named[name]:
            discard(folder, name)


def download_missing(store: Store, folder: Path, names: Iterable[str]) -> None:
    """Bring files that are not here."""
    for name in names:
        if not (folder / name).is_file() and name in _there(folder):
            store.download(name, folder / name)


def stored_names(folder: Path) -> list[str]:
    """Every file of a recording that its store has."""
    return [n for n in _there(folder) if n not in (RECORDING, MANIFEST, _MARKER)]


def size_of(folder: Path, name: str) -> int | None:
    """Bytes of a recording's file, here or in the store its folder is of; None where it is in neither."""
    with contextlib.suppress(OSError):
        path = folder / name
        return path.stat().st_size if path.is_file() else _there(folder).get(name)
    return _there(folder).get(name)


def _there(folder: Path) -> Mapping[str, int]:
    path = folder / SIDECAR
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError):
        return {}


@lru_cache(maxsize=64)
def _read(path: Path, _changed_ns: int) -> Mapping[str, int]:
    return dict(json.loads(path.read_text("utf-8"))["there"])


def discard(folder: Path, name: str) -> None:
    """Remove a file that is not to be used; what the store has of it does not count either."""
    (folder / name).unlink(missing_ok=True)
    if name in _there(folder):
        body = json.loads((folder / SIDECAR).read_text("utf-8"))
        del body["there"][name]
        write_text(folder / SIDECAR, json.dumps(body))
        _read.cache_clear()


def recordings_below(url: Url) -> tuple[Url, list[tuple[str, str]]]:
    """The output that an address is of or in, and ``(bot_id, recording_id)`` of every recording at it.

    Raises:
        UsageError: there is none.
    """
    found = [n for n in Store(url).listing() if n.rpartition("/")[2] == RECORDING and n.count("/") <= 2]
    above = {0: 2, 1: 1, 2: 0}
    steps = url.text.split("/")
    roots = {tuple(steps[: len(steps) - above[n.count("/")]]) for n in found}
    if len(roots) != 1:
        raise UsageError(
            f"No recording in {url}: expected a recording.json there, or one or two levels below.",
            "Give OUT/BOT_ID/RECORDING_ID, OUT/BOT_ID or OUT.",
        )
    root = roots.pop()
    pairs = [(*steps[len(root) :], *n.split("/")[:-1]) for n in sorted(found)]
    return Url("/".join(root)), [(bot, recording) for bot, recording in pairs]
