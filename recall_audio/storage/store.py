"""The objects below an address, by their names; every failure is one of the package's own errors.

Credentials, region and endpoint are the store's own affair: its environment variables, files and instance
roles, as its library (s3fs, gcsfs, adlfs) finds them. None of them is read here, so none can be told.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from recall_audio.errors import ItemError, MachineError, RecallAudioError, TransientError
from recall_audio.files import FULL, appear, disk_error
from recall_audio.storage.address import EXTRAS, Url

T = TypeVar("T")

_CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict")
_CANNOT = ("NotImplemented", "MethodNotAllowed")
_REFUSALS = (
    "Credential",
    "Token",
    "Forbidden",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
)


class Conflict(Exception):
    """A conditional write came too late: the object is not what was expected."""


class Unable(Exception):
    """The store knows no conditional writes."""


def asked(url: Url, name: str, call: Callable[[], T]) -> T:
    """What a call of a store's library gives; what it raises, without its text, which may hold anything.

    Args:
        url: the store's address.
        name: of the object.
        call: the call.

    Raises:
        ItemError: ``missing_file``.
        MachineError: ``store_refused``, ``no_bucket``, ``disk_full``.
        TransientError: ``store_failed``.
        Conflict, Unable: of conditional writes.
    """
    try:
        return call()
    except RecallAudioError:
        raise
    except FileNotFoundError as error:
        problem: Exception = _missing(url, name, error)
    except Exception as error:  # noqa: BLE001 - see above
        problem = _problem(url, name, error)
    raise problem  # here, so that it does not carry the library's own along


def _missing(url: Url, name: str, error: Exception) -> RecallAudioError:
    if _code(error) == "NoSuchBucket":
        return MachineError(
            f"There is no bucket {url.text.split('/')[2]} in this store.",
            "Make it first, or mend the address.",
            code="no_bucket",
        )
    return ItemError(f"{url / name} is not there.", code="missing_file")


def _problem(url: Url, name: str, error: Exception) -> Exception:
    code = _code(error)
    if isinstance(error, FileExistsError) or code in _CONFLICTS:
        return Conflict()
    if code in _CANNOT or isinstance(error, NotImplementedError | TypeError):  # or knows no such argument
        return Unable()
    if isinstance(error, OSError) and error.errno in FULL and not code:
        return disk_error(error, Path(name))
    word = code or type(error).__name__
    if isinstance(error, PermissionError) or any(r in word for r in _REFUSALS):
        return MachineError(
            f"The store refuses access to {url} ({word}).",
            "Are the store's own credentials set (for S3: AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret), "
            "and do they allow listing, reading and writing there?",
            code="store_refused",
        )
    return TransientError(
        f"The store of {url} could not do what it was asked ({word}).",
        "Run the same command again.",
        code="store_failed",
    )


def _code(error: BaseException) -> str:
    """The store's own word for an error, where it has one."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


ABSENT = ""
"""As a tag: the object is not there."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a listing says of an object.

    Attributes:
        n_bytes: its size.
        tag: what changes with its content (the entity tag of S3, the generation of Google's); may be empty.
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
        """fsspec's file system, and the path of the address in it."""
        import fsspec

        try:
            system, path = fsspec.url_to_fs(self.url.text, use_listings_cache=False)
        except ImportError:
            extra = EXTRAS.get(self.url.protocol, self.url.protocol)
            raise MachineError(
                f"{self.url.protocol}:// needs a package that is not installed.",
                f"pip install 'recall-audio[{extra}]'",
                code="missing_extra",
            ) from None
        return system, path.rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self._opened[1]}/{name}" if name else self._opened[1]

    def check(self) -> None:
        """See that the store can be reached, and takes what is written.

        Raises:
            MachineError: its extra is not installed, there is no such bucket, or it refuses.
            TransientError: it does not answer.
        """
        name = f".check-{secrets.token_hex(6)}"
        self.write(name, b"")
        self.remove(name)

    def listing(self, below: str = "") -> dict[str, Facts]:
        """Every object below a prefix, by its name below the store's address."""
        system, root = self._opened
        found: Mapping[str, Any] = asked(
            self.url, below or ".", lambda: system.find(self._path(below), detail=True)
        )
        return {
            path[len(root) + 1 :]: Facts(int(facts["size"] or 0), _tag(facts))
            for path, facts in found.items()
            if path.startswith(f"{root}/")
        }

    def facts(self, name: str) -> Facts | None:
        """What is known of one object; None where it is not there."""
        try:
            found = asked(self.url, name, lambda: self._opened[0].info(self._path(name)))
        except ItemError:
            return None
        return Facts(int(found["size"] or 0), _tag(found))

    def read(self, name: str) -> bytes:
        """An object's bytes.

        Raises:
            ItemError: ``missing_file``.
        """
        return asked(self.url, name, lambda: bytes(self._opened[0].cat_file(self._path(name))))

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """Several objects' bytes, side by side; what is not there has no entry."""
        paths = {self._path(name): name for name in names}
        if not paths:
            return {}
        found = asked(self.url, "several objects", lambda: self._several(list(paths)))
        return {paths[path]: bytes(content) for path, content in found.items()}

    def _several(self, paths: list[str]) -> Mapping[str, bytes]:
        found = self._opened[0].cat(paths, on_error="return")
        if not isinstance(found, Mapping):  # of a list of one, some give just that
            found = {paths[0]: found}
        for content in found.values():
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                raise content
        return {path: content for path, content in found.items() if not isinstance(content, Exception)}

    def write(self, name: str, content: bytes, expected: str | None = None) -> str:
        """Write an object whole; gives its new tag.

        Args:
            name: its name.
            content: its bytes.
            expected: the tag it must still have, or :data:`ABSENT`; None whatever it is. Where the store
                cannot compare tags, only absence is looked at.

        Raises:
            Conflict: it is something else by now.
        """
        try:
            self._write(name, content, expected)
        except Unable:
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
        asked(self.url, name, lambda: self._opened[0].pipe_file(self._path(name), content, **how))

    def upload(self, path: Path, name: str) -> None:
        """Write a file as an object; large ones in parts that appear together."""
        self._make_room(name)
        asked(self.url, name, lambda: self._opened[0].put_file(str(path), self._path(name)))

    def download(self, name: str, path: Path) -> None:
        """Write an object as a file, which appears when it is whole.

        Raises:
            ItemError: ``missing_file``; ``odd_name``: it would lead out of the folder.
            MachineError: the disk is full.
        """
        if {"", ".", ".."} & set(name.split("/")):
            raise ItemError(f"{self.url} has a file of the name {name!r}.", code="odd_name")

        def fetch(to: Path) -> None:
            asked(self.url, name, lambda: self._opened[0].get_file(self._path(name), str(to)))

        appear(path, fetch)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        with contextlib.suppress(ItemError):
            asked(self.url, name, lambda: self._opened[0].rm_file(self._path(name)))

    def _make_room(self, name: str) -> None:
        if self.url.protocol == "memory":  # stores have no folders; this one likes to
            self._opened[0].makedirs(self._path(name).rpartition("/")[0], exist_ok=True)


def _tag(facts: Mapping[str, Any]) -> str:
    found = next((facts[k] for k in ("ETag", "etag", "generation", "created") if facts.get(k)), "")
    return str(found)
