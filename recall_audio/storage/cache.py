"""A recording's documents out of a store, in a folder of this user's cache, whole and of one run.

The documents of a recording are small and loaded at once; its audio comes when it is asked for. What is here
already with the same tag is not loaded again.
"""

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError, UsageError
from recall_audio.files import atomic, sha256, write_text
from recall_audio.storage.address import Url
from recall_audio.storage.publish import MANIFEST, RECORDING, digests
from recall_audio.storage.store import Facts, Store

SIDECAR = ".store.json"
"""Name of the file that tells of what place a folder is, and what is known of that."""


def mirrored_url(folder: Path) -> Url | None:
    """The address of the recording that a folder mirrors; None where it is a folder of its own."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return Url(str(json.loads((folder / SIDECAR).read_text("utf-8"))["url"]))
    return None


def ensure_file(folder: Path, name: str) -> Path:
    """A file of a recording's folder; of a mirrored one it is loaded if it is not here.

    Raises:
        ItemError: ``missing_file``; ``damaged_file``: its bytes are not those that the manifest tells of.
    """
    path, url = folder / name, mirrored_url(folder)
    if url is None or path.is_file():
        return path
    store = Store(url)
    facts = store.facts(name)
    store.download(name, path)
    expected = named(folder).get(name)
    if expected is not None and sha256(path) != expected:
        path.unlink(missing_ok=True)
        raise ItemError(
            f"{url / name} is not what its manifest says.",
            "It is being processed again, perhaps: load_state at it later, or run it again.",
            code="damaged_file",
        )
    if facts is not None:
        remember(folder, url, {**known(folder), name: state(facts)})
    return path


def ensure_files(folder: Path, beginnings: Sequence[str]) -> None:
    """:func:`ensure_file` for all that a recording's store has under names that begin so."""
    url = mirrored_url(folder)
    if url is not None:
        for name in Store(url).listing():
            if name.startswith(tuple(beginnings)):
                ensure_file(folder, name)


def upload_if_mirrored(path: Path) -> str:
    """Where a file just written is: one below a mirrored place goes into its store."""
    above = next(((p, url) for p in path.parents if (url := mirrored_url(p)) is not None), None)
    if above is None:
        return str(path)
    name = path.relative_to(above[0]).as_posix()
    Store(above[1]).upload(path, name)
    return str(above[1] / name)


def address_of(path: Path) -> str:
    """A path as others know it: absolute, or of a mirrored place its address in the store."""
    for parent in (path, *path.parents):
        if (url := mirrored_url(parent)) is not None:
            name = path.relative_to(parent).as_posix()
            return str(url) if name == "." else str(url / name)
    return str(path.resolve())


def named(folder: Path) -> dict[str, str]:
    """SHA-256 of what a folder's manifest names, by name."""
    with contextlib.suppress(OSError, ValueError):
        return digests(json.loads((folder / MANIFEST).read_bytes()))
    return {}


def state(facts: Facts) -> str:
    """What tells one content of an object from another."""
    return f"{facts.n_bytes} {facts.tag}"


def known(folder: Path) -> dict[str, str]:
    """Files of a folder that came from a store, and the state that each had there."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return {str(k): str(v) for k, v in json.loads((folder / SIDECAR).read_text("utf-8"))["files"].items()}
    return {}


def remember(folder: Path, url: Url, files: Mapping[str, str]) -> None:
    """Keep what :func:`known` gives, and the folder's address."""
    body: dict[str, Any] = {"url": url.text, "files": dict(sorted(files.items()))}
    write_text(folder / SIDECAR, json.dumps(body, indent=1))


_DOCUMENTS = (".json", ".rttm", ".html")
_TRIES, _WAIT_S = 4, 0.25
_AT_ONCE = 32
# Recordings whose documents are loaded together.


@dataclass(slots=True)
class Mirror:
    """What is known here of a place in a store.

    Attributes:
        url: the place: one recording's, a bot's, or a whole output's.
        root: the folder that stands for it.
    """

    url: Url
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        protocol, _, path = self.url.text.partition("://")
        steps = [re.sub(r'[<>:"|?*\\\x00-\x1f]', "_", step) for step in path.split("/")]
        self.root = cache_folder().joinpath("stores", protocol, *steps)

    def recordings(self) -> list[Path]:
        """Folders of every recording at or below the place, documents up to date.

        Raises:
            UsageError: there is none.
            TransientError, MachineError: the store cannot be read.
        """
        store = Store(self.url)
        objects = _by_recording(store.listing())
        if not objects:
            raise UsageError(
                f"No recording in {self.url}: expected a recording.json there, or one or two levels below.",
                "Give OUT/BOT_ID/RECORDING_ID, OUT/BOT_ID or OUT.",
            )
        prefixes = sorted(objects)
        self._prune(prefixes)
        for start in range(0, len(prefixes), _AT_ONCE):
            self._load(store, {p: objects[p] for p in prefixes[start : start + _AT_ONCE]})
        return [self.root / p for p in prefixes]

    def load_journal(self) -> None:
        """Bring the journal's parts, as one ``journal.jsonl`` in the root."""
        store = Store(self.url)
        parts = store.read_all(n for n in store.listing("journal") if n.endswith(".jsonl"))
        with atomic(self.root / "journal.jsonl") as stream:
            stream.write(b"".join(content for _, content in sorted(parts.items())))

    def _prune(self, prefixes: Sequence[str]) -> None:
        """Forget recordings that are there no more."""
        here = {f.parent for depth in ("", "*/", "*/*/") for f in self.root.glob(f"{depth}{RECORDING}")}
        for folder in here - {self.root / p for p in prefixes}:
            shutil.rmtree(folder, ignore_errors=True)
        if "" not in prefixes:
            self.root.mkdir(parents=True, exist_ok=True)
            remember(self.root, self.url, {})

    def _load(self, store: Store, objects: Mapping[str, Mapping[str, Facts]]) -> None:
        """Bring documents up to date; who is just being published is looked at again."""
        left = dict(objects)
        for attempt in range(_TRIES):
            wanted = {p: self._changed(p, there) for p, there in left.items()}
            contents = store.read_all([f"{p}/{n}" if p else n for p, names in wanted.items() for n in names])
            for prefix, there in list(left.items()):
                got = {
                    n: contents[k]
                    for n in wanted[prefix]
                    if (k := f"{prefix}/{n}" if prefix else n) in contents
                }
                _keep(self.root / prefix, self.url / prefix if prefix else self.url, there, got)
                if _is_of_one_run(self.root / prefix):
                    del left[prefix]
            if not left:
                return
            time.sleep(_WAIT_S * attempt)
            left = {p: _by_recording(store.listing(p), p).get(p, {}) for p in left}
        for prefix in left:
            _drop_results(self.root / prefix)

    def _changed(self, prefix: str, there: Mapping[str, Facts]) -> list[str]:
        """Documents that are not here as they are there."""
        before = known(self.root / prefix)
        if MANIFEST not in there:
            there = {RECORDING: there[RECORDING]} if RECORDING in there else {}
        return [
            n
            for n, facts in there.items()
            if "/" not in n and n.endswith(_DOCUMENTS)
            if before.get(n) != state(facts) or not (self.root / prefix / n).is_file()
        ]


def cache_folder() -> Path:
    """This user's folder for what can be had again."""
    import platformdirs

    return platformdirs.user_cache_path("recall-audio", appauthor=False)


def _by_recording(listing: Mapping[str, Facts], below: str = "") -> dict[str, dict[str, Facts]]:
    """Objects by their recording's prefix (below the place), then by their name below that."""
    prefixes = {n[: -len(RECORDING)].rstrip("/") for n in listing if n.rpartition("/")[2] == RECORDING}
    found: dict[str, dict[str, Facts]] = {p: {} for p in prefixes if p.count("/") <= 1}
    for name, facts in listing.items():
        steps = name.split("/")
        for n in range(min(len(steps), 3)):
            prefix = "/".join(steps[:n])
            if prefix in found:
                found[prefix]["/".join(steps[n:])] = facts
    return {p: names for p, names in found.items() if p == below or p.startswith(below)}


def _keep(folder: Path, url: Url, there: Mapping[str, Facts], got: Mapping[str, bytes]) -> None:
    """Write what came; forget what is there no longer, or is something else by now."""
    before = known(folder)
    for name in before:
        if name not in there or (before[name] != state(there[name]) and name not in got):
            (folder / name).unlink(missing_ok=True)
    for name, content in got.items():
        with atomic(folder / name) as stream:
            stream.write(content)
    same = {n: s for n, s in before.items() if n in there and s == state(there[n])}
    remember(folder, url, same | {n: state(there[n]) for n in got})


def _is_of_one_run(folder: Path) -> bool:
    """Whether the documents are those that the manifest names; without one there is nothing to compare."""
    expected = named(folder)
    documents = {n for n in expected if "/" not in n and n.endswith(_DOCUMENTS) and n != "report.html"}
    if not (folder / MANIFEST).is_file():
        _drop_results(folder)
        return True
    if not expected or _status(folder) != "done":
        return False
    return all((folder / n).is_file() and sha256(folder / n) == expected[n] for n in documents)


def _drop_results(folder: Path) -> None:
    """What is half-published counts as not processed."""
    for file in _files(folder):
        if file.name not in (RECORDING, SIDECAR):
            file.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    yield from (f for f in folder.glob("*") if f.is_file())


def _status(folder: Path) -> str:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return str(json.loads((folder / MANIFEST).read_bytes()).get("status"))
    return ""
