"""A worker's way with a recording of a store: what is needed comes, results go, nothing stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from recall_audio import storage
from recall_audio.batch import verify
from recall_audio.batch.tasks import Task
from recall_audio.errors import ItemError
from recall_audio.model.options import Options
from recall_audio.workflow.documents import read_meeting
from recall_audio.workflow.layout import Layout
from recall_audio.workflow.manifest import earlier
from recall_audio.workflow.plan import stage_keys, stale_stages
from recall_audio.workflow.process import parameters_of


@contextmanager
def workplace(task: Task) -> Iterator[Task]:
    """The task with a folder that can be worked in; if the block ends well, what is in it is published.

    Args:
        task: its folder is one of this machine, or just ``BOT_ID/RECORDING_ID``.

    Raises:
        ItemError: the recording is not in the store.
        TransientError, MachineError: the store failed, or refuses.
    """
    if task.folder.is_absolute():
        yield from _published(task)
    else:
        with storage.scratch() as root:
            yield from _published(replace(task, folder=root / task.folder))


def _published(task: Task) -> Iterator[Task]:
    store, folder = storage.Store(storage.Url(task.store)), task.folder
    if not storage.look(store, folder):
        raise ItemError(f"{store.url} holds no recording.json.", "Fetch it again.", code="missing_file")
    there = set(storage.all_there(folder))
    storage.bring_documents(store, folder)
    if task.verify:
        storage.bring(store, folder, storage.all_there(folder))
    elif task.force or _needs_audio(folder, task.options):
        storage.bring(store, folder, _sources(folder))
    yield task
    storage.publish(store, folder, doubted=there - set(storage.all_there(folder)))


def _needs_audio(folder: Path, options: Options) -> bool:
    layout = Layout(folder)
    keys = stage_keys(read_meeting(layout), options)
    return "decode" in stale_stages(earlier(layout, parameters_of(options)), keys)


def _sources(folder: Path) -> list[str]:
    return [m.file for m in verify.media_of(folder) if m.file]
