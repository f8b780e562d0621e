"""Serve the sample meeting through a stand-in of the API on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recall_audio.errors import MachineError
from recall_audio.fetch import Settings
from recall_audio.standin import StandIn

_PACKAGE = Path(__file__).resolve().parent.parent


def sample_folder() -> Path:
    """Return the sample meeting's folder, in an installed package or beside it in a checkout.

    Raises:
        MachineError: neither folder exists.
    """
    for folder in (_PACKAGE / "sample_data", _PACKAGE.parent / "sample_data"):
        if (folder / "meeting.json").is_file():
            return folder
    raise MachineError(
        "The sample meeting is missing from this installation.",
        "Install the package again.",
        code="no_sample",
    )


@contextmanager
def sample_meeting() -> Iterator[tuple[str, Settings]]:
    """Serve the sample, and yield its bot id and the settings of the stand-in."""
    with StandIn([sample_folder()]) as server:
        yield server.bot_ids[0], Settings(base_url=server.base_url, region="loopback", key=server.key)
