"""Record in ``run.json`` what ran on a recording, with which options, from which files.

Each stage has a key (:mod:`recall_audio.pipeline.plan`). A stage whose key and files are unchanged is not run
again, so a changed option redoes only what depends on it. During a run the manifest lies in ``.work``, and
``run.json`` appears when everything is done, or when it failed.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from recall_audio import __version__
from recall_audio.errors import ItemError
from recall_audio.files import disk_error, path_in, read_json, relative_name, sha256, write_json
from recall_audio.model.meeting import Meeting
from recall_audio.model.outcome import WITH_RESULTS, Ending, Finding
from recall_audio.pipeline.documents import Layout, read_meeting
from recall_audio.pipeline.parallel import Pieces
from recall_audio.storage import size_of


def describe(folder: Path, files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Return bytes and SHA-256 of files, by their path relative to `folder`."""
    return {
        f.relative_to(folder).as_posix(): {"bytes": f.stat().st_size, "sha256": sha256(f)}
        for f in sorted(files)
    }


_FETCHED = ("recording.json", "source")
"""What a fetch writes, and no stage may replace or remove."""

LOSSES = frozenset(
    {
        "no_audio_separate",
        "no_audio",
        "not_audio",
        "duration_mismatch",
        "too_long",
        "part_missing",
        "speaker_unknown",
    }
)
"""Codes of findings that make a recording ``partial``: something expected is lost for good."""


def _losses(meeting: Meeting, warnings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield each loss for good under the code that says why.

    Mixed audio that was never recorded is no loss, but mixed audio that failed or could not be fetched is.
    """
    why = {p.part_id: p.media.problem for p in meeting.parts}
    for warning in warnings:
        code: str | None = warning.code
        if code == "no_audio_mixed":
            code = meeting.mix.problem if meeting.mix else None
        elif code == "part_missing":
            code = why.get(warning.where) or code
        elif code not in LOSSES:
            code = None
        if code is not None:
            yield replace(warning, code=code)


@dataclass(frozen=True, slots=True)
class StageRecord:
    """The record of one finished stage.

    Attributes:
        name: its name, a key of :data:`recall_audio.pipeline.plan.STAGES`.
        key: digest of all that its result depends on.
        status: ``done``, or ``skipped`` where there was nothing to do it on.
        seconds: wall time it took when it ran.
        cpu_seconds: CPU time it took, that of its pieces in other processes included.
        outputs: bytes and sha256 of what it wrote, by path below the folder.
        warnings: what a reader should know.
    """

    name: str
    key: str
    status: str
    seconds: float
    cpu_seconds: float
    outputs: dict[str, dict[str, Any]]
    warnings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "StageRecord":
        """Return the record that :meth:`to_json` wrote.

        Raises:
            ItemError: ``unsafe_path``: an output is a file that no stage writes.
        """
        for name in value["outputs"]:
            first = relative_name(name).casefold().partition("/")[0]
            if first in _FETCHED:
                raise ItemError(
                    f"{name[:80]!r} is named as a result, but was fetched; nothing was changed.",
                    "`recall-audio process DIR --force` writes another manifest.",
                    code="unsafe_path",
                )
        return StageRecord(**{**value, "warnings": tuple(Finding.from_json(f) for f in value["warnings"])})


@dataclass(slots=True)
class Manifest:
    """The manifest of one recording as it grows, stage by stage.

    Attributes:
        layout: the recording's folder.
        parameters: every option in force, a mapping a step.
        known: stages of an earlier run, by name.
        stages: stages of this run, in order.
        ran: names of the stages that did run this time.
    """

    layout: Layout
    parameters: dict[str, Any]
    known: dict[str, StageRecord] = field(default_factory=dict)
    stages: list[StageRecord] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def is_fresh(self, name: str, key: str, *, check_files: bool = True) -> bool:
        """Return whether an earlier run left this stage's result under the same key.

        With `check_files`, the files that it left also have to be intact.
        """
        before = self.known.get(name)
        if before is None or before.key != key:
            return False
        return not check_files or intact(self.layout.folder, before.outputs)

    def reuse(self, name: str) -> None:
        """Take over an earlier run's record of a stage."""
        self.stages.append(self.known[name])

    def run(self, name: str, key: str, step: Callable[[], "StageResult"], pieces: Pieces) -> None:
        """Run a stage and record it.

        From the moment it starts, its earlier result counts as spoilt.
        """
        before = self.known.get(name)
        if before is not None:
            self.known[name] = _spoilt(before)
            self._write_unfinished()
        wall, cpu = time.perf_counter(), time.process_time() + pieces.cpu_seconds
        result = step()
        record = StageRecord(
            name=name,
            key=key,
            status=result.status,
            seconds=round(time.perf_counter() - wall, 3),
            cpu_seconds=round(time.process_time() + pieces.cpu_seconds - cpu, 3),
            outputs=describe(self.layout.folder, result.files),
            warnings=result.warnings,
        )
        self._remove_left_over(before, record)
        self.stages.append(record)
        self.ran.append(name)
        self._write_unfinished()

    def _remove_left_over(self, before: StageRecord | None, record: StageRecord) -> None:
        """Delete what this stage wrote under other options and not now (other formats)."""
        for path in set(before.outputs if before else ()) - set(record.outputs):
            path_in(self.layout.folder, path).unlink(missing_ok=True)

    def ending(self) -> Ending:
        """Return how the recording ended, by the fetch's findings and the warnings of the stages so far."""
        meeting = read_meeting(self.layout)
        warnings = (*meeting.findings, *(f for stage in self.stages for f in stage.warnings))
        reasons = tuple(_losses(meeting, warnings))
        return Ending("partial" if reasons else "complete", reasons)

    def finish(self) -> None:
        """Publish ``run.json``, which marks the recording as complete or partial."""
        self._write(self.layout.run, self.ending(), self.stages)
        (self.layout.work / "run.json").unlink(missing_ok=True)

    def fail(self, error: ItemError) -> None:
        """Publish a ``run.json`` that says why there are no results.

        One that appeared meanwhile is another process's, and stays.
        """
        if not self.layout.run.exists():
            reason = Finding(error.code, str(error))
            self._write(self.layout.run, Ending("failed", (reason,)), self._all_stages())

    def _write_unfinished(self) -> None:
        """Write what is done so far, and what earlier runs left of the other stages."""
        self._write(self.layout.work / "run.json", Ending("unfinished"), self._all_stages())

    def _all_stages(self) -> list[StageRecord]:
        done = {s.name for s in self.stages}
        return [*self.stages, *(s for name, s in self.known.items() if name not in done)]

    def to_json(
        self, ending: Ending | None = None, stages: Sequence[StageRecord] | None = None
    ) -> dict[str, Any]:
        """Return the plain values of ``run.json``, by default as the stages so far ended."""
        ending = ending or self.ending()
        stages = self.stages if stages is None else stages
        warnings = (*read_meeting(self.layout).findings, *(f for s in stages for f in s.warnings))
        return {
            "version": __version__,
            "status": ending.status,
            "reasons": [reason.to_json() for reason in ending.reasons],
            "parameters": self.parameters,
            "inputs": _inputs(self.layout),
            "stages": [s.to_json() for s in stages],
            "warnings": [f.to_json() for f in warnings],
        }

    def _write(self, path: Path, ending: Ending, stages: Sequence[StageRecord]) -> None:
        write_json(path, "run", self.to_json(ending, stages))


@dataclass(frozen=True, slots=True)
class StageResult:
    """The result of running a stage.

    Attributes:
        files: what it wrote.
        warnings: what a reader should know.
        status: ``done`` or ``skipped``.
    """

    files: tuple[Path, ...] = ()
    warnings: tuple[Finding, ...] = ()
    status: str = "done"


def begin(layout: Layout, parameters: dict[str, Any], *, force: bool) -> Manifest:
    """Open the manifest for a run, and mark the recording as unfinished.

    Raises:
        ItemError: ``unsafe_path``: a folder that would be written to is a link out of the recording's.
    """
    layout.check_folders()
    manifest = earlier(layout, parameters)
    if force:
        manifest.known = {name: _spoilt(record) for name, record in manifest.known.items()}
    try:
        layout.work.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # not there, or another process was quicker
            layout.run.replace(layout.work / "run.json")
    except OSError as error:
        failure = disk_error(error, layout.run)
    else:
        return manifest
    raise failure


def _spoilt(record: StageRecord) -> StageRecord:
    """Return a record that no key matches, but that still names the files the stage left."""
    return replace(record, key="")


def earlier(layout: Layout, parameters: dict[str, Any]) -> Manifest:
    """Return a manifest with what earlier runs left, finished or not, without changing it."""
    known: dict[str, StageRecord] = {}
    for path in (layout.run, layout.work / "run.json"):
        if path.is_file():
            with contextlib.suppress(ItemError, KeyError, TypeError, AttributeError):
                known |= {s["name"]: StageRecord.from_json(s) for s in read_json(path, "run")["stages"]}
    return Manifest(layout, parameters, known)


def is_done(layout: Layout, keys: Mapping[str, str]) -> bool:
    """Return whether ``run.json`` has these keys and results, and every file that it names exists.

    Keys cover every option; the stored parameters may lack an option that a later version added.
    """
    try:
        value = read_json(layout.run, "run")
        stages = [StageRecord.from_json(s) for s in value["stages"]]
        outputs = {n: o for s in stages for n, o in s.outputs.items() if not n.startswith(".work/")}
        has_same_keys = {s.name: s.key for s in stages} == dict(keys)
        return has_same_keys and value.get("status") in WITH_RESULTS and intact(layout.folder, outputs)
    except (ItemError, KeyError, TypeError, AttributeError):
        return False


def intact(folder: Path, outputs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether files exist (or are in the store) with the sizes that were recorded."""
    try:
        return all(size_of(folder, name) == facts["bytes"] for name, facts in outputs.items())
    except (ItemError, KeyError, TypeError, ValueError):  # no such record, or no such path
        return False


def discard_work(layout: Layout) -> None:
    """Delete the working files, so that a later change of options decodes again."""
    shutil.rmtree(layout.work, ignore_errors=True)


def _inputs(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return what was fetched, as ``recording.json`` lists it, and ``recording.json`` itself."""
    meeting = read_json(layout.recording, "recording")
    media = [p["media"] for p in meeting["parts"]] + ([meeting["mix"]] if meeting["mix"] else [])
    known = {m["file"]: {"bytes": m["n_bytes"], "sha256": m["sha256"]} for m in media if m["file"]}
    return {**describe(layout.folder, [layout.recording]), **dict(sorted(known.items()))}
