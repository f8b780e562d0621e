"""Gather what decides on the owner of each frame: a track by itself, and against every other.

Columns stand in the order that the fitted networks were trained with. Of several sources four are looked at:
the one most alike (``best_``), the one that follows the listener most clearly (``early_``), the one that
coincides with it most (``same_``), and what the mix holds beyond all tracks (``rest_``). A fifth is the mix
itself (``mix_``): it coincides with a sound's owner, and comes before or after what leaked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.speech.excess import excess_over
from recall_audio.core.speech.filters import highest, log_odds, lowest, mean
from recall_audio.core.speech.frames import HIGH_BAND, N_BANDS, TrackFrames
from recall_audio.core.speech.likeness import AT, COLUMNS, Pair, compare, likeness_score
from recall_audio.core.speech.mixed import MixFrames
from recall_audio.typing import Float32Array, IntArray

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
    "early_width_difference", "mix_late_now", "mix_same_now", "mix_early_now",
)  # fmt: skip
_AVERAGES = (25, 101)  # frames: 0.5 s and 2 s
_NOT_ACTIVE_WEIGHT = 0.05
_UNKNOWN_DB = -200.0


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
    nearby = highest(mean(snr, 5), 151)
    level = np.clip(t.level_db, -100, 0)
    return {
        "detector": log_odds(p, 0.004),
        "likely_180ms": mean(p, 9),
        "likely_1500ms": mean(p, 75),
        "highest_500ms": highest(p, 51),
        "highest_1400ms": highest(p, 141),
        "lowest_260ms": lowest(p, 13),
        "snr_db": snr,
        "local_snr_db": t.local_snr_db,
        "under_nearby_db": snr - nearby,
        "under_close_db": snr - highest(mean(snr, 5), 51),
        "nearby_snr_db": nearby,
        "rise_db": mean(level, 3) - np.roll(mean(level, 3), 5),
        "low_snr_db": np.clip(t.spectrum_db[:, N_BANDS] - t.floor_db[N_BANDS], -5, 40),
        "bands_snr_db": np.clip(over_db, 0, 15).mean(axis=1),
        "high_snr_db": np.clip(over_db[:, HIGH_BAND:], 0, 15).mean(axis=1),
        "width": (over_db > 8).mean(axis=1),
        "full_snr_db": np.clip(full - floor_db, -5, 60),
        "full_under_nearby_db": np.clip(full - highest(full, 151), -60, 0),
        "full_under_highest_db": np.clip(full - highest(full, 601), -60, 0),
        "full_over_mean_db": np.clip(full - mean(full, 25), -30, 30),
        "above_4khz_db": np.clip(full - t.level_db, -10, 30),
        "spectrum_spread_db": np.clip(t.floored_db.std(axis=1), 0, 20),
        "liveliness_db": np.sqrt(t.energy / N_BANDS),
    }


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
        "over_others_db": t.snr_db - highest(snr.max(axis=0), 5),
        "others_highest": loudest,
        "others_highest_800ms": highest(loudest, 41),
        "others_sounding": (p > 0.5).sum(axis=0).astype(np.float32),
    }


def _named(prefix: str, names: Sequence[str], n: int, pair: Pair | None) -> Columns:
    """Return some columns of a pair by name; zeros without one."""
    values = pair.columns if pair is not None else np.zeros((n, len(COLUMNS)), dtype=np.float32)
    return {f"{prefix}_{name}": values[:, AT[name]] for name in names}


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
        scale = mean(weight, width)
        for name in _AVERAGED:
            columns[f"{name}_mean{width * 20}ms"] = mean(columns[name] * weight, width) / scale
