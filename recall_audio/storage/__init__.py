"""Results in an object store: the same files under the same names, below ``s3://BUCKET/PREFIX``.

::

    address       text ─▶ a folder of this machine, or a Url
    store         the objects below a Url: list, read, write, conditionally where the store can
    scratch       folders that a store's recordings are worked on in
    publishing    a recording's folder into the store: data first, the manifest last
    mirror        a recording's documents out of the store, checked against its manifest

Work happens in a local folder, for working files are memory-mapped; then it is published. A reader goes by
the manifest: it is the last object to come, it is marked unfinished before anything that it names is
overwritten, and what it names is believed only with the bytes that it tells of.
"""

from recall_audio.storage.address import Location, Url, parse_location
from recall_audio.storage.cache import (
    Mirror,
    address_of,
    ensure_file,
    ensure_files,
    mirrored_url,
    upload_if_mirrored,
)
from recall_audio.storage.publish import publish, publish_fetched
from recall_audio.storage.store import Facts, Store
from recall_audio.storage.workspace import (
    discard,
    download_documents,
    download_missing,
    load_state,
    load_states,
    recordings_below,
    size_of,
    stored_names,
    temporary_workspace,
)

__all__ = [
    "Facts",
    "Location",
    "Mirror",
    "Store",
    "Url",
    "address_of",
    "discard",
    "download_documents",
    "download_missing",
    "ensure_file",
    "ensure_files",
    "load_state",
    "load_states",
    "mirrored_url",
    "parse_location",
    "publish",
    "publish_fetched",
    "recordings_below",
    "size_of",
    "stored_names",
    "temporary_workspace",
    "upload_if_mirrored",
]
