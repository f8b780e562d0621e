"""Assemble self-contained pages, and the index of a batch.

A page is one HTML text with its style, script and data inside, and a policy that lets nothing else in.
"""

import base64
import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from recall_audio.model.options import SpeechOptions, TalkOptions
from recall_audio.model.outcome import ending_of
from recall_audio.model.persons import PersonIndex, lasting_keys
from recall_audio.report.formatting import (
    NOTHING,
    clock,
    count,
    items,
    mapping,
    number,
    objects,
    percent,
    text,
)
from recall_audio.report.style import PEOPLE, PEOPLE_ON_DARK, css_colours
from recall_audio.report.summary import interval, metadata, platform
from recall_audio.report.values import CHECK, Documents, Speaker, duration_s, speakers, title
from recall_audio.report.warnings_section import statements

if TYPE_CHECKING:
    from jinja2 import Environment

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


@dataclass(frozen=True, slots=True)
class Definition:
    """One figure's name and meaning, as the page quotes them.

    Attributes:
        name: as on the page.
        meaning: plain sentences, the value of each option put in.
        field: where the figure stands in the recording's files, or empty.
    """

    name: str
    meaning: str
    field: str = ""


def definitions(documents: Documents) -> dict[str, Definition]:
    """Return the definition of every figure by its key, with this recording's options put in."""
    run = mapping(mapping(documents.get("run")).get("parameters"))
    values: dict[str, float] = {}
    for defaults, chosen in ((TalkOptions(), run.get("talk")), (SpeechOptions(), run.get("speech"))):
        for option in fields(defaults):
            default, value = number(getattr(defaults, option.name)), number(mapping(chosen).get(option.name))
            if default is not None:
                values[option.name] = default if value is None else value
    found = tomllib.loads(_source("definitions.toml"))
    return {
        k: Definition(d["name"], d["meaning"].format(**values), d.get("field", "")) for k, d in found.items()
    }


def page(template: str, scripts: Sequence[str], data: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    """Return a self-contained page.

    Args:
        template: name of the template.
        scripts: names of the script files, in order.
        data: plain values for the scripts; numbers must be finite.
        view: values for the template.

    Returns:
        HTML text that can be written as UTF-8.
    """
    style = _source("page.css").replace("/* people on dark */", css_colours(PEOPLE_ON_DARK))
    style = style.replace("/* people */", css_colours(PEOPLE))
    # One scope for all scripts, so that no other script can reach or replace their names.
    script = "(() => {\n'use strict';\n" + "\n".join(_source(name) for name in scripts) + "\n})();\n"
    policy = "; ".join(_POLICY).format(style=_hash(style), script=_hash(script))
    html = (
        _environment()
        .get_template(template)
        .render(view, style=style, script=script, policy=policy, data=embedded(data))
    )
    return _SURROGATES.sub("\ufffd", html)


def embedded(data: Mapping[str, Any]) -> str:
    """Return JSON for a script element, in which no text can end the element or a line of script.

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


def relative_url(path: Any) -> str | None:
    """Return a path below the page as a relative URL, or None where it would lead elsewhere."""
    steps = str(path or "").replace("\\", "/").split("/")
    if any(step in {"", ".", ".."} for step in steps):
        return None
    # Every step is quoted whole, so that neither "https:" nor "#" can mean anything in the address.
    return "/".join(quote(step.encode("utf-8", "replace"), safe="") for step in steps)


_RANKS = {"done": 0, "complete": 0, "partial": 2, "waiting": 1, "transient": 1, "not processed": 1}
_STATUSES = {
    "done": "complete",
    "complete": "complete",
    "partial": "partial",
    "failed": "failed",
    "waiting": "waiting",
    "transient": "to be run again",
}
COLUMNS = ("Meeting", "Result", "Started", "Length", "People", "Speech", "At once", "To check")


def index_row(documents: Documents, href: str) -> dict[str, Any]:
    """Return the row of one finished recording, for :func:`render_index`.

    Args:
        documents: as for :func:`~recall_audio.report.render`.
        href: path of its report below the index's folder, e.g. ``BOT/RECORDING/report.html``.
    """
    recording, talk = mapping(documents.get("recording")), mapping(documents.get("talk"))
    about, people = mapping(recording.get("recording")), speakers(documents)
    length_s, speech_s = duration_s(documents, people), number(talk.get("speech_s"))
    ending = ending_of(mapping(documents.get("run")))
    return {
        "title": title(documents),
        "bot_id": mapping(recording.get("bot")).get("id"),
        "recording_id": about.get("id"),
        "status": ending.status,
        "reason": ending.text,
        "href": href,
        "started_at": about.get("started_at"),
        "duration_s": length_s,
        "speakers": [s.name for s in people],
        "share_of_meeting": speech_s / length_s if speech_s is not None and length_s > 0 else None,
        "overlap_of_speech": talk.get("overlap_of_speech"),
        "warnings": sum(s.rank >= CHECK for s in statements(documents, people)),
        "platform": platform(documents),
        "metadata": [f"{name}={value}" for name, value in metadata(documents)],
        "talk": [_talk_of(s, mapping(documents.get("speakers"))) for s in people],
    }


def _talk_of(s: Speaker, people: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the index needs of one participant: name, lasting ids, share with its interval."""
    person = mapping(mapping(people.get("speakers")).get(s.label))
    email, extra = person.get("email"), person.get("extra_data")
    keys = lasting_keys(
        email if isinstance(email, str) else None, extra if isinstance(extra, Mapping) else None
    )
    between = interval(s) or (None, None)
    return {
        "label": s.label,
        "name": s.name,
        "keys": keys,
        "share": number(s.talk.get("share_of_talk")),
        "low": between[0],
        "high": between[1],
        "talk_s": s.talk_s,
    }


def render_index(rows: Sequence[Mapping[str, Any]], heading: str = "Recordings") -> str:
    """Render ``index.html`` of a batch.

    Args:
        rows: one mapping a recording or failed bot: ``bot_id, recording_id, title, status`` (``complete,
            partial, failed, not processed, waiting, transient``), ``reason`` (why it is not complete),
            ``href``, ``started_at, duration_s, speakers`` (names) or ``participants`` (how many),
            ``share_of_meeting, overlap_of_speech, warnings, platform, metadata`` (``key=value`` each), and
            ``talk``, a mapping a participant: ``label, name, keys`` (lasting ids and email, as
            :func:`~recall_audio.model.persons.lasting_keys` gives them), ``share, low, high, talk_s``.
            Anything may be missing.
        heading: the page's title.

    Returns:
        One HTML text that requests nothing else.
    """
    rows = sorted(rows, key=lambda row: text(row.get("started_at")) or "~")
    shown = [_row(row) for row in rows]
    people = persons(rows)
    bad = sum(row["rank"] > 0 for row in shown)
    view = {
        "heading": text(heading),
        "columns": COLUMNS,
        "rows": shown,
        "said": f"{count(len(shown), 'recording')}, {bad} not done."
        if bad
        else f"{count(len(shown), 'recording')}, all done.",
        "bad": bad,
        "platforms": sorted({row["platform"] for row in shown if row["platform"]}),
        "metadata": sorted({pair for row in shown for pair in row["metadata"]}),
        "dates": [row["started"][:10] for row in shown if row["started"]],
        "people": people[:_MOST_PERSONS],
        "more_people": max(0, len(people) - _MOST_PERSONS),
        "by_name": any(p["by_name"] for p in people),
        "define": definitions({}),
    }
    data = {
        "meetings": [{"title": row["title"], "started": row["started"]} for row in shown],
        "people": [{"name": p["name"], "talk": p["talk"]} for p in people[:_MOST_PERSONS]],
    }
    return page("index.html", ("pen.js", "index.js", "what.js", "save.js"), data, view)


_MOST_PERSONS = 200
"""Most people of the index who have a picture of their own."""


def persons(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return every person of several meetings, those with most meetings first.

    Participants are one person where a lasting id or an email agrees; one who has neither is matched by name,
    and `by_name` says so.

    Returns:
        ``{name, by_name, n, mean, talk: [[meeting, share, low, high], ...]}``; meetings are numbered as in
        `rows`, a share is None where it is not known.
    """
    index, seen = PersonIndex(), []
    for i, row in enumerate(rows):
        for one in objects(row.get("talk")):
            keys = tuple(str(k) for k in items(one.get("keys")))
            index.add(str(row.get("recording_id") or i), text(one.get("label")), keys)
            seen.append((i, one, bool(keys)))
    found: dict[str, dict[str, Any]] = {}
    for code, (i, one, has_keys) in zip(index.persons(), seen, strict=True):
        name = text(one.get("name"))
        person = found.setdefault(
            code if has_keys else f"name {name.casefold()}",
            {"name": name, "by_name": not has_keys, "talk": []},
        )
        share, low, high = (number(one.get(k)) for k in ("share", "low", "high"))
        if share is None and one.get("talk_s") == 0:
            share = 0.0
        person["talk"].append([i, *(None if v is None else round(v, 4) for v in (share, low, high))])
    for person in found.values():
        known = [entry[1] for entry in person["talk"] if entry[1] is not None]
        meetings = len({entry[0] for entry in person["talk"]})
        person |= {"n": meetings, "mean": sum(known) / len(known) if known else None}
        person["shown"] = NOTHING if not known else percent(person["mean"])
    return sorted(found.values(), key=lambda p: (-p["n"], -(p["mean"] or 0.0), p["name"]))


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    status = str(row.get("status") or "failed")
    names = [text(name) for name in items(row.get("speakers"))]
    n_people = float(len(names)) if names else number(row.get("participants"))
    started = text(row.get("started_at"))
    length_s, warnings = number(row.get("duration_s")), number(row.get("warnings"))
    speech, over = number(row.get("share_of_meeting")), number(row.get("overlap_of_speech"))
    return {
        "rank": _RANKS.get(status, 3),
        "status": _STATUSES.get(status, text(status)),
        "title": text(row.get("title")) or text(row.get("bot_id")) or "Meeting",
        "bot_id": text(row.get("bot_id")),
        "recording_id": text(row.get("recording_id")),
        "href": relative_url(row.get("href")) or "",
        "platform": text(row.get("platform")),
        "metadata": [text(pair) for pair in items(row.get("metadata"))],
        "reason": text(row.get("reason"), 400),
        "started": started[:16].replace("T", " "),
        "length": clock(length_s),
        "length_s": -1 if length_s is None else length_s,
        "names": names,
        "people": NOTHING if n_people is None else f"{n_people:.0f}",
        "people_n": -1 if n_people is None else n_people,
        "speech": percent(speech, 0),
        "speech_n": -1 if speech is None else speech,
        "over": percent(over),
        "over_n": -1 if over is None else over,
        "warnings": NOTHING if warnings is None else f"{warnings:.0f}",
        "warnings_n": -1 if warnings is None else warnings,
    }
