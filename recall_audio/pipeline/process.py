"""Process one fetched recording: everything after the download, without network."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.files import read_json, sweep_parts
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import Options
from recall_audio.model.outcome import Outcome, StageCallback
from recall_audio.model.pseudonyms import LEFT_OUT
from recall_audio.pipeline.documents import Layout, read_meeting
from recall_audio.pipeline.manifest import Manifest, begin, discard_work, is_done
from recall_audio.pipeline.parallel import Pieces
from recall_audio.pipeline.plan import STAGES, stage_keys, stale_stages

LOSSES = frozenset(
    {"no_audio_separate", "no_audio", "not_audio", "duration_mismatch", "too_long", "part_missing"}
)
"""Codes of findings that make an outcome ``partial``: something expected is lost for good."""


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
        ItemError: nothing in the folder can be processed.
        MachineError: the disk is full, or this machine lacks a decoder.
    """
    started = time.monotonic()
    options = options or Options()
    layout = Layout(folder)
    meeting = read_meeting(layout)
    parameters = parameters_of(options)
    if not force and (before := finished(folder, options)) is not None:
        return before
    if any(m.problem == LEFT_OUT for m in (meeting.mix, *(p.media for p in meeting.parts)) if m):
        raise ItemError(
            f"{folder} is a pseudonymised copy, without the files as downloaded; nothing was changed.",
            "Process the recording itself, then run `recall-audio pseudonymise` on it again.",
            code="pseudonymised",
        )
    _check_times(meeting)
    sweep_parts(folder)
    manifest = begin(layout, parameters, force=force)
    pieces = Pieces(executor)
    try:
        _run_stages(manifest, meeting, options, progress or (lambda *_: None), pieces)
    finally:
        pieces.cancel()
    manifest.finish()
    if not keep_work:
        discard_work(layout)
    warnings = [f.to_json() for stage in manifest.stages for f in stage.warnings]
    return _outcome(layout, meeting, started, warnings, reused=not manifest.ran)


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
    if not is_done(layout, stage_keys(meeting, options)):
        return None
    try:
        warnings = read_json(layout.run, "run")["warnings"]
    except ItemError:
        return None  # another process has just started on it
    return _outcome(layout, meeting, started, warnings, reused=True)


def _run_stages(
    manifest: Manifest, meeting: Meeting, options: Options, progress: StageCallback, pieces: Pieces
) -> None:
    # Imported here: numpy and the codecs are needed only where something has to be done.
    from recall_audio.pipeline import stages
    from recall_audio.pipeline.job import Job

    job = Job(manifest.layout, meeting, options)
    keys = stage_keys(meeting, options)
    stale = stale_stages(manifest, keys)
    order = list(STAGES)
    for i, name in enumerate(order):
        if name not in stale:
            manifest.reuse(name)
            continue
        context = stages.StageContext(manifest, stale & {*order[i + 1 :]}, pieces, partial(progress, name))
        run_stage = getattr(stages, STAGES[name].function)
        manifest.run(name, keys[name], partial(run_stage, job, context), pieces)


def _outcome(
    layout: Layout, meeting: Meeting, started: float, warnings: list[dict[str, Any]], *, reused: bool
) -> Outcome:
    """Return a finished recording's outcome, by the warnings of its stages."""
    code, message = next(_losses(meeting, warnings), ("", ""))
    return Outcome(
        bot_id=meeting.bot_id,
        recording_id=meeting.recording_id,
        status="partial" if code else "done",
        folder=str(layout.folder),
        code=code,
        message=message,
        seconds=round(time.monotonic() - started, 3),
        reused=reused,
    )


def _losses(meeting: Meeting, warnings: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield code and message of each loss for good.

    For a file that could not be fetched, the code says why. Mixed audio that was never recorded is no loss,
    but mixed audio that failed or could not be fetched is.
    """
    why = {p.part_id: p.media.problem for p in meeting.parts}
    for warning in warnings:
        code: str | None = warning["code"]
        if code == "no_audio_mixed":
            code = meeting.mix.problem if meeting.mix else None
        elif code == "part_missing":
            code = why.get(warning["where"]) or code
        elif code not in LOSSES:
            code = None
        if code is not None:
            yield code, warning["message"]
