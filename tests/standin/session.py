"""Play one bot's life against the stand-in, and write down every exchange without the key.

``python tests/standin/session.py`` rewrites ``.github/session.md``; test_session.py compares the two.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from batch.meetings import make_meetings  # noqa: E402
from listen.lab import listening  # noqa: E402

from recall_audio import fetch  # noqa: E402
from recall_audio.batch import Request  # noqa: E402
from recall_audio.batch.queue_worker import Source, process_queue  # noqa: E402
from recall_audio.listen import Queue  # noqa: E402
from recall_audio.model.new_bot import NewBot  # noqa: E402
from recall_audio.model.options import FetchOptions  # noqa: E402
from recall_audio.model.outcome import Outcome  # noqa: E402
from recall_audio.standin import StandIn, StandInOptions, meeting  # noqa: E402
from recall_audio.standin.webhooks import messages  # noqa: E402

DOCUMENT = ROOT / ".github" / "session.md"
KEY = "canary-key-77ab10"
BOT = "b0700000-0000-4000-8000-000000000001"
"""Stands for the id that the API gives to the bot."""


@dataclass
class Session:
    """What happened.

    Attributes:
        calls: method, path, body sent, status, body received, of the API and of the media host, in order.
        webhooks: bodies of the messages, in order.
        outcomes: of the run.
        files: what the run left, by path below its folder.
        journal: its lines.
        bot_id: the bot.
        origin: where the stand-in was.
    """

    calls: list[tuple[str, str, bytes, int, bytes]] = field(default_factory=list)
    webhooks: list[bytes] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    bot_id: str = ""
    origin: str = ""


def play(folder: Path) -> Session:
    """Create a bot, hold a meeting, deliver the webhooks, work off the queue, delete the media."""
    session = Session()
    [short] = make_meetings(folder / "meetings", 1, seconds=6.0)
    with StandIn([], options=StandInOptions(key=KEY)) as server:
        answer = server.answer

        def noted(request: Any, body: bytes, reply: Any) -> Any:
            given = answer(request, body, reply)
            session.calls.append((request.method, request.path, body, given.status, given.body))
            return given

        server.answer = noted  # type: ignore[method-assign]
        session.origin = server.origin
        settings = fetch.Settings(server.base_url, "us-west-2", KEY)
        new_bot = NewBot("https://us02web.zoom.us/j/81234567890", metadata={"team": "sales"})
        session.bot_id = fetch.create_bot(settings, new_bot)
        held = server.hold(session.bot_id, meeting(short))
        with listening(folder / "queue") as sender:
            for message in messages(held):
                assert sender.once(message) == 200
                session.webhooks.append(message.body)
        out = folder / "out"
        request = Request(out=out, fetch=FetchOptions(at_once=1), delete_media=True)
        session.outcomes = process_queue(Source(Queue(folder / "queue")), lambda: settings, request)
    session.files = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    session.journal = [json.loads(line) for line in (out / "journal.jsonl").read_text("utf-8").splitlines()]
    return session


def shown(value: Any) -> Any:
    """A value without what is null or empty, and with signed URLs shortened."""
    if isinstance(value, dict):
        return {k: shown(v) for k, v in value.items() if v not in (None, "", {}, [])}
    if isinstance(value, list):
        return [shown(one) for one in value]
    return (
        re.sub(r"\?.*", "?(signature)", value) if isinstance(value, str) and "Signature=" in value else value
    )


def body(content: bytes, *, sent: bool = False) -> str:
    """A body as it is shown: JSON, whole if it was sent, or its length."""
    if not content:
        return "(no body)"
    try:
        value = json.loads(content)
        return json.dumps(value if sent else shown(value), indent=1, ensure_ascii=False)
    except ValueError:
        return f"({len(content)} bytes)"


def exchanges(session: Session) -> Iterator[str]:
    """Every exchange as a block."""
    for method, path, sent, status, received in session.calls:
        asked = f"{method} {path}" + (f"\n{body(sent, sent=True)}" if sent else "")
        yield f"```text\n{asked}\n\n{status}\n{body(received)}\n```\n"


def text_of(session: Session) -> str:
    """The document."""
    calls = list(exchanges(session))
    webhooks = "\n".join(f"```json\n{body(one)}\n```\n" for one in session.webhooks)
    lines = [{k: v for k, v in line.items() if k not in ("at", "seconds")} for line in session.journal]
    journal = "\n".join(json.dumps(shown(line), ensure_ascii=False) for line in lines)
    named = r"(recording|segments|talk|run|deleted)\.json|report\.html"
    kept = re.compile(rf".*/(source/(?!speaker).*|stems/.*|{named})")
    files = "\n".join(filter(kept.fullmatch, session.files))
    text = f"""# One bot, from its creation to the deletion of its media

Recorded against the stand-in, with the commands below. Headers, the key, the signatures of URLs, and fields
of answers that are null or empty are left out; the ids are the stand-in's. `python tests/standin/session.py`
records it anew, and a test compares it.

```text
recall-audio create-bot https://us02web.zoom.us/j/81234567890 --metadata team=sales
recall-audio listen --port 8090 --queue queue
recall-audio run --queue queue --out out --at-once 1 --delete-media --yes
```

## The bot is created

{calls[0]}
## Recall.ai reports what is done

Each body is signed; the bot is due once its separate and its mixed audio are done. What the messages name is
retrieved, and not listed.

{webhooks}
## The recording is fetched, and processed

{"".join(f"{call}{chr(10)}" for call in calls[1:-1])}
Among the files that are left are:

```text
{files}
```

## The media are deleted

Every file has the length that the server named and the SHA-256 with which it came, and the run is complete:

{calls[-1]}
The journal says what ended, and what was deleted:

```text
{journal}
```
"""
    text = text.replace(session.bot_id, BOT).replace(session.origin, "https://us-west-2.recall.ai")
    return re.sub(r"/[^\s\"]*/out/", "out/", text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        DOCUMENT.write_text(text_of(play(Path(work))), "utf-8")
