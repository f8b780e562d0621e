"""Keep results in an object store: the same files under the same names, below ``s3://BUCKET/PREFIX``.

::

    store         addresses, and the objects below one: list, read, write, conditionally where possible
    workspace     a local folder of one recording: load its state, download files, publish results
    cache         mirrors of recordings for reading, checked against their manifests

Work happens in a local folder, because working files are memory-mapped, and is then published. A reader goes
by the manifest: it is the last object to be written, it is marked unfinished before anything that it names is
overwritten, and a file that it names counts only with the bytes that it states.
"""

from recall_audio.storage.cache import (
    Mirror,
    address_of,
    ensure_file,
    ensure_files,
    recordings_below,
    upload_if_mirrored,
)
from recall_audio.storage.store import Facts, Location, Store, Url, parse_location
from recall_audio.storage.workspace import (
    discard,
    download_documents,
    download_missing,
    load_state,
    load_states,
    publish,
    publish_fetched,
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
    "parse_location",
    "publish",
    "publish_fetched",
    "recordings_below",
    "size_of",
    "stored_names",
    "temporary_workspace",
    "upload_if_mirrored",
]
