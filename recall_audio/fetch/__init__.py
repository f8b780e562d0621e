"""Fetch recordings: from a bot's id to media files on disk.

::

    bot ─ recording ─ artifacts, participants, ledger     what is wanted, and what is on disk
               │
    download   │      file ─ resume, media_host           the bytes, by signed URLs
    api        │      client ─ protocol, payloads         the API: what exists
    http       │      sessions, retry, urls               one exchange, repeated where that helps

Names are imported when they are first used: processing alone loads no HTTP library.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
