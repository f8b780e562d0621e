"""Write a pseudonymised copy of a recording's results, as a folder to share.

::

    OUT/<bot_id>/<recording_id>/            INTO/<code>/<code>/
      recording.json ── codes taken ─────►    recording.json  speakers.json
      alignment.json segments.json ... ──►    the same, every label and id replaced
      talk.json segments.rttm report.html     measured and rendered from those
      posteriors.npz ────────────────────►    the same, by coded label
      stems/Ann_Lee.wav ─────────────────►    stems/P_....wav: the samples, no name in the header
      source/, exports, anything else         not copied

The copy is a recording's folder like any other: it can be inspected, exported and collected.

Every document is built from known fields, never copied with names struck out, so an unknown field cannot
reach the copy.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from recall_audio.environment import PSEUDONYM_KEY_VARIABLE, read_variables
from recall_audio.errors import ItemError, UsageError
from recall_audio.export.timelines import rttm
from recall_audio.files import atomic, disk_error, path_in, write_json, write_text
from recall_audio.media.wav import copy_wav
from recall_audio.model.alignment import Alignment
from recall_audio.model.labels import speakers_json
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import STEPS, StemOptions, TalkOptions
from recall_audio.model.outcome import Finding
from recall_audio.model.persons import (
    Persons,
    SharedKey,
    ids_by_label,
    lasting_keys,
    shared_keys_of,
    with_persons,
)
from recall_audio.model.pseudonyms import KEPT_APART, Pseudonyms, Recoded
from recall_audio.model.speech import SpeechResult
from recall_audio.model.stems import Mixdown, Residual, Stem
from recall_audio.model.talk import Talk
from recall_audio.pipeline.documents import (
    Documents,
    Layout,
    Posteriors,
    as_this_version_writes,
    labels_by_id,
    need,
    read_documents,
    read_posteriors,
    write_posteriors,
)
from recall_audio.pipeline.manifest import describe
from recall_audio.pipeline.plan import STAGES, stage_keys
from recall_audio.pipeline.process import options_of, parameters_of
from recall_audio.pipeline.report import render_report
from recall_audio.pipeline.talk import talk_of, view_of, with_sensitivity
from recall_audio.results.copy_check import check_copy

_MIXDOWN, _RESIDUAL = (tuple(f.name for f in fields(kind)) for kind in (Mixdown, Residual))
_STAGE_KEEPS = ("name", "key", "status", "seconds", "cpu_seconds")


def recode_documents(documents: Documents, pseudonyms: Pseudonyms) -> tuple[Documents, Recoded]:
    """Return the documents with codes instead of names and ids, and the codes.

    ``talk`` is left out, because it has to be measured again.

    Raises:
        ItemError: there is no ``recording.json``.
    """
    labels = labels_by_id(documents) if "speakers" in documents else None
    recoded = pseudonyms.recode(Meeting.from_json(need(documents, "recording")), labels)
    coded = {"recording": recoded.meeting.to_json(), "speakers": _speakers(documents, recoded)}
    if "alignment" in documents:
        coded["alignment"] = _alignment(Alignment.from_json(documents["alignment"]), recoded).to_json()
    if "segments" in documents:
        segments = documents["segments"]
        segments = {**segments, "parameters": _known_options("speech", segments["parameters"])}
        speech = _speech(SpeechResult.from_json(segments, documents.get("leakage")), recoded)
        coded["segments"] = speech.to_json()
        coded |= {"leakage": speech.leakage_json()} if "leakage" in documents else {}
    if "stems" in documents:
        coded["stems"] = _stems(documents["stems"], recoded)
    if "run" in documents:
        coded["run"] = _run(documents["run"], recoded)
    check_copy(coded, recoded)
    return coded, recoded


def _speakers(documents: Documents, recoded: Recoded) -> dict[str, Any]:
    """Return ``speakers.json`` under codes, with who was joined, who was kept apart, and why."""
    people = recoded.meeting.participants
    keys = {p.participant_id: lasting_keys(p.email, p.extra_data) for p in people}
    rows: list[SharedKey] = []
    for row in shared_keys_of(documents.get("speakers", {})):
        ids = tuple(recoded.participants[i] for i in row.participant_ids if i in recoded.participants)
        coded = [k for i in ids for k in keys.get(i, ()) if k.partition(":")[0] == row.kind]
        rows += [SharedKey(coded[0], ids, KEPT_APART if row.apart else "")] if coded else []
    labels = recoded.coded_labels
    return with_persons(speakers_json(people, labels), labels, Persons(shared=tuple(rows)))


def renamed(file: str, recoded: Recoded) -> str:
    """Return the coded path of a stem: ``stems/Ann.wav`` becomes ``stems/P_....wav``."""
    folder, _, name = file.rpartition("/")
    label, point, suffix = name.rpartition(".")
    return f"{folder}/{recoded.labels.get(label, label)}{point}{suffix}"


def _alignment(alignment: Alignment, recoded: Recoded) -> Alignment:
    parts = tuple(
        replace(
            part,
            part_id=recoded.parts[part.part_id],
            participant_id=recoded.participants[part.participant_id],
            reason="",
            drift_from=None if part.drift_from is None else recoded.parts[part.drift_from],
        )
        for part in alignment.parts
    )
    return replace(alignment, parts=parts, findings=_findings(alignment.findings, recoded))


def _speech(speech: SpeechResult, recoded: Recoded) -> SpeechResult:
    def by_label(values: Mapping[str, Any]) -> dict[str, Any]:
        return {recoded.labels[label]: value for label, value in values.items()}

    return replace(
        speech,
        segments=by_label(speech.segments),
        raw=by_label(speech.raw),
        unbridged=by_label(speech.unbridged),
        leaks=tuple(
            replace(leak, source=recoded.labels[leak.source], listener=recoded.labels[leak.listener])
            for leak in speech.leaks
        ),
        other_thresholds=tuple(replace(o, talk_s=by_label(o.talk_s)) for o in speech.other_thresholds),
        findings=_findings(speech.findings, recoded),
    )


def _stems(stems: Mapping[str, Any], recoded: Recoded) -> dict[str, Any]:
    names = [field.name for field in fields(Stem)]
    rows = [
        {
            **{name: stem[name] for name in names},
            "file": None if stem["file"] is None else renamed(stem["file"], recoded),
            "participant": recoded.labels[stem["participant"]],
            "reason": "",
            "ids": [recoded.participants[i] for i in stem.get("ids", ()) if i in recoded.participants],
        }
        for stem in stems["stems"]
    ]
    poly = stems["poly"]
    channels = [recoded.labels[label] for label in poly["channels"]] if poly else []
    return {
        "parameters": _stem_parameters(stems["parameters"], recoded),
        "stems": rows,
        "mixdown": {name: stems["mixdown"][name] for name in _MIXDOWN} if stems["mixdown"] else None,
        "poly": {"file": poly["file"], "channels": channels} if poly else None,
        "residual": {name: stems["residual"][name] for name in _RESIDUAL} if stems["residual"] else None,
        "findings": _plain_findings(stems["findings"], recoded),
    }


def _run(run: Mapping[str, Any], recoded: Recoded) -> dict[str, Any]:
    """Return the manifest without inputs and outputs, which are other files in the copy."""
    given = {
        step: _known_options(step, values) for step, values in run["parameters"].items() if step in STEPS
    }
    parameters = parameters_of(options_of(given))
    parameters["stems"] = _stem_parameters(run["parameters"]["stems"], recoded)
    stages = [
        {
            **{name: stage[name] for name in _STAGE_KEEPS},
            "outputs": {},
            "warnings": _plain_findings(stage["warnings"], recoded),
        }
        for stage in run["stages"]
    ]
    return {
        "version": run["version"],
        "status": run["status"],
        "reasons": _plain_findings(run.get("reasons", []), recoded),
        "parameters": parameters,
        "inputs": {},
        "stages": stages,
        "warnings": _plain_findings(run["warnings"], recoded),
    }


def _stem_parameters(parameters: Mapping[str, Any], recoded: Recoded) -> dict[str, Any]:
    known = asdict(StemOptions(**_known_options("stems", parameters)))
    return {**known, "speakers": [recoded.labels[label] for label in parameters["speakers"]]}


def _known_options(step: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a step that this version knows."""
    return {field.name: values[field.name] for field in fields(STEPS[step]) if field.name in values}


def _findings(findings: Iterable[Finding], recoded: Recoded) -> tuple[Finding, ...]:
    return tuple(recoded.finding(f) for f in findings)


def _plain_findings(findings: Iterable[dict[str, Any]], recoded: Recoded) -> list[dict[str, Any]]:
    return [f.to_json() for f in _findings(map(Finding.from_json, findings), recoded)]


def read_pseudonyms(key_file: Path | None = None) -> Pseudonyms:
    """Read the key of the codes from a file, or from ``RECALL_PSEUDONYM_KEY`` without one.

    Raises:
        UsageError: there is no key, the file cannot be read, or the key is too short.
    """
    hint = (
        f"Set {PSEUDONYM_KEY_VARIABLE} in the environment or in .env, or give --pseudonym-key-file; "
        "`python -c 'import secrets; print(secrets.token_hex(32))'` makes a key."
    )
    if key_file is None:
        key = read_variables().get(PSEUDONYM_KEY_VARIABLE, "").strip().encode("utf-8", "surrogateescape")
        if not key:
            raise UsageError(
                f"No key for pseudonyms: {PSEUDONYM_KEY_VARIABLE} is not set.", hint, code="no_key"
            )
        return Pseudonyms(key)
    try:
        return Pseudonyms(key_file.read_bytes().strip())
    except OSError as error:
        why = error.strerror or type(error).__name__
    raise UsageError(f"The pseudonyms' key cannot be read from {key_file}: {why}.", hint, code="no_key")


def pseudonymise(folder: Path, into: Path, pseudonyms: Pseudonyms) -> Path:
    """Write a pseudonymised copy to ``INTO/<bot's code>/<recording's code>``, and return that folder.

    Raises:
        UsageError: `into` is where the recordings themselves are.
        ItemError: the recording has no results, or a stem is missing.
        MachineError: the disk is full.
    """
    home = folder.resolve()
    if into.resolve() in (home, *home.parents[:2]) or home in into.resolve().parents:
        raise UsageError(f"{into} is where the recordings themselves are.", "Give another folder to --into.")
    documents = read_documents(folder)
    need(documents, "run")
    with as_this_version_writes():
        coded, recoded = recode_documents(documents, pseudonyms)
        options = TalkOptions(**coded["run"]["parameters"]["talk"])
        measured = {"segments", "alignment"} <= coded.keys()
        posteriors = recoded_posteriors(folder, recoded)
        talk = with_sensitivity(talk_of(coded, options, posteriors), coded, options) if measured else None
    target = Layout(path_in(into, f"{recoded.meeting.bot_id}/{recoded.meeting.recording_id}"))
    try:
        shutil.rmtree(target.folder, ignore_errors=False)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise disk_error(error, target.folder) from None
    files = copy_stems(documents, recoded, folder, target.folder)
    if posteriors is not None:
        with atomic(target.posteriors) as stream:
            write_posteriors(stream, posteriors)
    _write(coded, talk, recoded, target, files)
    return target.folder


def recoded_posteriors(folder: Path, recoded: Recoded) -> Posteriors | None:
    """Return the probabilities of a recording's folder by coded label, None where there are none."""
    found = read_posteriors(folder)
    if found is None:
        return None
    return {recoded.labels[label]: row for label, row in found.items() if label in recoded.labels}


def copy_stems(documents: Documents, recoded: Recoded, source: Path, target: Path) -> list[Path]:
    """Copy every stem below `source` to its coded name below `target`, and return the files written.

    Raises:
        ItemError: a stem is missing.
        MachineError: the disk is full.
    """
    stems: dict[str, Any] = documents.get("stems", {})
    files = [stem["file"] for stem in stems.get("stems", []) if stem["file"] is not None]
    files += [stems[kind]["file"] for kind in ("mixdown", "poly") if stems.get(kind)]
    written = []
    for file in files:
        path = path_in(target, renamed(file, recoded))
        _copy_stem(path_in(source, file), path)
        written.append(path)
    return written


def _copy_stem(source: Path, target: Path) -> None:
    if source.suffix == ".wav":
        copy_wav(source, target)
        return
    if not source.is_file():
        raise ItemError(f"{source} does not exist.", "Process the recording again.", code="missing_file")
    with source.open("rb") as original, atomic(target) as copy:  # encoded without any metadata
        shutil.copyfileobj(original, copy)


def _write(coded: Documents, talk: Talk | None, recoded: Recoded, target: Layout, stems: list[Path]) -> None:
    """Write everything but the stems, ``run.json`` last."""
    run = coded.pop("run")
    if talk is not None:
        coded["talk"] = body = talk.to_json()
        for label, ids in ids_by_label(recoded.coded_labels).items():
            body["speakers"].get(label, {})["ids"] = ids
        with atomic(target.folder / "segments.rttm") as stream:
            stream.write(b"".join(rttm(view_of(coded, talk)).values()))
    for kind, document in coded.items():
        write_json(target.json(kind), kind, document)
    write_text(target.folder / "report.html", render_report({**coded, "run": run}))
    keys = stage_keys(recoded.meeting, options_of(run["parameters"]))
    outputs = {n: [target.folder / f for f in s.writes if "*" not in f] for n, s in STAGES.items()}
    outputs["stems"] += stems
    for stage in run["stages"]:
        written = [f for f in outputs[stage["name"]] if f.is_file()]
        stage |= {"key": keys[stage["name"]], "outputs": describe(target.folder, written)}
    run["inputs"] = describe(target.folder, [target.recording])
    write_json(target.run, "run", run)
