"""Feed hundreds of thousands of damaged inputs to the parsers, and check what they return.

    python tests/benchmarks/fuzz.py --inputs 200000 --seed 1

The inputs are right answers of the stand-in (bots, lists, parts, events), error bodies of the API and the
media host, headers, URLs, names and files of the package, with bytes, fields, values or nesting changed. For
each input: the parser returns a value or raises an error of the package, and no other exception. Values are
JSON without NaN. A secret in an error body is in no message. A range is appended only where it continues the
bytes on disk. A URL counts as media only if the HTTP library would connect to a media host. Names are
distinct, safe and short enough. Prints inputs, values and errors by parser, and every violation.
"""

import argparse
import json
import math
import pickle
import random
import re
import shutil
import tempfile
import time
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import urllib3
from requests import PreparedRequest, RequestException
from requests.structures import CaseInsensitiveDict

from recall_audio import batch
from recall_audio.batch import previous_runs
from recall_audio.cli import options
from recall_audio.errors import ItemError, RecallAudioError
from recall_audio.fetch import participants
from recall_audio.fetch.api import payloads, protocol
from recall_audio.fetch.download import resume
from recall_audio.fetch.http import urls
from recall_audio.fetch.participants import _READERS, read_parts
from recall_audio.model.containers import is_text, recognise
from recall_audio.model.labels import LONGEST_BYTES, distinct_names, make_labels
from recall_audio.model.meeting import Participant
from recall_audio.model.options import Options
from recall_audio.pipeline.process import finished
from recall_audio.results.sample import sample_folder, sample_meeting
from recall_audio.standin import meeting, meetings

N_PARSERS = 14
CANARY = "CANARYxSIGNATURE"
REQUEST = protocol.RequestFacts("bot b", "region us-west-2", "RECALL_API_KEY", 1_700_000_000.0)
API = ("https", "us-west-2.recall.ai", 443)
VALUES: list[Any] = [
    None, True, False, 0, -1, 10**30, -(2**63), 1e308, -0.0, math.nan, math.inf, "", "x", "é", "\ud800", "\0",
    "\u202e", "x" * 20_000, [], {}, [[]], [None], {"": ""}, {"id": 1}, "../../x", "file:///etc/passwd",
    "2026-01-01T00:00:00Z", "9999-99-99", {"relative": "1"}, {"relative": 1e300}, [{}], "=1+1", "NaN",
]  # fmt: skip
TOKENS = [
    b"NaN",
    b"Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 5000,
    b'{"a":' * 2000,
    b"\0",
    b"\xff",
    b'"',
    b"\\",
]
TOKENS += [
    b"\\ud800",
    b",",
    b"}",
    b"]",
    b"-",
    b"\xef\xbb\xbf",
    b"\x1b[31m",
    b"\r\n",
    b"<",
    b"&",
    b"?",
    b"://",
    b"@",
]


def copied(value: Any) -> Any:
    """Return a copy of a JSON value that shares nothing with it."""
    return json.loads(json.dumps(value))


class Mutator:
    """Damages right inputs, the same way for the same seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def value(self, right: Any) -> Any:
        """Return a JSON value with some parts replaced, removed, repeated or renamed."""
        copy = copied(right)
        for _ in range(self.draw.choice((1, 1, 2, 5))):
            copy = self._changed(copy)
        return copy

    def _changed(self, node: Any) -> Any:
        draw = self.draw
        if not isinstance(node, dict | list) or not node or draw.random() < 0.15:
            return copied(draw.choice(VALUES))
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw.choice(keys)
        how = draw.random()
        if how < 0.7:
            node[key] = self._changed(node[key])
        elif how < 0.8:
            del node[key]
        elif isinstance(node, list):
            node.insert(draw.randrange(len(node) + 1), copied(draw.choice([*node, *VALUES])))
        else:
            node[draw.choice(["id", "name", "results", "data", "", key.upper(), key + " "])] = node.pop(key)
        return node

    def body(self, right: Any) -> bytes:
        """Return a damaged JSON value as bytes, some of which are damaged as well."""
        text = json.dumps(self.value(right) if self.draw.random() < 0.8 else right).encode()
        return self.bytes(text) if self.draw.random() < 0.3 else text

    def bytes(self, right: bytes) -> bytes:
        """Return bytes with some flipped, cut, repeated or inserted."""
        data = bytearray(right)
        for _ in range(self.draw.choice((1, 1, 2, 8))):
            at, how = self.draw.randrange(len(data) + 1), self.draw.randrange(4)
            if how == 0 and at < len(data):
                data[at] ^= 1 << self.draw.randrange(8)
            elif how == 1:
                del data[at : at + self.draw.choice((1, 10, 10_000))]
            elif how == 2:
                data[at:at] = self.draw.choice(TOKENS)
            else:
                data[at:at] = data[at : at + 50]
        return bytes(data)

    def text(self, right: str) -> str:
        """Return text damaged as bytes, with surrogates for what is not UTF-8, as the API can send them."""
        return self.bytes(right.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")

    def headers(self) -> CaseInsensitiveDict[str]:
        """Return headers that the package reads, right or wrong, decoded as Latin-1 like requests does."""
        right = {
            "Content-Type": ["application/json", "text/html", "application/xml"],
            "Retry-After": [
                "7",
                "-5",
                "1.5",
                "99999",
                "soon",
                "Wed, 21 Oct 2026 07:28:00 GMT",
                "0",
                "9" * 40,
            ],
            "Content-Range": ["bytes 400-999/1000", "bytes 0-9/10", "bytes */1000", "bytes 400-399/1000"],
            "Content-Length": ["600", "1000", "-4", "abc", "9" * 30],
            "Content-Encoding": ["gzip", "identity", ""],
            "ETag": ['"a"', 'W/"a"', '"', "a", '"' + "x" * 300 + '"'],
        }
        made: CaseInsensitiveDict[str] = CaseInsensitiveDict()
        for name, values in right.items():
            if self.draw.random() < 0.6:
                value = self.draw.choice(values)
                broken = self.bytes(value.encode()) if self.draw.random() < 0.4 else value.encode()
                made[name] = broken.decode("latin-1")
        return made


def plain(value: Any) -> None:
    """Check that strict JSON can hold a value."""
    json.dumps(value, allow_nan=False, default=lambda o: asdict(o) if hasattr(o, "__slots__") else str(o))


def reading(right: Any, read: Callable[[Any], Any]) -> Callable[[Mutator], None]:
    """Return a check that reads an answer of the API: bytes to JSON to values."""

    def once(m: Mutator) -> None:
        answer = protocol.Answer(200, m.headers(), m.body(right))
        plain(read(protocol.value(answer, REQUEST)))

    return once


def timeline(value: Any) -> Any:
    return _READERS["speaker_timeline_download_url"](value)


def listed(value: Any) -> Any:
    """Read a page, and the artifacts on it."""
    rows, following = payloads.page(value)
    return [payloads.artifact("audio_mixed", row) for row in rows], following


def api_errors(m: Mutator) -> None:
    """Check that no error names a URL's query, whatever the body is."""
    url = f"https://x.recallai.s3.amazonaws.com/a.mp3?AWSAccessKeyId=A&Signature={CANARY}&Expires=1"
    bodies = [json.dumps({"detail": f"see {url} now"}), f"<html>{url}</html>", json.dumps({"e": [url] * 3})]
    answer = protocol.Answer(
        m.draw.choice([301, 302, 400, 401, 402, 403, 404, 405, 409, 410, 418, 429, 500, 502, 503, 507, 999]),
        m.headers(),
        m.bytes(m.draw.choice(bodies).encode()),
    )
    error = protocol.error(answer, REQUEST)
    said = str(error) + repr(error) + pickle.dumps(error).decode("latin-1")
    assert CANARY not in said, "a signature in a message"
    assert all(c.isprintable() for c in str(error)), "control characters in a message"
    plain(error.facts)
    raise error


def host_errors(m: Mutator) -> None:
    """Check the same for the media host."""
    body = f"<Error><Code>AccessDenied</Code><Message>Request has expired</Message><S>{CANARY}</S></Error>"
    status = m.draw.choice([301, 400, 401, 403, 404, 410, 412, 416, 429, 500, 503])
    error = resume.host_error(status, m.headers(), m.bytes(body.encode()), REQUEST.now)
    assert CANARY not in str(error) + repr(error), "a word of the body in a message"
    plain(error.facts)
    raise error


def ranges(m: Mutator) -> None:
    """Check that only the exact continuation is appended."""
    have = resume.Have(m.draw.choice((0, 400)), m.draw.choice((None, '"a"')), m.draw.choice((None, 1000)))
    headers, status = m.headers(), m.draw.choice((200, 206, 206, 412, 416, 403))
    step = resume.next_step(status, headers, have, m.draw.choice((500, 10**12)))
    if step is not None and step.action == "write" and step.have.n_bytes:
        found = re.fullmatch(r"\s*bytes 400-(\d+)/(\d+)\s*", headers["Content-Range"])
        assert status == 206, "appended an answer that is not a range"
        assert found, "appended another range"
        assert step.have.n_bytes == 400


def media_hosts(m: Mutator) -> None:
    """Check that the HTTP library connects to a media host for every URL accepted as media."""
    right = m.draw.choice(
        ["https://us-west-2.recall.ai/a.mp3?x=1", "https://prod-recallai-media.s3.us-west-2.amazonaws.com/a?b",
         "https://evil.example/recall.ai", "https://recall.ai@evil.example/", "https://recall.ai.evil.example/"]
    )  # fmt: skip
    url = m.text(right)
    urls.shown(url).encode("ascii")
    urls.check_media(url, API)
    request = PreparedRequest()
    try:
        request.prepare_url(url, None)
    except (RequestException, UnicodeError):
        return  # the library refuses it
    host = urllib3.util.parse_url(str(request.url)).host or ""
    is_media = re.fullmatch(r"([\w-]+\.)*recall\.ai|[\w.-]*recallai[\w.-]*\.amazonaws\.com", host)
    assert is_media, f"{url!r} connects to {host!r}"


SAFE_NAME = re.compile(r"[^\s/\\:*?\"<>|\x00-\x1f\x7f.][^\s/\\:*?\"<>|\x00-\x1f\x7f]*")
NAMES = [
    "../../x",
    "CON",
    "..",
    "C:\\x",
    "José",
    "Ann Lee",
    "\u202egnp",
    "<script>",
    "=1",
    "\x1b[31m",
    "李雷",
    "ß",
    "𝕏",
]


def labels(m: Mutator) -> None:
    """Check that labels, and file names made of ids, are distinct, plain and short."""
    names = [m.draw.choice([n, m.text(n)]) for n in m.draw.choices([*NAMES, ""], k=m.draw.choice((1, 4, 12)))]
    made = list(make_labels([Participant(i, name) for i, name in enumerate(names)]).values())
    for safe_names, longest in ((made, LONGEST_BYTES), (distinct_names(names), 80)):
        folded = {unicodedata.normalize("NFKC", name).casefold() for name in safe_names}
        assert len(folded) == len(names), "one name for two"
        for name in safe_names:
            assert len(name.encode("utf-8")) <= longest, "too long a name"
            assert SAFE_NAME.fullmatch(name), repr(name)


def heads(m: Mutator) -> None:
    """Check that any first bytes are recognised as a container, as text, or as neither."""
    rights = [
        b"ID3\x04\0\0\0\0\0\x0a" + bytes(40),
        b"OggS\0" * 20,
        b"fLaC" * 9,
        b"RIFF\0\0\0\0WAVEfmt ",
        b"<html>",
    ]
    head = m.bytes(m.draw.choice([*rights, bytes.fromhex("fffb9064") + bytes(413), m.draw.randbytes(200)]))
    assert recognise(head) in (None, "mp3", "ogg", "wav", "flac", "mp4", "m4a", "aac"), recognise(head)
    assert is_text(head) in (True, False)


def id_files(m: Mutator) -> None:
    """Check that a file of ids gives ids or a usage error."""
    text = m.text('when,"bot id",title\n1,0000-1,"=x, ""y"""\n2,0000-2,"two\nlines"\n').replace("\udcff", "")
    try:
        found = batch.unique(options._column(text, "bot id"))
    except click.UsageError as error:
        raise ItemError(error.message, code="usage") from None
    assert all(isinstance(i, str) and i.strip() == i for i in found)


def own_files(folder: Path) -> Callable[[Mutator], None]:
    """Return a check that damaged files of earlier runs are read without an exception."""
    rights = {n: json.loads((folder / n).read_text("utf-8")) for n in ("recording.json", "run.json")}
    rights["crashes.json"] = {"schema": "recall-audio/crashes/1", "version": "0.1.0", "times": 1, "last": {}}
    request, bot_id, options = batch.Request(out=folder.parent.parent), folder.parent.name, Options()

    def once(m: Mutator) -> None:
        name = m.draw.choice(sorted(rights))
        (folder / name).write_bytes(m.body(rights[name]))
        try:
            previous_runs.fetched_folders(bot_id, request)
            previous_runs.has_media(folder)
            previous_runs.is_quarantined(folder)
            finished(folder, options)
            previous_runs.stages_to_redo(folder, options)
            previous_runs.is_complete(folder)
        finally:
            (folder / name).write_text(json.dumps(rights[name]), "utf-8")

    return once


def parsers(folder: Path) -> dict[str, Callable[[Mutator], None]]:
    """Return every parser with its right inputs."""
    served = meeting(sample_folder())

    def artifact(_: Any, kind: str) -> Any:
        return meetings.artifact(
            served, kind, "done", lambda path: f"https://us-west-2.recall.ai{path}?Expires=1"
        )

    rows = [artifact(served, "audio_mixed"), meetings.stale(served, "audio_mixed", 0)]
    page = {
        "next": "https://us-west-2.recall.ai/api/v1/audio_mixed/?cursor=x",
        "previous": None,
        "results": rows,
    }
    parts = meetings.parts(served, lambda path: f"https://us-west-2.recall.ai{path}?Expires=1")
    return {
        "bots": reading(meetings.bot([served], artifact), payloads.bot),
        "lists": reading(page, listed),
        "parts": reading(parts, read_parts),
        "participants": reading(meetings.events(served, "participants"), participants.participants),
        "events": reading(meetings.events(served, "participant_events"), participants.events),
        "timeline": reading(meetings.events(served, "speaker_timeline"), timeline),
        "API errors": api_errors,
        "media host errors": host_errors,
        "ranges": ranges,
        "URLs": media_hosts,
        "names": labels,
        "heads of files": heads,
        "files of ids": id_files,
        "own files": own_files(folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        with sample_meeting() as (bot_id, reach):
            request = batch.Request(out=Path(temporary), keep_work=False)
            [outcome] = batch.run([bot_id], lambda: reach, request)
        folder = Path(outcome.folder)
        for heavy in ("source", "stems"):
            shutil.rmtree(folder / heavy)
        violations = {name: fuzz(name, check, given) for name, check in parsers(folder).items()}
    print("violations:", {name: count for name, count in violations.items() if count} or "none")


def fuzz(name: str, check: Callable[[Mutator], None], given: argparse.Namespace) -> int:
    """Feed one parser its share of the inputs, print the violations and return their number."""
    n_inputs = given.inputs // N_PARSERS
    mutator, codes, broken, began = Mutator(given.seed), Counter[str](), Counter[str](), time.perf_counter()
    for _ in range(n_inputs):
        try:
            check(mutator)
            codes["values"] += 1
        except RecallAudioError as error:
            codes[error.code] += 1
        except Exception as error:  # noqa: BLE001 - any other exception is a violation
            last = traceback.extract_tb(error.__traceback__)[-1]
            broken[
                f"{type(error).__name__} {str(error)[:90]!r} at {Path(last.filename).name}:{last.lineno}"
            ] += 1
    print(
        f"{name}: {n_inputs} inputs in {time.perf_counter() - began:.0f} s, {dict(codes.most_common(8))}",
        flush=True,
    )
    for what, count in broken.most_common(8):
        print(f"  {count} x {what}", flush=True)
    return broken.total()


if __name__ == "__main__":
    main()
