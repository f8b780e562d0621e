"""Define every error of the package: one tree, a class only where a caller would act differently.

    RecallAudioError
    ├── UsageError       the call is wrong: correct it                           exit 2
    ├── KeyRefused       the API takes no request with this key: stop            exit 3
    ├── MachineError     this machine cannot: disk full, no decoder              exit 4
    ├── ItemError        this bot, recording or file fails for good              exit 1
    └── TransientError   may work later: overload, rate limit                    exit 5
        └── Waiting      no error: the artifact is still being made              exit 5

A message says what happened, what was expected and what was done; the hint says what to do. Neither
ever holds a key, a query string of a URL, or a body that came from outside.
"""

from typing import Any


class RecallAudioError(Exception):
    """Root of the package's errors.

    Attributes:
        message: what happened, in one sentence.
        hint: what the user can do about it; may be empty.
        code: a short word for logs and scripts, e.g. ``not_audio``.
        facts: further plain values (ids, counts, times) for logs; JSON-serialisable.
    """

    default_code = "error"

    def __init__(self, message: str, hint: str = "", *, code: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception with keywords does not survive pickling by default, and outcomes cross processes.
        return _rebuild, (type(self), self.message, self.hint, self.code, self.facts)


def _rebuild(
    cls: type[RecallAudioError], message: str, hint: str, code: str, facts: dict[str, Any]
) -> RecallAudioError:
    return cls(message, hint, code=code, **facts)


class UsageError(RecallAudioError):
    """The call itself is wrong (an option, a folder, an id)."""

    default_code = "usage"


class KeyRefused(RecallAudioError):
    """The API accepts no request with this key (401, 402, or a key that cannot be sent)."""

    default_code = "key_refused"


class MachineError(RecallAudioError):
    """This machine cannot do it: no room on the disk, no decoder or encoder."""

    default_code = "machine"


class ItemError(RecallAudioError):
    """One bot, recording or file fails for good; the others go on."""

    default_code = "failed"


class TransientError(RecallAudioError):
    """It may work later; ``facts['retry_at']`` (ISO 8601) where the server said when."""

    default_code = "transient"


class Waiting(TransientError):
    """The artifact is still being made."""

    default_code = "waiting"


def install_line(extra: str) -> str:
    """Return the command that installs an extra of this package, e.g. ``parquet``."""
    return f"pip install 'recall-audio[{extra}]'"


def missing_extra(needs: str, extra: str, *, instead: str = "", code: str = "missing_extra") -> MachineError:
    """Return the error for a package that a command needs and that is not installed.

    Args:
        needs: what needs which package, e.g. ``Parquet needs pyarrow``.
        extra: the extra of this package that installs it.
        instead: what the user can do without it, e.g. ``or choose csv``.
        code: the error's code.
    """
    hint = f"Run: {install_line(extra)}{', ' + instead if instead else ''}"
    return MachineError(f"{needs}, which is not installed.", hint, code=code, extra=extra)
