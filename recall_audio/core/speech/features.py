"""Gather what decides on the owner of each frame: a track by itself, and against every other.

Columns stand in the order that the fitted networks were trained with. Of several sources four are looked at:
the one most alike (``best_``), the one that follows the listener most clearly (``early_``), the one that
coincides with it most (``same_``), and what the mix holds beyond all tracks (``rest_``). A fifth is the mix
itself (``mix_``): it coincides with a sound's owner, and comes before or after what leaked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.speech.frames import (
    FRAMES_PER_S,
    HIGH_BAND,
    N_BANDS,
    TrackFrames,
    distances,
    log_odds,
    mean_or_zero,
    near,
)
from recall_audio.core.speech.likeness import AT, COLUMNS, Pair, compare, excess_over, likeness_score
from recall_audio.core.speech.mixed import MixFrames
from recall_audio.core.transforms import sliding_highest, sliding_lowest, sliding_mean
from recall_audio.typing import BoolArray, Float32Array, IntArray

Columns = dict[str, Float32Array]

_EARLY = (
    "early_now_lag", "late_long", "early_long", "snr_difference_db", "source_likely", "source_snr_db",
    "width_difference", "brightness_difference_db", "liveliness_difference_db",
)  # fmt: skip
_REST = (
    "late_now", "same_now", "early_now", "late_long", "late_short", "snr_difference_db", "slow_gain_db",
    "gain_change_db", "excess_db", "source_likely", "source_snr_db", "explained_share",
)  # fmt: skip
_MIX = (
    "late_now", "late_now_lag", "same_now", "early_now", "early_now_lag", "late_long", "late_long_lag",
    "early_long", "late_short", "same_short", "snr_difference_db", "slow_gain_db", "gain_change_db",
    "excess_db",
)  # fmt: skip
_AVERAGED = (
    "best_late_now", "best_same_now", "best_late_short", "best_late_long", "best_early_long",
    "best_excess_db", "early_early_now", "same_same_now", "excess_db", "excess_share", "excess_rest_db",
    "over_others_db", "best_snr_difference_db", "rest_late_now", "snr_db", "likely_180ms",
    "best_width_difference", "best_brightness_difference_db", "same_width_difference",
    "early_width_difference", "mix_late_now", "mix_same_now", "mix_early_now", "repeats", "mix_over_db",
)  # fmt: skip
_AVERAGES = (25, 101)  # frames: 0.5 s and 2 s
_NOT_ACTIVE_WEIGHT = 0.05
_UNKNOWN_DB = -200.0
_CLEAR_DB, _LEAST_CLEAR, _CLEARLY = 6.0, 0.05, 0.2
_FIRST_REPEAT, _LAST_REPEAT, _REPEAT_FRAMES = 6, 21, 51


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of one listener's candidates before their owner is decided.

    Attributes:
        frames: the track.
        rows: indices of its candidate frames, shape (m,).
        features: shape (m, number of columns).
        best: index of the source most alike in the list of tracks, shape (n,); −1 without sources.
        lag: its lag in frames, shape (n,).
        pairs: by index of the source, shape (n, 3): likeness, lag in frames, gain in dB; for the report.
    """

    frames: TrackFrames
    rows: IntArray
    features: Float32Array
    best: IntArray
    lag: IntArray
    pairs: dict[int, Float32Array]


def gather(tracks: Sequence[TrackFrames], k: int, mix: MixFrames | None) -> Evidence:
    """Return the evidence of track `k` against all others.

    Args:
        tracks: the same n frames of every track that may hold a voice.
        k: the listener.
        mix: the same frames of the mix, if there is one.
    """
    listener = tracks[k]
    sources = [j for j in range(len(tracks)) if j != k]
    pairs = {j: compare(listener, tracks[j]) for j in sources}
    columns = _by_itself(listener)
    best, lag = _against_all(columns, tracks, k, pairs)
    left = compare(listener, mix.rest) if mix is not None else None
    whole = compare(listener, mix.whole) if mix is not None else None
    columns |= _named("rest", _REST, listener.n, left) | _named("mix", _MIX, listener.n, whole)
    columns |= _against_mix(listener, mix)
    _excess(columns, listener, [p.explained_db for p in pairs.values()], left)
    _averages(columns, listener.probability)
    rows = np.flatnonzero(listener.candidate)
    features = np.stack([values[rows] for values in columns.values()], axis=1).astype(np.float32)
    told = [AT["late_short"], AT["late_long_lag"], AT["slow_gain_db"]]
    kept = {j: p.columns[:, told] for j, p in pairs.items()}
    return Evidence(listener, rows, features, best, lag, kept)


def _by_itself(t: TrackFrames) -> Columns:
    p, snr, full = t.probability, t.snr_db, t.full_db
    sounding = full[full > -95]
    floor_db = np.percentile(sounding, 10) if len(sounding) else 0.0
    over_db = t.bands_db - t.floor_db[:N_BANDS]
    nearby = sliding_highest(sliding_mean(snr, 5), 151)
    level = np.clip(t.level_db, -100, 0)
    return {
        "detector": log_odds(p, 0.004),
        "likely_180ms": sliding_mean(p, 9),
        "likely_1500ms": sliding_mean(p, 75),
        "highest_500ms": sliding_highest(p, 51),
        "highest_1400ms": sliding_highest(p, 141),
        "lowest_260ms": sliding_lowest(p, 13),
        "snr_db": snr,
        "local_snr_db": t.local_snr_db,
        "under_nearby_db": snr - nearby,
        "under_close_db": snr - sliding_highest(sliding_mean(snr, 5), 51),
        "nearby_snr_db": nearby,
        "rise_db": sliding_mean(level, 3) - np.roll(sliding_mean(level, 3), 5),
        "low_snr_db": np.clip(t.spectrum_db[:, N_BANDS] - t.floor_db[N_BANDS], -5, 40),
        "bands_snr_db": np.clip(over_db, 0, 15).mean(axis=1),
        "high_snr_db": np.clip(over_db[:, HIGH_BAND:], 0, 15).mean(axis=1),
        "width": (over_db > 8).mean(axis=1),
        "full_snr_db": np.clip(full - floor_db, -5, 60),
        "full_under_nearby_db": np.clip(full - sliding_highest(full, 151), -60, 0),
        "full_under_highest_db": np.clip(full - sliding_highest(full, 601), -60, 0),
        "full_over_mean_db": np.clip(full - sliding_mean(full, 25), -30, 30),
        "above_4khz_db": np.clip(full - t.level_db, -10, 30),
        "spectrum_spread_db": np.clip(t.floored_db.std(axis=1), 0, 20),
        "liveliness_db": np.sqrt(t.energy / N_BANDS),
        "repeats": _repeats(t),
    }


def _repeats(t: TrackFrames) -> Float32Array:
    """Return how alike the pattern is to itself 0.12 to 0.4 s before, over 1 s: laughter and beats repeat."""
    energy = mean_or_zero(t.energy, _REPEAT_FRAMES)
    found = np.zeros(t.n, dtype=np.float32)
    product = np.zeros(t.n, dtype=np.float32)
    for lag in range(_FIRST_REPEAT, min(_LAST_REPEAT, t.n - 1)):
        np.einsum("tb,tb->t", t.pattern[lag:], t.pattern[:-lag], out=product[lag:])
        product[:lag] = 0
        np.maximum(found, mean_or_zero(product, _REPEAT_FRAMES), out=found)
    return np.asarray(found / np.maximum(energy, np.float32(1)))


def _against_all(
    columns: Columns, tracks: Sequence[TrackFrames], k: int, pairs: dict[int, Pair]
) -> tuple[IntArray, IntArray]:
    """Add the columns of the sources chosen; return the best source and its lag."""
    t = tracks[k]
    sources = np.array(list(pairs), dtype=np.int64)
    n, at = t.n, np.arange(t.n)
    if not len(sources):
        zero = np.zeros(n, dtype=np.float32)
        columns |= dict.fromkeys(_names_of_sources(), zero)
        return np.full(n, -1), np.zeros(n, dtype=np.int64)
    stacked = np.stack([p.columns for p in pairs.values()])
    score = likeness_score(stacked)
    top = np.argmax(score, axis=0)
    best = stacked[top, at]
    columns |= {f"best_{name}": best[:, i] for i, name in enumerate(COLUMNS)}
    first = np.argmax(stacked[:, :, AT["early_now"]], axis=0)
    early = stacked[first, at]
    columns["early_early_now"] = early[:, AT["early_now"]]
    columns |= {f"early_{name}": early[:, AT[name]] for name in _EARLY}
    columns |= _coinciding(t, [tracks[j] for j in sources], stacked)
    columns["second_score"] = np.sort(score, axis=0)[-2] if len(sources) > 1 else np.zeros(n, np.float32)
    columns["least_excess_db"] = stacked[:, :, AT["excess_db"]].min(axis=0)
    return sources[top], best[:, AT["late_long_lag"]].astype(np.int64)


def _names_of_sources() -> list[str]:
    """Return the names that :func:`_against_all` adds, in its order."""
    names = [f"best_{name}" for name in COLUMNS] + ["early_early_now"] + [f"early_{n}" for n in _EARLY]
    names += [f"same_{n}" for n in ("same_now", "same_short", "snr_difference_db", "source_probability")]
    names += [f"same_{n}" for n in ("width_difference", "brightness_difference_db")]
    names += ["same_liveliness_difference_db", "over_others_db", "others_highest", "others_highest_800ms"]
    return [*names, "others_sounding", "second_score", "least_excess_db"]


def _coinciding(t: TrackFrames, others: Sequence[TrackFrames], stacked: Float32Array) -> Columns:
    """Return the listener against the source that coincides most, and against all at the same moment."""
    at = np.arange(t.n)
    chosen = np.argmax(stacked[:, :, AT["same_now"]], axis=0)
    snr, p = np.stack([o.snr_db for o in others]), np.stack([o.probability for o in others])
    width, bright = np.stack([o.width for o in others]), np.stack([o.brightness_db for o in others])
    lively = np.stack([o.liveliness_db for o in others])
    loudest = p.max(axis=0)
    return {
        "same_same_now": stacked[chosen, at, AT["same_now"]],
        "same_same_short": stacked[chosen, at, AT["same_short"]],
        "same_snr_difference_db": t.snr_db - snr[chosen, at],
        "same_source_probability": p[chosen, at],
        "same_width_difference": t.width - width[chosen, at],
        "same_brightness_difference_db": t.brightness_db - bright[chosen, at],
        "same_liveliness_difference_db": t.liveliness_db - lively[chosen, at],
        "over_others_db": t.snr_db - sliding_highest(snr.max(axis=0), 5),
        "others_highest": loudest,
        "others_highest_800ms": sliding_highest(loudest, 41),
        "others_sounding": (p > 0.5).sum(axis=0).astype(np.float32),
    }


def _named(prefix: str, names: Sequence[str], n: int, pair: Pair | None) -> Columns:
    """Return some columns of a pair by name; zeros without one."""
    values = pair.columns if pair is not None else np.zeros((n, len(COLUMNS)), dtype=np.float32)
    return {f"{prefix}_{name}": values[:, AT[name]] for name in names}


def _against_mix(t: TrackFrames, mix: MixFrames | None) -> Columns:
    """Return how much more the mix holds than the track: a sound's owner is in both, a leak's source louder.

    The second column is against the least that the track's sounds have, which is the track's gain in the mix.
    """
    if mix is None:
        zero = np.zeros(t.n, dtype=np.float32)
        return {"mix_over_db": zero, "mix_over_least_db": zero}
    over_db = np.clip(mix.whole.bands_db - t.bands_db, -30, 50)
    clear = (t.bands_db > t.floor_db[:N_BANDS] + _CLEAR_DB).astype(np.float32)
    share = sliding_mean(clear.mean(axis=1), 5)
    summed = sliding_mean((over_db * clear).mean(axis=1), 5)
    found = np.asarray(summed / np.maximum(share, _LEAST_CLEAR), dtype=np.float32)
    sure = (share > _CLEARLY) & (t.probability > _HEARD)
    least = float(np.percentile(found[sure], 10)) if np.count_nonzero(sure) > _FEWEST_SURE else 0.0
    over_least = np.clip(found - least, -20, 40).astype(np.float32)
    return {"mix_over_db": found, "mix_over_least_db": over_least}


def _excess(columns: Columns, t: TrackFrames, explained: Sequence[Float32Array], left: Pair | None) -> None:
    """Add what no other track explains, and what neither they nor the rest of the mix do."""
    by_tracks = np.full((t.n, N_BANDS), _UNKNOWN_DB, dtype=np.float32)
    for level_db in explained:
        np.maximum(by_tracks, level_db, out=by_tracks)
    by_all = by_tracks if left is None else np.maximum(by_tracks, left.explained_db)
    over = excess_over(t, slice(None), by_tracks)
    over_all = excess_over(t, slice(None), by_all)
    half = N_BANDS // 2
    predicted = np.maximum(by_tracks, -120) - np.maximum(t.bands_db, -120)
    columns |= {
        "excess_db": over.mean(axis=1),
        "excess_share": (over > 6).mean(axis=1),
        "excess_share_12db": (over > 12).mean(axis=1),
        "excess_low_db": over[:, :half].mean(axis=1),
        "excess_high_db": over[:, half:].mean(axis=1),
        "excess_rest_db": over_all.mean(axis=1),
        "excess_rest_share": (over_all > 6).mean(axis=1),
        "predicted_db": np.clip(predicted.mean(axis=1), -40, 20),
    }


def _averages(columns: Columns, probability: Float32Array) -> None:
    """Add running means of columns, weighted by the detector's probability."""
    weight = np.maximum(probability, np.float32(_NOT_ACTIVE_WEIGHT))
    for width in _AVERAGES:
        scale = sliding_mean(weight, width)
        for name in _AVERAGED:
            columns[f"{name}_mean{width * 20}ms"] = sliding_mean(columns[name] * weight, width) / scale


_SURE_OWN, _SURE_OTHER, _HEARD = 0.85, 0.15, 0.6
_FEWEST_SURE = 30  # frames: 0.6 s
_MOST_SURE_S = 12.0
_FEWEST_TO_LEARN = 100
_CEPSTRA = 13
# Rows of the orthonormal discrete cosine transform (DCT-II) but the first, which is the level.
_COSINES = np.float32(np.sqrt(2 / N_BANDS)) * np.cos(
    np.pi / N_BANDS * (np.arange(N_BANDS)[:, None] + 0.5) * np.arange(1, _CEPSTRA + 1)
).astype(np.float32)
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
    widened = sliding_highest(guesses.T, 5).T
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
    smooth = sliding_mean(owner, 5)
    heard = t.probability > _HEARD
    own, other = (smooth > _SURE_OWN) & heard, (smooth < _SURE_OTHER) & heard
    n_own = np.count_nonzero(own)
    columns = {f"owner_{width * 20}ms": sliding_mean(odds, width) for width in (1, 5, 25, 101, 251)}
    columns["sure_s"] = np.full(t.n, np.log1p(min(n_own / FRAMES_PER_S, _MOST_SURE_S)), dtype=np.float32)
    columns["sure_nearby"] = np.minimum(sliding_mean(own.astype(np.float32), 501) * 10, 2)
    columns["mostly_own_1s"] = sliding_mean((owner > 0.5).astype(np.float32), 51)
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
    level, full = sliding_mean(t.level_db, 3), t.full_db
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
        shown = sliding_mean(values, 3) if name == "level" else values
        over = np.where(share > _LEAST_LOCAL, np.clip(shown - nearby, -50, 20), np.float32(np.nan))
        columns[f"{name}_over_own_nearby_db"] = over.astype(np.float32)
    return columns


def _voice(t: TrackFrames, own: BoolArray, other: BoolArray) -> Float32Array:
    """Return a linear discriminant of surely own speech against leaks, over cepstra (Fisher 1936).

    NaN where either is too short to learn from.
    """
    if min(np.count_nonzero(own), np.count_nonzero(other)) <= _FEWEST_TO_LEARN:
        return np.full(t.n, np.nan, dtype=np.float32)
    cepstra = t.floored_db @ _COSINES
    a, b = cepstra[own], cepstra[other]
    spread = np.cov(a.T) + np.cov(b.T)
    spread += np.eye(_CEPSTRA) * np.trace(np.cov(a.T)) * 0.02
    direction = np.linalg.solve(spread, a.mean(axis=0) - b.mean(axis=0))
    score = cepstra @ direction - (a.mean(axis=0) + b.mean(axis=0)) @ direction / 2
    smooth = sliding_mean(np.where(t.probability > 0.3, score, 0).astype(np.float32), 25)
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
        "others_owner_800ms": sliding_highest(now, 41),
    }
