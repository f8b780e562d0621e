"""All files of a recording, several side by side; one that cannot be had is that file's problem alone."""

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from recall_audio.errors import ItemError, TransientError
from recall_audio.fetch.context import World
from recall_audio.fetch.download.file import Progress, Wanted, download
from recall_audio.fetch.download.signed_urls import AddressBook
from recall_audio.fetch.ledger import Ledger
from recall_audio.model.meeting import MediaFile


@dataclass(frozen=True, slots=True)
class File:
    """One file to be had.

    Attributes:
        name: part id or ``mixed``.
        book: its address is in here.
        wanted: where it goes and what was declared.
    """

    name: str
    book: AddressBook
    wanted: Wanted


Fetched = tuple[dict[str, MediaFile], dict[str, ItemError]]


def fetch_files(world: World, files: list[File], ledger: Ledger, progress: Progress | None) -> Fetched:
    """Every file by name, and the errors of those that cannot be had for good (their ``problem`` is set).

    Raises:
        TransientError: a file may be had later; the others were fetched and are in the ledger.
        MachineError, KeyRefused: at once; what is under way is broken off.
    """

    def one(file: File) -> MediaFile | ItemError | TransientError:
        try:
            return _fetched(world, file, ledger, progress)
        except (ItemError, TransientError) as error:
            return error

    pool = ThreadPoolExecutor(max(world.options.at_once, 1), "fetch")
    try:
        futures = [pool.submit(one, file) for file in files]
        for ended in wait(futures, return_when=FIRST_EXCEPTION).done:
            ended.result()
        results = [future.result() for future in futures]
    except BaseException:
        world.stop()  # Ctrl-C comes here too, wherever it strikes: nothing may wait on
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return _sorted(files, results)


def _fetched(world: World, file: File, ledger: Ledger, progress: Progress | None) -> MediaFile:
    declared = MediaFile(format=file.wanted.format, duration_s=file.wanted.duration_s)
    here = ledger.here(file.name, declared)
    if here is not None:
        return here
    media = download(world.store, file.book, file.wanted, progress)
    ledger.add(file.name, media)
    return media


def _sorted(files: list[File], results: list[MediaFile | ItemError | TransientError]) -> Fetched:
    media: dict[str, MediaFile] = {}
    failures: dict[str, ItemError] = {}
    for file, result in zip(files, results, strict=True):
        if isinstance(result, TransientError):
            raise result
        if isinstance(result, ItemError):
            failures[file.name] = result
            result = MediaFile(  # noqa: PLW2901
                format=file.wanted.format, duration_s=file.wanted.duration_s, problem=result.code
            )
        media[file.name] = result
    return media, failures
