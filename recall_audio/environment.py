"""List the environment variables that the package reads, and read them.

Those that begin with ``RECALL_`` may also stand in a ``.env`` file in the current folder.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recall_audio.errors import UsageError

KEY_VARIABLE = "RECALL_API_KEY"
REGION_VARIABLE = "RECALL_REGION"
BASE_URL_VARIABLE = "RECALL_BASE_URL"
WEBHOOK_SECRET_VARIABLE = "RECALL_WEBHOOK_SECRET"  # noqa: S105 - its name, not what it holds
PSEUDONYM_KEY_VARIABLE = "RECALL_PSEUDONYM_KEY"
TRANSCRIBE_KEY_VARIABLE = "RECALL_TRANSCRIBE_KEY"
TRANSCRIBE_URL_VARIABLE = "RECALL_TRANSCRIBE_URL"
OPENAI_KEY_VARIABLE = "OPENAI_API_KEY"
TEMPORARY_FOLDER_VARIABLE = "TMPDIR"
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")

PREFIX = "RECALL_"
"""Variables with this prefix may stand in a ``.env`` file."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    Attributes:
        name: its name.
        meaning: what it sets.
        default: what holds where it is not set.
        used_by: the commands, or the part of the package, that read it.
        is_secret: its value is never printed, and no child process gets it.
    """

    name: str
    meaning: str
    default: str
    used_by: str
    is_secret: bool = False


VARIABLES: tuple[Variable, ...] = (
    Variable(KEY_VARIABLE, "the key of your Recall.ai workspace", "none: what asks the API ends with 2",
             "run, fetch, bots, create-bot, doctor", is_secret=True),
    Variable(REGION_VARIABLE, "the region of the workspace, `us-west-2` for example; `--region` wins",
             "us-west-2", "run, fetch, bots, create-bot, doctor"),
    Variable(BASE_URL_VARIABLE, "address of the API, instead of the region's", "the region's address",
             "run, fetch, bots, create-bot, doctor"),
    Variable(WEBHOOK_SECRET_VARIABLE, "secrets with which `listen` checks signatures, separated by blanks",
             "none: `listen` ends with 2", "listen", is_secret=True),
    Variable(PSEUDONYM_KEY_VARIABLE, "key of the codes that `--pseudonymise` and `pseudonymise` write",
             "none: `--pseudonym-key-file` is needed", "export, collect, merge-transcripts, pseudonymise",
             is_secret=True),
    Variable(TRANSCRIBE_URL_VARIABLE,
             "address of an OpenAI-compatible endpoint, https://HOST/v1; `--url` wins",
             "https://api.openai.com/v1", "transcribe --engine openai"),
    Variable(TRANSCRIBE_KEY_VARIABLE, "the key of that endpoint", "none: no key is sent",
             "transcribe --engine openai", is_secret=True),
    Variable(OPENAI_KEY_VARIABLE, "the same, for OpenAI's own host only", "none: OpenAI's host ends with 2",
             "transcribe --engine openai", is_secret=True),
    Variable(TEMPORARY_FOLDER_VARIABLE, "temporary working files, when results go to an object store",
             "the system's folder for temporary files", "run, process, features"),
    Variable("XDG_STATE_HOME", "rate limits and locks that this user's processes share (Linux)",
             "~/.local/state", "run, fetch, bots, create-bot"),
    Variable("XDG_CACHE_HOME", "copies of what was read from an object store; may be deleted (Linux)",
             "~/.cache", "all commands that read from a store"),
    Variable("HTTPS_PROXY", "proxy for the API and for media; `NO_PROXY` lists hosts to reach directly",
             "none", "run, fetch, bots, create-bot, doctor"),
    Variable("REQUESTS_CA_BUNDLE", "certificates to trust, for a proxy that opens TLS",
             "the certificates of the package certifi", "run, fetch, bots, create-bot, doctor"),
    Variable("AWS_PROFILE", "credentials of an S3 store; all variables of a store's own client hold",
             "the store's own default", "all commands that are given an address in a store"),
    Variable(THREAD_VARIABLES[0], "threads of numpy in each process; `OMP_NUM_THREADS` likewise", "1",
             "all commands"),
)  # fmt: skip
"""Every environment variable that changes what a command does; `doctor` prints this table."""

SECRET_VARIABLES = tuple(variable.name for variable in VARIABLES if variable.is_secret)
"""Names of the variables that no child process gets."""


def read_variables() -> Mapping[str, str]:
    """Return every variable of the environment and of the ``.env`` file, where the environment wins.

    Raises:
        UsageError: there is a ``.env`` file that cannot be read.
    """
    return read_env_file() | dict(os.environ)


def read_env_file() -> dict[str, str]:
    """Return the variables of the ``.env`` file in the working folder, empty where there is none.

    Raises:
        UsageError: it cannot be read.
    """
    from dotenv import dotenv_values

    file = Path(".env")
    try:
        in_file = dotenv_values(file, interpolate=False) if file.is_file() else {}
    except (OSError, UnicodeDecodeError):
        raise UsageError("The .env file in this folder cannot be read.", "It must be UTF-8 text.") from None
    return {name: value for name, value in in_file.items() if value is not None}
