"""Decide which stages a recording needs, from the one table of stages.

A stage's key digests its revision, the options of its step, what it reads of ``recording.json``, and the keys
of the stages whose results it reads. Keys are known before anything runs, and so is the plan::

    people ──────────────┬─ talk ───┬─ report
    decode ── align ── speech       │
                          └─ stems ─┘

:data:`STAGES` is the only place that lists the stages: order, keys, staleness, the manifest's records and the
list of a recording's JSON files follow from it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from recall_audio.model.meeting import Meeting
from recall_audio.model.options import Options
from recall_audio.model.persons import find_persons

if TYPE_CHECKING:
    from recall_audio.pipeline.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of processing a recording.

    Attributes:
        name: its name in ``run.json``.
        revision: part of its key. Raise it when the stage's result for the same input changes, or when the
            default of one of its options does: recordings are then redone from this stage on. A new option
            whose default keeps the result as it was does not need it.
        function: name of the function in :mod:`recall_audio.pipeline.stages` that runs it; a name, because
            that module imports numpy and the codecs, which a finished recording does not need.
        reads: earlier stages whose results it depends on.
        facts: attributes of :class:`Meeting` that it depends on.
        step: field of :class:`Options` with its options; empty where it has none.
        writes: patterns of the files that it writes, relative to the recording's folder.
        reads_transcript: whether it depends on ``transcript.json``, which no stage writes.
    """

    name: str
    revision: int
    function: str
    reads: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    step: str = ""
    writes: tuple[str, ...] = ()
    reads_transcript: bool = False

    @property
    def documents(self) -> tuple[str, ...]:
        """Return the kinds of the JSON files that it writes for users, e.g. ``talk``."""
        return tuple(name.removesuffix(".json") for name in self.writes if _is_document(name))


def _is_document(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            name="people",
            revision=2,
            function="run_people",
            facts=("participants", "parts"),
            step="people",
            writes=("speakers.json",),
        ),
        Stage(
            name="decode",
            revision=3,
            function="run_decode",
            facts=("mix", "parts"),
            writes=(".work/*.s16", ".work/decode.json"),
        ),
        Stage(
            name="align",
            revision=4,
            function="run_align",
            reads=("decode",),
            step="align",
            writes=("alignment.json",),
        ),
        Stage(
            name="speech",
            revision=12,
            function="run_speech",
            reads=("decode", "align"),
            # Labels are made of the participants: speech need not wait for people.
            facts=("participants",),
            step="speech",
            writes=("segments.json", "leakage.json", "posteriors.npz"),
        ),
        Stage(
            name="talk",
            revision=8,
            function="run_talk",
            reads=("people", "align", "speech"),
            facts=("recording_id", "participants", "parts", "presence", "spoke"),
            step="talk",
            writes=("talk.json", "segments.rttm"),
            reads_transcript=True,
        ),
        Stage(
            name="stems",
            revision=3,
            function="run_stems",
            reads=("decode", "align", "speech"),
            facts=("participants",),
            step="stems",
            writes=("stems/*", "stems.json"),
        ),
        Stage(
            name="report",
            revision=2,
            function="run_report",
            reads=("people", "align", "speech", "talk", "stems"),
            facts=tuple(field.name for field in fields(Meeting)),
            writes=("report.html",),
        ),
    )
}
"""Every stage by name, in the order they run."""


def key_of(*facts: Any) -> str:
    """Return a short digest of plain values."""
    text = json.dumps(facts, sort_keys=True, allow_nan=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]


def changed_fields(options: Any) -> dict[str, Any]:
    """Return the fields of an options object that differ from their defaults.

    A key made of these stays the same when a later version adds an option and it stands at its default.
    """
    values = {field.name: (_frozen(getattr(options, field.name)), field.default) for field in fields(options)}
    return {name: value for name, (value, default) in values.items() if value != default}


def _frozen(value: Any) -> Any:
    """Return a list that was read from JSON as the tuple that the options declare."""
    return tuple(value) if isinstance(value, list) else value


def stage_keys(meeting: Meeting, options: Options, transcript: str = "") -> dict[str, str]:
    """Return every stage's key for one recording under these options.

    Args:
        meeting: what the API said.
        options: what is chosen.
        transcript: digest of ``transcript.json``, empty where there is none.
    """
    document = meeting.to_json()
    joined = find_persons(meeting, join=options.people.join).first_ids
    keys: dict[str, str] = {}
    for name, stage in STAGES.items():
        chosen = changed_fields(getattr(options, stage.step)) if stage.step else {}
        read = [keys[earlier] for earlier in stage.reads]
        facts = [document[fact] if fact in document else getattr(meeting, fact) for fact in stage.facts]
        more: list[Any] = [transcript] if transcript and stage.reads_transcript else []
        # Who has one label with whom: a fact of the meeting, and of one option that changes it alone.
        more += [sorted(joined.items())] if joined and "participants" in stage.facts else []
        keys[name] = key_of(name, stage.revision, read, facts, chosen, *more)
    return keys


def stale_stages(manifest: "Manifest", keys: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the stages that have to run, given what an earlier run left."""
    stale = {name for name in STAGES if not manifest.is_fresh(name, keys[name])}
    # Working files may be deleted at any time: only a stage that reads them needs them again.
    reads_audio = any("decode" in STAGES[name].reads for name in stale)
    if not reads_audio and manifest.is_fresh("decode", keys["decode"], check_files=False):
        stale.discard("decode")
    # The report shows the warnings of every stage.
    return frozenset(stale | ({"report"} if stale else set()))
