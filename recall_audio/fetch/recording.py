"""Fetch one recording into a folder that is complete, or as complete as it can be."""

import datetime
import json
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from recall_audio.errors import ItemError, TransientError
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.payloads import Artifact, Bot, Recording
from recall_audio.fetch.artifacts import (
    TRANSCRIPT_FILE,
    FoundArtifacts,
    expires_soon,
    find_artifacts,
    missing_audio,
    no_transcript,
    retrieve_artifact,
    still_made,
    wait_until_settled,
)
from recall_audio.fetch.context import FetchContext
from recall_audio.fetch.download.file import FileRequest, download
from recall_audio.fetch.download.media_host import SignedUrls
from recall_audio.fetch.ledger import MIXED, RECORDING_FILE, Ledger
from recall_audio.fetch.participants import (
    Attendance,
    PartEntry,
    PartList,
    fetch_attendance,
    merge,
    read_parts,
)
from recall_audio.files import write_json, write_text
from recall_audio.model.labels import distinct_names
from recall_audio.model.meeting import MediaFile, Meeting, Part
from recall_audio.model.outcome import EVENTS_WAITING, METADATA_WAITING, DownloadCallback, Finding

_URL_FIELD = "download_url"
"""The API's field for the URL of an artifact with one file."""


@dataclass(frozen=True, slots=True)
class FetchedRecording:
    """One recording of a bot.

    Attributes:
        folder: ``OUT/<bot_id>/<recording_id>``; exists unless nothing was fetched.
        meeting: what the API said; without files where the status is ``waiting`` or ``gone``.
        status: ``complete``: all that the API has of it is on disk (mixed audio alone, or separate audio
            alone, is complete where the other was never recorded); ``partial``: something of it is lost for
            good; ``waiting``: its audio is still being made; ``gone``: none of it is available.
        reason: one sentence, empty when complete.
        code: a short word for the reason (``gone``, ``not_audio``, ``waiting``, ...), empty when complete.
        reused: it was on disk already, and was not requested again.
    """

    folder: Path
    meeting: Meeting
    status: Literal["complete", "partial", "waiting", "gone"]
    reason: str = ""
    code: str = ""
    reused: bool = False


@dataclass(frozen=True, slots=True)
class BotFetch:
    """The recordings of one bot.

    Attributes:
        bot_id: the bot.
        recordings: at least one, in the API's order.
        retries: requests beyond those that an undisturbed fetch makes.
    """

    bot_id: str
    recordings: tuple[FetchedRecording, ...]
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a recording goes and how long to wait for it.

    Attributes:
        folder: the recording's folder.
        until: end of the wait, on the monotonic clock.
        progress: called with every block that arrives, from any thread.
    """

    folder: Path
    until: float
    progress: DownloadCallback | None


def fetch_recording(
    context: FetchContext, bot: Bot, recording: Recording, destination: Destination
) -> FetchedRecording:
    """Fetch one recording into its folder.

    ``recording.json`` is written last.

    Raises:
        ItemError: nothing of it is available.
        TransientError: something of it is not available now; what arrived is kept and not requested again.
        MachineError: the disk is full.
    """
    bare = Meeting(bot.facts, recording.facts, (), (), None)
    name = f"recording {recording.recording_id}"
    notes = (*bot.notes, *recording.notes, *expires_soon(recording, context.policy.now()))
    if recording.code in ("failed", "deleted"):
        raise _gone(name, recording.code, recording.sub_code)
    known = {kind: i for r, kind, i in context.options.known_artifacts if r == recording.recording_id}
    found = find_artifacts(context.api, recording, known, transcript=context.options.transcript)
    found = wait_until_settled(context.api, found, destination.until, context.policy, context.cancellation)
    if found.is_under_way:
        reason = f"The audio of {name} is still being made."
        return FetchedRecording(destination.folder, bare, "waiting", reason, "waiting")
    audio = [a for a in (found.mixed, found.separate) if a is not None]
    if not any(a.is_done for a in audio):
        first = audio[0] if audio else None
        code, sub_code = (
            (first.code, first.sub_code) if first else ("without audio", found.recording.sub_code)
        )
        raise _gone(name, code, sub_code)
    # What was late may be there now.
    bare = replace(bare, recording=found.recording.facts, findings=(*notes, *found.notes))
    return _fetch_found(context, bare, found, destination)


def _gone(what: str, code: str, sub_code: str | None) -> ItemError:
    why = f" ({sub_code})" if sub_code else ""
    return ItemError(f"The {what} is {code}{why}.", code="gone", sub_code=sub_code)


def _fetch_found(
    context: FetchContext, bare: Meeting, found: FoundArtifacts, destination: Destination
) -> FetchedRecording:
    """Fetch the files of found artifacts and write ``recording.json``."""
    findings, problem = missing_audio(found, bare.bot["platform"])
    listed, part_urls, trouble = _list_parts(context, found.separate)
    if trouble is not None:
        findings.append(Finding("no_audio_separate", trouble.message))
        problem = problem or trouble.code
        if found.mixed is None or not found.mixed.is_done:
            raise trouble
    files = _plan_files(context, found, listed.entries, part_urls, destination.folder)
    ledger = Ledger(destination.folder)
    media, failures = _fetch_files(context, files, ledger, destination.progress)
    attendance = _fetch_attendance(context, found)
    if files and len(failures) == len(files):
        raise next(iter(failures.values()))
    if found.mixed is not None and found.mixed.is_lost:
        media[MIXED] = MediaFile(format=found.mixed.format, problem=found.mixed.code)
    meeting = _meeting(bare, listed, files, media, attendance)
    failures |= {key: error for key, _, error in listed.unusable}
    findings += [_file_problem(name, error) for name, error in failures.items()]
    if context.options.transcript:
        findings += _fetch_transcript(context, found.transcript, destination)
    if found.recording.title is not None and found.recording.title.is_under_way:
        findings.append(still_made(METADATA_WAITING, "The meeting's title is"))
    meeting = replace(meeting, findings=(*findings, *attendance.findings, *bare.findings))
    _write(destination.folder, meeting, attendance)
    ledger.close()
    problem = problem or next((e.code for e in failures.values()), "")
    reason = next((f.message for f in findings if problem and f.severity == "warning"), "")
    status: Literal["partial", "complete"] = "partial" if problem else "complete"
    return FetchedRecording(destination.folder, meeting, status, reason, problem)


def _fetch_attendance(context: FetchContext, found: FoundArtifacts) -> Attendance:
    if found.lacks_events:
        return Attendance(findings=(still_made(EVENTS_WAITING, "The list of participant events is"),))
    return fetch_attendance(context.api, context.media_host, found.events)


def _fetch_transcript(
    context: FetchContext, artifact: Artifact | None, destination: Destination
) -> list[Finding]:
    """Fetch the transcript as it is into ``source``, or return a note."""
    if artifact is None or not artifact.is_done:
        return [no_transcript(artifact)]
    try:
        urls = _signed_urls(context, artifact)
        document = context.media_host.document(urls, _URL_FIELD, "transcript")
        rows, odd = payloads.usable_rows(document, "transcript", lambda r: payloads.mapping(r, "transcript"))
    except ItemError as error:
        return [no_transcript(artifact, f"it is not available ({error.code})")]
    write_text(destination.folder / TRANSCRIPT_FILE, json.dumps(rows, allow_nan=False, indent=1))
    return list(payloads.rows_dropped("transcript", len(odd)))


def _list_parts(
    context: FetchContext, separate: Artifact | None
) -> tuple[PartList, SignedUrls | None, ItemError | None]:
    """Return the parts of the separate audio and their signed URLs, or the error of their list."""
    if separate is None or not separate.is_done:
        return PartList(), None, None
    list_urls = _signed_urls(context, separate)

    def listed() -> PartList:
        return read_parts(context.media_host.document(list_urls, _URL_FIELD, "list of parts"))

    def renewed() -> dict[str, str | None]:
        # The parts' URLs are as old as the list that holds them: request both anew.
        list_urls.renew()
        return _urls_by_key(listed().entries)

    try:
        found = listed()
    except ItemError as error:
        return PartList(), None, error
    if not found.entries:
        return found, None, ItemError(_NO_PARTS, code="no_parts")
    return found, SignedUrls(_urls_by_key(found.entries), renewed, context.policy), None


_NO_PARTS = (
    "The list of separate audio is empty: the API has no participant's own audio of this recording, so "
    "speakers cannot be told apart."
)


def _urls_by_key(entries: Sequence[PartEntry]) -> dict[str, str | None]:
    return {entry.key: entry.url for entry in entries}


def _signed_urls(context: FetchContext, artifact: Artifact) -> SignedUrls:
    """Return an artifact's URLs, renewed by one retrieve."""

    def renewed() -> dict[str, str]:
        return retrieve_artifact(context.api, artifact.kind, artifact.artifact_id).urls_by_field

    return SignedUrls(artifact.urls_by_field, renewed, context.policy)


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """One file to fetch.

    Attributes:
        name: part id or ``mixed``.
        signed_urls: hold its URL.
        request: where it goes and what was declared.
    """

    name: str
    signed_urls: SignedUrls
    request: FileRequest


def _plan_files(
    context: FetchContext,
    found: FoundArtifacts,
    entries: Sequence[PartEntry],
    part_urls: SignedUrls | None,
    folder: Path,
) -> list[RecordingFile]:
    """Return every file to fetch, the mixed one first because it is the longest."""
    source = folder / "source"
    files = []
    mixed = found.mixed
    if mixed is not None and mixed.is_done:
        longest_s = None if mixed.kind == "video_mixed" else _duration_s(found.recording)
        request = FileRequest(source / MIXED, _URL_FIELD, mixed.format, None, longest_s)
        files.append(RecordingFile(MIXED, _signed_urls(context, mixed), request))
    if part_urls is not None and found.separate is not None:
        for entry, name in zip(entries, distinct_names([e.key for e in entries]), strict=True):
            declared = entry.format or found.separate.format
            request = FileRequest(source / name, entry.key, declared, entry.duration_s, entry.duration_s)
            files.append(RecordingFile(name, part_urls, request))
    return files


def _duration_s(recording: Recording) -> float | None:
    """Return the recording's length in seconds by its own times.

    It bounds the size of the mixed file.
    """
    try:
        times = (recording.facts[k] for k in ("started_at", "completed_at"))
        start, end = (datetime.datetime.fromisoformat(time) for time in times)
        return max((end - start).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


FetchedFiles = tuple[dict[str, MediaFile], dict[str, ItemError]]


def _fetch_files(
    context: FetchContext, files: list[RecordingFile], ledger: Ledger, progress: DownloadCallback | None
) -> FetchedFiles:
    """Fetch all files side by side and return them and the errors by name.

    A file that is lost for good has an error, and its ``problem`` is set.

    Raises:
        TransientError: a file may be available later; the others were fetched and are in the ledger.
        MachineError, KeyRefused: at once; transfers under way are cancelled.
    """

    def fetch_or_error(file: RecordingFile) -> MediaFile | ItemError | TransientError:
        try:
            return _fetch_file(context, file, ledger, progress)
        except (ItemError, TransientError) as error:
            return error

    pool = ThreadPoolExecutor(max(context.options.at_once, 1), "fetch")
    try:
        futures = [pool.submit(fetch_or_error, file) for file in files]
        for ended in wait(futures, return_when=FIRST_EXCEPTION).done:
            ended.result()
        results = [future.result() for future in futures]
    except BaseException:
        context.cancel()  # also after Ctrl-C: no thread may go on waiting
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return _split_results(files, results)


def _fetch_file(
    context: FetchContext, file: RecordingFile, ledger: Ledger, progress: DownloadCallback | None
) -> MediaFile:
    declared = MediaFile(format=file.request.format, duration_s=file.request.duration_s)
    on_disk = ledger.find(file.name, declared)
    if on_disk is not None:
        return on_disk
    media = download(context.media_host, file.signed_urls, file.request, progress)
    ledger.add(file.name, media)
    return media


def _split_results(
    files: list[RecordingFile], results: list[MediaFile | ItemError | TransientError]
) -> FetchedFiles:
    """Return the files and the errors by name.

    Raise the first TransientError.
    """
    media: dict[str, MediaFile] = {}
    failures: dict[str, ItemError] = {}
    for file, result in zip(files, results, strict=True):
        if isinstance(result, TransientError):
            raise result
        if isinstance(result, ItemError):
            failures[file.name] = result
            media[file.name] = MediaFile(
                format=file.request.format, duration_s=file.request.duration_s, problem=result.code
            )
        else:
            media[file.name] = result
    return media, failures


def _file_problem(name: str, error: ItemError) -> Finding:
    if name == MIXED:
        return Finding("no_audio_mixed", f"The mixed audio is not available ({error.code}): {error.message}")
    return Finding("part_missing", f"Part {name} is not available ({error.code}): {error.message}", name)


def _meeting(
    bare: Meeting,
    listed: PartList,
    files: list[RecordingFile],
    media: dict[str, MediaFile],
    attendance: Attendance,
) -> Meeting:
    names = [f.name for f in files if f.name != MIXED]
    parts = tuple(
        Part(name, entry.participant.participant_id, entry.start_s, media[name])
        for name, entry in zip(names, listed.entries, strict=True)
    )
    lost = tuple(
        Part(key, participant.participant_id, 0.0, MediaFile(problem=error.code))
        for key, participant, error in listed.unusable
        if participant is not None
    )
    named = [e.participant for e in listed.entries] + [p for _, p, _ in listed.unusable if p is not None]
    return replace(
        bare,
        participants=merge([named, attendance.participants]),
        parts=(*parts, *lost),
        mix=media.get(MIXED),
        presence=attendance.presence,
        spoke=attendance.spoke,
    )


def _write(folder: Path, meeting: Meeting, attendance: Attendance) -> None:
    if attendance.timeline is not None:
        timeline = {"timeline": attendance.timeline}
        write_json(folder / "source/speaker_timeline.json", "speaker_timeline", timeline)
    write_json(folder / RECORDING_FILE, "recording", meeting.to_json())
