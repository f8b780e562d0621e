"""A recording whose stems say where they are heard, engines that read it, and an endpoint on loopback.

The stems of :func:`marked` hold no voices: each tenth of a second has one value, which names the speaker and
the time. An engine can thus return words that are known to be right: ``Ann_Lee@12.3`` for the tenth that
begins at 12.3 s of Ann Lee's stem, at the time at which it hears it.
"""

import email.parser
import email.policy
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from recall_audio.media.wav import StemWriter
from recall_audio.typing import Float32Array

TENTH = 1600
_PER_SPEAKER = 2000


def marked(folder: Path, rate_hz: int = 16_000) -> Path:
    """Overwrite a processed recording's stems with such that say where they are heard."""
    for i, stem in enumerate(written_stems(folder)):
        n_samples = stem["n_samples"]
        values = np.arange(n_samples) // TENTH + 1 + i * _PER_SPEAKER
        samples = values.astype(np.int16)
        if rate_hz != 16_000:
            samples = np.repeat(samples, rate_hz // 16_000)
        with StemWriter(folder / stem["file"], rate_hz) as writer:
            writer.write(samples)
    return folder


def labels_of(folder: Path) -> list[str]:
    """The labels in the order of the stems."""
    return [s["participant"] for s in written_stems(folder)]


def written_stems(folder: Path) -> list[dict[str, Any]]:
    """The stems that have a file."""
    stems = json.loads((folder / "stems.json").read_text("utf-8"))["stems"]
    return [stem for stem in stems if stem["file"]]


def words_in(samples: Any, labels: list[str]) -> list[dict[str, Any]]:
    """One word for each tenth of a second that is heard for at least half of it, in whisper's form."""
    values = np.rint(np.asarray(samples, dtype=np.float64)).astype(int)
    edges = np.flatnonzero(np.diff(values)) + 1
    words = []
    for first, last in zip([0, *edges], [*edges, len(values)], strict=True):
        value = values[first]
        if value <= 0 or last - first < TENTH // 2:
            continue
        label, tenth = labels[(value - 1) // _PER_SPEAKER], (value - 1) % _PER_SPEAKER
        name = f"{label}@{tenth / 10:.1f}"
        words.append({"word": name, "start": first / 16_000, "end": last / 16_000, "probability": 0.9})
    return words


@dataclass
class TruthEngine:
    """Returns the words that are in the samples, and counts what it is given."""

    labels: list[str]
    heard: list[str] = field(default_factory=list)
    fails_at: int | None = None
    extra: str = ""

    def __call__(self, samples: Float32Array, rate_hz: int) -> list[dict[str, Any]]:
        assert rate_hz == 16_000
        words = words_in(samples * 32_768, self.labels)
        if self.fails_at == len(self.heard):
            raise OSError("the engine is out of order")
        self.heard.append(words[0]["word"] if words else "")
        text = " ".join(w["word"] for w in words)
        return [{"start": 0.0, "end": len(samples) / rate_hz, "text": text, "words": words}]


@dataclass
class Answering:
    """What an endpoint answers, and what it was asked.

    Attributes:
        labels: of the stems.
        statuses: sent before the first good answer, one a request, with a short ``Retry-After``.
        forms: response formats that it knows; others are answered with 400.
        asked: the fields of each request, with ``authorization``.
    """

    labels: list[str]
    statuses: list[int] = field(default_factory=list)
    forms: tuple[str, ...] = ("verbose_json", "json")
    asked: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def endpoint(answering: Answering) -> Iterator[str]:
    """Serve ``/v1/audio/transcriptions`` on loopback, and yield the address before ``/audio``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fields, wav = _form(self.headers["Content-Type"], body)
            with answering.lock:
                answering.asked.append({**fields, "authorization": self.headers.get("Authorization", "")})
                status = answering.statuses.pop(0) if answering.statuses else 200
            if status == 200 and fields["response_format"] not in answering.forms:
                status = 400
            samples, _ = soundfile.read(io.BytesIO(wav), dtype="int16")
            words = words_in(samples, answering.labels)
            text = " ".join(w["word"] for w in words)
            answer: dict[str, Any] = {"text": text}
            if fields["response_format"] == "verbose_json":
                length_s = len(samples) / 16_000
                answer |= {"duration": length_s, "words": words}
                answer["segments"] = [{"start": 0.0, "end": length_s, "text": text, "avg_logprob": -0.2}]
            content = json.dumps(answer if status == 200 else {"error": {"message": "no"}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status in (429, 503):
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def _form(content_type: str, body: bytes) -> tuple[dict[str, str], bytes]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields: dict[str, str] = {}
    wav = b""
    for part in message.iter_parts():  # type: ignore[attr-defined]
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if part.get_filename():
            wav = content
        else:
            fields[name] = ",".join(filter(None, [fields.get(name, ""), content.decode()]))
    return fields, wav
