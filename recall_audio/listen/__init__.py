"""Recall's status webhooks: what the API says by itself, kept in a queue on disk until it is worked off.

::

    Recall ──POST──▶ server ─ listener ─ signatures, events ──▶ queue (a folder) ──▶ batch.service
              ◀─2xx──   once the entry is on the disk

A webhook names a bot; what there is of it, the API says when it is worked off. So one that comes twice, late
or before its time does no harm.
"""

from recall_audio.listen.events import Told
from recall_audio.listen.queue import Entry, Queue
from recall_audio.listen.signatures import Secrets

__all__ = ["Entry", "Queue", "Secrets", "Told"]
