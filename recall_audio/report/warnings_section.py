"""Collect what a reader should know before using the numbers, a statement each, worst first."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from recall_audio.model.pseudonyms import LEFT_OUT
from recall_audio.report.alignment_section import alignment_statements
from recall_audio.report.formatting import clock, count, items, key, listing, mapping, objects, text
from recall_audio.report.leakage_section import leakage_statements, residual_statements
from recall_audio.report.talk_section import talk_statements
from recall_audio.report.values import (
    CHECK,
    MATTERS,
    NOTE,
    Documents,
    Speaker,
    Statement,
    names_of_participants,
)

_MISSING_CODES = {
    "part_missing",
    "no_audio_separate",
    "no_audio_mixed",
    "speaker_unknown",
    "speaker_incomplete",
}
_COVERED_BY = {
    "nominal_start_kept": "alignment",
    "step": "alignment",
    "placed_by_participant": "alignment",
    "placed_by_all": "alignment",
    "placed_by_background": "alignment",
    "placed_by_leak": "alignment",
    "drift_borrowed": "alignment",
    "drift_unobservable": "alignment",
    "encoder_delay_unknown": "alignment",
    "mix_unexplained": "stems",
    "leakage_decides": "segments",
    "share_uncertain": "talk",
}
"""Findings that a statement from the named document covers, where that document exists."""
_AREAS = {
    "recording": "Download",
    "decode": "Damage",
    "alignment": "Alignment",
    "align": "Alignment",
    "leakage": "Speech",
    "speech": "Speech",
    "talk": "Talk",
    "stems": "Stems",
}
_PROBLEMS = {
    "gone": "it is no longer stored",
    "deleted": "it was deleted",
    "failed": "the recorder failed to make it",
    "not_audio": "what was downloaded is no audio",
    "too_large": "it is larger than any meeting",
    "duration_mismatch": "its length is not what the API declared",
    "waiting": "it is still being made",
}


def statements(documents: Documents, people: list[Speaker]) -> list[Statement]:
    """Return all statements about a recording, worst first, without repetitions."""
    sources: tuple[Callable[[Documents, list[Speaker]], Iterator[Statement]], ...] = (
        _pseudonyms,
        _missing_documents,
        _missing_parts,
        _silent_participants,
        _missing_mix,
        _damage,
        alignment_statements,
        leakage_statements,
        talk_statements,
        residual_statements,
        _findings,
        _stages,
    )
    seen: dict[tuple[str, str], Statement] = {}
    for source in sources:
        for statement in source(documents, people):
            seen.setdefault((statement.where, statement.sentence), statement)
    return sorted(seen.values(), key=lambda s: -s.rank)


def _pseudonyms(documents: Documents, _people: list[Speaker]) -> Iterator[Statement]:
    """Say that this is a pseudonymised copy without the downloads."""
    recording = mapping(documents.get("recording"))
    media = [mapping(p.get("media")) for p in objects(recording.get("parts"))]
    if any(m.get("problem") == LEFT_OUT for m in (*media, mapping(recording.get("mix")))):
        yield Statement(
            NOTE,
            "Copy",
            "",
            "Names, ids and emails are codes here; the mixed recording and the files as downloaded are not "
            "in this copy.",
        )


def _missing_documents(documents: Documents, _people: list[Speaker]) -> Iterator[Statement]:
    """Name the steps without a result."""
    wanted = {
        "recording": "what the API said",
        "alignment": "where each part lies",
        "segments": "who speaks when",
        "talk": "who spoke how much",
    }
    run = mapping(documents.get("run"))
    skipped = {s.get("name") for s in objects(run.get("stages")) if s.get("status") == "skipped"}
    kinds = {"segments": "speech", "talk": "talk"}
    absent = [
        what
        for kind, what in wanted.items()
        if not documents.get(kind) and kinds.get(kind, kind) not in skipped  # there was nothing to do it on
    ]
    if absent:
        yield Statement(
            MATTERS,
            "Files",
            "",
            f"This folder does not hold {listing(absent)}; run `recall-audio process` on it.",
        )


def _missing_parts(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """Name the parts that are missing, and why."""
    recording = mapping(documents.get("recording"))
    reported = {
        key(finding.get("where"))
        for finding in objects(recording.get("findings"))
        if finding.get("code") == "part_missing"
    }
    name_of = names_of_participants(documents, people)
    for part in objects(recording.get("parts")):
        media = mapping(part.get("media"))
        if media.get("problem") == LEFT_OUT:
            continue
        if key(part.get("part_id")) not in reported and (media.get("problem") or not media.get("file")):
            name = name_of(part.get("participant_id"))
            why = text(media.get("problem"))
            reason = _PROBLEMS.get(why, f"the reason given is {why}" if why else "no file was found")
            yield Statement(
                MATTERS,
                "Missing",
                name,
                f"The part that starts at {clock(part.get('nominal_start_s'))} is missing: {reason}. "
                "What was said in it is not counted.",
            )


def _silent_participants(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """Name the participants without any part who are known to have been silent."""
    recording = mapping(documents.get("recording"))
    with_part = {key(part.get("participant_id")) for part in objects(recording.get("parts"))}
    unknown = {key(i) for s in people if s.talk_s is None for i in s.participant_ids}
    silent = [
        text(p.get("name")) or f"participant {text(p.get('participant_id'))}"
        for p in objects(recording.get("participants"))
        if key(p.get("participant_id")) not in with_part and key(p.get("participant_id")) not in unknown
    ]
    if silent:
        verb = "has" if len(silent) == 1 else "have"
        yield Statement(
            NOTE, "Missing", "", f"{listing(silent)} {verb} no track of their own and count as silent."
        )


def _missing_mix(documents: Documents, _people: list[Speaker]) -> Iterator[Statement]:
    """Say that there is no mix to check against."""
    recording = mapping(documents.get("recording"))
    mix = mapping(recording.get("mix"))
    mix_reported = any(
        finding.get("code") == "no_audio_mixed" for finding in objects(recording.get("findings"))
    )
    left_out = mix.get("problem") == LEFT_OUT
    if recording and not (mix_reported or left_out) and (mix.get("problem") or not mix.get("file")):
        yield Statement(
            CHECK,
            "Missing",
            "",
            "There is no mixed recording, so nothing could be checked against it: "
            "every part stands where the API said.",
        )


def _damage(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """Name files whose length the server did not send, so that a truncation would not show."""
    recording, name_of = mapping(documents.get("recording")), names_of_participants(documents, people)
    unsure = [
        name_of(part.get("participant_id"))
        for part in objects(recording.get("parts"))
        if mapping(part.get("media")).get("file")
        and mapping(part.get("media")).get("length_verified") is False
    ]
    if unsure:
        yield Statement(
            NOTE,
            "Damage",
            "",
            f"The store did not name the length of {count(len(unsure), 'file')} "
            f"({listing(dict.fromkeys(unsure))}); their decoded length was checked instead.",
        )


def _findings(documents: Documents, people: list[Speaker]) -> Iterator[Statement]:
    """Repeat the findings of the steps."""
    where, name_of = {s.label: s.name for s in people}, names_of_participants(documents, people)
    for part in objects(mapping(documents.get("recording")).get("parts")):
        where[str(part.get("part_id"))] = name_of(part.get("participant_id"))
    for area, finding in _noted(documents):
        if documents.get(_COVERED_BY.get(str(finding.get("code")), "")):
            continue
        place = str(finding.get("where") or "")
        missing = str(finding.get("code")) in _MISSING_CODES
        rank = NOTE if finding.get("severity") == "note" else MATTERS if missing else CHECK
        yield Statement(
            rank,
            "Missing" if missing else area,
            where.get(place, text(place)),
            text(finding.get("message"), 600),
        )


def _noted(documents: Documents) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every finding with its step: those of the step's own file first, then ``run.json``'s."""
    for kind, document in documents.items():
        for finding in objects(mapping(document).get("findings")):
            yield _AREAS.get(kind, "Noted"), finding
    run = mapping(documents.get("run"))
    for stage in objects(run.get("stages")):
        for finding in objects(stage.get("warnings")):
            yield _AREAS.get(str(stage.get("name")), "Noted"), finding
    for finding in objects(run.get("warnings")):
        yield "Noted", finding


def _stages(documents: Documents, _people: list[Speaker]) -> Iterator[Statement]:
    """Name stages that did not succeed, and repeat plain-text warnings."""
    for stage in objects(mapping(documents.get("run")).get("stages")):
        name, status = text(stage.get("name")), text(stage.get("status"))
        if status and status not in {"done", "ok", "skipped", "kept"}:
            yield Statement(
                MATTERS, "Run", name, f"The stage ended as {status}; what rests on it may be missing."
            )
        for warning in items(stage.get("warnings")):
            if isinstance(warning, str) and warning:
                yield Statement(CHECK, "Run", name, text(warning, 600))


def verdict(found: list[Statement]) -> str:
    """Return one sentence for the top of the page."""
    matters = sum(s.rank == MATTERS for s in found)
    check = sum(s.rank == CHECK for s in found)
    if matters:
        return f"{count(matters, 'thing matters', 'things matter')} before you use these numbers."
    if check:
        return f"{count(check, 'thing is', 'things are')} worth a look before you use these numbers."
    return "Nothing was found that would change how these numbers are read."
