"""What leaked where, said in a table and in sentences; and tracks that are one person twice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.core.speech.frames import closed, db
from recall_audio.core.speech.leakage_paths import GAIN_FRAMES, Path
from recall_audio.core.speech.leakage_removal import Era, Seen, power_above_background
from recall_audio.model.outcome import Finding
from recall_audio.model.speech import Leak, LeakWindow
from recall_audio.typing import Spans
from recall_audio.units import RATE_HZ

_ALIKE = 0.8
_FEWEST_FRAMES = 300
_STEADY_DB = 10.0
_CHANCE_DB, _SURE_DB, _SHADOW = 15.0, 27.0, 0.3
_DECIDES_SHARE, _DECIDES_S = 0.1, 2.0

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """One path as it was in one era, and where that era lies.

    Attributes:
        seen: the path, its gains by window.
        first_s: start of the era on the mix's clock.
        inner_s: the stretch of the era that counts, without its margins.
    """

    seen: Seen
    first_s: float
    inner_s: tuple[float, float]

    def windows(self) -> list[LeakWindow]:
        """Ten-second windows in which the source spoke for long enough to tell."""
        found = []
        for i, (gain, alike) in enumerate(zip(self.seen.gain, self.seen.alike, strict=True)):
            start_s = self.first_s + i * GAIN_FRAMES / 100
            if np.isfinite(gain) and gain > 0 and self.inner_s[0] <= start_s < self.inner_s[1]:
                level_db = self.seen.gain_db + 20 * float(np.log10(gain))
                found.append(LeakWindow(round(start_s, 2), round(level_db, 2), round(float(alike), 3)))
        return found


def leaks_of(observed: Iterable[Observed]) -> tuple[Leak, ...]:
    """One leak for each ordered pair of tracks, over the whole meeting.

    The gain is the median over the windows, the delay that of the era in which the path stands out most.
    """
    by_pair: dict[Pair, list[Observed]] = {}
    for o in observed:
        by_pair.setdefault((o.seen.source, o.seen.listener), []).append(o)
    leaks = []
    best = {pair: max(several, key=lambda o: o.seen.path.peak_db) for pair, several in by_pair.items()}
    for (source, listener), several in sorted(by_pair.items()):
        windows = [w for o in several for w in o.windows()]
        if not windows:
            continue
        path = best[source, listener].seen.path
        back = best.get((listener, source))
        leaks.append(
            Leak(
                source,
                listener,
                gain_db=round(float(np.median([w.gain_db for w in windows])), 2),
                delay_ms=round(path.delay_ms, 3),
                certainty=round(_certainty(path, back.seen.path if back else None), 3),
                windows=tuple(windows),
            )
        )
    return tuple(leaks)


def _certainty(path: Path, back: Path | None) -> float:
    """How sure a path is: 0 where its peak is what chance gives, 1 from 27 dB over the background on.

    A leak from i to j has a shadow from j to i at the opposite delay, because the voice is in both tracks;
    the weaker of such a pair is hardly a path of its own.
    """
    sure = float(np.clip((path.peak_db - _CHANCE_DB) / (_SURE_DB - _CHANCE_DB), 0, 1))
    if back is not None and abs(back.delay_ms + path.delay_ms) < 1.0 and back.peak_db > path.peak_db:
        return sure * _SHADOW
    return sure


def twins(era: Era, threshold: float) -> set[Pair]:
    """Tracks that hold the same speech, and nobody else's track holds it louder: one person, two devices.

    Two listeners who both hear a third are alike as well; but there the third is the loudest.
    """
    speaking = {k: closed(p >= threshold, 20) for k, p in era.probability.items()}
    above = {k: power_above_background(era, k) for k in speaking}
    found = set()
    for a, b in combinations(sorted(speaking), 2):
        both, either = speaking[a] & speaking[b], speaking[a] | speaking[b]
        n_both = np.count_nonzero(both)
        if n_both < _FEWEST_FRAMES or n_both < _ALIKE * np.count_nonzero(either):
            continue
        rivals = [above[k] for k in above if k not in (a, b)]
        theirs = np.maximum(above[a], above[b])
        louder = theirs >= np.max(rivals, axis=0) if rivals else np.ones_like(both)
        # Where two people leak into each other's tracks the ratio swings with who speaks; here it stays.
        ratio_db = db((above[a][both] + 1e-12) / (above[b][both] + 1e-12))
        swing_db = float(np.subtract(*np.percentile(ratio_db, (90, 10))))
        if np.mean(louder[both]) > _ALIKE and swing_db < _STEADY_DB:
            found.add((a, b))
    return found


def barred_pairs(pairs: Iterable[Pair]) -> set[Pair]:
    """Both directions of each pair: neither track is taken for the other's leak."""
    return {p for a, b in pairs for p in ((a, b), (b, a))}


def findings_of(
    segments: Mapping[str, Spans],
    raw: Mapping[str, Spans],
    leaks: Sequence[Leak],
    pairs: Iterable[Pair],
) -> tuple[Finding, ...]:
    """What a reader of the talk figures should know about leakage, in sentences."""
    found = []
    for label, heard in raw.items():
        kept_s, heard_s = (sp.total(s) / RATE_HZ for s in (segments[label], heard))
        gone_s = sp.total(sp.subtract(heard, segments[label])) / RATE_HZ
        if gone_s > _DECIDES_S and gone_s > _DECIDES_SHARE * heard_s:
            sources = sorted({leak.source for leak in leaks if leak.listener == label})
            whose = f" ({', '.join(sources)})" if sources else ""
            found.append(
                Finding(
                    "leakage_decides",
                    f"{gone_s:.0f} s of the speech heard in this track is others' voices{whose} and was "
                    f"taken out: {kept_s:.0f} s are the participant's own.",
                    where=label,
                )
            )
    found += [
        Finding(
            "same_person_twice",
            f"{a} and {b} say the same at the same time: one person on two devices, most likely; "
            "their talk is counted twice.",
            where=a,
        )
        for a, b in sorted(pairs)
    ]
    return tuple(found)
