"""Read key, region and address from the environment or a ``.env`` file."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from recall_audio.environment import (
    BASE_URL_VARIABLE,
    KEY_VARIABLE,
    REGION_VARIABLE,
    read_env_file,
    read_variables,
)
from recall_audio.errors import KeyRefused, UsageError
from recall_audio.fetch.http import urls

REGIONS = ("us-west-2", "us-east-1", "eu-central-1", "ap-northeast-1")
_REGION = r"[a-z]{2,}(-[a-z]+)+-\d{1,2}"
_API_PATH = "/api/v1"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the API is and the key to it.

    Attributes:
        base_url: the API's address up to and without the slash before ``bot/``.
        region: the deployment to call.
        key: the API key, checked to fit a header; never shown.
    """

    base_url: str
    region: str
    key: str = field(repr=False)

    @property
    def origin(self) -> urls.Origin:
        """Return scheme, host and port that the key is bound to."""
        return urls.split(self.base_url)[1]

    @property
    def where(self) -> str:
        """Return the deployment in words, for messages."""
        host = self.origin[1]
        return f"region {self.region}" if host.startswith(f"{self.region}.") else f"{host} ({self.region})"

    @staticmethod
    def from_environment(region: str | None = None) -> "Settings":
        """Read ``RECALL_API_KEY``, ``RECALL_REGION`` and ``RECALL_BASE_URL``.

        No request is made.

        The environment overrides ``.env``, and `region` overrides both.

        Raises:
            UsageError: no key is set, region or address is invalid, or only the address is in ``.env``: a
                folder from elsewhere must not send the user's own key to a host of its choice.
            KeyRefused: the key holds blanks, line ends or non-ASCII characters.
        """
        variables = read_variables()
        base_url = _base(variables.get(BASE_URL_VARIABLE, ""), region or variables.get(REGION_VARIABLE, ""))
        key = _checked_key(variables.get(KEY_VARIABLE))
        check_same_place(read_env_file(), BASE_URL_VARIABLE, KEY_VARIABLE)
        return Settings(base_url, region or variables.get(REGION_VARIABLE) or REGIONS[0], key)


def check_same_place(in_file: Mapping[str, str], address_variable: str, key_variable: str) -> None:
    """Check that the address does not come from ``.env`` where the key comes from the environment.

    Raises:
        UsageError: ``other_place``.
    """
    is_address_of_file = bool(in_file.get(address_variable)) and address_variable not in os.environ
    if is_address_of_file and key_variable in os.environ:
        raise UsageError(
            f"{address_variable} comes from the .env file in this folder, but {key_variable} from the "
            "environment; nothing was sent.",
            "If the address is yours, set both in the environment, or keep both in .env.",
            code="other_place",
        )


def _base(base_url: str, region: str) -> str:
    """Return the API's address."""
    region = region or REGIONS[0]
    # A name in DNS that is not there is tried again for minutes, so that a lost network is waited for.
    if not re.fullmatch(_REGION, region) or (region not in REGIONS and not base_url):
        raise UsageError(
            f"{region[:40]!r} is not a region of Recall.ai; nothing was sent.",
            f"Set {REGION_VARIABLE} or --region to one of {', '.join(REGIONS)}; for one that is newer than "
            f"this version, {BASE_URL_VARIABLE} to its address.",
        )
    url = (base_url or f"https://{region}.recall.ai").rstrip("/")
    if problem := urls.problem_of_base(url, "the key"):
        raise UsageError(
            f"{BASE_URL_VARIABLE} {problem}.", "Expected https://HOST, or http:// to this machine itself."
        )
    return url if urls.split(url)[0].path else url + _API_PATH


def _checked_key(key: str | None) -> str:
    """Return the key if a header can carry it.

    No message ever holds any of it.
    """
    if key is None:
        raise UsageError(
            f"No API key: {KEY_VARIABLE} is not set.",
            f"Set it in the environment or as {KEY_VARIABLE}=... in a .env file in this folder.",
            code="no_key",
        )
    if not key.strip():
        problem = "is blank"
    elif any(c.isspace() for c in key):
        problem = "holds a blank or a line end"
    elif not (key.isascii() and key.isprintable()):
        problem = "holds a character that no key has (a typographic quote, perhaps)"
    else:
        return key
    raise KeyRefused(
        f"The key in {KEY_VARIABLE} {problem}; nothing was sent.", "Copy it again from Recall.ai's dashboard."
    )
