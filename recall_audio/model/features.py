"""How a voice sounds in one turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from recall_audio.model.figures import Figures

FIGURES = (
    "f0_median_hz",
    "f0_low_hz",
    "f0_high_hz",
    "f0_range_semitones",
    "voiced_share",
    "level_dbfs",
    "level_to_own_median_db",
    "syllables_per_s",
    "centroid_hz",
)
"""Fields of :class:`VoiceFeatures` that may be None for a reason."""


@dataclass(frozen=True, slots=True)
class VoiceFeatures(Figures):
    """Figures of one voice in some stretches of sound; None stands beside a reason, never NaN.

    Attributes:
        analysed_s: sound that they rest on, seconds.
        f0_median_hz: median fundamental frequency of the voiced frames, on a grid of a fifth of a semitone.
        f0_low_hz: their 5 % quantile.
        f0_high_hz: their 95 % quantile.
        f0_range_semitones: from the one to the other.
        voiced_share: voiced frames among the active ones, 0 to 1.
        level_dbfs: root mean square of the sound as recorded; 0 is a full-scale square wave, −3.01 a sine.
        level_to_own_median_db: the same against the median of the speaker's turns.
        syllables_per_s: syllable nuclei a second of speech, a proxy of the articulation rate: pauses over
            0.2 s are not in it; of synthetic voices' syllables a sixth is missed.
        centroid_hz: median spectral centroid of the active frames; it hangs on the codec's bandwidth too.
        reasons: why a figure is None.
    """

    analysed_s: float
    f0_median_hz: float | None = None
    f0_low_hz: float | None = None
    f0_high_hz: float | None = None
    f0_range_semitones: float | None = None
    voiced_share: float | None = None
    level_dbfs: float | None = None
    level_to_own_median_db: float | None = None
    syllables_per_s: float | None = None
    centroid_hz: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def missing(reason: str) -> "VoiceFeatures":
        """No figure at all, for one reason."""
        return VoiceFeatures(0.0, reasons=dict.fromkeys(FIGURES, reason))

    def against(self, own_median_dbfs: float | None) -> "VoiceFeatures":
        """The same, its level set against the median of the speaker's turns."""
        if self.level_dbfs is None or own_median_dbfs is None:
            why = self.reasons.get("level_dbfs", "no turn of the speaker has a level")
            return replace(self, reasons={**self.reasons, "level_to_own_median_db": why})
        return replace(self, level_to_own_median_db=round(self.level_dbfs - own_median_dbfs, 2) + 0.0)


@dataclass(frozen=True, slots=True)
class TurnFeatures:
    """A turn, and how the voice sounds where its speaker speaks alone.

    Attributes:
        speaker: label.
        start_s: the turn's start on the mix's clock.
        end_s: its end.
        talk_s: the speaker's speech in it.
        alone_s: that part of the speech which is clear of everyone else's.
        backchannel_candidate: a short, isolated turn while another speaks.
        voice: the figures.
    """

    speaker: str
    start_s: float
    end_s: float
    talk_s: float
    alone_s: float
    backchannel_candidate: bool
    voice: VoiceFeatures
