"""Settings from outside: environment variables, or lines of a ``.env`` file in the current folder."""

import os
from collections.abc import Mapping
from pathlib import Path

from recall_audio.errors import UsageError

KEY_VARIABLE = "RECALL_API_KEY"
REGION_VARIABLE = "RECALL_REGION"
BASE_URL_VARIABLE = "RECALL_BASE_URL"
WEBHOOK_SECRET_VARIABLE = "RECALL_WEBHOOK_SECRET"  # noqa: S105 - its name, not what it holds
PSEUDONYM_KEY_VARIABLE = "RECALL_PSEUDONYM_KEY"
SECRET_VARIABLES = (KEY_VARIABLE, WEBHOOK_SECRET_VARIABLE, PSEUDONYM_KEY_VARIABLE)
"""What no child process gets to see."""


def given() -> Mapping[str, str]:
    """Every variable; the environment goes before the file.

    Raises:
        UsageError: there is a ``.env`` file that cannot be read.
    """
    from dotenv import dotenv_values

    file = Path(".env")
    try:
        written = dotenv_values(file, interpolate=False) if file.is_file() else {}
    except (OSError, UnicodeDecodeError):
        raise UsageError("The .env file in this folder cannot be read.", "It must be UTF-8 text.") from None
    return {k: v for k, v in written.items() if v is not None} | dict(os.environ)
