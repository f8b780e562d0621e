"""Represent detected speech and leakage (``segments.json``, ``leakage.json``)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from recall_audio.model.options import SpeechOptions
from recall_audio.model.outcome import Finding
from recall_audio.typing import ByteArray, Float32Array, Spans
from recall_audio.units import to_samples, to_seconds

_LIMIT = 4.0  # scaled inputs are kept within this


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A small feed-forward network with rectified units.

    Attributes:
        centre: shape (inputs,), subtracted from the inputs.
        scale: shape (inputs,), the inputs are divided by.
        weights: one matrix a layer, shapes (inputs, units), (units, units), (units, 1).
        biases: one vector a layer.
    """

    centre: Float32Array
    scale: Float32Array
    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]

    def scaled(self, inputs: Float32Array) -> Float32Array:
        """Return inputs as the first layer sees them; unknown ones (NaN) count as the centre."""
        x = np.asarray((inputs - self.centre) / self.scale, dtype=np.float32)
        np.clip(x, -_LIMIT, _LIMIT, out=x)
        x[np.isnan(x)] = 0
        return x

    def log_odds(self, inputs: Float32Array) -> Float32Array:
        """Return the log-odds of each row, shape (n,)."""
        return self.decided(self.scaled(inputs))

    def decided(self, scaled: Float32Array) -> Float32Array:
        """Return the log-odds of each row of scaled inputs, shape (n,)."""
        x = scaled
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ weight + bias, 0)
        return np.asarray((x @ self.weights[-1] + self.biases[-1])[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class OwnershipModel:
    """Two groups of networks: the first guesses the owner, the second decides with that guess.

    Attributes:
        owner: evidence to the first guess; their log-odds are averaged.
        speech: evidence and context of the guess to the probability of own speech.
        calibration: slope and offset of the log-odds of the second group.
        provenance: what the networks were fitted to, as plain text.
    """

    owner: tuple[Network, ...]
    speech: tuple[Network, ...]
    calibration: tuple[float, float] = (1.0, 0.0)
    provenance: str = ""

    def guess(self, features: Float32Array) -> Float32Array:
        """Return the first guess of each row, shape (n,), 0 to 1."""
        return _probability(_averaged(self.owner, features))

    def decide(self, features: Float32Array, context: Float32Array) -> Float32Array:
        """Return the calibrated probability of own speech of each row, shape (n,), 0 to 1."""
        slope, offset = self.calibration
        inputs = np.concatenate((features, context), axis=1)
        return _probability(np.float32(slope) * _averaged(self.speech, inputs) + np.float32(offset))


def _averaged(networks: Sequence[Network], inputs: Float32Array) -> Float32Array:
    first = networks[0]
    scaled = first.scaled(inputs)
    found = []
    for n in networks:
        alike = np.array_equal(n.centre, first.centre) and np.array_equal(n.scale, first.scale)
        found.append(n.decided(scaled if alike else n.scaled(inputs)))
    return np.asarray(np.mean(found, axis=0), dtype=np.float32)


def _probability(log_odds: Float32Array) -> Float32Array:
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float32)


HOP_SAMPLES = 512
"""Samples of 16 kHz audio that one probability stands for: 32 ms."""


class Detector(Protocol):
    """A detector that tells speech from everything else."""

    def probabilities(self, stretches: Sequence[Float32Array]) -> list[Float32Array]:
        """Return the probability of speech of each 32 ms of each stretch.

        Args:
            stretches: float32, mono, 16 kHz, about −1 to 1, any lengths.

        Returns:
            for each stretch of n samples ``ceil(n / 512)`` probabilities, 0 to 1. Stretches are heard apart
            from each other: what one says does not depend on which others came with it.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PartEvidence:
    """The evidence about speech in one part, on the part's own clock.

    Attributes:
        part_id: which part.
        level: uint8, one for each 10 ms: level in half decibels above −120 dBFS; 0 is silence.
        probability: uint8, one for each 32 ms: speech probability × 255; 0 where the network was not asked.
    """

    part_id: str
    level: ByteArray
    probability: ByteArray


@dataclass(frozen=True, slots=True)
class LeakWindow:
    """Leakage in one ten-second window.

    Attributes:
        start_s: start of the window on the mix's clock.
        gain_db: level of the source's voice in the listener's track, against the source's own track.
        certainty: 0 to 1.
        delay_ms: how much later the voice is there, to 20 ms.
        likeness: correlation of the two tracks' spectra along time, 0 to 1.
    """

    start_s: float
    gain_db: float
    certainty: float
    delay_ms: float = 0.0
    likeness: float = 0.0


@dataclass(frozen=True, slots=True)
class Leak:
    """The leakage of one participant's voice into another's track, over the whole meeting.

    Attributes:
        source: label of the one who speaks.
        listener: label of the track it leaks into.
        gain_db: median level in the listener's track, against the source's own track.
        delay_ms: how much later it is there; negative where it comes earlier.
        certainty: 0 to 1, that the listener's track holds the source's voice.
        windows: the same by ten seconds, where the source spoke alone for long enough to tell.
    """

    source: str
    listener: str
    gain_db: float
    delay_ms: float
    certainty: float
    windows: tuple[LeakWindow, ...] = ()

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Leak":
        """Return the leak that ``leakage.json`` holds."""
        windows = tuple(LeakWindow(**w) for w in value["windows"])
        return Leak(**{**value, "windows": windows})


@dataclass(frozen=True, slots=True)
class OtherThreshold:
    """Talk under another threshold, all else being the same.

    Attributes:
        threshold: which.
        talk_s: label to speech.
        overlap_s: time in which two or more speak.
    """

    threshold: float
    talk_s: Mapping[str, float]
    overlap_s: float


@dataclass(frozen=True, slots=True, eq=False)
class SpeechResult:
    """Who speaks when, and which voices leak into which tracks.

    Attributes:
        segments: own speech by label, on the mix's clock, within ``[0, duration]``.
        raw: the same before leaked speech was taken out.
        leaks: every leak that was found, by source and listener.
        options: the parameters used.
        findings: what a reader should know.
        unbridged: own speech as the decision left it, pauses not bridged, edges not set right, short speech
            not dropped: what a reader needs who would have chosen other parameters.
        other_thresholds: talk under a lower and a higher threshold.
        unassigned: speech of the mix that is on no track; None where there is no mix.
        posteriors: by label, probability of own speech × 255, one byte for each 20 ms; tracks that never
            sound like speech have none. Kept in a file of its own.
    """

    segments: Mapping[str, Spans]
    raw: Mapping[str, Spans]
    leaks: tuple[Leak, ...] = ()
    options: SpeechOptions = field(default_factory=SpeechOptions)
    findings: tuple[Finding, ...] = ()
    unbridged: Mapping[str, Spans] = field(default_factory=dict)
    other_thresholds: tuple[OtherThreshold, ...] = ()
    unassigned: Spans | None = None
    posteriors: Mapping[str, ByteArray] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the plain values of ``segments.json``, seconds on the mix's clock."""
        return {
            "speakers": {k: _seconds(v) for k, v in self.segments.items()},
            "raw": {k: _seconds(v) for k, v in self.raw.items()},
            "unbridged": {k: _seconds(v) for k, v in self.unbridged.items()},
            "other_thresholds": [asdict(o) for o in self.other_thresholds],
            "unassigned": None if self.unassigned is None else _seconds(self.unassigned),
            "parameters": asdict(self.options),
        }

    def leakage_json(self) -> dict[str, Any]:
        """Return the plain values of ``leakage.json``."""
        return {
            "leaks": [asdict(leak) for leak in self.leaks],
            "findings": [f.to_json() for f in self.findings],
        }

    @staticmethod
    def from_json(segments: Mapping[str, Any], leakage: Mapping[str, Any] | None = None) -> "SpeechResult":
        """Return the result that :meth:`to_json` and :meth:`leakage_json` wrote.

        Without `leakage` the result has no leaks.
        """
        leaks = leakage or {"leaks": [], "findings": []}
        return SpeechResult(
            segments={k: _samples(v) for k, v in segments["speakers"].items()},
            raw={k: _samples(v) for k, v in segments["raw"].items()},
            leaks=tuple(Leak.from_json(leak) for leak in leaks["leaks"]),
            options=SpeechOptions(**segments["parameters"]),
            findings=tuple(Finding.from_json(f) for f in leaks["findings"]),
            unbridged={k: _samples(v) for k, v in segments["unbridged"].items()},
            other_thresholds=tuple(OtherThreshold(**o) for o in segments["other_thresholds"]),
            unassigned=None if (rows := segments.get("unassigned")) is None else _samples(rows),
        )


def _seconds(a: Spans) -> list[list[float]]:
    return [[to_seconds(int(s)), to_seconds(int(e))] for s, e in a]


def _samples(rows: list[list[float]]) -> Spans:
    return np.array([[to_samples(s), to_samples(e)] for s, e in rows], np.int64).reshape(-1, 2)
