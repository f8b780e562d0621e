"""A recording's folder into a store, so that a reader never sees half of it.

::

    run.json there?  ── no ──▶ data ──▶ run.json, if there still is none
          └─ yes ─▶ marked unfinished, if still the one seen ─▶ data ─▶ run.json, if still ours

Of two who publish the same recording at once, the one whose manifest comes second sees that. What they wrote
is the same bytes if they did the same; else it says so, and a reader, who compares bytes with the manifest,
takes neither for finished.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError, TransientError
from recall_audio.files import PART_SUFFIX
from recall_audio.storage.store import ABSENT, Conflict, Facts, Store

MANIFEST, RECORDING = "run.json", "recording.json"
UNFINISHED = "unfinished"
_NOT_KEPT = (MANIFEST, "crashes.json")


def publish_fetched(store: Store, folder: Path) -> None:
    """Downloads into a recording's part of a store; ``recording.json``, which names them, comes last."""
    names = sorted(name for name in _names(folder) if name.startswith("source/"))
    for name in names:
        store.upload(folder / name, name)
    store.write(RECORDING, (folder / RECORDING).read_bytes())


def publish(store: Store, folder: Path, doubted: Collection[str] = ()) -> None:
    """A processed recording's folder into its part of a store; ``run.json`` comes last.

    Args:
        store: at the recording's own address.
        folder: holds what is to be published, and ``run.json``.
        doubted: names of objects whose bytes are known not to be what the store's manifest says.

    Raises:
        TransientError: ``overtaken``: somebody else has published other results meanwhile; ``store_failed``.
        MachineError: the store refuses.
    """
    manifest = (folder / MANIFEST).read_bytes()
    new = digests(json.loads(manifest))
    there = {name: facts for name, facts in store.listing().items() if name not in doubted}
    before = _manifest(store, there)
    if before == json.loads(manifest) and not doubted:
        return
    try:
        tag = _begun(store, there.get(MANIFEST), before, new)
        _write_data(store, folder, there, digests(before) | _downloads(store, folder, there), new)
        store.write(MANIFEST, manifest, tag)
    except Conflict:
        if _same(_manifest(store), json.loads(manifest)):
            return  # theirs is what ours would have been
    else:
        _remove_left_over(store, there, before, json.loads(manifest))
        return
    raise TransientError(
        f"Somebody else is publishing {store.url} at the same time.",
        "Run the same command again.",
        code="overtaken",
    )


def _downloads(store: Store, folder: Path, there: Mapping[str, Facts]) -> dict[str, str]:
    """SHA-256 of downloads, by name, if ``recording.json``, which names them, is the same in the store."""
    ours = (folder / RECORDING).read_bytes()
    if RECORDING not in there or store.read(RECORDING) != ours:
        return {}
    inputs = json.loads((folder / MANIFEST).read_bytes())["inputs"]
    return {name: str(facts["sha256"]) for name, facts in inputs.items()}


def _begun(store: Store, seen: Facts | None, before: Mapping[str, Any] | None, new: Mapping[str, str]) -> str:
    """Mark what is about to be overwritten; gives the tag that the manifest has from now on."""
    if seen is None:
        return ABSENT
    stages = [s if _stays(s, new) else {**s, "key": ""} for s in (before or {}).get("stages", ())]
    marked = {**(before or {}), "status": UNFINISHED, "stages": stages}
    return store.write(MANIFEST, json.dumps(marked, indent=1).encode(), seen.tag or None)


def _stays(stage: Mapping[str, Any], new: Mapping[str, str]) -> bool:
    """Whether all that a stage left stays as it is; what is overwritten is spoilt from the first byte on."""
    return all(n.startswith(".work/") or new.get(n) == f["sha256"] for n, f in stage["outputs"].items())


def _write_data(
    store: Store,
    folder: Path,
    there: Mapping[str, Facts],
    known: Mapping[str, str],
    new: Mapping[str, str],
) -> None:
    """Every file that is not there with these bytes already."""
    for name in sorted(_names(folder)):
        digest = new.get(name)
        is_there = name in there and there[name].n_bytes == (folder / name).stat().st_size
        if not (is_there and digest is not None and known.get(name) == digest):
            store.upload(folder / name, name)


def _remove_left_over(
    store: Store, there: Mapping[str, Facts], before: Mapping[str, Any] | None, now: Mapping[str, Any]
) -> None:
    """What the former manifest named and this one does not (stems of another format), and old crashes."""
    for name in (set(digests(before)) - set(digests(now)) | {"crashes.json"}) & set(there):
        store.remove(name)


def _names(folder: Path) -> Iterator[str]:
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        is_kept = not name.startswith(".") and "/." not in name and not name.endswith(PART_SUFFIX)
        if is_kept and name not in _NOT_KEPT and file.is_file():
            yield name


def _manifest(store: Store, there: Mapping[str, Facts] | None = None) -> dict[str, Any] | None:
    if there is not None and MANIFEST not in there:
        return None
    try:
        value = json.loads(store.read(MANIFEST))
    except (ItemError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _same(theirs: Mapping[str, Any] | None, ours: Mapping[str, Any]) -> bool:
    """Whether somebody else's manifest is finished and names the same bytes."""
    return theirs is not None and theirs.get("status") == "done" and digests(theirs) == digests(ours)


def digests(manifest: Mapping[str, Any] | None) -> dict[str, str]:
    """SHA-256 of what a manifest names, by name; working files left out."""
    found: dict[str, str] = {}
    try:
        outputs = [s["outputs"] for s in (manifest or {}).get("stages", ())]
        for group in (*outputs, (manifest or {}).get("inputs", {})):
            found |= {name: str(f["sha256"]) for name, f in group.items() if not name.startswith(".work/")}
    except (KeyError, TypeError, AttributeError):
        return {}
    return found
