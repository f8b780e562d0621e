"""One recording, from what the API says of it to a folder that is complete, or as complete as it can be."""

import datetime
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from recall_audio.errors import ItemError, TransientError
from recall_audio.fetch import artifacts
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.payloads import Artifact, Bot, PartEntry, Recording
from recall_audio.fetch.artifacts import Found
from recall_audio.fetch.context import World
from recall_audio.fetch.download.file import Progress, Wanted, download
from recall_audio.fetch.download.media_host import AddressBook
from recall_audio.fetch.ledger import MIXED, RECORDING_FILE, Ledger, distinct
from recall_audio.fetch.participants import Attendance, attendance, merged
from recall_audio.files import write_json
from recall_audio.model.meeting import MediaFile, Meeting, Part
from recall_audio.model.warnings import Finding


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


@dataclass(frozen=True, slots=True)
class FetchedRecording:
    """One recording of a bot.

    Attributes:
        folder: ``OUT/<bot_id>/<recording_id>``; exists unless nothing was fetched.
        meeting: what the API said; without files where the status is ``waiting`` or ``gone``.
        status: ``complete``: all that the API has of it is here (mixed audio alone, or separate audio alone,
            is complete where the other was never recorded); ``partial``: something of it is lost for good;
            ``waiting``: its audio is still being made; ``gone``: none of it can be had.
        reason: one sentence, empty when complete.
        code: a short word for the reason (``gone``, ``not_audio``, ``waiting``, ...), empty when complete.
        reused: it was here already, and not asked for again.
    """

    folder: Path
    meeting: Meeting
    status: Literal["complete", "partial", "waiting", "gone"]
    reason: str = ""
    code: str = ""
    reused: bool = False


@dataclass(frozen=True, slots=True)
class BotFetch:
    """One bot.

    Attributes:
        bot_id: which.
        recordings: at least one, in the API's order.
        retries: requests beyond those that an undisturbed fetch makes.
    """

    bot_id: str
    recordings: tuple[FetchedRecording, ...]
    retries: int = 0


_SWITCH = {"audio_mixed": "audio_mixed_mp3", "audio_separate": "audio_separate_mp3"}
_WORDS = {"audio_mixed": "mixed audio", "audio_separate": "separate audio"}
_LOSS = {
    "audio_mixed": "parts are placed by their nominal starts",
    "audio_separate": "speakers cannot be told apart",
}
_SEPARATE_ON = {
    "zoom": "on Zoom it needs a native bot",
    "microsoft_teams": "Microsoft Teams gives it",
    "microsoft_teams_live": "Microsoft Teams gives it",
    "google_meet": "on Google Meet only newer accounts have it, as a beta",
}


def never_recorded(kind: str, platform: str | None) -> Finding:
    """One sentence about an artifact that the API does not have."""
    on = f"a {platform} meeting" if platform else "a meeting on a platform the API does not name"
    known = _SEPARATE_ON.get(platform or "", "this platform may not give it")
    extra = f" ({known})" if kind == "audio_separate" else ""
    return Finding(
        f"no_{kind}",
        f"There is no {_WORDS[kind]} of this recording, {on}: {_LOSS[kind]}; "
        f"create the bot with recording_config.{_SWITCH[kind]}{extra}.",
    )


def lost(artifact: Artifact) -> Finding:
    """One sentence about an artifact that failed or was deleted."""
    why = f" ({artifact.sub_code})" if artifact.sub_code else ""
    return Finding(
        f"no_{artifact.kind}",
        f"The {_WORDS.get(artifact.kind, artifact.kind)} of this recording is {artifact.code}{why}: "
        f"{_LOSS.get(artifact.kind, 'it cannot be had')}.",
    )


_ADDRESS = "download_url"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recording goes and how long it is waited for.

    Attributes:
        folder: the recording's folder.
        until: end of the waiting, on the monotonic clock.
        progress: told of every block that arrives, from any thread.
    """

    folder: Path
    until: float
    progress: Progress | None


def fetch_recording(world: World, bot: Bot, recording: Recording, place: Place) -> FetchedRecording:
    """Fetch one recording into `place.folder`; ``recording.json`` is written last.

    Raises:
        ItemError: nothing of it can be had.
        TransientError: something of it could not be had now; what came is kept and not asked for again.
        MachineError: the disk is full.
    """
    bare = Meeting(bot.facts, recording.facts, (), (), None)
    if recording.code in ("failed", "deleted"):
        raise _gone(f"recording {recording.recording_id}", recording.code, recording.sub_code)
    known = {kind: i for r, kind, i in world.options.known_artifacts if r == recording.recording_id}
    found = artifacts.find(world.api, recording, known)
    found = artifacts.settled(world.api, found, place.until, world.policy, world.halt)
    if found.is_under_way:
        reason = f"The audio of recording {recording.recording_id} is still being made."
        return FetchedRecording(place.folder, bare, "waiting", reason, "waiting")
    audio = [a for a in (found.mixed, found.separate) if a is not None]
    if not any(a.is_done for a in audio):
        lost = audio[0] if audio else None
        code, sub_code = (lost.code, lost.sub_code) if lost else ("without audio", found.recording.sub_code)
        raise _gone(f"recording {recording.recording_id}", code, sub_code)
    return _assembled(world, bare, found, place)


def _gone(what: str, code: str, sub_code: str | None) -> ItemError:
    why = f" ({sub_code})" if sub_code else ""
    return ItemError(f"The {what} is {code}{why}.", code="gone", sub_code=sub_code)


def _assembled(world: World, bare: Meeting, found: Found, place: Place) -> FetchedRecording:
    findings: list[Finding] = []
    for kind, artifact in (("audio_mixed", found.mixed), ("audio_separate", found.separate)):
        if artifact is None:
            findings.append(never_recorded(kind, bare.bot["platform"]))
        elif artifact.is_lost:
            findings.append(lost(artifact))
    problem = next((a.code for a in (found.mixed, found.separate) if a is not None and a.is_lost), "")
    entries, part_book, trouble = _entries(world, found.separate)
    if trouble is not None:
        findings.append(Finding("no_audio_separate", trouble.message))
        problem = problem or trouble.code
        if found.mixed is None or not found.mixed.is_done:
            raise trouble
    files = _files(world, found, entries, part_book, place.folder)
    ledger = Ledger(place.folder)
    media, failures = fetch_files(world, files, ledger, place.progress)
    who = attendance(world.api, world.store, found.events)
    _check_something_came(failures, files)
    if found.mixed is not None and found.mixed.is_lost:
        media[MIXED] = MediaFile(format=found.mixed.format, problem=found.mixed.code)
    meeting = _meeting(bare, entries, files, media, who)
    findings += [_problem(name, error) for name, error in failures.items()]
    meeting = replace(meeting, findings=(*findings, *who.findings))
    _write(place.folder, meeting, who)
    ledger.close()
    problem = problem or next((e.code for e in failures.values()), "")
    reason = next((f.message for f in findings if problem and f.severity == "warning"), "")
    return FetchedRecording(place.folder, meeting, "partial" if problem else "complete", reason, problem)


def _entries(
    world: World, separate: Artifact | None
) -> tuple[list[PartEntry], AddressBook | None, ItemError | None]:
    """The parts of the separate audio and the book of their addresses; or why there are none."""
    if separate is None or not separate.is_done:
        return [], None, None
    index = AddressBook(separate.addresses, lambda: _retrieved(world, separate), world.policy)

    def listed() -> list[PartEntry]:
        return payloads.parts(world.store.document(index, _ADDRESS, "list of parts"))

    def renewed() -> dict[str, str | None]:
        # What was given out with the old list is as old as the list: ask for both anew.
        index.renew()
        return _by_key(listed())

    try:
        entries = listed()
    except ItemError as error:
        return [], None, error
    return entries, AddressBook(_by_key(entries), renewed, world.policy), None


def _by_key(entries: list[PartEntry]) -> dict[str, str | None]:
    return {entry.key: entry.address for entry in entries}


def _retrieved(world: World, artifact: Artifact) -> dict[str, str]:
    return payloads.artifact(artifact.kind, world.api.retrieve(artifact.kind, artifact.artifact_id)).addresses


def _files(
    world: World, found: Found, entries: list[PartEntry], part_book: AddressBook | None, folder: Path
) -> list[File]:
    """Every file to be had: the mixed one first, for it is the longest."""
    source = folder / "source"
    files = []
    mixed = found.mixed
    if mixed is not None and mixed.is_done:
        book = AddressBook(mixed.addresses, lambda: _retrieved(world, mixed), world.policy)
        wanted = Wanted(source / MIXED, _ADDRESS, mixed.format, None, _span_s(found.recording))
        files.append(File(MIXED, book, wanted))
    if part_book is not None and found.separate is not None:
        for entry, name in zip(entries, distinct([e.key for e in entries]), strict=True):
            declared = entry.format or found.separate.format
            wanted = Wanted(source / name, entry.key, declared, entry.duration_s, entry.duration_s)
            files.append(File(name, part_book, wanted))
    return files


def _span_s(recording: Recording) -> float | None:
    """How long the recording took by its own times; bounds the size of the mixed file."""
    try:
        start, end = (
            datetime.datetime.fromisoformat(recording.facts[k]) for k in ("started_at", "completed_at")
        )
        return max((end - start).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _check_something_came(failures: dict[str, ItemError], files: list[File]) -> None:
    """Where there were files and none could be had, the recording itself cannot be had."""
    if files and len(failures) == len(files):
        raise next(iter(failures.values()))


def _problem(name: str, error: ItemError) -> Finding:
    if name == MIXED:
        return Finding("no_audio_mixed", f"The mixed audio could not be had ({error.code}): {error.message}")
    return Finding("part_missing", f"Part {name} could not be had ({error.code}): {error.message}", name)


def _meeting(
    bare: Meeting, entries: list[PartEntry], files: list[File], media: dict[str, MediaFile], who: Attendance
) -> Meeting:
    names = [f.name for f in files if f.name != MIXED]
    parts = tuple(
        Part(name, entry.participant.participant_id, entry.start_s, media[name])
        for name, entry in zip(names, entries, strict=True)
    )
    return replace(
        bare,
        participants=merged([[e.participant for e in entries], who.participants]),
        parts=parts,
        mix=media.get(MIXED),
        presence=who.presence,
    )


def _write(folder: Path, meeting: Meeting, who: Attendance) -> None:
    if who.timeline is not None:
        write_json(folder / "source/speaker_timeline.json", "speaker_timeline", {"timeline": who.timeline})
    write_json(folder / RECORDING_FILE, "recording", meeting.to_json())
