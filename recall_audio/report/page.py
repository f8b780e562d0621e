"""The page: one HTML text with its style, script and data inside, and a policy that lets nothing else in."""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
from dataclasses import dataclass, field
from urllib.parse import quote

from recall_audio.report.formatting import mapping, objects
from recall_audio.report.speakers import Documents

_PLAYS = (".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a", ".mp4")


@dataclass(frozen=True, slots=True)
class Assets:
    """Audio files beside ``report.html``.

    Attributes:
        mix: path of the mixed recording below the page's folder, or None.
        stems: label to path of that speaker's stem.
    """

    mix: str | None = None
    stems: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def named_in(documents: Documents) -> "Assets":
        """The files that ``recording.json`` and ``stems.json`` name, unseen."""
        mix = mapping(mapping(documents.get("recording")).get("mix")).get("file")
        stems = {}
        for stem in objects(mapping(documents.get("stems")).get("stems")):
            label, file = stem.get("participant"), stem.get("file")
            if isinstance(label, str) and isinstance(file, str):
                stems[label] = file if "/" in file else f"stems/{file}"
        return Assets(mix if isinstance(mix, str) else None, stems)


def address(path: str | None) -> str | None:
    """A relative URL of a file below the page, or None where the path leads elsewhere or cannot be played."""
    if not path or not path.lower().endswith(_PLAYS):
        return None
    steps = path.replace("\\", "/").split("/")
    if any(step in {"", ".", ".."} for step in steps):
        return None
    # Every step is quoted whole, so that neither "https:" nor "#" can mean anything in the address.
    return "/".join(quote(step.encode("utf-8", "replace"), safe="") for step in steps)


_POLICY = (
    "default-src 'none'",
    "style-src {style}",
    "script-src {script}",
    "img-src data:",
    # 'self' is the page's own origin; on a disk there is none, and the files beside it are named by scheme.
    "media-src 'self' file:",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
)
_SURROGATES = re.compile("[\ud800-\udfff]")


def page(template: str, scripts: Sequence[str], data: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    """A self-contained page.

    Args:
        template: name of the template.
        scripts: names of the script files, in order.
        data: plain values for the scripts; numbers must be finite.
        view: values for the template.

    Returns:
        HTML text that can be written as UTF-8.
    """
    style = _source("page.css")
    # One scope for all files: nothing of them can be reached, or replaced, from outside.
    script = "(() => {\n'use strict';\n" + "\n".join(_source(name) for name in scripts) + "\n})();\n"
    policy = "; ".join(_POLICY).format(style=_hash(style), script=_hash(script))
    html = (
        _environment()
        .get_template(template)
        .render(view, style=style, script=script, policy=policy, data=embedded(data))
    )
    return _SURROGATES.sub("\ufffd", html)


def embedded(data: Mapping[str, Any]) -> str:
    """JSON for a script element: nothing in it can end the element or a line of script.

    Raises:
        ValueError: a number is NaN or infinite (a programming error).
    """
    # ASCII only: U+2028, U+2029 and lone surrogates become escapes as everything past U+007E does.
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


@functools.cache
def _source(name: str) -> str:
    return files("recall_audio.report").joinpath("templates", name).read_text("utf-8")


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
