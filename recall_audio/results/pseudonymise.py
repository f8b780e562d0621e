"""A recording's results under codes, as a folder to hand out.

::

    OUT/<bot_id>/<recording_id>/            INTO/<code>/<code>/
      recording.json ── codes taken ─────►    recording.json  speakers.json
      alignment.json segments.json ... ──►    the same, every label and id replaced
      talk.json segments.rttm report.html     measured and drawn anew from those
      stems/Ann_Lee.wav ─────────────────►    stems/P_....wav: the samples, no name in the header
      source/, exports, anything else         stay behind

What comes out is a recording's folder like any other, to look at, export and collect.
"""

import shutil
from pathlib import Path
from typing import Any

from recall_audio.environment import PSEUDONYM_KEY_VARIABLE, given
from recall_audio.errors import ItemError, UsageError
from recall_audio.export.timelines import rttm
from recall_audio.files import atomic, disk_error, write_json, write_text
from recall_audio.media.bext import Chunk, Origin, WavFormat, bext, ixml
from recall_audio.media.wav import copy_wav
from recall_audio.model.options import AlignOptions, Options, SpeechOptions, StemOptions, TalkOptions
from recall_audio.model.pseudonyms import Pseudonyms, Recoded
from recall_audio.model.talk import Talk
from recall_audio.pipeline.documents import Documents, as_this_version_writes, need, read_documents
from recall_audio.pipeline.job import moment
from recall_audio.pipeline.layout import Layout
from recall_audio.pipeline.manifest import describe
from recall_audio.pipeline.plan import stage_keys
from recall_audio.pipeline.report import render_report
from recall_audio.pipeline.talk import talk_of, view_of, with_sensitivity
from recall_audio.results.pseudonymise_documents import recode_documents, renamed

_OUTPUTS = {
    "people": ("speakers.json",),
    "align": ("alignment.json",),
    "speech": ("segments.json", "leakage.json"),
    "talk": ("talk.json", "segments.rttm"),
    "report": ("report.html",),
}


def read_pseudonyms(key_file: Path | None = None) -> Pseudonyms:
    """Codes under the key in a file; without one, under that of ``RECALL_PSEUDONYM_KEY``.

    Raises:
        UsageError: there is no key, the file cannot be read, or the key is too short.
    """
    hint = (
        f"Set {PSEUDONYM_KEY_VARIABLE} in the environment or in .env, or give --pseudonym-key-file; "
        "`python -c 'import secrets; print(secrets.token_hex(32))'` makes a key."
    )
    if key_file is None:
        key = given().get(PSEUDONYM_KEY_VARIABLE, "").strip().encode("utf-8", "surrogateescape")
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
    """Write a recording's results under codes to ``INTO/<bot's code>/<recording's code>``; gives that folder.

    Raises:
        UsageError: `into` is where the recordings themselves are.
        ItemError: the recording has no results, or a stem is not there.
        MachineError: the disk is full.
    """
    home = folder.resolve()
    if into.resolve() in (home, *home.parents[:2]) or home in into.resolve().parents:
        raise UsageError(f"{into} is where the recordings themselves are.", "Give another folder to --into.")
    documents = read_documents(folder)
    need(documents, "run")
    with as_this_version_writes():
        coded, known = recode_documents(documents, pseudonyms)
        options = TalkOptions(**coded["run"]["parameters"]["talk"])
        measured = {"segments", "alignment"} <= coded.keys()
        talk = with_sensitivity(talk_of(coded, options), coded, options) if measured else None
    target = Layout(into / known.meeting.bot_id / known.meeting.recording_id)
    try:
        shutil.rmtree(target.folder, ignore_errors=False)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise disk_error(error, target.folder) from None
    files = copy_stems(documents, known, folder, target.folder)
    _write(coded, talk, known, target, files)
    return target.folder


def copy_stems(documents: Documents, known: Recoded, source: Path, target: Path) -> list[Path]:
    """Copy every stem below `source` to its name under codes below `target`; gives the files written.

    Raises:
        ItemError: a stem is not there.
        MachineError: the disk is full.
    """
    stems: dict[str, Any] = documents.get("stems", {})
    labels = {s["file"]: [s["participant"]] for s in stems.get("stems", [])}
    if stems.get("mixdown"):
        labels[stems["mixdown"]["file"]] = ["mixdown"]
    if stems.get("poly"):
        labels[stems["poly"]["file"]] = stems["poly"]["channels"]
    written = []
    for file, whose in labels.items():
        path = target / renamed(file, known)
        _copy_stem(source / file, path, _origin(known, [known.labels.get(w, w) for w in whose]))
        written.append(path)
    return written


def _origin(known: Recoded, names: list[str]) -> tuple[Origin, list[str]]:
    started_at = moment(known.meeting.recording.get("started_at"))
    return Origin(", ".join(names), known.meeting.recording_id, started_at), names


def _copy_stem(source: Path, target: Path, about: tuple[Origin, list[str]]) -> None:
    origin, names = about

    def chunks(kind: WavFormat) -> tuple[Chunk, ...]:
        return bext(origin, kind), ixml(origin, kind, names)

    if source.suffix == ".wav":
        copy_wav(source, target, chunks)
        return
    if not source.is_file():
        raise ItemError(f"{source} is not there.", "Process the recording again.", code="missing_file")
    with source.open("rb") as original, atomic(target) as copy:  # encoded without any metadata
        shutil.copyfileobj(original, copy)


def _write(coded: Documents, talk: Talk | None, known: Recoded, target: Layout, stems: list[Path]) -> None:
    """Everything but the stems; ``run.json`` last."""
    run = coded.pop("run")
    if talk is not None:
        coded["talk"] = talk.to_json()
        with atomic(target.folder / "segments.rttm") as stream:
            stream.write(b"".join(rttm(view_of(coded, talk)).values()))
    for kind, document in coded.items():
        write_json(target.json(kind), kind, document)
    write_text(target.folder / "report.html", render_report({**coded, "run": run}))
    keys = stage_keys(known.meeting, _options(run["parameters"]))
    outputs = {name: [target.folder / f for f in files] for name, files in _OUTPUTS.items()}
    outputs["stems"] = [*stems, target.json("stems")]
    for stage in run["stages"]:
        written = [f for f in outputs.get(stage["name"], []) if f.is_file()]
        stage |= {"key": keys[stage["name"]], "outputs": describe(target.folder, written)}
    run["inputs"] = describe(target.folder, [target.recording])
    write_json(target.run, "run", run)


def _options(parameters: dict[str, Any]) -> Options:
    return Options(
        align=AlignOptions(**parameters["align"]),
        speech=SpeechOptions(**parameters["speech"]),
        talk=TalkOptions(**parameters["talk"]),
        stems=StemOptions(**parameters["stems"]),
    )
