"""What a reader should know about an alignment: one finding a part that is not simply aligned."""

from collections.abc import Sequence

from recall_audio.model.alignment import PartAlignment
from recall_audio.model.findings import Finding

DELAY = Finding(
    "encoder_delay_unknown",
    "The mix does not name its encoder's delay: its time 0 may be up to 0.03 s before the recording's, "
    "and all times are on the decoded mix's clock.",
    severity="note",
)


def remarks(parts: Sequence[PartAlignment], encoder_delay_known: bool | None) -> tuple[Finding, ...]:
    """Findings of the parts, in their order, and of the mix."""
    found = [f for f in map(_remark, parts) if f is not None]
    return (*found, DELAY) if encoder_delay_known is False else tuple(found)


def _remark(part: PartAlignment) -> Finding | None:
    """The finding on one part; None where there is nothing to say."""
    text = f"{part.reason[:1].upper()}{part.reason[1:]}."
    if part.status in {"no_match", "no_mix"}:
        return Finding("nominal_start_kept", text, part.part_id)
    if part.status == "silent":
        return Finding("nominal_start_kept", text, part.part_id, severity="note")
    if part.status == "step":
        return Finding("step", text, part.part_id)
    if part.status == "drift_unobservable":
        code = "drift_borrowed" if part.drift_from else "drift_unobservable"
        return Finding(code, text, part.part_id, severity="note")
    return None
