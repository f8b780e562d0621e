"""Process one fetched recording: everything after the download, without network."""

import json
import logging
import time
from concurrent.futures import Executor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.files import read_json, sweep_parts
from recall_audio.model.labels import label_of, make_labels
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import (
    AlignOptions,
    Options,
    PeopleOptions,
    SpeechOptions,
    StemOptions,
    TalkOptions,
)
from recall_audio.model.outcome import NO_SPEAKER, Ending, Outcome, StageCallback, ending_of
from recall_audio.model.persons import find_persons
from recall_audio.model.pseudonyms import LEFT_OUT
from recall_audio.pipeline.documents import Layout, read_meeting, transcript_digest
from recall_audio.pipeline.manifest import Manifest, begin, discard_work, earlier, is_done
from recall_audio.pipeline.parallel import Pieces
from recall_audio.pipeline.plan import STAGES, stage_keys, stale_stages

_log = logging.getLogger(__name__)
_LATEST_END_S = 7 * 86_400.0
"""Latest end of a recording without a mix, whose length only the API's times give, seconds: a week."""


def parameters_of(options: Options) -> dict[str, Any]:
    """Return every option in force as plain JSON values, as ``run.json`` keeps them."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(options)))
    return plain


def process(
    folder: Path,
    options: Options | None = None,
    *,
    force: bool = False,
    keep_work: bool = True,
    progress: StageCallback | None = None,
    executor: Executor | None = None,
) -> Outcome:
    """Decode, align, find speech, measure talk, write stems and the report of one recording.

    Args:
        folder: the recording's folder, with ``recording.json`` and ``source/``.
        options: what is chosen; defaults where None.
        force: run every stage again, whatever an earlier run left.
        keep_work: keep the decoded working files, so that a changed option need not decode again.
        progress: called as stages advance.
        executor: runs the pieces of this one recording in parallel, in processes that see its folder.

    Returns:
        How it ended; ``partial`` where something was missing or damaged for good.

    Raises:
        ItemError: nothing in the folder can be processed, or none there has a label that was asked for; what
            earlier runs left is then as before.
        MachineError: the disk is full, or this machine lacks a decoder.
    """
    started = time.monotonic()
    options = options or Options()
    layout = Layout(folder)
    meeting = read_meeting(layout)
    if not force and (before := finished(folder, options)) is not None:
        return before
    if any(m.problem == LEFT_OUT for m in (meeting.mix, *(p.media for p in meeting.parts)) if m):
        raise ItemError(
            f"{folder} is a pseudonymised copy, without the files as downloaded; nothing was changed.",
            "Process the recording itself, then run `recall-audio pseudonymise` on it again.",
            code="pseudonymised",
        )
    _check_times(meeting)
    options = with_labels(options, meeting)
    sweep_parts(folder)
    manifest = begin(layout, parameters_of(options), force=force)
    pieces = Pieces(executor)
    try:
        _run_stages(manifest, meeting, options, progress or (lambda *_: None), pieces)
    except ItemError as error:
        manifest.fail(error)
        raise
    finally:
        pieces.cancel()
    manifest.finish()
    if not keep_work:
        discard_work(layout)
    return _outcome(layout, meeting, started, manifest.ending(), reused=not manifest.ran)


def with_labels(options: Options, meeting: Meeting) -> Options:
    """Return the options with the label of each speaker who is named, by label or by real name.

    Raises:
        ItemError: no participant, or more than one, has such a name; nothing was changed.
    """
    if not options.stems.speakers:
        return options
    first_ids = find_persons(meeting, join=options.people.join).first_ids
    labels = make_labels(meeting.participants, first_ids)
    names: dict[str, str | None] = {}
    for person in meeting.participants:  # of a person with several ids the first name counts
        label = labels[person.participant_id]
        names[label] = names.get(label) or person.name
    speakers = tuple(dict.fromkeys(label_of(names, speaker) for speaker in options.stems.speakers))
    return replace(options, stems=replace(options.stems, speakers=speakers))


def _check_times(meeting: Meeting) -> None:
    """Check that declared times alone do not make a recording of months.

    Raises:
        ItemError: ``absurd_times``.
    """
    ends_s = [p.nominal_start_s + (p.media.duration_s or 0.0) for p in meeting.parts if p.media.file]
    has_mix = meeting.mix is not None and meeting.mix.file is not None
    if not has_mix and max(ends_s, default=0.0) > _LATEST_END_S:
        raise ItemError(
            f"A part is declared to end {max(ends_s):.0f} s after the recording's start, at most "
            f"{_LATEST_END_S:.0f} s were expected; nothing was processed.",
            "Fetch it again; if the times stay, ask Recall.ai about this recording.",
            code="absurd_times",
        )


def finished(folder: Path, options: Options) -> Outcome | None:
    """Return how a recording ended if it is done under these options, else None.

    Raises:
        ItemError: ``recording.json`` is missing or damaged.
    """
    started, layout = time.monotonic(), Layout(folder)
    meeting = read_meeting(layout)
    try:
        keys = stage_keys(meeting, with_labels(options, meeting), transcript_digest(layout))
    except ItemError as error:
        if error.code != NO_SPEAKER:
            raise
        return None
    if not is_done(layout, keys):
        return None
    try:
        ending = ending_of(read_json(layout.run, "run"))
    except ItemError:
        return None  # another process has just started on it
    return _outcome(layout, meeting, started, ending, reused=True)


def refresh_words(folder: Path) -> list[Path]:
    """Make again what shows a recording's transcript, and return the files written.

    These are ``talk.json`` and ``report.html``. A recording that needs more than that, because this version
    would process it otherwise, stays as it is, and so does a pseudonymised copy.

    Raises:
        MachineError: the disk is full.
    """
    layout = Layout(folder)
    try:
        parameters = read_json(layout.run, "run")["parameters"]
        options = options_of(parameters)
        keys = stage_keys(read_meeting(layout), options, transcript_digest(layout))
        stale = stale_stages(earlier(layout, parameters), keys)
        if not stale <= {"talk", "report"}:
            _log.warning(
                "talk.json and report.html do not show the transcript yet: run `recall-audio process` on %s",
                folder,
            )
            return []
        process(folder, options)
    except (ItemError, KeyError, TypeError):
        return []
    written = (*(f for name in ("talk", "report") for f in STAGES[name].writes), layout.run.name)
    return [layout.folder / name for name in written if (layout.folder / name).is_file()] if stale else []


def options_of(parameters: dict[str, Any]) -> Options:
    """Return the options that a manifest's parameters hold.

    Raises:
        KeyError, TypeError: another version wrote them.
    """
    return Options(
        align=AlignOptions(**parameters["align"]),
        speech=SpeechOptions(**parameters["speech"]),
        talk=TalkOptions(**parameters["talk"]),
        stems=StemOptions(**parameters["stems"]),
        people=PeopleOptions(**parameters.get("people", {})),  # earlier versions had no such step
    )


def _run_stages(
    manifest: Manifest, meeting: Meeting, options: Options, progress: StageCallback, pieces: Pieces
) -> None:
    # Imported here: numpy and the codecs are needed only where something has to be done.
    from recall_audio.pipeline import stages
    from recall_audio.pipeline.job import Job

    job = Job(manifest.layout, meeting, options)
    keys = stage_keys(meeting, options, transcript_digest(manifest.layout))
    stale = stale_stages(manifest, keys)
    order = list(STAGES)
    for i, name in enumerate(order):
        if name not in stale:
            manifest.reuse(name)
            continue
        context = stages.StageContext(manifest, stale & {*order[i + 1 :]}, pieces, partial(progress, name))
        run_stage = getattr(stages, STAGES[name].function)
        manifest.run(name, keys[name], partial(run_stage, job, context), pieces)


def _outcome(layout: Layout, meeting: Meeting, started: float, ending: Ending, *, reused: bool) -> Outcome:
    """Return a finished recording's outcome, by how its ``run.json`` says that it ended."""
    first = next(iter(ending.reasons), None)
    return Outcome(
        bot_id=meeting.bot_id,
        recording_id=meeting.recording_id,
        status="done" if ending.status == "complete" else "partial",
        folder=str(layout.folder),
        code=first.code if first else "",
        message=first.message if first else "",
        seconds=round(time.monotonic() - started, 3),
        reused=reused,
    )
