"""The API key is in no child's environment: it is taken out while a child is started."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from recall_audio.environment import SECRET_VARIABLES

T = TypeVar("T")

_environment = threading.RLock()


@contextlib.contextmanager
def hidden_key() -> Iterator[None]:
    """Within the block, which others wait for, no secret is in the environment that a child would get."""
    with _environment:
        hidden = {name: os.environ.pop(name) for name in SECRET_VARIABLES if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(hidden)


def seeing_key(read: Callable[[], T]) -> Callable[[], T]:
    """`read`, never while the key is hidden."""

    def careful() -> T:
        with _environment:
            return read()

    return careful
