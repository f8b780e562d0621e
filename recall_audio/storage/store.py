"""Name, list, read and write the objects of a store; raise the package's own errors.

Credentials, region and endpoint come from the store's own environment variables, files and instance roles, as
its library (s3fs, gcsfs, adlfs) finds them. This module reads none of them, so it cannot disclose any.
"""

import contextlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from recall_audio.errors import (
    ItemError,
    MachineError,
    RecallAudioError,
    TransientError,
    UsageError,
    missing_extra,
)
from recall_audio.files import DISK_FULL_ERRORS, create_file, disk_error, relative_name

T = TypeVar("T")

EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
"""Protocols, and the extra of this package that installs what each needs."""

_PROTOCOLS = (*EXTRAS, "memory")


@dataclass(frozen=True, slots=True)
class Url:
    """An address in an object store.

    Attributes:
        text: ``PROTOCOL://BUCKET/PREFIX`` without a slash at the end; never holds a key or a password.
    """

    text: str

    def __truediv__(self, name: str) -> "Url":
        return Url(f"{self.text}/{name}")

    def __str__(self) -> str:
        return self.text

    @property
    def protocol(self) -> str:
        """The protocol of the address: ``s3``, ``gs``, ..."""
        return self.text.partition("://")[0]


Location = Path | Url


def parse_location(text: str) -> Location:
    """Return the folder or the address in a store that a text names.

    ``file://`` names a folder.

    Raises:
        UsageError: the protocol is unknown, or the address holds a password or a query.
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    if found is None:
        return Path(text)
    protocol = found[1].lower()
    rest = text[found.end() :]
    if protocol == "file":
        return Path(unquote(urlsplit(text).path))
    if protocol not in _PROTOCOLS:
        raise UsageError(
            f"The protocol {protocol}:// is not supported.",
            f"Give a folder, or one of {', '.join(p + '://' for p in EXTRAS)}.",
        )
    bucket = rest.partition("/")[0]
    if ":" in bucket or ("@" in bucket and EXTRAS.get(protocol) != "azure") or "?" in rest or "#" in rest:
        raise UsageError(
            "An address in a store must not hold a password or a query; this one seems to.",
            "Give PROTOCOL://BUCKET/PREFIX; credentials come from the store's own environment variables.",
        )
    steps = [step for step in rest.split("/") if step]
    if not steps or {".", ".."} & set(steps):
        raise UsageError(f"{text!r} is not an address in a store.", "Give e.g. s3://BUCKET/PREFIX.")
    return Url(f"{protocol}://{'/'.join(steps)}")


_CONFLICT_CODES = ("PreconditionFailed", "ConditionalRequestConflict")
_UNSUPPORTED_CODES = ("NotImplemented", "MethodNotAllowed")
_REFUSAL_WORDS = (
    "Credential",
    "Token",
    "Forbidden",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
)


class Conflict(Exception):
    """An object that a conditional write expected to be as it was has changed."""


class Unsupported(Exception):
    """A store without conditional writes was asked for one."""


def call_store(url: Url, name: str, call: Callable[[], T]) -> T:
    """Call a store's library and translate the errors that it raises.

    Their text may hold anything, secrets included, and is not passed on.

    Args:
        url: the store's address.
        name: of the object.
        call: the call.

    Raises:
        ItemError: ``missing_file``.
        MachineError: ``store_refused``, ``no_bucket``, ``disk_full``.
        TransientError: ``store_failed``.
        Conflict, Unsupported: of conditional writes.
    """
    try:
        return call()
    except RecallAudioError:
        raise
    except FileNotFoundError as error:
        problem: Exception = _missing(url, name, error)
    except Exception as error:  # noqa: BLE001 - see above
        problem = _problem(url, name, error)
    raise problem  # outside the handler, so that it does not carry the library's own error along


def _missing(url: Url, name: str, error: Exception) -> RecallAudioError:
    if _code(error) == "NoSuchBucket":
        return MachineError(
            f"There is no bucket {url.text.split('/')[2]} in this store.",
            "Create the bucket, or correct the address.",
            code="no_bucket",
        )
    return ItemError(f"{url / name} does not exist.", code="missing_file")


def _problem(url: Url, name: str, error: Exception) -> Exception:
    code = _code(error)
    if isinstance(error, FileExistsError) or code in _CONFLICT_CODES:
        return Conflict()
    if code in _UNSUPPORTED_CODES or isinstance(
        error, NotImplementedError | TypeError
    ):  # or knows no such argument
        return Unsupported()
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRORS and not code:
        return disk_error(error, Path(name))
    word = code or type(error).__name__
    if isinstance(error, PermissionError) or any(r in word for r in _REFUSAL_WORDS):
        return MachineError(
            f"The store refuses access to {url} ({word}).",
            "Are the store's own credentials set (for S3: AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret), "
            "and do they allow listing, reading and writing there?",
            code="store_refused",
        )
    return TransientError(
        f"The store of {url} failed ({word}).",
        "Run the same command again.",
        code="store_failed",
    )


def _code(error: BaseException) -> str:
    """Return the store's own code for an error, or an empty text."""
    for cause in (error, error.__cause__):
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


ABSENT = ""
"""Stands for the tag of an object that does not exist."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a listing says of an object.

    Attributes:
        n_bytes: size in bytes.
        tag: changes with the content (the entity tag of S3, the generation of Google's); may be empty.
    """

    n_bytes: int
    tag: str


class Store:
    """The objects below one address.

    Args:
        url: the address.
    """

    def __init__(self, url: Url) -> None:
        self.url = url

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system of fsspec, and the path of the address in it."""
        import fsspec

        try:
            system, path = fsspec.url_to_fs(self.url.text, use_listings_cache=False)
        except ImportError:
            extra = EXTRAS.get(self.url.protocol, self.url.protocol)
            needs = f"{self.url.protocol}:// needs a package for this store"
            raise missing_extra(needs, extra) from None
        return system, path.rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self._opened[1]}/{name}" if name else self._opened[1]

    def check(self) -> None:
        """Check that the store can be reached and written to.

        Raises:
            MachineError: its extra is not installed, the bucket does not exist, or access is refused.
            TransientError: it does not answer.
        """
        name = f".check-{secrets.token_hex(6)}"
        self.write(name, b"")
        self.remove(name)

    def listing(self, below: str = "") -> dict[str, Facts]:
        """Return every object below a prefix, by its name below the store's address.

        Objects whose names are no paths downwards are left out: nothing of this package writes them.
        """
        system, root = self._opened
        found: Mapping[str, Any] = call_store(
            self.url, below or ".", lambda: system.find(self._path(below), detail=True)
        )
        return {
            path[len(root) + 1 :]: Facts(int(facts["size"] or 0), _tag(facts))
            for path, facts in found.items()
            if path.startswith(f"{root}/") and _is_safe(path[len(root) + 1 :])
        }

    def facts(self, name: str) -> Facts | None:
        """Return the facts of one object, or None where it does not exist."""
        try:
            found = call_store(self.url, name, lambda: self._opened[0].info(self._path(name)))
        except ItemError:
            return None
        return Facts(int(found["size"] or 0), _tag(found))

    def read(self, name: str) -> bytes:
        """Return an object's bytes.

        Raises:
            ItemError: ``missing_file``.
        """
        return call_store(self.url, name, lambda: bytes(self._opened[0].cat_file(self._path(name))))

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the bytes of several objects, without those that do not exist."""
        paths = {self._path(name): name for name in names}
        if not paths:
            return {}
        found = call_store(self.url, "several objects", lambda: self._several(list(paths)))
        return {paths[path]: bytes(content) for path, content in found.items()}

    def _several(self, paths: list[str]) -> Mapping[str, bytes]:
        found = self._opened[0].cat(paths, on_error="return")
        if not isinstance(found, Mapping):  # for a list of one, some file systems return the bytes alone
            found = {paths[0]: found}
        for content in found.values():
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                raise content
        return {path: content for path, content in found.items() if not isinstance(content, Exception)}

    def write(self, name: str, content: bytes, expected: str | None = None) -> str:
        """Write a whole object and return its new tag.

        Args:
            name: its name.
            content: its bytes.
            expected: the tag that it must still have, or :data:`ABSENT`; None for any. Where the store cannot
                compare tags, only absence is checked.

        Raises:
            Conflict: the object has changed.
        """
        try:
            self._write(name, content, expected)
        except Unsupported:
            self._write(name, content, None)
        found = self.facts(name)
        return found.tag if found else ""

    def _write(self, name: str, content: bytes, expected: str | None) -> None:
        how: dict[str, Any] = {}
        if expected == ABSENT:
            how["mode"] = "create"
        elif expected and EXTRAS.get(self.url.protocol) == "s3":
            how["IfMatch"] = expected
        self._make_room(name)
        call_store(self.url, name, lambda: self._opened[0].pipe_file(self._path(name), content, **how))

    def upload(self, path: Path, name: str) -> None:
        """Upload a file, a large one in parts that appear together."""
        self._make_room(name)
        call_store(self.url, name, lambda: self._opened[0].put_file(str(path), self._path(name)))

    def download(self, name: str, path: Path) -> None:
        """Download an object to a file, which appears when it is whole.

        Raises:
            ItemError: ``missing_file``; ``odd_name``: the name would lead out of the folder.
            MachineError: the disk is full.
        """
        if {"", ".", ".."} & set(name.split("/")):
            raise ItemError(
                f"{self.url} has a file named {name!r}, which could lead out of the folder.", code="odd_name"
            )

        def fetch(to: Path) -> None:
            call_store(self.url, name, lambda: self._opened[0].get_file(self._path(name), str(to)))

        create_file(path, fetch)

    def remove(self, name: str) -> None:
        """Remove an object, if it exists."""
        with contextlib.suppress(ItemError):
            call_store(self.url, name, lambda: self._opened[0].rm_file(self._path(name)))

    def _make_room(self, name: str) -> None:
        if self.url.protocol == "memory":  # the only store that needs folders to exist
            self._opened[0].makedirs(self._path(name).rpartition("/")[0], exist_ok=True)


def _is_safe(name: str) -> bool:
    """Return whether an object's name can be a file's below a folder of this machine."""
    with contextlib.suppress(ItemError):
        return bool(relative_name(name))
    return False


def _tag(facts: Mapping[str, Any]) -> str:
    found = next((facts[k] for k in ("ETag", "etag", "generation", "created") if facts.get(k)), "")
    return str(found)
