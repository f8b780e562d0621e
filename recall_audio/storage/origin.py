"""Folders that mirror places of a store: their address, their audio on demand, what is written into them."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.files import sha256, write_text
from recall_audio.storage.address import Url
from recall_audio.storage.publishing import MANIFEST, digests
from recall_audio.storage.store import Facts, Store

SIDECAR = ".store.json"
"""Name of the file that tells of what place a folder is, and what is known of that."""


def mirrored_at(folder: Path) -> Url | None:
    """The address of the recording that a folder mirrors; None where it is a folder of its own."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return Url(str(json.loads((folder / SIDECAR).read_text("utf-8"))["url"]))
    return None


def need_file(folder: Path, name: str) -> Path:
    """A file of a recording's folder; of a mirrored one it is loaded if it is not here.

    Raises:
        ItemError: ``missing_file``; ``damaged_file``: its bytes are not those that the manifest tells of.
    """
    path, url = folder / name, mirrored_at(folder)
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
            "It is being processed again, perhaps: look at it later, or run it again.",
            code="damaged_file",
        )
    if facts is not None:
        remember(folder, url, {**known(folder), name: state(facts)})
    return path


def need_files(folder: Path, beginnings: Sequence[str]) -> None:
    """:func:`need_file` for all that a recording's store has under names that begin so."""
    url = mirrored_at(folder)
    if url is not None:
        for name in Store(url).listing():
            if name.startswith(tuple(beginnings)):
                need_file(folder, name)


def kept(path: Path) -> str:
    """Where a file just written is: one below a mirrored place goes into its store."""
    above = next(((p, url) for p in path.parents if (url := mirrored_at(p)) is not None), None)
    if above is None:
        return str(path)
    name = path.relative_to(above[0]).as_posix()
    Store(above[1]).upload(path, name)
    return str(above[1] / name)


def address_of(path: Path) -> str:
    """A path as others know it: absolute, or of a mirrored place its address in the store."""
    for parent in (path, *path.parents):
        if (url := mirrored_at(parent)) is not None:
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
