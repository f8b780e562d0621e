"""How well two accounts of who speaks when agree."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from recall_audio.model.figures import Figures


@dataclass(frozen=True, slots=True)
class Score(Figures):
    """One account (the hypothesis) held against another (the reference), under one collar.

    Attributes:
        reference: what is taken for true.
        hypothesis: what is judged by it.
        collar: time left out around each of the reference's edges, on both sides: ``±250 ms``.
        scored_s: the reference's speech outside the collars, each speaker counted.
        der: diarization error rate: (missed + false alarm + confusion) / scored, under the best one-to-one
            mapping of speakers; may exceed 1.
        missed_s: speech of the reference that the hypothesis lacks, seconds.
        false_alarm_s: speech of the hypothesis that the reference lacks, seconds.
        confusion_s: speech given to somebody else, seconds.
        ier: identification error rate: the same with speakers compared by their own labels.
        jer: Jaccard error rate: the mean over the reference's speakers of 1 − intersection / union.
        detection_error: (missed + false alarm) / speech, of whether anybody speaks at all.
        reasons: why a figure is None.
    """

    reference: str
    hypothesis: str
    collar: str
    scored_s: float
    der: float | None
    missed_s: float
    false_alarm_s: float
    confusion_s: float
    ier: float | None
    jer: float | None
    detection_error: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)
