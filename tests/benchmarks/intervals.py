"""Measure how often the 95 % intervals of talk hold the truth, how wide they are, and whom warnings name.

    python tests/benchmarks/intervals.py --speech DIR... --turns DIR... --sounds DIR... --rooms DIR...
        --noise DIR... --work DIR [--seeds 501 601 602] [--conditions NAME...] [--seconds 90]
        [--lab MEETING...] [--check MEETING...] [--fit]

Meetings are made by ``platform_lab`` from the quarter of voices, turns, sounds and rooms that
``fit_speech.py`` leaves out, and kept with what the detector hears in ``--work``. ``--lab`` adds meetings
with ``truth.json``, as another maker made them. A row a condition: of the speakers, how many intervals of
talk and of share hold the truth; of the meetings, how many of the overlap; the median half width of a share
beside the median error, points; speakers off by more than two points that a warning names (caught), that
none names (missed), and named ones that are not off (false); the same of overlaps off by more than 10 %.
Below: windows, pairs, and how often frames of a stated probability are own speech.

``--fit`` first fits the factors of ``core/talk/intervals.py`` to the meetings of ``platform_lab`` and of
``--lab``, prints them and uses them; meetings of ``--check`` are never fitted to. Run it again when the
speech step's networks change, and copy the factors.
"""

import argparse
import os
import pickle
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from platform_lab.conditions import CONDITIONS  # noqa: E402
from platform_lab.material import Material  # noqa: E402
from platform_lab.meeting import make_meeting  # noqa: E402
from speech import opened  # noqa: E402

from recall_audio.core import spans as sp  # noqa: E402
from recall_audio.core.speech.evidence import part_evidence  # noqa: E402
from recall_audio.core.speech.find import join_speech  # noqa: E402
from recall_audio.core.talk.certainty import uncertain_figures  # noqa: E402
from recall_audio.core.talk.doubt import Change, Doubt  # noqa: E402
from recall_audio.core.talk.intervals import (  # noqa: E402
    FITTED,
    IntervalModel,
    Uncertain,
    uncertain_of,
    window_uncertainty,
    with_intervals,
    with_window_intervals,
)
from recall_audio.core.talk.measure import measure_talk, slide_talk  # noqa: E402
from recall_audio.detector import load_detector  # noqa: E402
from recall_audio.detector.ownership import load_ownership  # noqa: E402
from recall_audio.model.alignment import PlacedPart, Track  # noqa: E402
from recall_audio.model.options import SpeechOptions, TalkOptions  # noqa: E402
from recall_audio.model.speech import PartEvidence, SpeechResult  # noqa: E402
from recall_audio.model.talk import Talk, TalkWindow  # noqa: E402
from recall_audio.typing import FloatArray, Spans  # noqa: E402

QUIET = ("plain", "listener", "telephone_one", "phone_one", "nobody", "mix_limiter", "mix_32k", "short_parts")
"""Conditions in which no voice leaks into a track that speaks, and no client changes it much."""
NOT_FITTED = ("gate", "television", "sound_tv", "room_", "same_room")
"""Conditions in which the truth is not in the audio: speech that a gate cut, voices of no participant, people
at one microphone."""
WINDOW = TalkOptions(window_s=30.0, step_s=30.0)
WINDOW_WEIGHT = 0.3
"""Of a window of 30 s in the fit, against a whole meeting."""
OUTSIDE = 0.035
"""Errors beyond the half width on each side. As many are on one side only, or none at all, so that 95 % are
inside in all."""
OFF_SHARE, OFF_OVERLAP = 0.02, 0.1


@dataclass(frozen=True)
class Case:
    """One meeting as it was measured, beside its truth.

    Attributes:
        condition: its condition.
        maker: ``platform_lab`` or ``lab``.
        result: of the speech step.
        found: figures without intervals.
        true: figures of the truth.
        windows: figures in windows, found and true.
        truth: true speech by label.
    """

    condition: str
    maker: str
    result: SpeechResult
    found: Talk
    true: Talk
    windows: tuple[tuple[TalkWindow, ...], tuple[TalkWindow, ...]]
    truth: Mapping[str, Spans]

    @property
    def spans(self) -> dict[str, Spans]:
        """Return the segments found."""
        return dict(self.result.segments)

    @property
    def places(self) -> dict[str, float]:
        """Return no doubt about any place: tracks are placed by the truth."""
        return dict.fromkeys(self.truth, 0.0)

    def with_intervals(self, model: IntervalModel) -> Talk:
        """Return the figures found with their intervals."""
        return with_intervals(self.found, self.spans, self.result.posteriors, self.places, {}, model)

    @property
    def leaked(self) -> dict[str, Spans]:
        """Return the speech that was taken out of each track."""
        return {k: sp.subtract(v, self.spans[k]) for k, v in self.result.raw.items()}

    def with_window_intervals(self) -> tuple[TalkWindow, ...]:
        """Return the windows found with their intervals."""
        speech = self.spans, self.leaked, self.result.posteriors
        return with_window_intervals(self.windows[0], *speech, self.places)

    def stretches(self) -> Iterator[tuple[Uncertain, FloatArray, FloatArray, float]]:
        """Yield what is uncertain, talk found and true, and a weight, of the meeting and of its windows."""
        whole = uncertain_of(self.found, self.spans, self.result.posteriors, self.places, {})
        talk = ([x.speakers[k].talk_s for k in x.over] for x in (self.found, self.true))
        yield whole, *(np.array(t, dtype=np.float64) for t in talk), 1.0
        for window, true in zip(*self.windows, strict=True):
            speech = self.spans, self.leaked, self.result.posteriors
            uncertain = window_uncertainty(window, *speech, np.zeros(len(self.truth)))
            yield uncertain, *(np.array(list(w.talk_s.values())) for w in (window, true)), WINDOW_WEIGHT


def seconds(spans: Mapping[str, Spans]) -> dict[str, list[list[float]]]:
    """Return spans as rows of seconds."""
    return {label: sp.to_seconds(s) for label, s in spans.items()}


def measured(
    name: tuple[str, str],
    tracks: Sequence[Track],
    mix: PlacedPart,
    evidence: Mapping[str, PartEvidence],
    truth: Mapping[str, Spans],
    duration_s: float,
) -> Case:
    """Return one meeting's figures; name is its condition and its maker."""
    result = join_speech(tracks, evidence, duration_s, SpeechOptions(), load_ownership(), mix)
    truth = {label: truth[label] for label in result.segments}
    found, true = seconds(result.segments), seconds(truth)
    whole = (
        measure_talk(found, duration_s, raw_segments=seconds(result.raw)),
        measure_talk(true, duration_s),
    )
    windows = slide_talk(found, duration_s, WINDOW), slide_talk(true, duration_s, WINDOW)
    return Case(*name, result, *whole, windows, truth)


def of_platform_lab(material: Material, condition: str, seed: int, duration_s: float, work: Path) -> Case:
    """Return a meeting of ``platform_lab``, made if it is not there."""
    path = work / f"{condition}-{seed}-{duration_s:.0f}.pkl"
    if not path.exists():
        made = make_meeting(material, condition, seed, duration_s)
        parts = [*(p for t in made.tracks for p in t.parts), made.mix]
        path.write_bytes(pickle.dumps((made, _heard(parts)), 4))
    meeting, evidence = pickle.loads(path.read_bytes())  # noqa: S301
    return measured(
        (condition, "platform_lab"), meeting.tracks, meeting.mix, evidence, meeting.truth, meeting.duration_s
    )


def of_lab(folder: Path) -> Case:
    """Return a meeting of another maker."""
    with tempfile.TemporaryDirectory() as work:
        tracks, truth, duration_s, mix = opened(folder, Path(work))
        tracks = [t for t in tracks if t.parts]
        evidence = _heard([*(p for t in tracks for p in t.parts), mix])
        own = {t.label: truth[t.label] for t in tracks}
        condition = re.sub(r"-\d+$", "", folder.name)
        return measured((condition, "lab"), tracks, mix, evidence, own, duration_s)


def _heard(parts: Iterable[PlacedPart]) -> dict[str, PartEvidence]:
    detector = load_detector()
    return {p.part_id: part_evidence(p.part_id, p.samples, detector) for p in parts}


TALK_NAMES = ("over_low", "run_low"), ("over_high", "missed_high", "run_high", "leaked_high")
"""The factors of the lower and of the upper side of talk."""


def fitted(cases: Sequence[Case]) -> IntervalModel:
    """Return the factors that quantile regression gives on meetings, OUTSIDE of them on each side."""
    known = [c for c in cases if not c.condition.startswith(NOT_FITTED)]
    stretches = [s for case in known for s in case.stretches()]
    uncertain = _joined([s[0] for s in stretches])
    error = np.concatenate([(s[1] - s[2]) / s[0].length_s for s in stretches])
    weight = np.concatenate([np.full(len(s[1]), s[3]) for s in stretches])
    model = FITTED
    for side, sign, names in (("low", 1, TALK_NAMES[0]), ("high", -1, TALK_NAMES[1])):

        def talk_loss(m: IntervalModel, side: str = side, sign: int = sign) -> float:
            return _pinball(sign * error - getattr(replace(uncertain, model=m).talk(), side), weight)

        model = _minimised(model, names, talk_loss)
    model = _minimised(model, ("share",), lambda m: sum(_share_loss(m, c) for c in known))
    return _minimised(model, ("overlap",), lambda m: sum(_overlap_loss(m, c) for c in known))


def _joined(several: Sequence[Uncertain]) -> Uncertain:
    """Return the speakers of several stretches as those of one of a second, each per second of its own."""

    def all_of(pick: Callable[[Uncertain], FloatArray]) -> FloatArray:
        return np.concatenate([pick(u) / u.length_s for u in several])

    def change(u: Uncertain) -> Change:
        return u.doubt.talk

    talk = Change(*(all_of(lambda u, n=f.name: getattr(change(u), n)) for f in fields(Change)))
    nothing = Change(*[np.zeros(0)] * 4)
    return Uncertain(
        talk_s=np.concatenate([u.talk_s for u in several]),
        leaked_s=np.concatenate([u.leaked_s / u.length_s**2 for u in several]),
        edges=all_of(lambda u: u.edges),
        lost_s=all_of(lambda u: u.lost_s),
        place_s=all_of(lambda u: u.place_s),
        length_s=1.0,
        doubt=Doubt(talk, nothing, nothing, nothing, np.zeros(0, dtype=np.int64)),
    )


def _pinball(beyond: FloatArray, weight: FloatArray | float = 1.0) -> float:
    """Return the loss whose minimum leaves OUTSIDE of the errors beyond the half width (Koenker 1978)."""
    return float((weight * np.where(beyond > 0, (1 - OUTSIDE) * beyond, -OUTSIDE * beyond)).sum())


def _share_loss(model: IntervalModel, case: Case) -> float:
    talk = case.with_intervals(model)
    pairs = [(talk.speakers[x], case.true.speakers[x].share_of_talk) for x in talk.over]
    rows = [(s.share_of_talk_low, true, s.share_of_talk_high) for s, true in pairs]
    whole = np.array([r for r in rows if None not in r], dtype=np.float64).reshape(-1, 3)
    return _pinball(whole[:, 0] - whole[:, 1]) + _pinball(whole[:, 1] - whole[:, 2])


def _overlap_loss(model: IntervalModel, case: Case) -> float:
    talk, true_s = case.with_intervals(model), case.true.overlap_s
    low, high = talk.overlap_s_low or 0.0, talk.overlap_s_high or 0.0
    return (_pinball(np.array([low - true_s])) + _pinball(np.array([true_s - high]))) / talk.duration_s


def _minimised(
    start: IntervalModel, names: Sequence[str], loss: Callable[[IntervalModel], float]
) -> IntervalModel:
    """Return a model with the named factors, above 0, at the loss's minimum."""
    from scipy.optimize import minimize

    def of(logs: FloatArray) -> IntervalModel:
        return replace(start, **{n: round(float(np.exp(x)), 3) for n, x in zip(names, logs, strict=True)})

    first = np.log([max(getattr(start, name), 0.05) for name in names])
    simplex = np.vstack([first, first + 0.7 * np.eye(len(names))])
    how = {"initial_simplex": simplex, "xatol": 0.01, "fatol": 1e-6}
    return of(minimize(lambda x: loss(of(x)), first, method="Nelder-Mead", options=how).x)


@dataclass(frozen=True)
class Row:
    """One meeting's counts."""

    talk: list[bool]
    share: list[bool]
    overlap: bool
    half: list[float]
    error: list[float]
    caught: int
    missed: int
    false: int
    overlap_case: str


def scored(case: Case, model: IntervalModel) -> Row:
    """Return how one meeting's intervals and warnings did."""
    talk, true = case.with_intervals(model), case.true
    held: dict[str, list[bool]] = {"talk_s": [], "share_of_talk": []}
    half, error, off = [], [], set()
    for label in talk.over:
        s, t = talk.speakers[label], true.speakers[label]
        for name, found in held.items():
            low, value, high = (
                getattr(x, n) for x, n in ((s, f"{name}_low"), (t, name), (s, f"{name}_high"))
            )
            if None not in (low, value, high):
                found.append(low - 1e-9 <= value <= high + 1e-9)
        if s.share_of_talk is not None and t.share_of_talk is not None:
            half.append(50 * ((s.share_of_talk_high or 0.0) - (s.share_of_talk_low or 0.0)))
            error.append(100 * abs(s.share_of_talk - t.share_of_talk))
            off |= {label} if error[-1] > 100 * OFF_SHARE else set()
    warned = {u.label for u in uncertain_figures(talk)}
    is_off = abs(talk.overlap_s - true.overlap_s) > max(OFF_OVERLAP * true.overlap_s, 0.5)
    word = {(True, True): "caught", (True, False): "missed", (False, True): "false"}.get(
        (is_off, "" in warned), ""
    )
    inside = (talk.overlap_s_low or 0.0) - 1e-9 <= true.overlap_s <= (talk.overlap_s_high or 0.0) + 1e-9
    named = warned - {""}
    counts = len(off & named), len(off - named), len(named - off)
    return Row(held["talk_s"], held["share_of_talk"], inside, half, error, *counts, word)


HEADS = (
    "condition",
    "talk %",
    "share %",
    "overlap",
    "half",
    "error",
    "caught",
    "missed",
    "false",
    "overlap warned",
)


def print_rows(title: str, rows: Mapping[str, Sequence[Row]]) -> None:
    """Print a row a condition and one for all."""
    print(f"\n{title}\n{HEADS[0]:<24}" + "".join(f"{h:>9}" for h in HEADS[1:]))
    for name, several in {**rows, "all": [r for x in rows.values() for r in x]}.items():
        talk, share, half, error = (
            np.concatenate([np.asarray(getattr(r, k), dtype=float) for r in several])
            for k in ("talk", "share", "half", "error")
        )
        counts = [sum(getattr(r, k) for r in several) for k in ("caught", "missed", "false")]
        words = [sum(r.overlap_case == w for r in several) for w in ("caught", "missed", "false")]
        overlaps = f"{sum(r.overlap for r in several)}/{len(several)}"
        print(
            f"{name:<24}{100 * _mean(talk):9.1f}{100 * _mean(share):9.1f}"
            f"{overlaps:>9}{_median(half):9.2f}{_median(error):9.2f}"
            + "".join(f"{c:9d}" for c in counts)
            + "{:8d}/{}/{}".format(*words)
        )


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if len(values) else np.nan


def print_windows_and_pairs(cases: Sequence[Case], model: IntervalModel) -> None:
    """Print how often the intervals of windows and pairs hold the truth."""
    held: dict[str, list[bool]] = {"talk in windows": [], "overlap in windows": [], "overlap of pairs": []}
    for case in cases:
        for found, true in zip(case.with_window_intervals(), case.windows[1], strict=True):
            low, high = found.overlap_s_low or 0.0, found.overlap_s_high or 0.0
            held["overlap in windows"].append(low <= true.overlap_s + 1e-9 and true.overlap_s <= high + 1e-9)
            for label, talk_s in true.talk_s.items():
                low, high = found.talk_s_low[label] or 0.0, found.talk_s_high[label] or 0.0
                held["talk in windows"].append(low - 1e-9 <= talk_s <= high + 1e-9)
        for pair, one in zip(case.with_intervals(model).pairs, case.true.pairs, strict=True):
            value = one.overlap_s or 0.0
            inside = (pair.overlap_s_low or 0.0) - 1e-9 <= value <= (pair.overlap_s_high or 0.0) + 1e-9
            held["overlap of pairs"].append(inside)
    for name, values in held.items():
        print(f"{name:<24}{100 * np.mean(values):9.1f} % of {len(values)}")


def print_reliability(cases: Sequence[Case]) -> None:
    """Print how often frames of a stated probability are own speech."""
    stated, own = [], []
    for case in cases:
        for label, row in case.result.posteriors.items():
            stated.append(row / 255)
            own.append(sp.to_mask(case.truth[label], 320, len(row)))
    p, is_own = np.concatenate(stated), np.concatenate(own)
    cell = np.minimum((p * 10).astype(int), 9)
    print("\nstated probability, share that is own speech, frames")
    for k in range(10):
        if (there := cell == k).any():
            print(f"{p[there].mean():.2f}  {is_own[there].mean():.2f}  {np.count_nonzero(there)}")


def _by_condition(cases: Sequence[Case], model: IntervalModel) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for case in cases:
        rows.setdefault(case.condition, []).append(scored(case, model))
    return rows


def main() -> None:
    """Measure, fit if asked to, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for kind in ("speech", "turns", "sounds", "rooms", "noise", "lab", "check"):
        parser.add_argument(f"--{kind}", type=Path, nargs="*", default=[])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[501, 601, 602])
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--fit", action="store_true")
    a = parser.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    material = Material.of(a.speech, a.turns, a.sounds, a.rooms, a.noise).part(left_out=True)
    cases = [
        of_platform_lab(material, name, seed, a.seconds, a.work) for name in a.conditions for seed in a.seeds
    ]
    others, left_out = ([of_lab(folder) for folder in folders] for folders in (a.lab, a.check))
    model = fitted([*cases, *others]) if a.fit else FITTED
    print(", ".join(f"{k}={v:g}" for k, v in zip(IntervalModel.__slots__, astuple(model), strict=True)))
    titles = "meetings of platform_lab", "meetings of another maker", "meetings that were not fitted to"
    for title, group in zip(titles, (cases, others, left_out), strict=True):
        if group:
            rows = _by_condition(group, model)
            print_rows(title, rows)
            quiet = [r for name, several in rows.items() if name in QUIET for r in several]
            print_rows("quiet ones of them", {"quiet": quiet})
            print_windows_and_pairs(group, model)
            print_reliability(group)


if __name__ == "__main__":
    main()
