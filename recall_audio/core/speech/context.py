"""Gather what a first guess of the owners tells about each frame: voice, loudness, pauses, others.

The first network guesses the owner from evidence of the moment. Here that guess is looked at over time: how
loud the participant's surely own speech is, how it sounds against what leaks into the same track, where the
next own speech is, and what the other tracks' guesses are at their lag.
"""

from collections.abc import Sequence

import numpy as np

from recall_audio.core.speech.features import Columns, Evidence
from recall_audio.core.speech.filters import distances, highest, log_odds, mean, mean_or_zero, near
from recall_audio.core.speech.frames import FRAMES_PER_S, TrackFrames
from recall_audio.typing import BoolArray, Float32Array

_SURE_OWN, _SURE_OTHER, _HEARD = 0.85, 0.15, 0.6
_FEWEST_SURE = 30  # frames: 0.6 s
_MOST_SURE_S = 12.0
_FEWEST_TO_LEARN = 100
_CEPSTRA = 13
_LOCAL_FRAMES = 301  # 6 s
_LEAST_LOCAL = 0.02
_PAUSE_LIMIT = 40  # frames: 0.8 s; pauses beyond are long
_PART_OF_RANGE = 0.35


def context(evidence: Sequence[Evidence], owner: Sequence[Float32Array]) -> list[Float32Array]:
    """Return the second network's further columns, for the candidate rows of each track.

    Args:
        evidence: every track's.
        owner: every track's first guess, shape (n,), 0 to 1, 0 outside of candidates.
    """
    guesses = np.stack(owner)
    widened = highest(guesses.T, 5).T
    found = []
    for k, one in enumerate(evidence):
        columns = _of_one(one.frames, guesses[k])
        columns |= _of_others(one, k, guesses, widened)
        missing = {f"{name}_unknown": np.isnan(columns[name]) for name in _MAY_BE_UNKNOWN}
        columns |= {name: mask.astype(np.float32) for name, mask in missing.items()}
        found.append(np.stack([c[one.rows] for c in columns.values()], axis=1).astype(np.float32))
    return found


_MAY_BE_UNKNOWN = ("level_over_own_median_db", "level_over_own_nearby_db", "full_over_own_nearby_db", "voice")


def _of_one(t: TrackFrames, owner: Float32Array) -> Columns:
    odds = np.where(t.candidate, log_odds(owner, 0.003), np.float32(-6)).astype(np.float32)
    smooth = mean(owner, 5)
    heard = t.probability > _HEARD
    own, other = (smooth > _SURE_OWN) & heard, (smooth < _SURE_OTHER) & heard
    n_own = np.count_nonzero(own)
    columns = {f"owner_{width * 20}ms": mean(odds, width) for width in (1, 5, 25, 101, 251)}
    columns["sure_s"] = np.full(t.n, np.log1p(min(n_own / FRAMES_PER_S, _MOST_SURE_S)), dtype=np.float32)
    columns["sure_nearby"] = np.minimum(mean(own.astype(np.float32), 501) * 10, 2)
    columns["mostly_own_1s"] = mean((owner > 0.5).astype(np.float32), 51)
    columns |= _levels(t, own if n_own > _FEWEST_SURE else None)
    columns |= _nearby_levels(t, own)
    columns["voice"] = _voice(t, own, other)
    columns |= _pauses(owner > 0.5, "owner")
    part = np.nan_to_num(columns["part_of_own_range"], nan=0.4)
    columns |= _pauses((owner > 0.25) & (part > _PART_OF_RANGE), "loud")
    return columns


def _levels(t: TrackFrames, own: BoolArray | None) -> Columns:
    """Return levels against those of surely own speech; NaN where there is too little of it."""
    unknown = float("nan")
    median = loud = full_median = full_loud = full_low = unknown
    if own is not None:
        median, loud = (float(x) for x in np.percentile(t.level_db[own], (50, 95)))
        full_median, full_loud = (float(x) for x in np.percentile(t.full_db[own], (50, 95)))
        full_low = float(np.percentile(t.full_db[near(own, 12) & t.present], 3))
    level, full = mean(t.level_db, 3), t.full_db
    spread = max(full_loud - full_low, 6.0) if own is not None else 1.0
    columns = {
        "level_over_own_median_db": np.clip(level - median, -40, 20),
        "level_over_own_loud_db": np.clip(level - loud, -40, 20),
        "full_over_own_median_db": np.clip(full - full_median, -50, 20),
        "full_over_own_loud_db": np.clip(full - full_loud, -50, 20),
        "part_of_own_range": np.clip((full - full_low) / spread, -1, 2),
    }
    return {name: np.asarray(values, dtype=np.float32) for name, values in columns.items()}


def _nearby_levels(t: TrackFrames, own: BoolArray) -> Columns:
    """Return levels against surely own speech within 3 s; NaN where there is none."""
    weight = own.astype(np.float32)
    share = mean_or_zero(weight, _LOCAL_FRAMES)
    columns = {}
    for name, values in (("level", t.level_db), ("full", t.full_db)):
        nearby = mean_or_zero(weight * values, _LOCAL_FRAMES) / np.maximum(share, 1e-6)
        shown = mean(values, 3) if name == "level" else values
        over = np.where(share > _LEAST_LOCAL, np.clip(shown - nearby, -50, 20), np.float32(np.nan))
        columns[f"{name}_over_own_nearby_db"] = over.astype(np.float32)
    return columns


def _voice(t: TrackFrames, own: BoolArray, other: BoolArray) -> Float32Array:
    """Return a linear discriminant of surely own speech against leaks, over cepstra (Fisher 1936).

    NaN where either is too short to learn from.
    """
    import scipy.fft

    if min(np.count_nonzero(own), np.count_nonzero(other)) <= _FEWEST_TO_LEARN:
        return np.full(t.n, np.nan, dtype=np.float32)
    cepstra = scipy.fft.dct(t.floored_db, axis=1, norm="ortho")[:, 1 : _CEPSTRA + 1]
    a, b = cepstra[own], cepstra[other]
    spread = np.cov(a.T) + np.cov(b.T)
    spread += np.eye(_CEPSTRA) * np.trace(np.cov(a.T)) * 0.02
    direction = np.linalg.solve(spread, a.mean(axis=0) - b.mean(axis=0))
    score = cepstra @ direction - (a.mean(axis=0) + b.mean(axis=0)) @ direction / 2
    smooth = mean(np.where(t.probability > 0.3, score, 0).astype(np.float32), 25)
    return np.asarray(np.clip(smooth / max(float(np.std(score)), 1e-6), -4, 4), dtype=np.float32)


def _pauses(active: BoolArray, name: str) -> Columns:
    since, until = distances(active, _PAUSE_LIMIT)
    pause = np.sqrt(np.minimum(since + until, _PAUSE_LIMIT))
    return {f"{name}_since": np.sqrt(since), f"{name}_until": np.sqrt(until), f"{name}_pause": pause}


def _of_others(one: Evidence, k: int, guesses: Float32Array, widened: Float32Array) -> Columns:
    """Return what the other tracks' owners are guessed to do: at the best source's lag, and now."""
    n = one.frames.n
    others = np.arange(len(guesses)) != k
    if not others.any():
        zero = np.zeros(n, dtype=np.float32)
        return dict.fromkeys(("best_owner", "others_owner", "others_owner_sum", "others_owner_800ms"), zero)
    at = np.clip(np.arange(n) - one.lag, 0, n - 1)
    now = widened[others].max(axis=0)
    return {
        "best_owner": widened[np.maximum(one.best, 0), at],
        "others_owner": now,
        "others_owner_sum": guesses[others].sum(axis=0),
        "others_owner_800ms": highest(now, 41),
    }
