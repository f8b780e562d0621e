"""Define the command listen, which takes Recall.ai's status webhooks into a queue on disk."""

import ipaddress
from pathlib import Path

import click

from recall_audio.cli import logs
from recall_audio.cli.logs import log_options
from recall_audio.errors import missing_extra


@click.command(short_help="Take Recall.ai's webhooks into a queue on disk.")
@click.option(
    "--port", type=click.IntRange(0, 65535), required=True, help="Listen on this port; 0 takes a free one."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Listen on this address; the default is for a TLS proxy on this machine.",
)
@click.option("--queue", "folder", type=click.Path(file_okay=False, path_type=Path),
              default=Path("recall-audio-out/queue"), show_default=True,
              help="Keep the queue in this folder; `recall-audio run --queue` processes it.")  # fmt: skip
@log_options
def listen(port: int, host: str, folder: Path) -> None:
    """Take Recall.ai's status webhooks, and keep in a queue on disk which bots to process.

    Subscribe to audio_separate.done, audio_mixed.done and recording.done; bot.done, bot.status_change and the
    events of transcripts and participants are understood too. Set the secret in RECALL_WEBHOOK_SECRET, in the
    environment or a .env file: a request not signed with it is refused. A request is answered once its entry
    is on the disk. `recall-audio run --queue DIR --follow` does the rest.
    """
    from threading import Event

    from recall_audio.batch.executors import DeferredSignals
    from recall_audio.listen import Queue

    try:
        from recall_audio.listen.listener import Listener, Secrets
    except ImportError as error:
        raise missing_extra(f"`recall-audio listen` needs {error.name}", "listen") from None
    secrets, stop = Secrets.from_environment(), Event()
    queue = Queue(folder)
    if not _is_loopback(host):
        logs.say(
            f"Listening on {host}: other machines can reach it, and nothing is encrypted. "
            "Put a TLS proxy in front, and let only the proxy reach this port."
        )

    def ready(bound: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        logs.say(
            f"Listening on http://{shown}:{bound}/, queue {folder}, {queue.waiting()} waiting.", port=bound
        )

    with DeferredSignals(stop):
        Listener(queue, secrets).serve(host, port, stop, ready)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


COMMANDS = (listen,)
