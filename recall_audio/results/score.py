"""Score the speech found on the tracks against the platform's speaker timeline, or an RTTM file.

::

    reference     |--------- Ann ---------|   |---- Bob ----|
    collar       ±|                      ±|  ±|            ±|      left out: half of pyannote's `collar`
    hypothesis       |------ Ann ------|         |---- Ann ---|
                  missed            missed        confusion   false alarm

Measured by pyannote.metrics (Bredin, Interspeech 2017), whose ``collar`` is the total width around an edge:
here a collar is always given as the ± of one side. JER: Ryant et al., DIHARD II, Interspeech 2019.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recall_audio.errors import ItemError, UsageError, missing_extra
from recall_audio.export.tables import cells_of, columns_of
from recall_audio.files import read_json
from recall_audio.model.figures import Figures
from recall_audio.pipeline.documents import Documents, Layout, labels_by_id, need, read_documents
from recall_audio.results.records import Table

if TYPE_CHECKING:
    from pyannote.core import Annotation


@dataclass(frozen=True, slots=True)
class Score(Figures):
    """One annotation (the hypothesis) scored against another (the reference), under one collar.

    Attributes:
        reference: name of the annotation that counts as true.
        hypothesis: name of the annotation that is scored.
        collar: time left out around each of the reference's edges, on both sides: ``±250 ms``.
        scored_s: the reference's speech outside the collars, each speaker counted.
        der: diarization error rate: (missed + false alarm + confusion) / scored, under the best one-to-one
            mapping of speakers; may exceed 1.
        missed_s: speech of the reference that the hypothesis lacks, seconds.
        false_alarm_s: speech of the hypothesis that the reference lacks, seconds.
        confusion_s: speech attributed to another speaker, seconds.
        ier: identification error rate: the same with speakers compared by their own labels.
        jer: Jaccard error rate: the mean over the reference's speakers of 1 − intersection / union.
        detection_error: (missed + false alarm) / speech, of whether any person speaks.
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


TIMELINE = "speaker-timeline"
COLLARS_MS = (0.0, 250.0)
"""No collar, and the ±250 ms of most published scores."""

Segments = Mapping[str, Sequence[Sequence[float]]]
NamedSegments = tuple[str, Segments]
Role = Literal["reference", "hypothesis"]


def score_recording(
    folder: Path,
    against: str,
    role: Role | None = None,
    collars_ms: Sequence[float] = COLLARS_MS,
    *,
    skip_overlap: bool = False,
) -> list[Score]:
    """Score a processed recording, once for each collar.

    Args:
        folder: the recording's folder.
        against: ``speaker-timeline``, or the path of an RTTM file.
        role: the role of `against`. None makes an RTTM file the reference for our segments, and the
            platform's timeline a hypothesis against our segments.
        collars_ms: time left out on each side of the reference's edges.
        skip_overlap: leave out where the reference has several speakers.

    Raises:
        UsageError: there is no such file.
        ItemError: the recording has no segments or no timeline; the file is no RTTM.
        MachineError: the extra ``score`` is not installed.
    """
    _check_installed()
    documents = read_documents(folder)
    duration_s = float(need(documents, "alignment")["mix"]["duration_s"])
    ours: Segments = need(documents, "segments")["speakers"]
    timeline = against == TIMELINE
    theirs = timeline_segments(folder, documents, duration_s) if timeline else read_rttm(Path(against))
    name = TIMELINE if timeline else Path(against).name
    pair: tuple[NamedSegments, NamedSegments] = ("segments", ours), (name, theirs)
    if (role or ("hypothesis" if timeline else "reference")) == "reference":
        pair = pair[1], pair[0]
    return [score(*pair, duration_s, collar_ms, skip_overlap=skip_overlap) for collar_ms in collars_ms]


def score(
    reference: NamedSegments,
    hypothesis: NamedSegments,
    duration_s: float,
    collar_ms: float = 0.0,
    *,
    skip_overlap: bool = False,
) -> Score:
    """Score one annotation against another, under one collar.

    Each is a name and label to rows ``[[start_s, end_s], ...]``.
    """
    from pyannote.core import Segment, Timeline
    from pyannote.metrics.detection import DetectionErrorRate
    from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate
    from pyannote.metrics.identification import IdentificationErrorRate

    annotations = _annotation(reference[1]), _annotation(hypothesis[1])
    whole = Timeline([Segment(0.0, duration_s)])
    settings = {"collar": 2.0 * collar_ms / 1000.0, "skip_overlap": skip_overlap}

    def parts(metric: type) -> dict[str, float]:
        return dict(metric(**settings)(*annotations, uem=whole, detailed=True))

    der, detection = parts(DiarizationErrorRate), parts(DetectionErrorRate)
    scored_s = der["total"]
    rates: dict[str, float | None] = dict.fromkeys(_RATES)
    if scored_s > 0:
        rates = {
            "der": der["diarization error rate"],
            "ier": parts(IdentificationErrorRate)["identification error rate"],
            "jer": parts(JaccardErrorRate)["jaccard error rate"],
            "detection_error": detection["detection error rate"],
        }
    return Score(
        reference=reference[0],
        hypothesis=hypothesis[0],
        collar=f"±{collar_ms:g} ms",
        scored_s=round(scored_s, 3),
        missed_s=round(der["missed detection"], 3),
        false_alarm_s=round(der["false alarm"], 3),
        confusion_s=round(der["confusion"], 3),
        reasons={} if scored_s > 0 else dict.fromkeys(_RATES, NO_SPEECH),
        **{name: None if rate is None else round(float(rate), 4) for name, rate in rates.items()},
    )


_RATES = ("der", "ier", "jer", "detection_error")
NO_SPEECH = "the reference has no speech to score"


def timeline_segments(folder: Path, documents: Documents, duration_s: float) -> dict[str, list[list[float]]]:
    """Return the platform's active-speaker events as segments by label, for all labels.

    An event without an end lasts until the next one begins.

    Raises:
        ItemError: the API had no timeline of this recording.
    """
    path = Layout(folder).source / "speaker_timeline.json"
    rows = read_json(path, "speaker_timeline")["timeline"] if path.is_file() else []
    if not rows:
        raise ItemError(
            "There is no speaker timeline of this recording.",
            "The platform gave none; or the recording was fetched before it was ready: fetch it again.",
            code="no_timeline",
        )
    rows.sort(key=lambda row: float(row["start_s"]))
    labels = labels_by_id(documents)
    found: dict[str, list[list[float]]] = {label: [] for label in labels.values()}
    starts = [row["start_s"] for row in rows[1:]] + [duration_s]
    for row, following_s in zip(rows, starts, strict=True):
        label = labels.get(row["participant_id"], f"participant_{row['participant_id']}")
        end_s = following_s if row["end_s"] is None else row["end_s"]
        if end_s > row["start_s"]:
            found.setdefault(label, []).append([row["start_s"], end_s])
    return found


def read_rttm(path: Path) -> dict[str, list[list[float]]]:
    """Read an RTTM file of one recording as segments by speaker.

    Raises:
        UsageError: there is no such file.
        ItemError: it is no RTTM, or holds several recordings.
    """
    from pyannote.database.util import load_rttm

    if not path.is_file():
        raise UsageError(f"{path} does not exist.", f"Give {TIMELINE}, or the path of an RTTM file.")
    try:
        held = load_rttm(path)  # type: ignore[no-untyped-call,unused-ignore]
        held = {uri: a for uri, a in held.items() if a and _is_finite(a)}
    except (ValueError, TypeError, KeyError, OSError):
        held = {}
    if len(held) != 1:
        what = f"holds {len(held)} recordings" if held else "cannot be read as RTTM"
        hint = "Expected lines `SPEAKER file 1 onset duration <NA> <NA> name <NA> <NA>` of one file."
        raise ItemError(f"{path} {what}.", hint, code="not_rttm")
    (annotation,) = held.values()
    found: dict[str, list[list[float]]] = {}
    for segment, _, label in annotation.itertracks(yield_label=True):
        found.setdefault(str(label), []).append([segment.start, segment.end])
    return found


def _is_finite(annotation: "Annotation") -> bool:
    """Return whether all times are finite.

    pandas fills missing fields of a line with NaN, and not every version of pyannote drops such rows.
    """
    return all(isfinite(segment.start + segment.end) for segment in annotation.itersegments())


def _annotation(segments: Segments) -> "Annotation":
    """Return segments as an annotation, a speaker's overlapping rows joined: a speaker has one voice."""
    from pyannote.core import Annotation, Segment, Timeline

    annotation = Annotation()
    for label, rows in segments.items():
        held: Timeline = Timeline([Segment(a, b) for a, b in rows]).support()
        for i, segment in enumerate(held):
            annotation[segment, f"{label}-{i}"] = label
    return annotation


def _check_installed() -> None:
    try:
        import pyannote.metrics  # noqa: F401
    except ImportError:
        raise missing_extra("A score needs pyannote.metrics", "score", code="no_scorer") from None


def scores_table(scores: Sequence[Score]) -> Table:
    """Return the scores as a table, a row a score, the reasons for missing figures last."""
    return list(columns_of(Score)), [cells_of(s) for s in scores]
