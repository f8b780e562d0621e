"""Choose the gain of a stem from what was measured of it.

Speech sets the gain: what a meter would read if everything but the participant's speech were muted is
brought to the target. A meter reads the whole file, though, and in an ordinary file finds nearly the same,
since its relative gate drops the pauses. Where the two agree within 1 LU, the meter's reading of the file is
brought to the target exactly; where they do not, because noise or other voices fill the pauses, speech
alone counts.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from recall_audio.core.stems.meters import STEPS_A_BLOCK, block_energies, gated_lufs, step_samples
from recall_audio.model.options import StemOptions
from recall_audio.typing import BoolArray, FloatArray, Spans
from recall_audio.units import RATE_HZ

SetBy = Literal["target", "peak", "cap", "silence"]

AGREE_LU = 1.0
"""Distance from the speech's loudness up to which the whole file's loudness counts, LU."""

SOLVED_LU = 0.005
"""A gain is found when the loudness is this near to the target, LU."""

FILE_REACHED_LU = 0.05
"""The whole file counts if a gain brings it this near to the target, LU."""

MOST_TRIALS = 12
"""Gains that are tried before the best of them is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Loudness and true peak of a stem before any gain.

    Attributes:
        blocks: K-weighted energies of its gating blocks, shape (n,).
        speech: which of them are the participant's speech, shape (n,); None where speech is
            not known.
        peak_dbtp: true peak; -inf for digital silence.
    """

    blocks: FloatArray
    speech: BoolArray | None
    peak_dbtp: float

    def lufs(self, gain_db: float = 0.0) -> float:
        """Return the integrated loudness of the whole stem after a gain, LUFS."""
        return gated_lufs(self.blocks, gain_db)

    def speech_lufs(self, gain_db: float = 0.0) -> float:
        """Return the loudness of its speech after a gain, gated alike, -inf without speech."""
        return -math.inf if self.speech is None else gated_lufs(self.blocks[self.speech], gain_db)


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain of a stem and what set it.

    Attributes:
        gain_db: linear gain of the whole stem.
        set_by: what held it: the target, the true peak, the cap, or that there is nothing to measure.
        measured_over: what the loudness was taken of: the whole ``file``, ``speech`` alone, or None.
        reason: one sentence where there was nothing to measure; else empty.
    """

    gain_db: float
    set_by: SetBy
    measured_over: Literal["file", "speech"] | None = None
    reason: str = ""


def measure_level(steps: FloatArray, peak_dbtp: float, speech: Spans | None, rate_hz: int) -> Level:
    """Return the level of a stem from its 100 ms energies.

    A gating block counts as speech where it touches any: the blocks that a meter would find if all the
    rest were muted.

    Args:
        steps: mean K-weighted squares, shape (n_steps,).
        peak_dbtp: true peak.
        speech: the participant's speech on the mix's 16 kHz clock, or None.
        rate_hz: rate of the stem.
    """
    blocks = block_energies(steps)
    if speech is None:
        return Level(blocks, None, peak_dbtp)
    step = step_samples(rate_hz) * RATE_HZ / rate_hz
    # Block k covers steps k to k + 3.
    first = np.floor(speech[:, 0] / step).astype(np.int64) - (STEPS_A_BLOCK - 1)
    last = np.ceil(speech[:, 1] / step).astype(np.int64) - 1
    change = np.zeros(len(blocks) + 1, dtype=np.int64)
    np.add.at(change, np.clip(first, 0, len(blocks)), 1)
    np.add.at(change, np.clip(last + 1, 0, len(blocks)), -1)
    return Level(blocks, np.cumsum(change[:-1]) > 0, peak_dbtp)


def choose_gain(level: Level, options: StemOptions) -> Gain:
    """Return the gain of a stem, the limiter left out of account."""
    if options.normalize == "none":
        return Gain(0.0, "target")
    if level.peak_dbtp == -math.inf:
        return Gain(0.0, "silence", reason="The track is digital silence.")
    if options.normalize == "peak":
        return _hold(Gain(options.peak_dbtp - level.peak_dbtp, "peak"), level, options)
    wanted = _reach_target(level, options)
    return wanted if wanted.measured_over is None else _hold(wanted, level, options)


def _hold(wanted: Gain, level: Level, options: StemOptions) -> Gain:
    """Lower the gain that is wanted to the cap and to the peak ceiling, whichever is lower."""
    held = wanted
    if options.max_gain_db < held.gain_db:
        held = replace(held, gain_db=options.max_gain_db, set_by="cap")
    headroom_db = options.peak_dbtp - level.peak_dbtp
    if headroom_db < held.gain_db and not options.limit:
        held = replace(held, gain_db=headroom_db, set_by="peak")
    return held


def _reach_target(level: Level, options: StemOptions) -> Gain:
    """Return the gain that brings the loudness to the target, whatever the peaks and the cap."""
    if level.speech is None:
        found = _solve(level.blocks, options.lufs, options.max_gain_db)
        return Gain(found, "target", "file") if found is not None else _nothing("")
    if not level.speech.any():
        return _nothing("No speech of this participant was found in the track.")
    spoken = _solve(level.blocks[level.speech], options.lufs, options.max_gain_db)
    if spoken is None:
        return _nothing("The participant's speech is below -70 LUFS even at the largest gain.")
    if abs(level.lufs(spoken) - options.lufs) <= AGREE_LU:
        whole = _solve(level.blocks, options.lufs, spoken)
        if (
            whole is not None
            and abs(whole - spoken) <= AGREE_LU
            and abs(level.lufs(whole) - options.lufs) < FILE_REACHED_LU
        ):
            return Gain(whole, "target", "file")
    return Gain(spoken, "target", "speech")


def _nothing(reason: str) -> Gain:
    """Return the gain of a stem in which there is nothing to measure."""
    return Gain(0.0, "silence", reason=reason or "No 400 ms of the track reach -70 LUFS.")


def _solve(blocks: FloatArray, target_lufs: float, largest_db: float) -> float | None:
    """Return the gain after which `blocks` read `target_lufs`.

    It is None where no block passes the gate.
    The absolute gate is fixed while the gain moves blocks across it, so the gain is found by trial.
    """
    gain_db, best, best_off = 0.0, None, math.inf
    for attempt in range(MOST_TRIALS):
        found = gated_lufs(blocks, gain_db)
        if found == -math.inf:
            if attempt:
                break
            gain_db = largest_db  # too quiet for the gate as it is
            continue
        off = abs(target_lufs - found)
        if off < best_off:
            best, best_off = gain_db, off
        if off < SOLVED_LU:
            break
        gain_db += target_lufs - found
    return best
