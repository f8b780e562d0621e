"""Name the array types that the package passes around, each by its element type."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
"""Float64 values of any shape."""

Float32Array = npt.NDArray[np.float32]
"""Float32 values of any shape: signals (full scale at ±1), spectra, probabilities."""

Complex64Array = npt.NDArray[np.complex64]
"""Complex spectra of float32 signals."""

IntArray = npt.NDArray[np.int64]
"""Indices and counts."""

ByteArray = npt.NDArray[np.uint8]
"""Quantised levels and probabilities, one a frame."""

BoolArray = npt.NDArray[np.bool_]
"""Masks, mostly one value a frame."""

Samples = npt.NDArray[np.int16]
"""Audio as decoded: 16-bit samples, shape (n,)."""

Spans = npt.NDArray[np.int64]
"""Intervals [start, end) in samples, shape (n, 2), sorted and apart."""
