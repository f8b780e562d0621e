"""Which stages a recording needs: decide, then act.

A stage's key digests its options, its revision, and the keys of the stages it reads. Keys are known before
anything runs, so the plan is too::

    decode ── align ── speech ── talk ── report
                          └──── stems ──┘
"""

from dataclasses import asdict
from typing import Any

from recall_audio.model.meeting import Meeting
from recall_audio.model.options import Options
from recall_audio.pipeline.manifest import Manifest, key_of

STAGES = ("people", "decode", "align", "speech", "talk", "stems", "report")
"""In the order they run."""

_REVISION = {"people": 1, "decode": 1, "align": 2, "speech": 9, "talk": 5, "stems": 2, "report": 1}
# Raise a stage's number when its result for the same input changes: recordings are then redone from there.

_AUDIO = ("align", "speech", "stems")
# Stages that read decoded audio; where none of them runs, nothing is decoded.


def revisions() -> dict[str, int]:
    """Every stage's number, which rises when its result for the same input changes."""
    return dict(_REVISION)


def stage_keys(meeting: Meeting, options: Options) -> dict[str, str]:
    """Every stage's key for one recording under these options."""
    facts = meeting.to_json()
    media = [(p.part_id, p.participant_id, p.nominal_start_s, asdict(p.media)) for p in meeting.parts]
    mix = asdict(meeting.mix) if meeting.mix else None
    keys: dict[str, str] = {}

    def add(name: str, *depends_on: Any) -> None:
        keys[name] = key_of(name, _REVISION[name], *depends_on)

    add("people", facts["participants"])
    add("decode", mix, media)
    add("align", keys["decode"], asdict(options.align))
    add("speech", keys["align"], keys["people"], asdict(options.speech))
    add("talk", keys["speech"], asdict(options.talk), facts["presence"])
    add("stems", keys["speech"], asdict(options.stems))
    add("report", keys["talk"], keys["stems"], facts)
    return keys


def stale_stages(manifest: Manifest, keys: dict[str, str]) -> frozenset[str]:
    """The stages that have to run, given what an earlier run left."""
    stale = {name for name in STAGES if not manifest.fresh(name, keys[name])}
    if not stale & set(_AUDIO) and manifest.fresh("decode", keys["decode"], files=False):
        stale.discard("decode")
    elif stale & set(_AUDIO) and not manifest.fresh("decode", keys["decode"]):
        stale.add("decode")
    return frozenset(stale | ({"report"} if stale else set()))
