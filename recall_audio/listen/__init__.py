"""Receive Recall's status webhooks and keep them in a queue on disk until they are processed.

::

    Recall ──POST──▶ listener ─ verified, parsed ──▶ queue (a folder) ──▶ batch.queue_worker
              ◀─2xx──   once the entry is on the disk

A webhook only names a bot; the API is asked what the bot has when its entry is processed. A message that
comes twice, late or too early therefore does no harm. :mod:`~recall_audio.listen.listener` needs the extra
``listen``; the queue does not.
"""

from recall_audio.listen.queue import BotEvent, Entry, Queue

__all__ = ["BotEvent", "Entry", "Queue"]
