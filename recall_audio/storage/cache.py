"""Mirror a place in a store in this user's cache: documents at once, audio when it is asked for.

The documents of a recording are loaded only as a whole, of one run. What is in the cache with the same tag is
not loaded again.
"""

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from recall_audio.errors import ItemError, UsageError
from recall_audio.files import atomic, path_in, sha256
from recall_audio.model.outcome import WITH_RESULTS
from recall_audio.storage.store import Facts, Store, Url
from recall_audio.storage.workspace import (
    MANIFEST,
    RECORDING_FILE,
    SIDECAR,
    Sidecar,
    cache_folder,
    digests_in,
    read_sidecar,
)

_DOCUMENTS = (".json", ".rttm", ".html")
_TRIES = 4
"""Times that documents are loaded while another process is publishing them."""
_WAIT_S = 0.25
"""Wait after the first try, seconds; it grows by as much with each."""
_RECORDINGS_AT_ONCE = 32
"""Recordings whose documents are loaded together."""


def ensure_file(folder: Path, name: str) -> Path:
    """Return the path of a file, downloaded first if the folder is a mirror.

    Raises:
        ItemError: ``missing_file``; ``damaged_file``: its bytes are not those that the manifest names.
    """
    path, sidecar = path_in(folder, name), read_sidecar(folder)
    if sidecar is None or path.is_file():
        return path
    store = Store(sidecar.url)
    facts = store.facts(name)
    store.download(name, path)
    expected = digests_in(folder).get(name)
    if expected is not None and sha256(path) != expected:
        path.unlink(missing_ok=True)
        raise ItemError(
            f"{sidecar.url / name} is not what its manifest says.",
            "It may be in the middle of a new run: try again later, or process it again.",
            code="damaged_file",
        )
    if facts is not None:
        replace(sidecar, objects={**sidecar.objects, name: facts}).write(folder)
    return path


def ensure_files(folder: Path, prefixes: Sequence[str]) -> None:
    """Download files of a mirrored recording whose names have a prefix."""
    sidecar = read_sidecar(folder)
    if sidecar is not None:
        for name in Store(sidecar.url).listing():
            if name.startswith(tuple(prefixes)):
                ensure_file(folder, name)


def upload_if_mirrored(path: Path) -> str:
    """Upload a file that was written below a mirror and return its address.

    Elsewhere nothing is uploaded, and its path is returned.
    """
    for parent in path.parents:
        if (sidecar := read_sidecar(parent)) is not None:
            name = path.relative_to(parent).as_posix()
            Store(sidecar.url).upload(path, name)
            return str(sidecar.url / name)
    return str(path)


def address_of(path: Path) -> str:
    """Return a file's absolute path, or its address if it is in a mirror."""
    for parent in (path, *path.parents):
        if (sidecar := read_sidecar(parent)) is not None:
            name = path.relative_to(parent).as_posix()
            return str(sidecar.url) if name == "." else str(sidecar.url / name)
    return str(path.resolve())


def recordings_below(url: Url) -> tuple[Url, list[tuple[str, str]]]:
    """Return the output that an address lies in and the recordings there.

    Returns:
        The output's address, and ``(bot_id, recording_id)`` pairs.

    Raises:
        UsageError: there is none.
    """
    names = [name for name in Store(url).listing() if name.rpartition("/")[2] == RECORDING_FILE]
    names = sorted(name for name in names if name.count("/") <= 2)
    levels_up = {0: 2, 1: 1, 2: 0}  # by the slashes in a recording.json's name
    steps = url.text.split("/")
    roots = {tuple(steps[: len(steps) - levels_up[name.count("/")]]) for name in names}
    if len(roots) != 1:
        raise _no_recording(url)
    root = roots.pop()
    pairs = [(*steps[len(root) :], *name.split("/")[:-1]) for name in names]
    return Url("/".join(root)), [(bot, recording) for bot, recording in pairs]


def _no_recording(url: Url) -> UsageError:
    return UsageError(
        f"No recording in {url}: expected a recording.json there, or one or two levels below.",
        "Give OUT/BOT_ID/RECORDING_ID, OUT/BOT_ID or OUT.",
    )


@dataclass(slots=True)
class Mirror:
    """A folder of the cache that stands for a place in a store.

    Attributes:
        url: the place: one recording's, a bot's, or a whole output's.
        root: the folder.
    """

    url: Url
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        protocol, _, path = self.url.text.partition("://")
        steps = [re.sub(r'[<>:"|?*\\\x00-\x1f]', "_", step) for step in path.split("/")]
        self.root = cache_folder().joinpath("stores", protocol, *steps)

    def recordings(self) -> list[Path]:
        """Return the folders of all recordings at the place, brought up to date.

        Raises:
            UsageError: there is none.
            TransientError, MachineError: the store cannot be read.
        """
        store = Store(self.url)
        objects = _by_recording(store.listing())
        if not objects:
            raise _no_recording(self.url)
        prefixes = sorted(objects)
        self._prune(prefixes)
        for start in range(0, len(prefixes), _RECORDINGS_AT_ONCE):
            self._load(store, {p: objects[p] for p in prefixes[start : start + _RECORDINGS_AT_ONCE]})
        return [self.root / p for p in prefixes]

    def load_journal(self) -> None:
        """Download the journal's parts into one ``journal.jsonl`` in the root."""
        store = Store(self.url)
        parts = store.read_all(n for n in store.listing("journal") if n.endswith(".jsonl"))
        with atomic(self.root / "journal.jsonl") as stream:
            stream.write(b"".join(content for _, content in sorted(parts.items())))

    def _prune(self, prefixes: Sequence[str]) -> None:
        """Delete the copies of recordings that have left the store."""
        local = {f.parent for depth in ("", "*/", "*/*/") for f in self.root.glob(f"{depth}{RECORDING_FILE}")}
        for folder in local - {self.root / p for p in prefixes}:
            shutil.rmtree(folder, ignore_errors=True)
        if "" not in prefixes:
            self.root.mkdir(parents=True, exist_ok=True)
            Sidecar(self.url).write(self.root)

    def _load(self, store: Store, objects: Mapping[str, Mapping[str, Facts]]) -> None:
        """Bring documents up to date, and retry what is being published."""
        waiting = dict(objects)
        for attempt in range(_TRIES):
            wanted = {p: self._changed(p, stored) for p, stored in waiting.items()}
            contents = store.read_all([_join(p, n) for p, names in wanted.items() for n in names])
            for prefix, stored in list(waiting.items()):
                loaded = {n: contents[key] for n in wanted[prefix] if (key := _join(prefix, n)) in contents}
                _write_documents(self.root / prefix, self._url(prefix), stored, loaded)
                if _is_of_one_run(self.root / prefix):
                    del waiting[prefix]
            if not waiting:
                return
            time.sleep(_WAIT_S * attempt)
            waiting = {p: _by_recording(store.listing(p), p).get(p, {}) for p in waiting}
        for prefix in waiting:
            _drop_results(self.root / prefix)

    def _url(self, prefix: str) -> Url:
        return self.url / prefix if prefix else self.url

    def _changed(self, prefix: str, stored: Mapping[str, Facts]) -> list[str]:
        """Return the documents that differ from the store's."""
        before = _loaded(self.root / prefix)
        if MANIFEST not in stored:
            stored = {RECORDING_FILE: stored[RECORDING_FILE]} if RECORDING_FILE in stored else {}
        return [
            n
            for n, facts in stored.items()
            if "/" not in n and n.endswith(_DOCUMENTS)
            if before.get(n) != facts or not (self.root / prefix / n).is_file()
        ]


def _join(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _by_recording(listing: Mapping[str, Facts], below: str = "") -> dict[str, dict[str, Facts]]:
    """Group objects by their recording's prefix, then by name below it."""
    prefixes = {
        n[: -len(RECORDING_FILE)].rstrip("/") for n in listing if n.rpartition("/")[2] == RECORDING_FILE
    }
    by_prefix: dict[str, dict[str, Facts]] = {p: {} for p in prefixes if p.count("/") <= 1}
    for name, facts in listing.items():
        steps = name.split("/")
        for depth in range(min(len(steps), 3)):
            prefix = "/".join(steps[:depth])
            if prefix in by_prefix:
                by_prefix[prefix]["/".join(steps[depth:])] = facts
    return {p: names for p, names in by_prefix.items() if p == below or p.startswith(below)}


def _loaded(folder: Path) -> Mapping[str, Facts]:
    sidecar = read_sidecar(folder)
    return {} if sidecar is None else sidecar.objects


def _write_documents(
    folder: Path, url: Url, stored: Mapping[str, Facts], loaded: Mapping[str, bytes]
) -> None:
    """Write loaded documents, and delete those that the store has no longer.

    Files that are not loaded yet are noted as being in the store, so that they count as present.
    """
    before = _loaded(folder)
    for name in before:
        if name not in stored or (before[name] != stored[name] and name not in loaded):
            path_in(folder, name).unlink(missing_ok=True)
    for name, content in loaded.items():
        with atomic(path_in(folder, name)) as stream:
            stream.write(content)
    unchanged = {n: facts for n, facts in before.items() if stored.get(n) == facts}
    others = {n: facts for n, facts in stored.items() if "/" in n or not n.endswith(_DOCUMENTS)}
    Sidecar(url, unchanged | others | {n: stored[n] for n in loaded}).write(folder)


def _is_of_one_run(folder: Path) -> bool:
    """Tell whether the documents are those that the manifest names.

    Without a manifest there is nothing to compare.
    """
    expected = digests_in(folder)
    documents = {n for n in expected if "/" not in n and n.endswith(_DOCUMENTS) and n != "report.html"}
    if not (folder / MANIFEST).is_file():
        _drop_results(folder)
        return True
    if not expected or _status(folder) not in WITH_RESULTS:
        return False
    return all((folder / n).is_file() and sha256(folder / n) == expected[n] for n in documents)


def _drop_results(folder: Path) -> None:
    """Delete half-published results: the recording counts as not processed."""
    for file in _files(folder):
        if file.name not in (RECORDING_FILE, SIDECAR):
            file.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    yield from (f for f in folder.glob("*") if f.is_file())


def _status(folder: Path) -> str:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return str(json.loads((folder / MANIFEST).read_bytes()).get("status"))
    return ""
