"""Keep a local folder and a recording in a store in step: state in, files in, results out.

A folder that stands for a place in a store holds a sidecar (``.store.json``) with the place's address and the
objects that are known to be there, so that files which are not needed locally count as present.

Results are published so that a reader never sees half of them::

    run.json there?  ── no ──▶ data ──▶ run.json, if there still is none
          └─ yes ─▶ marked unfinished, if still the one seen ─▶ data ─▶ run.json, if still ours

Of two processes that publish the same recording at once, the one whose manifest comes second notices. If both
did the same work, they wrote the same bytes; else the second raises, and a reader, which compares bytes with
the manifest, takes neither for finished.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError, TransientError
from recall_audio.files import PART_SUFFIX, path_in, sha256, write_text
from recall_audio.model.outcome import WITH_RESULTS
from recall_audio.storage.store import ABSENT, Conflict, Facts, Store, Url

MANIFEST = "run.json"
RECORDING_FILE = "recording.json"
CRASHES_FILE = "crashes.json"
"""Name of the file that counts how often a recording ended its process."""

TRANSCRIPT_FILE = "transcript.json"
"""Name of the file with what was said, on which the stage talk depends."""

DELETED_FILE = "deleted.json"
"""Name of the file that says when a recording's media were deleted at Recall.ai."""

_STATE_FILES = (RECORDING_FILE, MANIFEST, CRASHES_FILE, DELETED_FILE, TRANSCRIPT_FILE)

UNFINISHED = "unfinished"
"""Status of a manifest whose outputs are being overwritten."""

SIDECAR = ".store.json"
_LOCK = "owner.lock"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a local folder knows of the place in a store that it stands for.

    Attributes:
        url: the place.
        objects: objects there, by name below the place. In a temporary workspace all that were listed, in a
            mirror those that were downloaded, each with the facts that it had then.
    """

    url: Url
    objects: Mapping[str, Facts] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the sidecar of a folder.

        Raises:
            MachineError: the disk is full or the folder cannot be written to.
        """
        objects = {n: {"bytes": f.n_bytes, "tag": f.tag} for n, f in sorted(self.objects.items())}
        write_text(folder / SIDECAR, json.dumps({"url": self.url.text, "objects": objects}))
        _parse_sidecar.cache_clear()


def cache_folder() -> Path:
    """Return this user's cache folder."""
    import platformdirs

    return platformdirs.user_cache_path("recall-audio", appauthor=False)


def read_sidecar(folder: Path) -> Sidecar | None:
    """Return a folder's sidecar, or None where it has none and is a folder of its own.

    A sidecar says where to upload to, so it is believed only where this package puts it: in the user's cache
    and in its temporary folders. In a folder that came from elsewhere it is a file like any other.
    """
    path = folder / SIDECAR
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if not path.is_file() or path.is_symlink() or not _is_own(folder):
            return None
        return _parse_sidecar(path, path.stat().st_mtime_ns)
    return None


def _is_own(folder: Path) -> bool:
    """Return whether only this package puts folders there."""
    home = folder.resolve()
    return any(home.is_relative_to(own.resolve()) for own in (cache_folder() / "stores", _temporary_root()))


@lru_cache(maxsize=64)
def _parse_sidecar(path: Path, _changed_ns: int) -> Sidecar:
    value = json.loads(path.read_text("utf-8"))
    objects: dict[str, Facts] = {}
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):  # of another version
        objects = {str(n): Facts(int(f["bytes"]), str(f["tag"])) for n, f in value["objects"].items()}
    return Sidecar(Url(str(value["url"])), objects)


def _objects(folder: Path) -> Mapping[str, Facts]:
    sidecar = read_sidecar(folder)
    return {} if sidecar is None else sidecar.objects


@contextlib.contextmanager
def temporary_workspace() -> Iterator[Path]:
    """Make a folder of this process below ``TMPDIR`` and delete it at the end.

    Folders that killed processes left are deleted too: their locks are free.
    """
    import filelock

    root = _temporary_root()
    root.mkdir(mode=0o700, exist_ok=True)
    with filelock.FileLock(root / "sweep.lock"):  # no other process sweeps a folder that is being made
        for abandoned in root.iterdir():
            with contextlib.suppress(OSError), filelock.FileLock(abandoned / _LOCK, timeout=0):
                shutil.rmtree(abandoned, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=root))
        lock = filelock.FileLock(folder / _LOCK)
        lock.acquire()
    try:
        yield folder / "out"
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _temporary_root() -> Path:
    return Path(tempfile.gettempdir()) / f"recall-audio-{_user()}"


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def load_state(store: Store, folder: Path) -> bool:
    """Download the state of a recording and return whether the store has it.

    Args:
        store: at the recording's own address.
        folder: its local folder.
    """
    objects = store.listing()
    if RECORDING_FILE not in objects:
        return False
    _write_state(store, "", folder, objects)
    return True


def load_states(store: Store, prefix: str, root: Path) -> list[Path]:
    """Download the state of every recording below a prefix.

    Args:
        store: the output's.
        prefix: the bot's id; recordings are ``<prefix>/<recording_id>``.
        root: the local output.

    Returns:
        The recordings' folders.
    """
    by_recording: dict[str, dict[str, Facts]] = {}
    for name, facts in store.listing(prefix).items():
        recording, _, rest = name[len(prefix) + 1 :].partition("/")
        if rest:
            by_recording.setdefault(recording, {})[rest] = facts
    folders = []
    for recording, objects in sorted(by_recording.items()):
        if RECORDING_FILE in objects:
            folders.append(path_in(root, f"{prefix}/{recording}"))
            _write_state(store, f"{prefix}/{recording}", folders[-1], objects)
    return folders


def _write_state(store: Store, prefix: str, folder: Path, objects: Mapping[str, Facts]) -> None:
    begin = f"{prefix}/" if prefix else ""
    names = [n for n in _STATE_FILES if n in objects]
    contents = store.read_all([begin + n for n in names])
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if begin + name in contents:
            (folder / name).write_bytes(contents[begin + name])
    Sidecar(store.url / prefix if prefix else store.url, objects).write(folder)


def download_documents(store: Store, folder: Path) -> None:
    """Download the documents that the manifest names.

    One whose bytes are not those of the manifest is discarded.
    """
    expected = digests_in(folder)
    objects = _objects(folder)
    wanted = [n for n in expected if "/" not in n and n in objects and n not in (RECORDING_FILE, MANIFEST)]
    for name, content in store.read_all(wanted).items():
        path_in(folder, name).write_bytes(content)
        if sha256(folder / name) != expected[name]:
            discard(folder, name)


def download_missing(store: Store, folder: Path, names: Iterable[str]) -> None:
    """Download files that are in the store and not in the folder."""
    for name in names:
        path = path_in(folder, name)
        if not path.is_file() and name in _objects(folder):
            store.download(name, path)


def stored_names(folder: Path) -> list[str]:
    """Return the name of every file of a recording that its store has."""
    return [n for n in _objects(folder) if n not in _STATE_FILES]


def size_of(folder: Path, name: str) -> int | None:
    """Return the size of a file, local or in its store, in bytes.

    It is None where the file is in neither.

    Raises:
        ItemError: ``unsafe_path``: the name leads out of the folder.
    """
    path = path_in(folder, name)
    with contextlib.suppress(OSError):
        if path.is_file():
            return path.stat().st_size
    facts = _objects(folder).get(name)
    return None if facts is None else facts.n_bytes


def discard(folder: Path, name: str) -> None:
    """Delete a file that must not be used, and ignore the store's copy."""
    path_in(folder, name).unlink(missing_ok=True)
    sidecar = read_sidecar(folder)
    if sidecar is not None and name in sidecar.objects:
        replace(sidecar, objects={n: f for n, f in sidecar.objects.items() if n != name}).write(folder)


def publish_fetched(store: Store, folder: Path) -> None:
    """Upload downloads, and ``recording.json``, which names them, last."""
    names = sorted(name for name in _publishable(folder) if name.startswith("source/"))
    for name in names:
        store.upload(folder / name, name)
    store.write(RECORDING_FILE, (folder / RECORDING_FILE).read_bytes())


def publish(store: Store, folder: Path, doubted: Collection[str] = ()) -> None:
    """Upload a processed recording, ``run.json`` last.

    Args:
        store: at the recording's own address.
        folder: holds what is to be published, and ``run.json``.
        doubted: names of objects whose bytes are known not to be what the store's manifest says.

    Raises:
        TransientError: ``overtaken``: another process published other results meanwhile; ``store_failed``.
        MachineError: the store refuses.
    """
    manifest = (folder / MANIFEST).read_bytes()
    new = digests(json.loads(manifest))
    objects = {name: facts for name, facts in store.listing().items() if name not in doubted}
    before = _read_manifest(store, objects)
    if before == json.loads(manifest) and not doubted:
        return
    try:
        tag = _mark_unfinished(store, objects.get(MANIFEST), before, new)
        _upload_data(store, folder, objects, digests(before) | _downloads(store, folder, objects), new)
        store.write(MANIFEST, manifest, tag)
    except Conflict:
        if _is_same_result(_read_manifest(store), json.loads(manifest)):
            return  # the other process published what this one would have
    else:
        _remove_left_over(store, objects, before, json.loads(manifest))
        return
    raise TransientError(
        f"Another process is publishing {store.url} at the same time.",
        "Run the same command again.",
        code="overtaken",
    )


def _downloads(store: Store, folder: Path, objects: Mapping[str, Facts]) -> dict[str, str]:
    """Return the SHA-256 of downloads that the store has, by name.

    It has them if its ``recording.json``, which names them, is the same.
    """
    recording = (folder / RECORDING_FILE).read_bytes()
    if RECORDING_FILE not in objects or store.read(RECORDING_FILE) != recording:
        return {}
    inputs = json.loads((folder / MANIFEST).read_bytes())["inputs"]
    return {name: str(facts["sha256"]) for name, facts in inputs.items()}


def _mark_unfinished(
    store: Store, seen: Facts | None, before: Mapping[str, Any] | None, new: Mapping[str, str]
) -> str:
    """Mark the stages about to be overwritten and return the manifest's tag."""
    if seen is None:
        return ABSENT
    stages = [s if _is_unchanged(s, new) else {**s, "key": ""} for s in (before or {}).get("stages", ())]
    marked = {**(before or {}), "status": UNFINISHED, "stages": stages}
    return store.write(MANIFEST, json.dumps(marked, indent=1).encode(), seen.tag or None)


def _is_unchanged(stage: Mapping[str, Any], new: Mapping[str, str]) -> bool:
    """Tell whether none of a stage's outputs is overwritten.

    An output that is overwritten is invalid from the first byte on.
    """
    return all(n.startswith(".work/") or new.get(n) == f["sha256"] for n, f in stage["outputs"].items())


def _upload_data(
    store: Store,
    folder: Path,
    objects: Mapping[str, Facts],
    known: Mapping[str, str],
    new: Mapping[str, str],
) -> None:
    """Upload every file that the store does not have with these bytes."""
    for name in sorted(_publishable(folder)):
        digest = new.get(name)
        has_size = name in objects and objects[name].n_bytes == (folder / name).stat().st_size
        if not (has_size and digest is not None and known.get(name) == digest):
            store.upload(folder / name, name)


def _remove_left_over(
    store: Store, objects: Mapping[str, Facts], before: Mapping[str, Any] | None, now: Mapping[str, Any]
) -> None:
    """Remove what only the former manifest named, and old crash counts."""
    for name in (set(digests(before)) - set(digests(now)) | {CRASHES_FILE}) & set(objects):
        store.remove(name)


def _publishable(folder: Path) -> Iterator[str]:
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        is_kept = not name.startswith(".") and "/." not in name and not name.endswith(PART_SUFFIX)
        if is_kept and name not in (MANIFEST, CRASHES_FILE, DELETED_FILE) and file.is_file():
            yield name


def _read_manifest(store: Store, objects: Mapping[str, Facts] | None = None) -> dict[str, Any] | None:
    if objects is not None and MANIFEST not in objects:
        return None
    try:
        value = json.loads(store.read(MANIFEST))
    except (ItemError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _is_same_result(theirs: Mapping[str, Any] | None, ours: Mapping[str, Any]) -> bool:
    """Tell whether another process's manifest is finished and names the same bytes."""
    return theirs is not None and theirs.get("status") in WITH_RESULTS and digests(theirs) == digests(ours)


def digests(manifest: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the SHA-256 of what a manifest names, by name, without working files."""
    found: dict[str, str] = {}
    try:
        outputs = [s["outputs"] for s in (manifest or {}).get("stages", ())]
        for group in (*outputs, (manifest or {}).get("inputs", {})):
            found |= {name: str(f["sha256"]) for name, f in group.items() if not name.startswith(".work/")}
    except (KeyError, TypeError, AttributeError):
        return {}
    return found


def digests_in(folder: Path) -> dict[str, str]:
    """Return the :func:`digests` of a folder's manifest, if it has one."""
    with contextlib.suppress(OSError, ValueError):
        return digests(json.loads((folder / MANIFEST).read_bytes()))
    return {}
