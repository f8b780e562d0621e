"""Which options of which commands the tests of the command line cover.

A test says so itself, by :func:`covers`; ``test_coverage.py`` compares this with what the commands offer.
"""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])

COVERED: set[tuple[str, str]] = set()
"""A command's name and the first name of its option, for every option that a test covers."""


def covers(commands: str, *options: str) -> Callable[[T], T]:
    """Note that a test fails where one of these options is ignored by one of these commands.

    Args:
        commands: names of commands, separated by blanks.
        options: names of options, as the user types them.
    """
    COVERED.update((command, option) for command in commands.split() for option in options)
    return lambda test: test
