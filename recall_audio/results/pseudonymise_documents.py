"""A recording's documents under codes.

Every document is made of values that are known, never copied with something struck out: a field that is not
known here does not get into it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from recall_audio.model.alignment import Alignment
from recall_audio.model.labels import make_labels, speakers_json
from recall_audio.model.meeting import Meeting
from recall_audio.model.pseudonyms import Pseudonyms, Recoded
from recall_audio.model.speech import SpeechResult
from recall_audio.model.stems import Stem
from recall_audio.model.warnings import Finding
from recall_audio.pipeline.documents import Documents, need

_STAGE_KEEPS = ("name", "key", "status", "seconds", "cpu_seconds")


def recode_documents(documents: Documents, pseudonyms: Pseudonyms) -> tuple[Documents, Recoded]:
    """The documents under codes, and what became what; ``talk`` is left out: it is to be measured anew.

    Raises:
        ItemError: there is no ``recording.json``.
    """
    known = pseudonyms.recode(Meeting.from_json(need(documents, "recording")))
    people = known.meeting.participants
    coded = {"recording": known.meeting.to_json(), "speakers": speakers_json(people, make_labels(people))}
    if "alignment" in documents:
        coded["alignment"] = _alignment(Alignment.from_json(documents["alignment"]), known).to_json()
    if "segments" in documents:
        speech = _speech(SpeechResult.from_json(documents["segments"], documents.get("leakage")), known)
        coded["segments"] = speech.to_json()
        coded |= {"leakage": speech.leakage_json()} if "leakage" in documents else {}
    if "stems" in documents:
        coded["stems"] = _stems(documents["stems"], known)
    if "run" in documents:
        coded["run"] = _run(documents["run"], known)
    return coded, known


def renamed(file: str, known: Recoded) -> str:
    """Where a stem lies under codes: ``stems/Ann.wav`` is ``stems/P_....wav``."""
    folder, _, name = file.rpartition("/")
    label, point, suffix = name.rpartition(".")
    return f"{folder}/{known.labels.get(label, label)}{point}{suffix}"


def _alignment(alignment: Alignment, known: Recoded) -> Alignment:
    parts = tuple(
        replace(
            part,
            part_id=known.parts[part.part_id],
            participant_id=known.participants[part.participant_id],
            reason=known.text(part.reason),
            drift_from=None if part.drift_from is None else known.parts[part.drift_from],
        )
        for part in alignment.parts
    )
    return replace(alignment, parts=parts, findings=_findings(alignment.findings, known))


def _speech(speech: SpeechResult, known: Recoded) -> SpeechResult:
    def by_label(values: Mapping[str, Any]) -> dict[str, Any]:
        return {known.labels[label]: value for label, value in values.items()}

    return replace(
        speech,
        segments=by_label(speech.segments),
        raw=by_label(speech.raw),
        unbridged=by_label(speech.unbridged),
        leaks=tuple(
            replace(leak, source=known.labels[leak.source], listener=known.labels[leak.listener])
            for leak in speech.leaks
        ),
        other_thresholds=tuple(replace(o, talk_s=by_label(o.talk_s)) for o in speech.other_thresholds),
        findings=_findings(speech.findings, known),
    )


def _stems(stems: Mapping[str, Any], known: Recoded) -> dict[str, Any]:
    names = [f.name for f in fields(Stem)]
    rows = [
        {
            **{name: stem[name] for name in names},
            "file": renamed(stem["file"], known),
            "participant": known.labels[stem["participant"]],
            "reason": known.text(stem["reason"]),
        }
        for stem in stems["stems"]
    ]
    poly = stems["poly"]
    channels = [known.labels[label] for label in poly["channels"]] if poly else []
    return {
        "parameters": _stem_parameters(stems["parameters"], known),
        "stems": rows,
        "mixdown": stems["mixdown"],
        "poly": {"file": poly["file"], "channels": channels} if poly else None,
        "residual": stems["residual"],
        "findings": _plain_findings(stems["findings"], known),
    }


def _run(run: Mapping[str, Any], known: Recoded) -> dict[str, Any]:
    """The manifest without inputs and outputs, which are other files here."""
    parameters = {**run["parameters"], "stems": _stem_parameters(run["parameters"]["stems"], known)}
    stages = [
        {
            **{name: stage[name] for name in _STAGE_KEEPS},
            "outputs": {},
            "warnings": _plain_findings(stage["warnings"], known),
        }
        for stage in run["stages"]
    ]
    return {
        "version": run["version"],
        "status": run["status"],
        "parameters": parameters,
        "inputs": {},
        "stages": stages,
        "warnings": _plain_findings(run["warnings"], known),
    }


def _stem_parameters(parameters: Mapping[str, Any], known: Recoded) -> dict[str, Any]:
    return {**parameters, "speakers": [known.labels[label] for label in parameters["speakers"]]}


def _findings(findings: Iterable[Finding], known: Recoded) -> tuple[Finding, ...]:
    return tuple(known.finding(f) for f in findings)


def _plain_findings(findings: Iterable[dict[str, Any]], known: Recoded) -> list[dict[str, Any]]:
    return [f.to_json() for f in _findings(map(Finding.from_json, findings), known)]
