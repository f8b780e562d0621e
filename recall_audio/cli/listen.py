"""The listen command: Recall's status webhooks into a queue on disk."""

import ipaddress
from pathlib import Path

import click

from recall_audio.cli import logs
from recall_audio.cli.logs import log_options
from recall_audio.errors import missing_extra


@click.command(short_help="Take Recall's webhooks into a queue on disk.")
@click.option(
    "--port", type=click.IntRange(0, 65535), required=True, help="Port to listen on; 0 takes a free one."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. The default is for a TLS proxy on this machine.",
)
@click.option("--queue", "folder", type=click.Path(file_okay=False, path_type=Path),
              default=Path("recall-audio-out/queue"), show_default=True,
              help="Folder of the queue; `recall-audio run --queue` works it off.")  # fmt: skip
@log_options
def listen(port: int, host: str, folder: Path) -> None:
    """Take Recall's status webhooks and keep in a queue on disk what they ask for.

    Subscribe to audio_separate.done, audio_mixed.done and recording.done. The secret stands in
    RECALL_WEBHOOK_SECRET, in the environment or a .env file; nothing is taken that is not signed with it. An
    answer means that the entry is on the disk: `recall-audio run --queue DIR --follow` does the rest.
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
            f"Listening on {host}: others than this machine can reach it, and nothing is encrypted. "
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
