"""A night of webhooks in small: duplicates and forgeries among them, and a listener that is killed midway.

    python tests/benchmarks/webhooks.py --deliveries 200 --at-once 8 --kills 1

Real sockets, the ordinary command. The sender does as Svix does: what is not answered 2xx is sent again under
the same message id, signed anew. Of the deliveries some are duplicates (sent again though they were answered)
and some are forged (a wrong signature, an old time, a changed body); they come in random order. While they
come, the listener gets SIGKILL and is started anew. In the end every recording that was told of has to be in
the queue exactly once, with every message that was answered, and nothing that was forged.

Prints what was sent and answered, and how long answers took.
"""

import argparse
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recall_audio.standin.webhooks import SECRET, Message, Sender, message

COMMAND = [sys.executable, "-c", "from recall_audio.cli import main; main()", "listen"]
KINDS = ("audio_mixed", "audio_separate", "recording")


class Delivery:
    """One thing to deliver: a message as it is, or forged in some way."""

    def __init__(self, what: Message, bot: str, forged: str = "") -> None:
        self.what, self.bot, self.forged = what, bot, forged

    def deliver(self, sender: Sender) -> int:
        if not self.forged:
            return sender.until_taken(self.what, wait_s=0.1)
        altered = {
            "signature": {"webhook_signature": "v1,c2lnbmVkIGJ5IG5vYm9keQ=="},
            "time": {"webhook_timestamp": str(int(time.time()) - 3600)},
            "body": {},
        }[self.forged]
        what = self.what
        if self.forged == "body":  # the right headers with another body
            altered = {k.replace("-", "_"): v for k, v in what.headers(sender.secret).items()}
            what = Message(what.message_id, what.body.replace(b"done", b"gone"))
        for _ in range(200):
            if status := sender.once(what, **altered):
                return status
            time.sleep(0.1)  # nobody is listening just now
        return 0


def deliveries(n: int, chance: random.Random) -> list[Delivery]:
    """So many in random order: three in five as they are, one in four again, the rest forged."""
    n_right, n_forged = round(0.6 * n), round(0.15 * n)
    right = []
    for at in range(n_right):
        number, kind = divmod(at, len(KINDS))
        bot = f"b0000000-0000-4000-8000-{number:012}"
        ids = {KINDS[kind]: f"a{kind}000000-0000-4000-8000-{number:012}", "bot": bot}
        ids["recording"] = f"c0000000-0000-4000-8000-{number:012}"
        right.append(Delivery(message(f"{KINDS[kind]}.done", ids, f"msg_{at:06}"), bot))
    again = [chance.choice(right) for _ in range(n - n_right - n_forged)]
    forged = []
    for at in range(n_forged):
        bot = f"f0000000-0000-4000-8000-{at:012}"
        what = message("audio_separate.done", {"bot": bot, "recording": bot}, f"forged_{at:06}")
        forged.append(Delivery(what, bot, ("signature", "time", "body")[at % 3]))
    mixed = right + again + forged
    chance.shuffle(mixed)
    return mixed


def started(folder: Path, port: int) -> "subprocess.Popen[str]":
    env = os.environ | {"RECALL_WEBHOOK_SECRET": SECRET}
    command = [*COMMAND, "--port", str(port), "--queue", str(folder)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while not re.search(r"http://", process.stderr.readline()):
        assert process.poll() is None, "it did not start"
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def check(folder: Path, sent: list[Delivery]) -> int:
    """Every recording once, with all its messages; gives how many."""
    expected: dict[str, set[str]] = {}
    for one in sent:
        if not one.forged:
            expected.setdefault(one.bot, set()).add(one.what.message_id)
    found = [json.loads(p.read_text("utf-8")) for p in folder.rglob("*.json")]
    assert Counter(e["bot_id"] for e in found) == dict.fromkeys(expected, 1), "lost, or there twice"
    for entry in found:
        assert Counter(entry["messages"]) == dict.fromkeys(expected[entry["bot_id"]], 1), entry
        assert len(entry["recordings"]) == 1, entry
    return len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deliveries", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    sent = deliveries(asked.deliveries, random.Random(asked.seed))
    with tempfile.TemporaryDirectory() as root:
        folder, port = Path(root) / "queue", free_port()
        sender = Sender(f"http://127.0.0.1:{port}/")
        left, every = threading.Semaphore(0), len(sent) // (asked.kills + 1)

        def deliver(one: Delivery) -> int:
            status = one.deliver(sender)
            left.release()
            return status

        process, began = started(folder, port), time.monotonic()
        with ThreadPoolExecutor(asked.at_once) as pool:
            answers = [(one, pool.submit(deliver, one)) for one in sent]
            for _ in range(asked.kills):
                for _ in range(every):
                    left.acquire()
                process.send_signal(signal.SIGKILL)
                process.wait()
                process = started(folder, port)
            statuses = Counter(("forged" if one.forged else "right", f.result()) for one, f in answers)
        took_s = time.monotonic() - began
        process.send_signal(signal.SIGTERM)
        process.wait()
        n = check(folder, sent)
    assert set(statuses) <= {("right", 200), ("forged", 401)}, statuses
    ms = sorted(1000 * s for s in sender.took_s)
    quantiles = statistics.quantiles(ms, n=100)
    print(f"{len(sent)} deliveries, {asked.at_once} at once, {asked.kills} kill(s), {took_s:.1f} s in all")
    for (kind, status), count in sorted(statuses.items()):
        print(f"  {kind}: {count} answered {status}")
    print(f"  {n} recordings, each in the queue exactly once, with all messages; nothing that was forged")
    print(f"  answers: p50 {quantiles[49]:.1f} ms, p99 {quantiles[98]:.1f} ms, longest {ms[-1]:.1f} ms")


if __name__ == "__main__":
    main()
