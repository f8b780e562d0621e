"""What stores' libraries raise, as the package's own errors: each library has a tree of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from recall_audio.errors import ItemError, MachineError, RecallAudioError, TransientError
from recall_audio.files import FULL, disk_error
from recall_audio.storage.address import Url

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
